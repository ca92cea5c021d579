"""Some records of a call: runs them, counts the cost, and reads the values and the quantities that every pass starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Namespace, as_numpy
from ...backends.protocol import ArrayAt, Evidence, Job
from ...calls.call import Call
from ...cuts import OUTPUT, Cut
from ...distributions.baselines import CutValues
from ...errors import CutError
from ..batch import Batch, Leaves, broadcast
from ..plan import BoundQuantities, Plan

FEW = 8
"""Records on which it is tried whether a layer can be written at."""


class Records:
    """The records of one batch. A pass holds one, fills its ``batch`` and returns that.

    ``values`` are the records' values at each cut that was read, ``x`` those where the points are, at ``spots``.
    """

    def __init__(self, plan: Plan, index: np.ndarray) -> None:
        self.plan, self.index, self.session = plan, index, plan.session
        self.bound = BoundQuantities(plan.session, plan.request.quantities, index)
        self.batch = Batch(index)
        self.x: Leaves = []
        self.spots: tuple[ArrayAt, ...] = ()
        self.values: dict[Cut, Leaves] = {}

    def __len__(self) -> int:
        return len(self.index)

    def evaluate(self, *, index: np.ndarray | None = None, **job: Any) -> Evidence:
        """Evaluates a job, for all records of the batch unless it says others, and counts what it costs."""
        made = Job(self.index if index is None else index, quantity_key=self.plan.kinds, **job)
        evidence = self.session.evaluate(made)
        batch = self.batch
        batch.forward += evidence.forward
        batch.backward += evidence.backward
        batch.rows += made.points * len(made.index)
        return evidence

    def count(self, evidence: Evidence, job: Job) -> None:
        """Adds the cost of a job, and the trace of its rule."""
        batch = self.batch
        batch.forward += evidence.forward
        batch.backward += evidence.backward
        batch.rows += job.points * len(job.index)
        if self.plan.by_operation:
            batch.without_formula.update(evidence.without_formula)
            batch.trace.add(evidence.trace)

    def read(self) -> None:
        """Runs the records themselves: reads every cut and the prediction, binds the quantities. A bare plan runs only up to the cuts."""
        plan = self.plan
        wanted = () if plan.bare or plan.on != OUTPUT else (OUTPUT,)
        reads = tuple(dict.fromkeys((plan.at, *plan.cuts, *wanted)))
        evidence = self.evaluate(read=reads) if plan.bare else self.evaluate(read=reads, on=plan.on, of=self.bound)
        if evidence.value is not None:
            self.keep_quantities(evidence)
        self.keep_values(evidence, (plan.at, *plan.cuts))
        self.spots, self.x = tuple(evidence.reads[plan.at].spots), self.values[plan.at]
        if plan.at.layer:
            self.check_writable(plan.at, self.spots, self.x)

    def keep_quantities(self, evidence: Evidence) -> None:
        """Takes the quantities at the records from a run, and their classes and the prediction."""
        self.batch.explained = self.session.xp.numpy(evidence.value)[:, 0].astype(np.float64)
        self.batch.classes, self.batch.output = self.bound.classes(), table_of(evidence, self.session.xp)

    def keep_values(self, evidence: Evidence, cuts: Sequence[Cut]) -> None:
        """Takes the values at these cuts from a run of the records."""
        for cut in cuts:
            self.values[cut] = [a[0] for a in evidence.reads[cut].arrays]
        self.batch.spots = [evidence.reads[cut].spots for cut in self.plan.cuts]
        self.batch.record = [self.values[cut] for cut in self.plan.cuts]

    def check_writable(self, at: Cut, spots: Sequence[ArrayAt], x: Leaves) -> None:
        """Writes at a layer its own value: the quantity must not change. Eight records show it, where records are independent.

        Raises CutError where it does: the layer works in place on something that others rely on.
        """
        writable = self.session.facts.weights.writable
        if writable.get((at, self.plan.on)):
            return
        some = np.arange(len(self.index))
        few = len(some) > FEW and not self.session.compiles  # another number of records would need programs of its own
        if few and not self.plan.on.layer and self.plan.independent and all(a.shape[0] == len(some) for a in x):
            some = np.linspace(0, len(some) - 1, FEW).astype(int)
        write = tuple(broadcast(a[some][None] if len(a) == len(self.index) else a[None], 1, len(some)) for a in x)
        evidence = self.evaluate(index=self.index[some], at=at, spots=tuple(spots), write=write, on=self.plan.on, of=self.bound)
        back, before = as_numpy(evidence.value)[:, 0], self.batch.explained
        scale = np.abs(before).max() + 1e-30
        if not np.allclose(back, before[:, some], rtol=0, atol=1e-3 * scale, equal_nan=True):
            raise CutError(
                f"The value at {at!r} cannot be replaced: another branch relies on the layer changing it in place",
                advice="the cut where that value is made, or the layer without inplace=True",
                code="E-CUT-ALIAS",
            )
        writable[at, self.plan.on] = True

    def context_at(self, cut: Cut) -> CutValues:
        """Returns what a baseline at a cut is fitted to."""
        spots, values = self.spots, self.x
        if cut != self.plan.at:
            reading = self.evaluate(read=(cut,)).reads[cut]
            spots, values = tuple(reading.spots), [a[0] for a in reading.arrays]
        session, seed = self.session, self.plan.request.seed
        return CutValues(
            values,
            session.names(spots),
            self.index,
            session.records,
            session.call,
            partial(self.read_other_call, cut),
            seed,
            [spot.axis for spot in spots],
            bool(cut.layer),
        )

    def read_other_call(self, cut: Cut, call: Call) -> Leaves:
        """Returns the value at a cut when the model is called with other arguments."""
        with self.session.another(call.after(self.session.call)) as other:
            job = Job(np.arange(other.records), read=(cut,))
            evidence = other.evaluate(job)
            self.count(evidence, job)
            return [a[0] for a in evidence.reads[cut].arrays]

    def evaluate_at(self, write: Leaves, points: int, of: Any = None, read: tuple[Cut, ...] = ()) -> Evidence:
        """Evaluates the quantity, and values at other cuts, with these values written where the points are: forward only."""
        plan = self.plan
        full = tuple([broadcast(w, points, len(self.index)) for w in write])
        return self.evaluate(points=points, at=plan.at, spots=self.spots, write=full, read=read, on=plan.on if of else None, of=of)

    def evaluate_rows(self, rows: Leaves) -> np.ndarray:
        """Returns the quantities of every record at rows ``[rows, 1, ...]`` that belong to none, ``[quantities, rows, records]``."""
        plan, count = self.plan, len(rows[0])
        evidence = self.evaluate(
            index=self.index[:1], points=count, at=plan.at, spots=self.spots, write=tuple(rows), on=plan.on, of=self.bound.of_every_record
        )
        values = self.session.xp.numpy(evidence.value)[:, :, 0].astype(np.float64)
        return values.reshape(*self.batch.explained.shape, count).transpose(0, 2, 1)

    def share_a_row(self, start: Leaves, at: Cut) -> bool:
        """Returns whether one row is the baseline of all records: it is the same, and leaves nothing of a record in the call.

        Only where the output is explained: to find out whether records are independent takes the whole model.
        """
        same = all(b.shape[0] == 1 for b in start) and not self.plan.on.layer
        return same and self.session.cut_info(at).replaces_all() and self.plan.independent

    def point_chunks(self, points: np.ndarray, records: int) -> Iterator[np.ndarray]:
        """Yields points, as many at once as fit for this number of records."""
        size = max(1, self.plan.chunker.size // records)
        for k in range(0, len(points), size):
            yield points[k : k + size]


def table_of(evidence: Evidence, xp: Namespace) -> np.ndarray | None:
    """Returns the model's output as ``[records, classes]``, where it is one floating array of that form."""
    reading = evidence.reads.get(OUTPUT)
    if reading is None:
        return None
    flat = [a for s, a in zip(reading.spots, reading.arrays, strict=True) if s.path in ((), ("logits",)) and a.ndim == 3]
    return xp.numpy(flat[0])[0].astype(np.float64) if len(flat) == 1 else None
