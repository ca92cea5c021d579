"""The quantity at perturbed inputs, by forward passes only; it is bound once to the records as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy
from ..backends import guard_session
from ..backends.protocol import ArrayAt, Job, Session
from ..calls.call import Call
from ..cuts import INPUT, Cut, as_cut
from ..engine.chunks import first_chunk
from ..engine.plan import BoundQuantities
from ..errors import InputError, QuantityError
from ..quantities import as_quantities
from ..tree import replace_leaves


@dataclass(eq=False)
class Records:
    """The records (examples) of a call: their arrays ``x``, each ``[records, ...]``, and the quantity there, ``value`` ``[records]``.

    ``evaluations`` counts the rows that were run.
    """

    session: Session
    at: Cut
    on: Cut
    spots: tuple[ArrayAt, ...]
    bound: BoundQuantities
    x: tuple[Array, ...]
    value: np.ndarray
    evaluations: int

    def __len__(self) -> int:
        return self.session.records

    def quantity_at(self, arrays: Sequence[Array]) -> np.ndarray:
        """Returns the quantity ``[points, records]`` at changed inputs, one array ``[points, records, ...]`` for each in ``x``.

        One forward pass of all records for each point. Raises InputError for arrays of other shapes.
        """
        shapes, wanted = [tuple(a.shape) for a in arrays], [tuple(x.shape) for x in self.x]
        if [s[1:] for s in shapes] != wanted:
            there = f"shapes {', '.join(map(str, shapes))} for inputs of shape {', '.join(map(str, wanted))}"
            raise InputError(
                "Changed inputs must have the shape [points, records, ...]", found=there, advice="[x[None] for x in records.x]"
            )
        self.evaluations += len(arrays[0]) * len(self)
        job = Job(np.arange(len(self)), len(arrays[0]), self.at, self.spots, tuple(arrays), on=self.on, of=self.bound)
        return as_numpy(self.session.evaluate(job).value)[0].astype(np.float64)

    def call(self, arrays: Sequence[Array]) -> Call:
        """Returns the model's call with other arrays in place of the explained ones."""
        call = self.session.call
        args, kwargs = replace_leaves(
            (call.args, call.kwargs), {s.path: self.session.given(a, s) for s, a in zip(self.spots, arrays, strict=True)}
        )
        return call.like(args, kwargs)

    def points_at_once(self, chunk: int | None) -> int:
        """Returns the number of points to run at once: ``chunk`` rows, or as many as a first chunk has."""
        rows = chunk or first_chunk(self.session.cut_info(self.at).elements(), self.session.parameter_count(), len(self))
        return max(1, rows // len(self))


@contextmanager
def open_records(model: Any, call: Call, of: Any) -> Iterator[Records]:
    """Opens a model for a metric: the :class:`Records` of a call, run once.

    ``of`` is the quantity (target), one number per record. One forward pass. The model is restored when the ``with`` block ends. Raises
    QuantityError for several quantities.
    """
    if not isinstance(call, Call):
        raise InputError("`open_records` needs the arguments of the model as one call", found=type(call).__name__, advice="asc.Call(x)")
    quantities, several = as_quantities(of)
    if several:
        raise QuantityError("A metric judges one quantity", found=f"{len(quantities)} quantities", advice="a call for each")
    with guard_session(model, call) as guarded, guarded as session:
        on, at = session.resolve(as_cut(quantities[0].on), False), session.resolve(INPUT, True)
        index = np.arange(session.records)
        bound = BoundQuantities(session, quantities, index)
        evidence = session.evaluate(Job(index, read=(at,), on=on, of=bound))
        reading = evidence.reads[at]
        value = as_numpy(evidence.value)[0, 0].astype(np.float64)
        yield Records(session, at, on, tuple(reading.spots), bound, tuple(a[0] for a in reading.arrays), value, len(index))
