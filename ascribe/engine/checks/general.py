"""What is asked of every result: does it add up, is it finite, is there anything in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from ...result.attribution import Check, Gap
from ...utils.completeness import APPROXIMATE, EXACT, Limits, described, scale_of
from ..passes.curvature import advice
from ..plan import Plan

Status = Literal["ok", "warn", "fail", "skipped"]
REASONS = {
    "jump": "; more steps need not help: the quantity jumps between neighbouring points, and a jump has no gradient",
    "missing": "; more steps do not help: a part of the change has no gradient (detach, no_grad, rounding, a comparison)",
}


def gap_of(total: np.ndarray, size: np.ndarray, change: np.ndarray, explained: np.ndarray, eps: float = 0.0) -> Gap:
    """What is missing between the values' sum and the change of the quantity, and that as a share of :func:`~.scale_of`.

    ``size`` is the sum of the values' sizes, ``eps`` the relative precision of the values.
    """
    with np.errstate(invalid="ignore"):
        absolute = total - change
        return Gap(absolute, np.abs(absolute) / scale_of(size, change, explained, eps))


def judged(gap: Gap, limits: Limits) -> tuple[Status, tuple[int, ...]]:
    """What gaps are by their limits, and the records whose gaps are not ok. Those that are not finite are another check's."""
    each = np.atleast_2d(gap.relative)
    if not np.isfinite(each).any():
        return "skipped", ()
    known = np.where(np.isfinite(each), each, 0.0).max(0)
    records = tuple(map(int, np.flatnonzero(known > limits.good)))
    return "ok" if not records else "warn" if known.max() <= limits.poor else "fail", records


def completeness(
    gap: Gap | None,
    plan: Plan,
    promised: bool,
    sampled: bool,
    bend: Callable[[], np.ndarray] | None = None,
    unsteady: bool = False,
) -> Check:
    """Whether the values add up to the change of what they explain; ``bend`` is that of the block, for what to do where they do not.

    ``unsteady`` says that the model does not give the same answer twice, which is then the reason.
    """
    if gap is None:
        return Check("completeness", "skipped", "this method does not promise a sum")
    limits = EXACT if plan.by.compares else APPROXIMATE
    status, records = judged(gap, limits)
    text = f"gap {described(gap.relative)}"
    if status == "skipped":
        return Check("completeness", status, text)
    if not promised and judged(gap, EXACT)[0] != "ok":
        return Check("completeness", "skipped", f"{text}; away from where the points are, values add up only if everything passes the cut")
    tolerance = getattr(plan.over, "tolerance", None)
    if tolerance is not None and status != "fail":
        above, open_ = judged(gap, Limits(tolerance, limits.poor))
        if above != "ok":
            status, records, text = "warn", open_, f"{text}, {len(open_)} above the tolerance of {tolerance:g}"
    if status == "ok":
        return Check("completeness", status, text)
    if sampled:
        return Check("completeness", "warn", f"{text} (by chance: sums of samples are not exact)", records)
    why = "; the model gives different answers to the same input" if unsteady else hint(gap, plan, records, bend)
    return Check("completeness", status, text + why, records)


def hint(gap: Gap, plan: Plan, records: Sequence[int], bend: Callable[[], np.ndarray] | None) -> str:
    """What makes the gaps of some records smaller, as far as that is known."""
    if plan.by.compares:
        return ""
    if not plan.apart():
        alone = "explain them one by one, or all as one with asc.Call(..., records=1)"
        return f"; in this model what comes out for one record depends on the others: {alone}"
    if bend is None:
        return ""
    each, absolute = np.atleast_2d(gap.relative)[:, records], np.atleast_2d(gap.absolute)[:, records]
    rows, columns = np.nonzero(np.isfinite(each) & (each == each.max(0)))
    found = advice(absolute[rows, columns], bend()[:, :, records][:, rows, columns])
    if found != "steps":
        return REASONS[found]
    if getattr(plan.over, "tolerance", None) is not None:
        return "; a larger steps= makes it smaller"
    return "; more steps, or tolerance= on the line"


def finite(sizes: np.ndarray, notes: Sequence[str], gap: Gap | None = None) -> Check:
    """Whether there is NaN or infinity in the values or the quantity, or NaN in the inputs; ``sizes`` is the values' norm.

    Both are ``[quantities, records]``.
    """
    told = [n for n in notes if n.startswith("NaN")]
    fine = np.isfinite(sizes)
    bad = () if fine.all() else np.flatnonzero(~fine.all(0))
    if len(bad):
        told.append("NaN or infinity in the values")
    elif gap is not None and not (fine := np.isfinite(np.atleast_2d(gap.absolute))).all():
        bad = np.flatnonzero(~fine.all(0))
        told.append("the quantity is NaN or infinite at the record, or at what it is compared with")
    if told:
        return Check("finite", "fail", "; ".join(told), tuple(map(int, bad)))
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
