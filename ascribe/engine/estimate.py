"""What a call will take, before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..backends import opened
from ..backends.independence import records_independent
from ..backends.protocol import Job
from ..coalitions.base import are_coalitions
from ..cuts import INPUT, as_cut
from ..distributions.members import Background, Distribution, Gaussian, Line, Point, Uniform, baseline_of, expected_points, parts
from ..errors import RuleError
from ..utils.entry import entry
from .chunks import Progress
from .games import rows_needed
from .plan import Plan, Reader
from .result import chunk_for
from .verbs import model_call, request, where_points_live, with_features


@dataclass(frozen=True)
class Estimate:
    """Model calls' rows forward (at most) and backward, rows at once, and the bytes that a chunk keeps for its backward pass.

    ``chunk`` is the first guess, or what earlier calls of the same shapes have found; ``spare`` is what the device has to give.
    """

    forward_rows: int
    backward_rows: int
    chunk: int
    bytes_per_row: int
    spare: int

    @property
    def peak_bytes(self) -> int:
        """What a chunk takes above the model."""
        return self.chunk * self.bytes_per_row

    def __str__(self) -> str:
        size = f"{self.peak_bytes / 1e6:.1f} MB in chunks of {self.chunk} rows ({self.spare / 1e9:.1f} GB to spare)"
        return f"{self.forward_rows} rows forward, {self.backward_rows} backward, about {size}"


def ends_of(over: Distribution) -> int:
    """How many rows each record has at most to say how far the quantity changes: a start, or those of a background, and noisy ends."""
    if baseline_of(over) is None:
        return 0
    line = next((f for f in parts(over) if isinstance(f, Line)), None)
    noisy = any(isinstance(f, (Gaussian, Uniform)) for f in parts(over))
    starts = next((expected_points(f) for f in parts(over) if isinstance(f, Background)), 1)
    return starts + (expected_points(over) // (1 if line is None else line.size) if noisy else 0)


@entry
def estimate(
    model: Any,
    *args: Any,
    of: Any = None,
    at: Any = INPUT,
    over: Any = None,
    by: Any = None,
    features: Any = None,
    chunk: int | None = None,
    **kwargs: Any,
) -> Estimate:
    """What :func:`~ascribe.attribute` with the same arguments would take. One pass forward and backward, of one record.

    Over coalitions, the rows are at most that, and no bytes are counted: nothing is kept for a backward pass.

    With ``tolerance`` on a line the rows are those of its first round. Raises RuleError for rules that compare with references:
    their runs are counted otherwise.
    """
    asked = with_features(request(of, at, over, by, chunk=chunk), features)
    if are_coalitions(asked.over):
        rows, size, spare = rows_needed(model, model_call(args, kwargs), asked)
        return Estimate(rows, 0, min(size, rows), 0, spare)
    over = cast(Distribution, asked.over)
    if asked.by.compares:
        raise RuleError(
            f"an estimate for by={by!r}", there="rules that need no reference", try_="attribute() on a few records, and its .cost"
        )
    with opened(model, model_call(args, kwargs)) as door, door as session:
        cuts = tuple(session.resolve(cut, True) for cut in asked.cuts)
        where = cuts[0] if isinstance(over, Point) else where_points_live(session, over, cuts)
        on = session.resolve(as_cut(asked.quantities[0].on), False)
        chunker = chunk_for(session, asked, where)
        plan = Plan(session, asked.quantities, cuts, over, where, on, asked.by, 0, True, "mean", chunker, Progress(1, False))
        index = np.arange(1) if records_independent(session) else np.arange(session.records)
        reader = Reader(plan, index)
        held = session.evaluate(Job(index, wrt=cuts, on=on, of=reader, by=asked.by, count_bytes=True)).bytes_kept
        points = expected_points(over)
        ends = ends_of(over)
        forward = session.records * (points + (points > 1 or ends > 0) + ends)
        return Estimate(
            forward,
            session.records * points,
            min(chunker.size, session.records * points),
            held // len(index),
            session.device.spare_memory(),
        )
