"""Results and comparisons as text in narrow lines, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..arrays import as_numpy
from ..result.summary import SHOWN
from ..utils.columns import align_columns
from ..utils.escape import escape_control
from .output import bold, fill

if TYPE_CHECKING:
    from ..choose import Comparison, MethodRow
    from ..result.attribution import Attribution


def comparison_text(c: Comparison, width: int) -> str:
    """Returns a comparison: for each metric the methods with their ranks, the best first, and the remarks."""
    parts = []
    rows = c.table()
    for name, metric in c.metrics.items():
        mine = sorted((row for row in rows if row["metric"] == name), key=rank_of)
        cells = [(row["rank"], number(row["mean"]), interval(row), str(row["evaluations"])) for row in mine]
        lines = align_columns([("rank", "mean", "95 % interval", "rows", "method"), *((*cell, "{}") for cell in cells)]).splitlines()
        indent = " " * (lines[0].index("method"))
        shown = [bold(fill(escape_control(f"{name}: {metric.direction} is better"), width)), *lines[:2]]
        shown += [
            fill(escape_control(row["method"]), width, line.removesuffix("{}"), indent) for line, row in zip(lines[2:], mine, strict=True)
        ]
        shown += [fill(escape_control(f"{method}: {text}"), width, "", "  ") for method, text in notes_of(c, mine)]
        parts.append("\n".join(shown))
    parts += ["\n".join(failures)] if (failures := [failure_line(row, width) for row in c.methods if row.error]) else []
    remarks = "\n".join(fill(escape_control(text), width, "", "  ") for text in c.remarks())
    return "\n\n".join([*parts, remarks])


def notes_of(c: Comparison, rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Returns the notes on methods that explained; why a method failed is said once, below the tables."""
    failed = {row.name for row in c.methods if row.error}
    return [(row["method"], row["note"]) for row in rows if row["note"] and row["method"] not in failed]


def failure_line(row: MethodRow, width: int) -> str:
    """Returns why a method failed."""
    return fill(escape_control(f"{row.name} failed: {row.error}"), width, "", "  ")


def rank_of(row: dict[str, Any]) -> int:
    """Returns the rank of a row as a number; rows without a rank are last."""
    return int((row["rank"] or "9999").split()[0])


def number(value: float) -> str:
    """Returns a number with four digits, or a dash."""
    return "-" if value != value else f"{value:.4g}"


def interval(row: dict[str, Any]) -> str:
    """Returns the interval of a row, or a dash."""
    return "-" if row["low"] != row["low"] else f"{row['low']:.3g} to {row['high']:.3g}"


def comparison_json(c: Comparison) -> dict[str, Any]:
    """Returns a comparison as data for JSON."""
    return {"records": c.records, "rows": c.table(), "notes": list(c.remarks())}


def tokens_text(tokens: list[list[str]], width: int) -> str:
    """Returns the tokens of the texts that a result shows, with their positions."""
    lines = [" ".join(f"[{k}] {one}" for k, one in enumerate(text)) for text in tokens[:SHOWN]]
    return "\n".join(fill(escape_control(f"tokens {i}  {line}"), width, "", "  ") for i, line in enumerate(lines))


def result_json(a: Attribution) -> dict[str, Any]:
    """Returns a result as data for JSON: what was explained, the values, the gap, the checks and the cost."""
    arrays = [("/".join(map(str, path)), as_numpy(leaf)) for path, leaf in a.arrays()]
    features = a.features
    return {
        "method": a.method,
        "of": a.quantity,
        "at": a.cut,
        "records": len(a),
        "ok": a.ok,
        "explained": a.explained,
        "prediction": a.prediction,
        "target": a.target,
        "class_names": a.class_names,
        "gap": None if a.gap is None else a.gap.relative,
        "checks": [{"name": one.name, "status": one.status, "detail": one.detail} for one in a.checks],
        "cost": None if a.cost is None else {"forward": a.cost.forward, "backward": a.cost.backward, "rows": a.cost.rows},
        "names": None if features is None else features.names,
        "values": dict(arrays) if len(arrays) != 1 or arrays[0][0] else arrays[0][1],
    }
