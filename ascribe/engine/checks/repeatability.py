"""The check that a model returns the same for the same input: a record is run again where there is a reason for doubt."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ...arrays import as_numpy
from ...backends.independence import records_independent
from ...backends.protocol import Job
from ...errors import AscribeError
from ...result.attribution import Check
from ..batch import Batch
from ..plan import BoundQuantities, Plan

SAME = 1e-5
"""A share of the larger of two answers to one call that is rounding (atomic additions of a GPU, sums in another order)."""
ALIKE = 1e-3
"""The same for a record alone, and with others: other kernels, and shorter types."""
POOR = 0.05
"""A share of a record's largest value from which noise makes the values useless."""


class Difference(NamedTuple):
    """How far the answers for the first record are apart; ``others`` says that the other records of the call are the reason."""

    apart: float
    others: bool


def compare_runs(plan: Plan, batch: Batch) -> Difference | None:
    """Runs the first record again (all of them where they are not independent), if the session has a doubt, and compares.

    Returns None where the answer is the same. The batch counts the cost.
    """
    session = plan.session
    if not session.may_vary():
        return None
    explained = batch.explained
    alone = session.records == 1 or records_independent(session)

    def answer() -> np.ndarray:
        index = np.arange(1 if alone else session.records)
        evidence = session.evaluate(
            Job(index, on=plan.on, of=BoundQuantities(session, plan.request.quantities, index), quantity_key=plan.kinds)
        )
        batch.forward, batch.rows = batch.forward + evidence.forward, batch.rows + len(index)
        values: np.ndarray = as_numpy(evidence.value)[:, 0, 0].astype(np.float64)
        return values

    try:
        first = answer()
        before = explained[:, 0] if np.isfinite(explained[:, 0]).any() else None  # None where the quantity itself was not computed
        second = first if before is not None and close(first, before, SAME) else answer()
    except AscribeError:  # a model that does not run again says so elsewhere
        return None
    all_three = np.stack([first, second, first if before is None else before])
    apart = float(np.nan_to_num(np.ptp(all_three, 0)).max())
    if not close(first, second, SAME):
        return Difference(apart, False)
    if before is not None and not close(first, before, ALIKE):
        return Difference(apart, True)
    session.facts.weights.repeatable = True
    return None


def close(a: np.ndarray, b: np.ndarray, share: float) -> bool:
    """Returns whether two answers are the same up to a share of the larger."""
    scale = np.nan_to_num(np.maximum(np.abs(a), np.abs(b)), posinf=0.0).max(initial=0.0)
    return bool(np.allclose(a, b, rtol=0, atol=share * scale, equal_nan=True))


def check_repeatability(difference: Difference, largest: float) -> Check:
    """Returns the check of a result whose first record has this largest value."""
    status: Literal["fail", "warn"] = "warn" if difference.apart <= POOR * largest else "fail"
    if difference.others:
        text = "what the model returns for a row depends on the other rows of the call"
        advice = "a function that treats each row alone, or one record in a call and chunk=1"
    else:
        text = "the model gives different answers to the same input"
        advice = "switch off what is random in it, or explain the mean of many answers"
    return Check(
        "repeat", status, f"{text}: {difference.apart:.2g} apart for record 0, whose largest value is {largest:.2g}; {advice}", (0,)
    )
