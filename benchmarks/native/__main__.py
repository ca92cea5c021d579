"""Runs each framework in a process of its own, and writes the report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

from .measure import ROWS, builder, measure

COLUMNS = {
    "PyTorch": ("torch", "module", None),
    "JAX function": ("jax", "function", None),
    "Flax linen": ("jax", "module", None),
    "TensorFlow": ("tensorflow", "module", None),
    "TensorFlow, eager": ("tensorflow", "eager", None),
    "Keras on PyTorch": ("keras", "model", "torch"),
    "Keras on JAX": ("keras", "model", "jax"),
    "Keras on TensorFlow": ("keras", "model", "tensorflow"),
}
"""For each column its module, the builder there, and the back end of Keras."""
PAGE = Path(__file__).parents[2] / "docs" / "reports" / "native.md"
PACKAGES = ("torch", "jax", "flax", "tensorflow-cpu", "keras", "numpy")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
HEAD = """# Against programs written by hand

Written by `python -m benchmarks.native --commit`. For each framework the same calculation is written by hand as a user of that framework
would write it: `jax.jit` of `vmap(grad)` over all points with the sum inside, `tf.function` with a `GradientTape` over all points as rows
of one run, a loop over chunks of points in PyTorch at its best chunk. Times are the processor's, the smallest of several calls, both sides
in turn in one process on one thread. ascribe also evaluates the records and the baseline, and checks the result.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commit", action="store_true", help="write docs/reports/native.md")
    parser.add_argument("--only", default="", help="columns whose names contain this")
    parser.add_argument("--row", default="", help="rows whose names contain this")
    parser.add_argument("--rounds", type=int, default=15, help="calls that are timed")
    parser.add_argument("--run", default="", help="the column to run in this process; prints JSON")
    args = parser.parse_args()
    rows = [title for title in ROWS if args.row.lower() in title.lower()]
    if args.run:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        sys.stdout.write("\n" + json.dumps(measure(builder(*COLUMNS[args.run][:2]), rows, args.rounds)))
        return
    table = {}
    for title in [title for title in COLUMNS if args.only.lower() in title.lower()]:
        figures = run_column(title, args.row, args.rounds)
        if figures is not None:
            table[title] = figures
            print(title, json.dumps(figures), file=sys.stderr)
    text = "\n\n".join(page(table, rows))
    print(text)
    if args.commit:
        PAGE.write_text(HEAD + "\n" + text + "\n", encoding="utf-8")


def run_column(title: str, row: str, rounds: int) -> dict[str, dict[str, float]] | None:
    """The figures of a framework, from a process of its own; None where it fails."""
    backend = COLUMNS[title][2]
    env = {**os.environ, **ONE_THREAD, **({"KERAS_BACKEND": backend} if backend else {})}
    command = [sys.executable, "-m", "benchmarks.native", "--run", title, "--row", row, "--rounds", str(rounds)]
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        print(f"{title}: {run.stderr[-2000:]}", file=sys.stderr)
        return None
    figures: dict[str, dict[str, float]] = json.loads(run.stdout.splitlines()[-1])
    return figures


def page(table: dict[str, dict[str, dict[str, float]]], rows: list[str]) -> list[str]:
    """The tables of the report: one for each row of figures."""
    made = [f"{date.today()}, {processor()}, {', '.join(f'{name} {version(name)}' for name in PACKAGES)}."]
    head = ["native, ms", "ascribe, ms", "ratio", "over native, ms", "first call, s", "of native's first", "programs of the first call",
            "until settled", "for other labels and weights", "largest difference"]  # fmt: skip
    for row in rows:
        lines = [f"## {row}", "", "| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
        lines += [f"| {title} | {' | '.join(cells(figures[row]))} |" for title, figures in table.items() if row in figures]
        made.append("\n".join(lines))
    return made


def cells(f: dict[str, float]) -> list[str]:
    """The cells of a framework."""
    call, native = f["call"], f["native"]
    return [
        f"{native * 1e3:.2f}", f"{call * 1e3:.2f}", f"{call / native:.2f}", f"{(call - native) * 1e3:.2f}", f"{f['first']:.2f}",
        f"{f['first'] / f['first native']:.2f}", f"{f['first programs']:.0f}", f"{f['programs']:.0f}", f"{f['other programs']:.0f}",
        f"{f['difference']:.0e}",
    ]  # fmt: skip


def processor() -> str:
    """The name of the processor, where the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
