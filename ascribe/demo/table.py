"""The table of the demo: one row for each method, the same on the terminal and in the report."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..arrays import as_numpy
from ..result.attribution import Attribution
from .explain import Explained


def relative_error(a: Attribution) -> float:
    """Returns the mean standard error of a value, as a share of the largest value of its record."""
    values, error = (np.asarray(array).reshape(len(a), -1) for array in (a.to_numpy(), as_numpy(a.error)))
    return float((error / np.abs(values).max(1, keepdims=True)).mean())


def format_row(one: Explained) -> dict[str, str]:
    """Returns the cells of one method."""
    a, drop = one.result, one.drop
    assert a.cost is not None
    gap = "–" if a.gap is None else f"{float(np.max(np.abs(a.gap.relative))):.1e}"
    status = Counter(check.status for check in a.checks)
    return {
        "method": one.recipe.name,
        "gap": gap,
        "error": "–" if a.error is None else f"{relative_error(a):.1%}",
        "removed": f"{drop.removed} {one.ranks}",
        "drop": f"{drop.top:.2f}",
        "random": f"{drop.chance:.2f} ± {drop.spread:.2f}",
        "better": "yes" if drop.beats_chance else "no",
        "passes": f"{a.cost.forward} + {a.cost.backward}",
        "rows": str(a.cost.rows),
        "seconds": f"{a.cost.seconds:.2f}",
        "checks": ", ".join(f"{status[name]} {name}" for name in ("ok", "warn", "fail") if status[name]),
    }
