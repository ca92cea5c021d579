"""How completeness gaps are judged and written: one scale and one format for checks, results and reports."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NOTED = 0.01
"""The share from which a record's gap is counted in a text."""


class Limits(NamedTuple):
    """Gaps up to ``good`` are ok, above ``poor`` a failure, between them a warning."""

    good: float
    poor: float


EXACT = Limits(0.01, 0.05)
"""Of sums that hold by construction, up to rounding: rules that compare, removal, parts of a quantity."""
APPROXIMATE = Limits(0.05, 0.2)
"""Of sums that a number of points approximates. Sundararajan et al. (2017) ask for 5 %."""


def gap_scale(size: np.ndarray, change: np.ndarray, explained: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """What a gap is a share of: the change of the quantity, or the sum of the values' sizes where that is larger.

    Values of both signs may add up to a change near zero; then the rounding, or the quadrature's error, of each of them is a small share of
    the values and no share of the change. Neither is smaller than what rounding leaves of the quantity itself, in numbers that have a
    relative precision of ``eps``.
    """
    rounding = max(1e-6, 64 * eps) * np.abs(explained) + np.finfo(np.float64).tiny
    found: np.ndarray = np.maximum(np.maximum(np.abs(change), size), rounding)
    return found


def format_percent(share: float) -> str:
    """A share as a percentage with two digits: ``0.31 %``, ``12 %``."""
    if 0 < abs(share) < 1e-4:
        return "under 0.01 %"
    return f"{100 * share:.2g} %" if abs(share) < 1 else f"{100 * share:.0f} %"


def describe_gaps(relative: np.ndarray) -> str:
    """The relative gaps of all records, ``[records]`` or ``[quantities, records]``: how many are above 1 %, and the largest."""
    table = np.abs(np.atleast_2d(relative))
    if not table.size:
        return "none"
    fine = np.isfinite(table)
    each = np.where(fine, table, -1.0).max(0)
    lost, records = int((~fine).any(0).sum()), len(each)
    text = f"{lost} not finite" if records > 1 else "not finite"
    if each.max() < 0:
        return text
    above, worst = int((each > NOTED).sum()), format_percent(float(each.max()))
    if records == 1:
        return worst
    most = "" if worst.startswith("under") else "at most "
    said = f"{above} of {records} records above {format_percent(NOTED)}, worst {worst}" if above else f"{most}{worst} in {records} records"
    return f"{said}, {text}" if lost else said
