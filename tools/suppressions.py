"""Counts suppressions: `noqa`, `type: ignore`, `pragma: no cover`. More than two in 1,000 lines fail.
`suppressions.py PACKAGE`."""

from __future__ import annotations

import re
import sys
import tokenize
from pathlib import Path

QUIET = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no cover|pylint:|pyright:|fmt:\s*off)")
PER_THOUSAND = 2.0


def marks(path: Path) -> list[str]:
    """Every comment of one file that silences a tool, with its place."""
    with open(path, encoding="utf-8") as stream:
        tokens = list(tokenize.generate_tokens(stream.readline))
    return [f"{path}:{t.start[0]}: {t.string}" for t in tokens if t.type == tokenize.COMMENT and QUIET.search(t.string)]


def main(package: Path) -> int:
    files = sorted(package.rglob("*.py"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    found = [mark for path in files for mark in marks(path)]
    share = 1000 * len(found) / max(lines, 1)
    for mark in found if share > PER_THOUSAND else []:
        print(mark)
    print(f"suppressions: {len(found)} in {lines} lines, {share:.1f} per 1,000 (at most {PER_THOUSAND:.0f})")
    return 1 if share > PER_THOUSAND else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: suppressions.py PACKAGE")
    sys.exit(main(Path(sys.argv[1])))
