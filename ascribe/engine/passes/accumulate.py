"""The weighted sum of influence over the points of a distribution, chunk by chunk; no point's gradient outlives its chunk."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ...arrays import as_numpy, namespace
from ...backends.protocol import Evidence, Job
from ...backends.sums import PathPoints, Totals, add_weighted
from ...cuts import Cut
from ...distributions.draws import Draws
from ..batch import Leaves
from ..chunks import Run, evaluate_points
from .curvature import Course
from .records import Records
from .starts import Ends, Starts


class Accumulator:
    """The weighted sum of influence over points, kept as one array per array at each cut and quantity.

    ``part`` are the positions in the batch of the records that it sums for: all, where it is not given.
    """

    def __init__(self, records: Records, starts: Starts, draws: Draws, ends: Ends, part: np.ndarray | None = None) -> None:
        self.records, self.starts, self.draws, self.ends, self.plan = records, starts, draws, ends, records.plan
        self.every = part is None
        self.part = np.arange(len(records.index)) if part is None else part
        self.xp = records.session.xp
        self.first: np.ndarray | None = None
        self.total: Totals = {}
        self.direct: Totals = {}
        self.carry: dict[Cut, tuple[Leaves, Leaves, np.ndarray]] = {}
        self.middle: dict[Cut, Leaves] = {}
        self.moved: dict[Cut, Leaves] = {}
        self.index = records.index
        self.course: Course | None = None
        if draws.position is not None and draws.row is None and not self.plan.bare:
            self.course = Course(draws.position, draws.noise.each if draws.noise else len(draws))

    def run(self, index: np.ndarray) -> None:
        """Evaluates all points in chunks, for these records."""
        self.index, plan = index, self.plan
        evaluate_points(plan.session, plan.chunker, plan.progress, len(self.draws.weight), len(index), self.make_job, self.take)

    @property
    def plain(self) -> bool:
        """True if the session adds up the gradients itself: no gradient or value of a single point is needed here."""
        draws, request = self.draws, self.plan.request
        return not draws.stepwise and request.reduce != "variance" and not (request.multiply and draws.moves and self.plan.inner)

    def make_job(self, first: int, last: int) -> tuple[Job, Run]:
        """Returns the job of a chunk of points; running it adds up the gradients where the session does that."""
        plan, request, draws, session = self.plan, self.plan.request, self.draws, self.plan.session
        points = np.arange(first, last)
        ends, starts = self.ends(points), self.starts.at(draws, points) or []
        if not self.every:
            ends, starts = self._local(ends), self._local(starts)
        job = Job(
            self.index,
            len(points),
            plan.at,
            self.records.spots,
            wrt=plan.cuts,
            read=plan.inner if draws.stepwise else (),
            on=plan.on,
            of=self.records.bound,
            by=request.by,
            quantity_key=plan.kinds,
            multipliers_only=plan.multipliers_only or draws.stepwise,
        )
        moves = request.multiply and draws.moves
        position = None if draws.position is None else draws.position[points]
        path = PathPoints(tuple(starts), tuple(ends), position, draws.weight[points], request.reduce == "square", moves)
        if self.plain:
            return job, partial(session.summed, points=path, totals=self.total)
        job = replace(job, write=path.values(self.xp, len(self.index)))
        self.moved = self._moving(points, ends, starts) if moves else {}
        return job, session.evaluate

    def take(self, evidence: Evidence, job: Job, first: int) -> None:
        """Adds the influence at a chunk of points, of which ``first`` is the first."""
        plan, draws = self.plan, self.draws
        self.records.count(evidence, job)
        if first == 0 and draws.position is not None and draws.position[0] == 0 and draws.row is None:
            self.first = self.xp.numpy(evidence.value)[:, 0].astype(np.float64)
        weights = draws.weight[first : first + job.points]
        for cut in plan.cuts:
            if not self.plain:
                self._add_chunk(cut, evidence, job, weights)
            if direct := evidence.direct_relevance.get(cut):
                add_weighted(self.direct.setdefault(cut, []), direct, weights)
        if self.course is not None:
            self.course.chunks[first] = evidence.value

    def _add_chunk(self, cut: Cut, evidence: Evidence, job: Job, weights: np.ndarray) -> None:
        """Adds the influence at a cut of a chunk whose gradients the session has not added up."""
        grads = evidence.grads[cut]
        if self.draws.stepwise and self.plan.request.multiply:
            values = list(job.write) if cut == self.plan.at else evidence.reads[cut].arrays
            self._piecewise(cut, grads, values, as_numpy(evidence.value).astype(np.float64))
            return
        if self.moved:
            grads = [g * d[None] for g, d in zip(grads, self.moved[cut], strict=True)]
        self._add(cut, grads, weights)

    def _local(self, leaves: Leaves) -> Leaves:
        """Returns cut arrays ``[points, records, ...]`` for the records in this sum."""
        return [a if a.shape[1] == 1 else a[:, self.part] for a in leaves]

    def _moving(self, points: np.ndarray, ends: Leaves, starts: Leaves) -> dict[Cut, Leaves]:
        """Returns the distances of paths whose ends differ from point to point, at every cut, ``[points, records, ...]``."""
        records, plan = self.records, self.plan
        moved = {plan.at: [e - s for e, s in zip(ends, starts, strict=True)] if starts else ends}
        if inner := plan.inner:
            at_end = {cut: [x[None] for x in records.values[cut]] for cut in inner}
            if self.draws.noise is not None or self.draws.given:
                reads = records.evaluate_at(ends, len(points), read=inner).reads
                at_end = {cut: reads[cut].arrays for cut in inner}
            at_start = records.evaluate_at(starts, len(points), read=inner).reads if starts else None
            for cut in inner:
                moved[cut] = [e - s for e, s in zip(at_end[cut], at_start[cut].arrays, strict=True)] if at_start else at_end[cut]
        return moved

    def _add(self, cut: Cut, grads: Leaves, weights: np.ndarray) -> None:
        if self.plan.request.reduce == "square":
            grads = [g * g for g in grads]
        elif self.plan.request.reduce == "variance":  # about the first chunk's mean, so that nothing cancels
            middle = self.middle.setdefault(cut, [g.mean(1)[:, None] for g in grads])
            grads = [g - m for g, m in zip(grads, middle, strict=True)]
            grads = [*grads, *(g * g for g in grads)]
        add_weighted(self.total.setdefault(cut, []), grads, weights)

    def _piecewise(self, cut: Cut, grads: Leaves, values: Leaves, quantity: np.ndarray) -> None:
        """Adds a mean of neighbouring influences times the step between them, so that each piece of the path's image adds up if it can."""
        if cut in self.carry:
            last_g, last_v, last_q = self.carry[cut]
            ends = quantity[:, :1] - last_q
            self._pieces(cut, last_g, [g[:, :1] for g in grads], last_v, [v[:1] for v in values], ends)
        self.carry[cut] = [g[:, -1:] for g in grads], [v[-1:] for v in values], quantity[:, -1:]
        if grads[0].shape[1] > 1:
            before, after = [g[:, :-1] for g in grads], [g[:, 1:] for g in grads]
            self._pieces(cut, before, after, [v[:-1] for v in values], [v[1:] for v in values], np.diff(quantity, axis=1))

    def _pieces(self, cut: Cut, g0: Leaves, g1: Leaves, v0: Leaves, v1: Leaves, change: np.ndarray) -> None:
        """Adds pieces whose ends have these influences and values; ``change`` is the quantity's, ``[quantities, pieces, records]``."""
        steps = [w - v for v, w in zip(v0, v1, strict=True)]
        middle = [namespace(a).mix(a, b, 0.5) for a, b in zip(g0, g1, strict=True)]
        apart = [(a - b) * d[None] for a, b, d in zip(g0, g1, steps, strict=True)]
        share = bend(change - total([m * d[None] for m, d in zip(middle, steps, strict=True)]), total(apart), total(apart, sizes=True))
        pieces = [m * d[None] for m, d in zip(middle, steps, strict=True)]
        if share.any():
            shares = [namespace(d).asarray(share.reshape(*share.shape, *[1] * (len(d.shape) - 3)), d) for d in apart]
            pieces = [f + d * part for f, d, part in zip(pieces, apart, shares, strict=True)]
        self._add(cut, pieces, np.ones(pieces[0].shape[1]))

    def values(self) -> list[Leaves]:
        """Returns the sums, times the distance where that is the same at every point: per cut, ``[quantities, records, ...]`` each."""
        plan, request = self.plan, self.plan.request
        fixed = request.multiply and not self.draws.moves and not self.draws.stepwise
        distance = self.fixed() if fixed else {}
        values = []
        for cut in plan.cuts:
            stacked = [self.xp.stack(t, 0) for t in self.total[cut]]
            if request.reduce == "variance":
                half = len(stacked) // 2
                stacked = [squares - mean * mean for mean, squares in zip(stacked[:half], stacked[half:], strict=True)]
            if fixed:
                stacked = [s * d[None] for s, d in zip(stacked, distance[cut], strict=True)]
            if direct := self.direct.get(cut):
                stacked = [s + self.xp.stack(r, 0) for s, r in zip(stacked, direct, strict=True)]
            values.append([self.xp.cast(s, x) for s, x in zip(stacked, self.records.values[cut], strict=True)])
        return values

    def fixed(self) -> dict[Cut, Leaves]:
        """Returns record less baseline at every cut; elsewhere than where the points are the baseline is run forward."""
        records, plan, part, start = self.records, self.plan, self.part, self.starts.fixed
        every = self.every
        if start is None:
            return {cut: [x if every else x[part] for x in records.values[cut]] for cut in plan.cuts}
        distance = {
            plan.at: [x - b if every else x[part] - (b if b.shape[0] == 1 else b[part]) for x, b in zip(records.x, start, strict=True)]
        }
        if inner := plan.inner:
            evidence = records.evaluate_at([b[None] for b in start], 1, records.bound, inner)
            self.first = as_numpy(evidence.value)[:, 0].astype(np.float64)
            for cut in inner:
                distance[cut] = [(x - b[0])[part] for x, b in zip(records.values[cut], evidence.reads[cut].arrays, strict=True)]
        return distance


def total(leaves: Leaves, sizes: bool = False) -> np.ndarray:
    """Returns the sum of numbers ``[quantities, pieces, records, ...]`` over all but these axes, or of their sizes."""
    parts = [as_numpy((abs(a) if sizes else a).reshape(*a.shape[:3], -1).sum(-1)).astype(np.float64) for a in leaves]
    return np.asarray(np.sum(parts, 0))


BENT = 0.2
"""The share of their sizes that differences of influence add up to where a piece is bent; in less they cancel, and say nothing."""


def bend(missing: np.ndarray, apart: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Returns the share of the difference of a piece's ends that is ``missing`` from the mean of both, -1/2 to 1/2; 0 for smooth pieces.

    For a piecewise linear quantity with one bend in the piece it is the bend's distance from the middle, and the piece is exact. Where
    more is missing than one bend explains, other ways than the cut may carry it: then it says nothing.
    """
    bent = (np.abs(apart) > BENT * most) & (2 * np.abs(missing) <= np.abs(apart))
    return np.divide(missing, apart, out=np.zeros_like(missing), where=bent)
