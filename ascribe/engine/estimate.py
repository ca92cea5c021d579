"""The cost of a call, before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import guard_session
from ..backends.independence import records_independent
from ..backends.protocol import Job
from ..coalitions.base import Coalitions, are_coalitions
from ..cuts import INPUT, CutLike
from ..distributions.members import DistributionLike
from ..distributions.outline import Outline, outline_distribution
from ..errors import RuleError
from ..features.coordinates import FeaturesLike
from ..quantities.parse import QuantityLike
from ..removal.base import RemovalLike
from ..rules import RuleLike
from ..utils.entry import entry
from .passes.coalition import prepare_coalitions
from .plan import BoundQuantities, Plan, make_plan
from .request import as_call, make_request


@dataclass(frozen=True)
class CostEstimate:
    """Model calls' rows forward (at most) and backward, rows at once, and the bytes that a chunk keeps for its backward pass.

    ``chunk`` is the first guess, or what earlier calls of the same shapes have measured; ``spare`` is the free memory of the device.
    """

    forward_rows: int
    backward_rows: int
    chunk: int
    bytes_per_row: int
    spare: int

    @property
    def peak_bytes(self) -> int:
        """The bytes of a chunk, in addition to the model."""
        return self.chunk * self.bytes_per_row

    def __str__(self) -> str:
        size = f"{self.peak_bytes / 1e6:.1f} MB in chunks of {self.chunk} rows ({self.spare / 1e9:.1f} GB to spare)"
        return f"{self.forward_rows} rows forward, {self.backward_rows} backward, about {size}"


def ends_of(outline: Outline) -> int:
    """Returns how many rows each record has at most for the change of the quantity: a start, or those of a background, and noisy ends."""
    if outline.baseline is None:
        return 0
    starts = 1 if outline.background is None else outline_distribution(outline.background).points
    return starts + (outline.points // (1 if outline.line is None else outline.line.size) if outline.noisy else 0)


@entry
def estimate(
    model: Any,
    *args: Any,
    of: QuantityLike = None,
    at: CutLike | Sequence[CutLike] = INPUT,
    over: DistributionLike | Coalitions = None,
    by: RuleLike | RemovalLike = None,
    features: FeaturesLike = None,
    chunk: int | None = None,
    **kwargs: Any,
) -> CostEstimate:
    """Returns the cost of :func:`~ascribe.attribute` with the same arguments. One pass forward and backward, of one record.

    Over coalitions, the rows are at most that, and no bytes are counted: nothing is kept for a backward pass.

    With ``tolerance`` on a line the rows are those of its first round. Raises RuleError for rules that compare with references:
    their runs are counted otherwise.
    """
    request = make_request(of, at, over, by, features, chunk=chunk, progress=False)
    if request.family == "reference":
        raise RuleError(
            "`asc.estimate` does not estimate rules that compare with references",
            found=f"by={by!r}",
            advice="asc.attribute(model, x[:2], ...).cost, the cost of a few records",
        )
    with guard_session(model, as_call(args, kwargs)) as guarded, guarded as session:
        plan = make_plan(session, request)
        if plan.features is not None:
            return estimate_coalitions(plan)
        index = np.arange(1) if records_independent(session) else np.arange(session.records)
        bound = BoundQuantities(session, request.quantities, index)
        job = Job(index, wrt=plan.cuts, on=plan.on, of=bound, by=request.by, count_bytes=True)
        held = session.evaluate(job).bytes_kept
        points, ends = plan.outline.points, ends_of(plan.outline)
        return CostEstimate(
            session.records * (points + (points > 1 or ends > 0) + ends),
            session.records * points,
            min(plan.chunker.size, session.records * points),
            held // len(index),
            session.device.spare_memory(),
        )


def estimate_coalitions(plan: Plan) -> CostEstimate:
    """Returns the estimate of a request over coalitions. Runs one record once."""
    session, over = plan.session, plan.request.over
    assert plan.features is not None and are_coalitions(over)
    draws = prepare_coalitions(plan, np.arange(1)).values.draws
    rows = (plan.features.count_coalitions(over) * draws + 1) * session.records
    return CostEstimate(rows, 0, min(plan.chunker.size, rows), 0, session.device.spare_memory())
