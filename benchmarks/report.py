"""Formats the results as a table for a terminal, a page and a JSON file."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ascribe.version import VERSION
from benchmarks.cases import Settings
from benchmarks.memory import Peak
from benchmarks.race import Row
from benchmarks.removals import Raced
from benchmarks.same_call import Same
from benchmarks.timing import Spread
from benchmarks.tolerance import Trade

MEMORY_BOUND = 0.25
"""ascribe's peak over captum's should be at most this."""

VERDICT = {True: "met", False: "MISSED", None: "no figure"}
SPEED = """Medians; ratios are paired within a round, with quartiles. `bare` is the same passes written by hand at its best
chunk (rows at once). A first call is on a new model and includes the search for the chunk; the other columns are later calls."""
ROWS = """Rows through the first layer / through the last layer + back from it, counted by hooks. `ends` are the forward passes
at the records and the baseline that a completeness gap needs. Differences are relative to the largest value; random methods
are not compared, nor DeepLIFT, whose bare figure is that of gradients. `load` is the machine's load average then."""

SAME = """One row for each class, on the CNN, on a tiny BERT (4 layers of width 64) and on a small one (4 layers of
width 512), both from their embeddings on; objects are created before the timing starts. For captum's LRP the CNN's flattening is a
function, for its LayerFeaturePermutation the models give a single number."""

REMOVAL = """Default settings; captum runs one row at a time. `bare` is a loop written by hand that sets the same regions to zero,
eight rows at once, and runs the model on them. `smooth` is ascribe's default in Kernel SHAP, the other captum's fit."""


@dataclass(frozen=True)
class Results:
    """One whole run."""

    about: dict[str, str]
    settings: Settings
    rows: tuple[Row, ...] = ()
    peaks: tuple[Peak, ...] = ()
    tapes: tuple[Peak, ...] = ()
    same: tuple[Same, ...] = ()
    trades: tuple[Trade, ...] = ()
    removals: tuple[Raced, ...] = ()


def about() -> dict[str, str]:
    """Returns the date, the machine and the versions."""
    packages = ["torch", "captum", "shap", "transformers", "numpy"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "torch threads": str(torch.get_num_threads()),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "Python": platform.python_version(),
        "ascribe": f"{VERSION} {_commit()}".strip(),
        **{name: _version(name) for name in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return f"at {commit.stdout.strip()}" if commit.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def duration(seconds: float) -> str:
    """Three digits with a unit: ``1.52 s``, ``231 ms``, ``88.0 us``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            value = seconds / size
            return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f} {unit}"
    return f"{seconds * 1e6:.2f} us"


def ratio(value: Spread | None) -> str:
    """A median with its quartiles."""
    return "-" if value is None else f"{value.median:.2f} [{value.low:.2f}-{value.high:.2f}]"


def _time(row: Row, name: str) -> str:
    return duration(row.seconds[name].median) if name in row.seconds else "-"


def speed_table(rows: Iterable[Row]) -> list[list[str]]:
    """One line per case: times, the two ratios, both again for a first call, rows, aims."""
    table = [["", "bare (chunk)", "ascribe", "captum", "ascribe/bare", "captum/ascribe", "first call/bare", "captum/first call",
              "aim"]]  # fmt: skip
    for row in rows:
        chunk = f" ({row.chunk})" if row.chunk else ""
        aims = ", ".join(f"{aim}: {VERDICT[row.met.get(aim)]}" for aim in row.aims)
        table.append([
            row.name, _time(row, "bare") + chunk, _time(row, "ascribe"), _time(row, "captum"),
            *(ratio(row.ratios.get(key)) for key in ("ascribe/bare", "captum/ascribe", "cold/bare", "captum/cold")), aims,
        ])  # fmt: skip
    return table


def rows_table(rows: Iterable[Row]) -> list[list[str]]:
    """One line per case: rows that passed, the loop without the ends, and how far the values are apart."""
    table = [["", "rows: bare", "rows: ascribe", "rows: captum", "ascribe/bare without ends", "ascribe - bare", "captum - bare",
              "load"]]  # fmt: skip
    for row in rows:
        passed = [row.rows.get(name, "-") for name in ("bare", "ascribe", "captum")]
        apart = [f"{row.agreement[n]:.0e}" if n in row.agreement else "-" for n in ("ascribe", "captum")]
        table.append([row.name, *passed, ratio(row.ratios.get("ascribe/least")), *apart, f"{row.load:.1f}"])
    return table


def memory_table(peaks: Sequence[Peak]) -> list[list[str]]:
    """Megabytes above the warm model, each as a share of captum's."""
    captum = next((p.megabytes for p in peaks if p.name == "captum"), math.nan)
    table = [["", "peak above the model", "share of captum's", "first call", "aim"]]
    for p in peaks:
        share = p.megabytes / captum
        met = None if math.isnan(share) else share <= MEMORY_BOUND
        aim = f"≤ {MEMORY_BOUND:g}: {VERDICT[met]}" if p.name == "ascribe" else ""
        table.append([p.name, f"{p.megabytes:.0f} MB ({p.how})", f"{share:.3f}", duration(p.seconds), aim] if not p.error
                     else [p.name, p.error, "-", "-", aim])  # fmt: skip
    return table


def tape_table(tapes: Sequence[Peak]) -> list[list[str]]:
    """Megabytes above the warm model, against those of the gradient, which comes first."""
    table = [["", "peak above the model", "times autograd's"]]
    for p in tapes:
        table.append([p.name, p.error or f"{p.megabytes:.0f} MB ({p.how})", f"{p.megabytes / tapes[0].megabytes:.2f}"])
    return table


def trade_table(trades: Iterable[Trade]) -> list[list[str]]:
    """Rows, seconds and the gap left, with a tolerance and with fixed steps."""
    table = [["", "", "rows", "time", "relative gap: median", "worst", "time/fixed"]]
    for t in trades:
        if t.error:
            table.append([t.name, t.error, "-", "-", "-", "-", "-"])
        for i, key in enumerate(t.seconds):
            gaps = [f"{gap:.1e}" for gap in t.gap[key]]
            table.append([t.name, key, t.rows[key], duration(t.seconds[key].median), *gaps, ratio(t.ratio) if i else ""])
    return table


def removal_table(removals: Iterable[Raced]) -> list[list[str]]:
    """One line per contender and job: seconds, rows through the model, and time relative to ascribe."""
    table = [["", "", "time", "rows", "times ascribe's", "aim for captum"]]
    for r in removals:
        table += [[r.name, r.error, "-", "-", "-", ""]] if r.error else []
        for name, times in r.seconds.items():
            aim = f"≥ {r.aim:g}: {VERDICT[r.ratios[name].median >= r.aim]}" if name == "captum" and r.aim is not None else ""
            table.append([r.name, name, duration(times.median), r.rows[name], ratio(r.ratios.get(name)), aim])
    return table


def aligned(table: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])


def failures(results: Results) -> list[str]:
    """Returns the contenders that could not run."""
    raced = [f"{row.name}, {name}: {error}" for row in results.rows for name, error in row.errors.items()]
    raced += [f"{r.name}: {r.error}" for r in results.removals if r.error]
    return raced + [f"{t.name}, tolerance: {t.error}" for t in results.trades if t.error] + [
        f"memory, {p.name}: {p.error}" for p in (*results.peaks, *results.tapes) if p.error
    ]  # fmt: skip


def sections(results: Results) -> list[tuple[str, str, list[list[str]]]]:
    """Title, explanation and table of every part."""
    s = results.settings
    parts = [("Speed", SPEED, speed_table(results.rows)), ("Rows and agreement", ROWS, rows_table(results.rows))] if results.rows else []
    if results.peaks:
        title = f"Memory: CNN IntegratedGradients {s.memory_steps}, batch {s.batch}"
        parts.append((title, "Peak of a process of its own, first call.", memory_table(results.peaks)))
    if results.tapes:
        title = f"Tapes: one way forth and back on a Llama of width {8 * s.image}, 8 layers, {s.long} tokens"
        parts.append(
            (title, "Peak of a process of its own, second call; autograd's with the parameters frozen.", tape_table(results.tapes))
        )
    if results.trades:
        words = f"Integrated gradients to a tolerance of {s.tolerance:g} against {s.call_steps} fixed steps."
        parts.append(("Tolerance", words, trade_table(results.trades)))
    if results.removals:
        parts.append(("Removal", REMOVAL, removal_table(results.removals)))
    if results.same:
        words = SAME
        parts.append(("Same call, captum against ascribe.compat.captum", words, same_table(results.same)))
    return parts


def same_table(rows: Iterable[Same]) -> list[list[str]]:
    """One line per class and model: both times, and how often ours fits into captum's."""
    table = [["", "captum", "ascribe", "captum/ascribe"]]
    for row in rows:
        times = [duration(row.seconds[name].median) if name in row.seconds else "-" for name in ("captum", "ascribe")]
        table.append([f"{row.home} {row.name}", *times, row.error or ratio(row.ratio)])
    return table


def terminal(results: Results) -> str:
    """Returns all tables for a terminal."""
    head = ", ".join(f"{name} {value}" for name, value in results.about.items())
    parts = [f"{title}\n{aligned(table)}" for title, _, table in sections(results)]
    return "\n\n".join([head, *parts, *(["Failed\n" + "\n".join(failures(results))] if failures(results) else [])]) + "\n"


def page(results: Results) -> str:
    """Returns all tables as a page of the documentation."""
    facts = markdown([["what", "value"], *([name, value] for name, value in results.about.items())])
    settings = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(results.settings).items())
    parts = [f"## {title}\n\n{words}\n\n{markdown(table)}" for title, words, table in sections(results)]
    lost = ["## Failed\n\n" + "\n".join(f"* {line}" for line in failures(results))] if failures(results) else []
    intro = "Written by `python -m benchmarks --commit`; every figure is as measured in one run, with the defaults of each library."
    return "\n\n".join(["# Benchmarks", intro, facts, f"Settings: {settings}.", *parts, *lost]) + "\n"


def as_json(results: Results) -> str:
    """Returns all results as JSON."""
    return json.dumps(_plain(dataclasses.asdict(results)), indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
