"""What is asked of every result: does it add up, is it finite, is there anything in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .passes import Plan
from .result import Check, Gap

GOOD, POOR = 0.01, 0.05  # shares of the change that may be missing before a result is called incomplete


def gap_of(total: np.ndarray, size: np.ndarray, change: np.ndarray, explained: np.ndarray) -> Gap:
    """What is missing between the values' sum and the change of the quantity, and that as a share of the change.

    A change that is nothing but rounding of the quantity itself, or of large values (``size`` is the sum of theirs) that cancel, is
    not divided by.
    """
    absolute = total - change
    rounding = np.maximum(1e-6 * np.abs(explained), 1e-4 * size) + np.finfo(np.float64).tiny
    scale = np.maximum(np.abs(change), rounding)
    return Gap(absolute, np.abs(absolute) / scale)


def completeness(gap: Gap | None, plan: Plan, promised: bool, sampled: bool) -> Check:
    """Whether the values add up to the change of what they explain."""
    if gap is None:
        return Check("completeness", "skipped", "this method does not promise a sum")
    worst = float(np.max(gap.relative))
    records = tuple(int(i) for i in np.flatnonzero((np.atleast_2d(gap.relative) > POOR).any(0)))
    text = f"largest gap {worst:.2%} of the change"
    if not promised and worst > GOOD:
        return Check("completeness", "skipped", f"{text}; away from where the points are, values add up only if everything passes the cut")
    if sampled:
        return Check("completeness", "ok" if worst <= POOR else "warn", text + " (sampling; more samples make it smaller)", records)
    tolerance = getattr(plan.over, "tolerance", None)
    if tolerance is not None and tolerance < worst <= POOR:
        above = tuple(int(i) for i in np.flatnonzero((np.atleast_2d(gap.relative) > tolerance).any(0)))
        return Check("completeness", "warn", f"{text}, above the tolerance of {tolerance:g} with all the points there may be", above)
    status: Literal["ok", "warn", "fail"] = "ok" if worst <= GOOD else "warn" if worst <= POOR else "fail"
    hint = "" if status == "ok" or plan.by.compares else "; more steps, or tolerance= on the line"
    if status != "ok" and not plan.apart():
        hint = "; in this model what comes out for one record depends on the others: explain them one by one"
    return Check("completeness", status, text + hint, records)


def finite(sizes: np.ndarray, notes: Sequence[str]) -> Check:
    """Whether there is NaN or infinity in the values, or NaN in the inputs; ``sizes`` is the values' ``[quantities, records]`` norm."""
    fine = np.isfinite(sizes)
    told = [n for n in notes if n.startswith("NaN")]
    if told or not fine.all():
        bad = np.flatnonzero(~fine.all(0))
        return Check("finite", "fail", "; ".join([*told, *(["NaN or infinity in the values"] if len(bad) else [])]), tuple(map(int, bad)))
    return Check("finite", "ok")


def something(sizes: np.ndarray) -> Check:
    """Whether any record got nothing but zeros; ``sizes`` is the values' ``[quantities, records]`` norm."""
    if not sizes.all():
        records = tuple(map(int, np.flatnonzero((sizes == 0).any(0))))
        return Check(
            "zero",
            "warn",
            "nothing but zeros: no influence on the quantity, a saturated gradient, or a cut that comes before the points",
            records,
        )
    return Check("zero", "ok")


def saturation(classes: np.ndarray | None, output: np.ndarray | None) -> Check:
    """Whether a probability is explained that is so close to 0 or 1 that its gradient has vanished."""
    if output is None or classes is None or output.shape[1] < 2:
        return Check("saturation", "skipped", "not a table of class scores")
    if output.min() < 0 or not np.allclose(output.sum(1), 1, atol=1e-3):
        return Check("saturation", "ok")
    rows = np.arange(len(output))
    at = np.stack([output[rows, c] for c in np.atleast_2d(classes)])
    records = tuple(int(i) for i in np.flatnonzero(((at > 0.999) | (at < 0.001)).any(0)))
    if records:
        return Check(
            "saturation",
            "warn",
            "explained probabilities are within 0.001 of 0 or 1, where gradients vanish; explain LOGITS",
            records,
        )
    return Check("saturation", "ok")
