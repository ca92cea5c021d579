"""The scale, the limits and the format of completeness gaps, for checks, results and reports."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

COUNTED_FROM = 0.01
"""The relative gap above which a record is counted in a text."""


class Limits(NamedTuple):
    """Relative gaps up to ``good`` are ok, those above ``poor`` a failure, those between a warning."""

    good: float
    poor: float


EXACT = Limits(0.01, 0.05)
"""For sums that are exact up to rounding: rules with a reference, perturbation, parts of a quantity."""
APPROXIMATE = Limits(0.05, 0.2)
"""For sums that a number of points approximates. Sundararajan et al. (2017) recommend 5 %."""


LEAST_SCALE = 1e-6
"""The smallest scale of a gap, as a share of the quantity."""
ROUNDING = 64
"""The rounding error of a quantity, in units of the relative precision."""


def gap_scale(size: np.ndarray, change: np.ndarray, explained: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """Returns the denominator of relative gaps: the change of the quantity, or the sum of absolute values if that is larger.

    Values of both signs can have a sum near zero. Rounding and quadrature errors are then small relative to the values, but not to the
    change. The denominator is at least the rounding error of the quantity at the relative precision ``eps``.
    """
    rounding = max(LEAST_SCALE, ROUNDING * eps) * np.abs(explained) + np.finfo(np.float64).tiny
    result: np.ndarray = np.maximum(np.maximum(np.abs(change), size), rounding)
    return result


def relative_gap(absolute: np.ndarray, size: np.ndarray, change: np.ndarray, explained: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """Returns gaps relative to :func:`gap_scale`; 0 for a record, such as the baseline itself, where nothing changes but for rounding.

    In double precision the smallest scale is far above rounding, and such gaps are small without this.
    """
    moved = np.maximum(np.maximum(np.abs(change), size), np.abs(absolute))
    still = moved <= (ROUNDING * eps if ROUNDING * eps > LEAST_SCALE else 0.0) * np.abs(explained)
    return np.where(still, 0.0, np.abs(absolute) / gap_scale(size, change, explained, eps))


def format_percent(share: float) -> str:
    """Returns a share as a percentage with two digits: ``0.31 %``, ``12 %``."""
    if 0 < abs(share) < 1e-4:
        return "under 0.01 %"
    return f"{100 * share:.2g} %" if abs(share) < 1 else f"{100 * share:.0f} %"


def describe_gaps(relative: np.ndarray) -> str:
    """Returns a text about relative gaps, ``[records]`` or ``[quantities, records]``: the number above 1 %, and the largest."""
    table = np.abs(np.atleast_2d(relative))
    if not table.size:
        return "none"
    fine = np.isfinite(table)
    each = np.where(fine, table, -1.0).max(0)
    lost, records = int((~fine).any(0).sum()), len(each)
    text = f"not finite in {lost} record{'s' * (lost != 1)}" if records > 1 else "not finite"
    if each.max() < 0:
        return text
    above, worst = int((each > COUNTED_FROM).sum()), format_percent(float(each.max()))
    if records == 1:
        return worst
    most = "" if worst == "0 %" or worst.startswith("under") else "at most "
    summary = (
        f"{above} of {records} records above {format_percent(COUNTED_FROM)}, worst {worst}"
        if above
        else f"{most}{worst} in {records} records"
    )
    return f"{summary}, {text}" if lost else summary
