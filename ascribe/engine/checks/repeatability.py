"""Whether a model returns the same for the same input: a record is run again where there is a reason for doubt."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ...arrays import as_numpy
from ...backends.independence import records_independent
from ...backends.protocol import Job
from ...errors import AscribeError
from ...result.attribution import Check
from ..plan import Block, Plan, Reader

SAME = 1e-5
"""A share of the larger of two answers to one call that is rounding (atomic additions of a GPU, sums in another order)."""
ALIKE = 1e-3
"""The same for a record alone, and with others: other kernels, and shorter types."""
POOR = 0.05
"""A share of a record's largest value from which noise makes the values useless."""


class Unsteady(NamedTuple):
    """What was found: by how much the answers for the first record are apart, and whether that is for the other records of the call."""

    apart: float
    others: bool


def unsteady(plan: Plan, block: Block) -> Unsteady | None:
    """Run the first record again (all of them where they cannot be run apart), if the session has a doubt, and compare with what came
    before. None where the answer is the same. The block counts what it takes.
    """
    session = plan.session
    if not session.may_vary():
        return None
    explained = block.explained
    alone = session.records == 1 or records_independent(session)

    def answer() -> np.ndarray:
        index = np.arange(1 if alone else session.records)
        found = session.evaluate(Job(index, on=plan.on, of=Reader(plan, index), quantity_key=plan.kinds))
        block.forward, block.rows = block.forward + found.forward, block.rows + len(index)
        values: np.ndarray = as_numpy(found.value)[:, 0, 0].astype(np.float64)
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
        return Unsteady(apart, False)
    if before is not None and not close(first, before, ALIKE):
        return Unsteady(apart, True)
    session.facts.weights.repeatable = True
    return None


def close(a: np.ndarray, b: np.ndarray, share: float) -> bool:
    """Whether two answers are the same up to a share of the larger."""
    scale = np.nan_to_num(np.maximum(np.abs(a), np.abs(b)), posinf=0.0).max(initial=0.0)
    return bool(np.allclose(a, b, rtol=0, atol=share * scale, equal_nan=True))


def repeated(found: Unsteady | None, largest: float) -> list[Check]:
    """The check for a result whose first record has this largest value."""
    if found is None:
        return []
    status: Literal["fail", "warn"] = "warn" if found.apart <= POOR * largest else "fail"
    if found.others:
        told = "what the model returns for a row depends on the other rows of the call"
        try_ = "a function that treats each row alone, or one record in a call and chunk=1"
    else:
        told = "the model gives different answers to the same input"
        try_ = "switch off what is random in it, or explain the mean of many answers"
    return [Check("repeat", status, f"{told}: {found.apart:.2g} apart for record 0, whose largest value is {largest:.2g}; {try_}", (0,))]
