"""``python -m benchmarks``: prints the table, writes ``bench-output/bench.json``; ``--commit`` also docs/reports/benchmarks.md."""

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
    """Returns the parser of the command line."""
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    p.add_argument("--quick", action="store_true", help="tiny settings: checks that everything runs; the figures mean nothing")
    p.add_argument("--only", default="", help="only rows whose name contains this; without the parts on memory and tolerance")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    p.add_argument("--threads", type=int, default=0, help="number of torch threads (default: torch's own)")
    p.add_argument("--clock", choices=("wall", "processor"), default="wall", help="processor: time of this process alone, one thread")
    p.add_argument("--seconds", type=float, default=30.0, help="approximate time per row")
    p.add_argument("--rounds", type=int, default=9, help="least number of rounds per row")
    p.add_argument("--output", type=Path, default=ROOT / "bench-output", help="folder of bench.json")
    p.add_argument("--commit", action="store_true", help="write docs/reports/benchmarks.md too")
    return p


def raced(settings: Settings, quick: bool, effort: Effort, watch: Watch, only: str) -> Iterator[Row]:
    """Yields every selected row, and writes a line to stderr as each is done."""
    chosen = [case for case in cases(settings) if only.lower() in case.name.lower()]
    for number, case in enumerate(chosen, 1):
        row = race(replace(case, aims=()) if quick else case, effort, watch)  # aims do not apply to tiny runs
        sys.stderr.write(f"[{number}/{len(chosen)}] {report.aligned(report.speed_table([row])).splitlines()[-1]}\n")
        yield row


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes. Returns 1 if a contender could not run."""
    options = parser().parse_args(argv)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", module="captum")  # that it sets requires_grad, once per process
    watch = Watch(options.device, options.clock == "processor")
    if options.threads or watch.processor:
        torch.set_num_threads(1 if watch.processor else options.threads)
    settings = replace(QUICK if options.quick else Settings(), device=options.device)
    effort = Effort(1, 2, 0.0, 0.0) if options.quick else Effort(options.rounds, seconds=options.seconds)
    about = report.about() | {"clock": options.clock}
    options.output.mkdir(parents=True, exist_ok=True)
    results = report.Results(about, settings)
    for row in raced(settings, options.quick, effort, watch, options.only):
        results = replace(results, rows=(*results.rows, row))
        (options.output / "bench.json").write_text(report.as_json(results))  # an interrupted run keeps its rows
    if not options.only:
        chunk = results.rows[0].chunk or settings.batch
        same = same_calls(replace(effort, seconds=effort.seconds / 15), watch, settings.image, settings.tokens, settings.batch // 2)
        results = replace(results, same=tuple(same))
        results = replace(
            results, peaks=tuple(peaks(settings, chunk)), tapes=tuple(tapes(settings)), trades=tuple(trades(settings, effort, watch))
        )
        (options.output / "bench.json").write_text(report.as_json(results))
    if apart := removals(settings.image, settings.batch, options.quick, effort, watch, options.only):
        results = replace(results, removals=tuple(apart))
        (options.output / "bench.json").write_text(report.as_json(results))
    if options.commit:
        (ROOT / "docs" / "reports" / "benchmarks.md").write_text(report.page(results))
    sys.stdout.write(report.terminal(results))
    return 1 if report.failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())
