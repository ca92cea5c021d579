"""Write the golden numbers anew: `python -m tests.golden.record`, from the root of the repository.

Only where numbers are meant to change; with words behind it, only cases whose names contain one of them:
`python -m tests.golden.record "by Drop"`. It prints what differs from what was there. `public` writes only the list of public names.
"""

from __future__ import annotations

import sys
import time

from tests.golden.cases import CASES
from tests.golden.pack import FILE, differences, load, run, save
from tests.golden.public import write


def main(words: list[str]) -> None:
    start = time.perf_counter()
    before = load() if FILE.exists() else {}
    chosen = [name for name in CASES if not words or any(word in name for word in words)]
    now = {name: before[name] for name in CASES if name in before} | {name: run(CASES[name]) for name in chosen}
    save({name: now[name] for name in CASES if name in now})
    after, out = load(), []
    for name in chosen:
        wrong = differences(run(CASES[name]), after[name])
        out += [f"UNSTABLE {name}: {'; '.join(wrong)}"] if wrong else []
        out += [f"changed  {name}"] if name in before and differences(after[name], before[name]) else []
    refused = sum("refused" in found for found in after.values())
    sys.stdout.write("\n".join([*out, f"{len(after)} cases, {refused} of them refused, {len(chosen)} recorded anew and run again"]))
    sys.stdout.write(f"; {FILE.stat().st_size / 1e6:.2f} MB, {time.perf_counter() - start:.0f} s\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["public"]:
        main(sys.argv[1:])
    if len(sys.argv) == 1 or sys.argv[1:] == ["public"]:
        write()
