"""The reference pass: records compared with references, multipliers times distances, under a rule that compares (DeepLIFT and its kin)."""

from __future__ import annotations

import inspect

import numpy as np

from ...arrays import as_numpy, namespace
from ...backends.protocol import Evidence, Job
from ...backends.sums import add_weighted
from ...cuts import OUTPUT, Cut
from ...distributions.draws import Draws
from ...errors import RuleError
from ..batch import Batch, Leaves, broadcast
from ..chunks import Run, evaluate_points
from ..plan import Plan
from ..request import Combine
from .records import Records
from .starts import Starts, draw_points, find_ends, find_starts


def run_reference(plan: Plan, index: np.ndarray) -> Batch:
    """Returns the comparison of some records with the references of a distribution. The records are run once for all references.

    Raises RuleError for a distribution without references.
    """
    request = plan.request
    if plan.outline.baseline is None or plan.outline.line is not None:
        raise RuleError(
            f"The rule {request.by!r} compares each record with a reference, and this call has none",
            found=f"over={request.over!r}",
            advice="over=asc.Reference(0.0) or over=asc.Background(rows)",
            code="E-RULE-REFERENCE",
        )
    records = Records(plan, index)
    reading = records.evaluate(read=(plan.at,)).reads[plan.at]
    records.spots, records.x = tuple(reading.spots), [a[0] for a in reading.arrays]
    starts = find_starts(records)
    draws = draw_points(records, starts)
    if draws.noise is not None:
        records.read()
    return ReferencePass(records, starts, draws).run()


class ReferencePass:
    """Some records against references, chunk by chunk."""

    def __init__(self, records: Records, starts: Starts, draws: Draws) -> None:
        self.records, self.starts, self.draws, self.plan = records, starts, draws, records.plan
        self.ends = find_ends(records, draws)
        self.total: dict[Cut, list[Leaves]] = {}
        self.change: np.ndarray | None = None

    def run(self) -> Batch:
        """Returns the batch with values, change and number of points."""
        batch, records, draws = self.records.batch, self.records, self.draws
        plan = self.plan
        evaluate_points(plan.session, plan.chunker, plan.progress, len(draws.weight), len(records.index), self.make_job, self.take)
        xp = records.session.xp
        batch.values = [
            [xp.cast(xp.stack(t, 0), x) for t, x in zip(self.total[cut], records.values[cut], strict=True)] for cut in self.plan.cuts
        ]
        batch.change = self.change if self.plan.request.multiply else None
        batch.steps = np.full(len(records.index), len(draws))
        return batch

    def make_job(self, first: int, last: int) -> tuple[Job, Run]:
        """Returns the job of some points, each record against its reference."""
        plan, records, points = self.plan, self.records, np.arange(first, last)
        starts = self.starts.at(self.draws, points)
        assert starts is not None
        job = Job(
            records.index,
            len(points),
            quantity_key=plan.kinds,
            at=plan.at,
            spots=records.spots,
            write=tuple(self.ends(points)) if self.draws.noise is not None else (),
            wrt=plan.cuts,
            read=plan.cuts if plan.on != OUTPUT or OUTPUT in plan.cuts else (*plan.cuts, OUTPUT),
            on=plan.on,
            of=records.bound,
            by=plan.request.by,
            reference=tuple([broadcast(s, len(points), s.shape[1]) for s in starts]),
            every_quantity=records.bound.of_every_record,
        )
        return job, plan.session.evaluate

    def take(self, evidence: Evidence, job: Job, first: int) -> None:
        """Adds a chunk of points; the first of all binds the quantities and reads the cuts."""
        records = self.records
        records.count(evidence, job)
        if not records.values:
            records.keep_quantities(evidence)
            records.keep_values(evidence, self.plan.cuts)
        self._add(evidence, self.draws.weight[first : first + job.points])

    def _add(self, evidence: Evidence, weights: np.ndarray) -> None:
        assert evidence.value is not None and evidence.start is not None
        change = as_numpy(evidence.value).astype(np.float64) - as_numpy(evidence.start).astype(np.float64)
        some = np.einsum("kpn,p->kn", change, weights)
        self.change = some if self.change is None else self.change + some
        for cut in self.plan.cuts:
            add_weighted(self.total.setdefault(cut, []), self._terms(evidence, cut), weights)

    def _terms(self, evidence: Evidence, cut: Cut) -> Leaves:
        """Returns what every point adds, ``[quantities, points, records, ...]`` for each array at the cut."""
        request = self.plan.request
        grads, ends, starts = evidence.grads[cut], evidence.reads[cut].arrays, evidence.starts[cut]
        if request.combine is not None:
            return combined(request.combine, grads, ends, starts)
        if request.multiply:
            return evidence.shares.get(cut) or [g * (x - x0)[None] for g, x, x0 in zip(grads, ends, starts, strict=True)]
        return grads


def combined(combine: Combine, grads: Leaves, ends: Leaves, starts: Leaves) -> Leaves:
    """Returns what a user's function makes of multipliers, values and reference values (as many of them as it takes).

    It is called for each quantity and point with arrays ``[records, ...]``, tuples of them where the cut holds several, and returns as
    many, of the same shapes. Raises RuleError where it does not.
    """
    takes = [p for p in inspect.signature(combine).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wide, points, records = grads[0].shape[:3]
    ends, starts = ([broadcast(a, points, records) for a in leaves] for leaves in (ends, starts))
    made: list[list[Leaves]] = []
    for q in range(wide):
        made.append([])
        for p in range(points):
            given = ([g[q, p] for g in grads], [x[p] for x in ends], [x[p] for x in starts])
            returned = combine(*(g[0] if len(g) == 1 else tuple(g) for g in given[: len(takes)]))
            leaves = [returned] if len(grads) == 1 and not isinstance(returned, (tuple, list)) else list(returned)
            if [tuple(a.shape) for a in leaves] != [tuple(g.shape[2:]) for g in grads]:
                there = f"arrays of shape {', '.join(str(tuple(a.shape)) for a in leaves)}"
                shapes = ", ".join(str(tuple(g.shape[2:])) for g in grads)
                raise RuleError(
                    f"`combine={combine!r}` must return arrays of the shapes of the multipliers",
                    found=there,
                    advice=f"a function that returns {shapes}",
                    code="E-RULE-COMBINE",
                )
            made[-1].append(leaves)
    xp = namespace(grads[0])
    return [xp.stack([xp.stack([leaves[i] for leaves in row], 0) for row in made], 0) for i in range(len(grads))]
