"""``python -m benchmarks``: prints the table, writes ``bench-output/bench.json``; ``--commit`` also writes the page of the docs."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import report
from benchmarks.cases import Settings, cases
from benchmarks.memory import peaks, tapes
from benchmarks.race import Row, race
from benchmarks.removals import removals
from benchmarks.same_call import same_calls
from benchmarks.timing import Effort, Watch
from benchmarks.tolerance import trades

ROOT = Path(__file__).parents[1]
QUICK = Settings(
    steps=4, samples=4, call_steps=5, memory_steps=8, image=16, tokens=8, batch=2, tolerance=1e-2, pictures=2, references=3, long=12
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    p.add_argument("--quick", action="store_true", help="tiny settings: shows that everything runs, and measures nothing")
    p.add_argument("--only", default="", help="rows whose name contains this; no memory and no tolerance part")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    p.add_argument("--threads", type=int, default=0, help="torch threads (as torch chooses)")
    p.add_argument("--clock", choices=("wall", "processor"), default="wall", help="processor: steadier beside others, one thread")
    p.add_argument("--seconds", type=float, default=30.0, help="time per row, about")
    p.add_argument("--rounds", type=int, default=9, help="rounds per row at least")
    p.add_argument("--output", type=Path, default=ROOT / "bench-output", help="where bench.json goes")
    p.add_argument("--commit", action="store_true", help="write docs/reports/benchmarks.md too")
    return p


def raced(settings: Settings, quick: bool, effort: Effort, watch: Watch, only: str) -> Iterator[Row]:
    """Every row asked for, with a line on stderr as each is done."""
    chosen = [case for case in cases(settings) if only.lower() in case.name.lower()]
    for number, case in enumerate(chosen, 1):
        row = race(replace(case, aims=()) if quick else case, effort, watch)  # tiny runs meet and miss nothing
        sys.stderr.write(f"[{number}/{len(chosen)}] {report.aligned(report.speed_table([row])).splitlines()[-1]}\n")
        yield row


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 when a contender could not run."""
    asked = parser().parse_args(argv)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", module="captum")  # that it sets requires_grad, once per process
    watch = Watch(asked.device, asked.clock == "processor")
    if asked.threads or watch.processor:
        torch.set_num_threads(1 if watch.processor else asked.threads)
    settings = replace(QUICK if asked.quick else Settings(), device=asked.device)
    effort = Effort(1, 2, 0.0, 0.0) if asked.quick else Effort(asked.rounds, seconds=asked.seconds)
    about = report.about() | {"clock": asked.clock}
    asked.output.mkdir(parents=True, exist_ok=True)
    results = report.Results(about, settings)
    for row in raced(settings, asked.quick, effort, watch, asked.only):
        results = replace(results, rows=(*results.rows, row))
        (asked.output / "bench.json").write_text(report.as_json(results))  # a long run that is broken off has been of use
    if not asked.only:
        chunk = results.rows[0].chunk or settings.batch
        same = same_calls(replace(effort, seconds=effort.seconds / 15), watch, settings.image, settings.tokens, settings.batch // 2)
        results = replace(results, same=tuple(same))
        results = replace(
            results, peaks=tuple(peaks(settings, chunk)), tapes=tuple(tapes(settings)), trades=tuple(trades(settings, effort, watch))
        )
        (asked.output / "bench.json").write_text(report.as_json(results))
    if apart := removals(settings.image, settings.batch, asked.quick, effort, watch, asked.only):
        results = replace(results, removals=tuple(apart))
        (asked.output / "bench.json").write_text(report.as_json(results))
    if asked.commit:
        (ROOT / "docs" / "reports" / "benchmarks.md").write_text(report.page(results))
    sys.stdout.write(report.terminal(results))
    return 1 if report.failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())
