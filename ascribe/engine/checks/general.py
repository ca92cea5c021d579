"""The checks of every result: do the values add up, are they finite, is any of them not zero; and all checks of a gradient result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from ...arrays import as_numpy, namespace
from ...backends.protocol import ArrayAt, Session
from ...errors import warn_user
from ...quantities import PredictedClass, Quantity
from ...result.attribution import Check, Gap
from ...rules import treats_operations
from ...utils.completeness import APPROXIMATE, EXACT, Limits, describe_gaps, relative_gap
from ..batch import Batch, sum_all
from ..passes.curvature import advise_on_curvature
from ..plan import Plan
from . import relevance
from .repeatability import check_repeatability, compare_runs

Status = Literal["ok", "warn", "fail", "skipped"]
REASONS = {
    "jump": "; more steps need not help: the quantity jumps between neighbouring points, and a jump has no gradient",
    "missing": "; more steps do not help: a part of the change has no gradient (detach, no_grad, rounding, a comparison)",
}
STOPPED = Check("finite", "fail", "stopped in the middle: this is a part")


def check_gradients(plan: Plan, batch: Batch, gap: Gap | None, sizes: np.ndarray, partial: bool = False) -> tuple[Check, ...]:
    """Returns the checks of a result that comes from gradients or a rule; ``sizes`` are the values' ``[quantities, records]`` norm."""
    request, session = plan.request, plan.session
    compares = request.family == "reference"
    promised = plan.cuts == (plan.at,) and (compares or not plan.by_operation)
    sampled = request.family == "path" and plan.outline.random
    difference = None if partial else compare_runs(plan, batch)
    unsteady = difference is not None and not difference.others
    return (
        check_completeness(gap, plan, promised, sampled, batch.bend, unsteady),
        *([] if difference is None else [check_repeatability(difference, float(sizes[:, 0].max(initial=0.0)))]),
        STOPPED if partial else check_finite(sizes, session.notes, gap),
        check_nonzero(sizes),
        check_saturation(batch.classes, batch.output),
        *(check_rule(plan, batch) if plan.by_operation else ()),
        *check_session(plan, batch),
    )


def check_values(plan: Plan, batch: Batch) -> tuple[Check, ...]:
    """Returns the checks of a result that only reads cuts."""
    return (*check_model(plan.session), *check_uses(batch.spots))


def check_session(plan: Plan, batch: Batch) -> list[Check]:
    """Returns the notes of a session: targets of a regressor, changes made to the call, layers that are used several times."""
    session, checks = plan.session, list[Check]()
    if session.traits.regresses:
        checks += check_target(plan.request.quantities, batch.output)
    if session.notes:
        checks += check_model(session)
    return checks + check_uses(batch.spots)


def check_rule(plan: Plan, batch: Batch) -> list[Check]:
    """Returns the checks of a rule that treats operations."""
    rule, trace = plan.request.by, batch.trace
    assert treats_operations(rule)
    checks = [relevance.check_coverage(rule, batch.without_formula, trace), relevance.check_conservation(trace)]
    if plan.request.multiply and trace.flows:
        sums = np.max([np.abs(sum_all(leaves, plan.session.xp)) for leaves in batch.values], axis=0)
        every = [v for leaves in batch.values for v in leaves]
        largest = np.max([as_numpy(namespace(v).amax(abs(v), tuple(range(2, v.ndim)))) for v in every], axis=0)
        checks.append(relevance.check_blow_up(trace, sums, largest.reshape(sums.shape), batch.explained))
    return [check for check in checks if check is not None]


def check_model(session: Session) -> list[Check]:
    """Returns what was done to the call that the user should know of; in training mode the model may give other values."""
    notes = [note for note in dict.fromkeys(session.notes) if not note.startswith("NaN")]
    return [Check("model", "warn" if "training mode" in note else "ok", note) for note in notes]


def check_target(quantities: Sequence[Quantity], output: np.ndarray | None) -> list[Check]:
    """Returns a warning where the largest of a regressor's targets was taken as if it were a predicted class."""
    if output is None or output.shape[1] < 2 or not any(isinstance(q, PredictedClass) for q in quantities):
        return []
    text = (
        f"PredictedClass() explains the largest of a regressor's {output.shape[1]} targets, which need not be the same one for each record"
    )
    return [Check("target", "warn", f"{text}; of=0 explains the first, of=[asc.Unit(k) for k in range({output.shape[1]})] each of them")]


def check_uses(spots: Sequence[Sequence[ArrayAt]]) -> list[Check]:
    """Returns a note for every cut whose layer is used more than once: all its uses are in the result."""
    checks = []
    for leaves in spots:
        calls = {s.call for s in leaves} if len(leaves) > 1 else ()
        if len(calls) > 1:
            cut = leaves[0].cut
            checks.append(Check("calls", "ok", f"{cut!r} is used {len(calls)} times; all of them are here, call=0 would choose the first"))
    return checks


def warn_of_checks(checks: Sequence[Check]) -> None:
    """Warns of what would mislead: failed checks, and a model that was not run as the user left it."""
    for check in checks:
        if check.status == "fail" or (check.name == "model" and "training mode" in check.detail):
            warn_user(f"{check.name}: {check.detail}")


def compute_gap(total: np.ndarray, size: np.ndarray, change: np.ndarray, explained: np.ndarray, eps: float = 0.0) -> Gap:
    """Returns the difference of the values' sum and the change of the quantity, and that by :func:`~.relative_gap`.

    ``size`` is the sum of the values' sizes, ``eps`` the relative precision of the values.
    """
    with np.errstate(invalid="ignore"):
        absolute = total - change
        return Gap(absolute, relative_gap(absolute, size, change, explained, eps))


def judge(gap: Gap, limits: Limits) -> tuple[Status, tuple[int, ...]]:
    """Returns the status of gaps by their limits, and the records whose gaps are not ok. Gaps that are not finite are not counted."""
    each = np.atleast_2d(gap.relative)
    if not np.isfinite(each).any():
        return "skipped", ()
    known = np.where(np.isfinite(each), each, 0.0).max(0)
    records = tuple(map(int, np.flatnonzero(known > limits.good)))
    return "ok" if not records else "warn" if known.max() <= limits.poor else "fail", records


def check_completeness(
    gap: Gap | None,
    plan: Plan,
    promised: bool,
    sampled: bool,
    bend: Callable[[], np.ndarray] | None = None,
    unsteady: bool = False,
) -> Check:
    """Checks that the values add up to the change of what they explain; ``bend`` is that of the batch, for advice where they do not.

    ``unsteady`` says that the model does not give the same answer twice, which is then the reason.
    """
    if gap is None:
        return Check("completeness", "skipped", "this method does not promise a sum")
    limits = EXACT if plan.request.family == "reference" else APPROXIMATE
    status, records = judge(gap, limits)
    text = f"gap {describe_gaps(gap.relative)}"
    if status == "skipped":
        return Check("completeness", status, text)
    if not promised and judge(gap, EXACT)[0] != "ok":
        return Check("completeness", "skipped", f"{text}; away from where the points are, values add up only if everything passes the cut")
    tolerance = plan.request.tolerance
    if tolerance is not None and status != "fail":
        above, open_ = judge(gap, Limits(tolerance, limits.poor))
        if above != "ok":
            status, records, text = "warn", open_, f"{text}, {len(open_)} above the tolerance of {tolerance:g}"
    if status == "ok":
        return Check("completeness", status, text)
    if sampled:
        return Check("completeness", "warn", f"{text} (by chance: sums of samples are not exact)", records)
    why = "; the model gives different answers to the same input" if unsteady else suggest(gap, plan, records, bend)
    return Check("completeness", status, text + why, records)


def suggest(gap: Gap, plan: Plan, records: Sequence[int], bend: Callable[[], np.ndarray] | None) -> str:
    """Returns advice that makes the gaps of some records smaller, as far as that is known."""
    if plan.request.family == "reference":
        return ""
    if not plan.independent:
        alone = "explain them one by one, or all as one with asc.Call(..., records=1)"
        return f"; in this model what comes out for one record depends on the others: {alone}"
    if bend is None:
        return ""
    each, absolute = np.atleast_2d(gap.relative)[:, records], np.atleast_2d(gap.absolute)[:, records]
    rows, columns = np.nonzero(np.isfinite(each) & (each == each.max(0)))
    reason = advise_on_curvature(absolute[rows, columns], bend()[:, :, records][:, rows, columns])
    if reason != "steps":
        return REASONS[reason]
    if plan.request.tolerance is not None:
        return "; a larger steps= makes it smaller"
    return "; more steps, or tolerance= on the line"


def check_finite(sizes: np.ndarray, notes: Sequence[str], gap: Gap | None = None) -> Check:
    """Checks for NaN and infinity in the values and the quantity, and for NaN in the inputs; ``sizes`` is the values' norm.

    Both are ``[quantities, records]``.
    """
    notes_of_nan = [n for n in notes if n.startswith("NaN")]
    fine = np.isfinite(sizes)
    bad = () if fine.all() else np.flatnonzero(~fine.all(0))
    if len(bad):
        notes_of_nan.append("NaN or infinity in the values")
    elif gap is not None and not (fine := np.isfinite(np.atleast_2d(gap.absolute))).all():
        bad = np.flatnonzero(~fine.all(0))
        notes_of_nan.append("the quantity is NaN or infinite at the record, or at what it is compared with")
    if notes_of_nan:
        return Check("finite", "fail", "; ".join(notes_of_nan), tuple(map(int, bad)))
    return Check("finite", "ok")


def check_nonzero(sizes: np.ndarray) -> Check:
    """Checks that no record has only zeros; ``sizes`` is the values' ``[quantities, records]`` norm."""
    if not sizes.all():
        records = tuple(map(int, np.flatnonzero((sizes == 0).any(0))))
        return Check(
            "zero",
            "warn",
            "nothing but zeros: no influence on the quantity, a saturated gradient, or a cut that comes before the points",
            records,
        )
    return Check("zero", "ok")


def check_saturation(classes: np.ndarray | None, output: np.ndarray | None) -> Check:
    """Checks that no probability is explained that is so close to 0 or 1 that its gradient has vanished."""
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
