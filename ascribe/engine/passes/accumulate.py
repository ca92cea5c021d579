"""The weighted sum of influence over the points of a distribution, chunk by chunk; no point's gradient outlives its chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Array, as_numpy, namespace
from ...backends.protocol import Job
from ...cuts import Cut
from ...distributions.members import Draws
from ..chunks import stream
from ..plan import Leaves, broadcast
from .curvature import Course

if TYPE_CHECKING:
    from .path import Pass


class Sums:
    """The weighted sum of influence over points, kept as one array per array at each cut and quantity."""

    def __init__(self, run: Pass, draws: Draws, ends: Callable[[np.ndarray], Leaves], part: np.ndarray | None = None) -> None:
        self.run_, self.draws, self.ends = run, draws, ends
        self.plan = run.plan
        self.part = np.arange(len(run.index)) if part is None else part
        self.first: np.ndarray | None = None
        self.total: dict[Cut, list[list[Array]]] = {}
        self.direct: dict[Cut, list[list[Array]]] = {}
        self.carry: dict[Cut, tuple[Leaves, Leaves, np.ndarray]] = {}
        self.middle: dict[Cut, Leaves] = {}
        self.index = run.index
        self.course: Course | None = None
        if draws.position is not None and draws.row is None and not self.plan.bare:
            self.course = Course(draws.position, draws.noise.each if draws.noise else len(draws))

    def run(self, index: np.ndarray) -> None:
        """Go through all points in chunks."""
        self.index = index
        session, plan = self.plan.session, self.plan
        stream(
            len(self.draws),
            len(index),
            plan.chunker,
            self.step,
            wait=session.device.wait,
            out_of_memory=session.device.out_of_memory,
            progress=plan.progress,
        )

    def step(self, first: int, last: int) -> bool:
        """One chunk: make the points, run them, add what came. Whether its time was typical."""
        plan, run = self.plan, self.run_
        points = np.arange(first, last)
        ends, starts = self._local(self.ends(points)), self._local(run.starts(self.draws, points))
        write = tuple(broadcast(z, len(points), len(self.index)) for z in between(starts, ends, self.draws, points))
        reads = plan.inner if self.draws.stepwise else ()
        job = Job(self.index, len(points), plan.at, run.spots, write, plan.cuts, reads, plan.on, run.reader, plan.by, plan.kinds)
        job = replace(job, multipliers_only=plan.folded or self.draws.stepwise)
        typical = plan.chunker.limit is not None
        found = run.measured(job)
        distances = self._moving(points, ends, starts) if plan.multiply and self.draws.moves else {}
        if first == 0 and self.draws.position is not None and self.draws.position[0] == 0 and self.draws.row is None:
            self.first = as_numpy(found.value)[:, 0].astype(np.float64)
        for cut in plan.cuts:
            if self.draws.stepwise and plan.multiply:
                values = list(write) if cut == plan.at else found.reads[cut].arrays
                self._piecewise(cut, found.grads[cut], values, as_numpy(found.value).astype(np.float64))
            else:
                grads = found.grads[cut]
                if distances:
                    grads = [g * d[None] for g, d in zip(grads, distances[cut], strict=True)]
                self._add(cut, grads, self.draws.weight[first:last])
                summed(self.direct.setdefault(cut, []), found.direct_relevance.get(cut, []), self.draws.weight[first:last])
        if self.course is not None:
            self.course.chunks[first] = found.value
        return typical and not found.probed

    def _local(self, leaves: Leaves | None) -> Leaves:
        """Cut arrays ``[points, records, ...]`` to the records in this sum."""
        if leaves is None or len(self.part) == len(self.run_.index):
            return leaves or []
        return [a if a.shape[1] == 1 else a[:, self.part] for a in leaves]

    def _moving(self, points: np.ndarray, ends: Leaves, starts: Leaves) -> dict[Cut, Leaves]:
        """Distances of paths whose ends differ from point to point, at every cut, ``[points, records, ...]``."""
        run, plan = self.run_, self.plan
        found = {plan.at: [e - s for e, s in zip(ends, starts, strict=True)] if starts else ends}
        if plan.inner:
            at_end = {cut: [x[None] for x in run.record[cut]] for cut in plan.inner}
            if self.draws.noise is not None or self.draws.given:
                reads = run.values_at(ends, len(points), read=plan.inner).reads
                at_end = {cut: reads[cut].arrays for cut in plan.inner}
            at_start = run.values_at(starts, len(points), read=plan.inner).reads if starts else None
            for cut in plan.inner:
                found[cut] = [e - s for e, s in zip(at_end[cut], at_start[cut].arrays, strict=True)] if at_start else at_end[cut]
        return found

    def _add(self, cut: Cut, grads: Leaves, weights: np.ndarray) -> None:
        if self.plan.reduce == "square":
            grads = [g * g for g in grads]
        elif self.plan.reduce == "variance":  # about the first chunk's mean, so that nothing cancels
            middle = self.middle.setdefault(cut, [g.mean(1)[:, None] for g in grads])
            grads = [g - m for g, m in zip(grads, middle, strict=True)]
            grads = [*grads, *(g * g for g in grads)]
        summed(self.total.setdefault(cut, []), grads, weights)

    def _piecewise(self, cut: Cut, grads: Leaves, values: Leaves, quantity: np.ndarray) -> None:
        """Along the path's image: a mean of neighbouring influences times the step between them, so that a piece adds up where it can."""
        if cut in self.carry:
            last_g, last_v, last_q = self.carry[cut]
            ends = quantity[:, :1] - last_q
            self._pieces(cut, last_g, [g[:, :1] for g in grads], last_v, [v[:1] for v in values], ends)
        self.carry[cut] = [g[:, -1:] for g in grads], [v[-1:] for v in values], quantity[:, -1:]
        if grads[0].shape[1] > 1:
            before, after = [g[:, :-1] for g in grads], [g[:, 1:] for g in grads]
            self._pieces(cut, before, after, [v[:-1] for v in values], [v[1:] for v in values], np.diff(quantity, axis=1))

    def _pieces(self, cut: Cut, g0: Leaves, g1: Leaves, v0: Leaves, v1: Leaves, change: np.ndarray) -> None:
        """Pieces whose ends have these influences and values, over which the quantity changes so much ``[quantities, pieces, records]``."""
        steps = [w - v for v, w in zip(v0, v1, strict=True)]
        middle = [namespace(a).mix(a, b, 0.5) for a, b in zip(g0, g1, strict=True)]
        apart = [(a - b) * d[None] for a, b, d in zip(g0, g1, steps, strict=True)]
        share = bend(change - total([m * d[None] for m, d in zip(middle, steps, strict=True)]), total(apart), total(apart, sizes=True))
        found = [m * d[None] for m, d in zip(middle, steps, strict=True)]
        if share.any():
            shares = [namespace(d).asarray(share.reshape(*share.shape, *[1] * (len(d.shape) - 3)), d) for d in apart]
            found = [f + d * part for f, d, part in zip(found, apart, shares, strict=True)]
        self._add(cut, found, np.ones(found[0].shape[1]))

    def values(self) -> list[list[Array]]:
        """The sums, times the distance where that is the same at every point: per cut, ``[quantities, records, ...]`` each."""
        plan, run = self.plan, self.run_
        fixed = plan.multiply and not self.draws.moves and not self.draws.stepwise
        distance = self.fixed() if fixed else {}
        found = []
        for cut in plan.cuts:
            stacked = [namespace(t[0]).stack(t, 0) for t in self.total[cut]]
            if plan.reduce == "variance":
                half = len(stacked) // 2
                stacked = [squares - mean * mean for mean, squares in zip(stacked[:half], stacked[half:], strict=True)]
            if fixed:
                stacked = [s * d[None] for s, d in zip(stacked, distance[cut], strict=True)]
            if self.direct.get(cut):
                stacked = [s + namespace(r[0]).stack(r, 0) for s, r in zip(stacked, self.direct[cut], strict=True)]
            found.append([namespace(s).cast(s, x) for s, x in zip(stacked, run.record[cut], strict=True)])
        return found

    def fixed(self) -> dict[Cut, Leaves]:
        """From the baseline to the record, at every cut; elsewhere than where the points live the baseline is run forward."""
        run, plan = self.run_, self.plan
        part = self.part
        if run.begin is None:
            return {cut: [x[part] for x in run.record[cut]] for cut in plan.cuts}
        found = {plan.at: [x[part] - (b if b.shape[0] == 1 else b[part]) for x, b in zip(run.x, run.begin, strict=True)]}
        if plan.inner:
            start = run.values_at([b[None] for b in run.begin], 1, run.reader, plan.inner)
            self.first = as_numpy(start.value)[:, 0].astype(np.float64)
            for cut in plan.inner:
                found[cut] = [(x - b[0])[part] for x, b in zip(run.record[cut], start.reads[cut].arrays, strict=True)]
        return found


def summed(totals: list[list[Array]], parts: Leaves, weights: np.ndarray) -> None:
    """Add the weighted points of ``[quantities, points, records, ...]`` to one sum for each quantity."""
    for i, g in enumerate(parts):
        xp = namespace(g)
        if len(totals) == i:
            totals.append([xp.accumulator(tuple(g.shape[2:]), g) for _ in range(g.shape[0])])
        totals[i] = [xp.accumulate(t, g[k], weights) for k, t in enumerate(totals[i])]


def between(starts: Leaves, ends: Leaves, draws: Draws, points: np.ndarray) -> Leaves:
    """The points on the way from start to end; the ends themselves where there is no line."""
    if draws.position is None:
        return ends
    found = []
    for s, e in zip(starts, ends, strict=True):
        a = namespace(e).asarray(draws.position[points].reshape(-1, *[1] * (e.ndim - 1)), e)
        found.append(namespace(e).mix(s, e, a))
    return found


def total(leaves: Leaves, sizes: bool = False) -> np.ndarray:
    """What numbers ``[quantities, pieces, records, ...]`` add up to, or their sizes."""
    parts = [as_numpy((abs(a) if sizes else a).reshape(*a.shape[:3], -1).sum(-1)).astype(np.float64) for a in leaves]
    found: np.ndarray = np.sum(parts, 0)
    return found


BENT = 0.2
"""The share of their sizes that differences of influence add up to where a piece is bent; in less they cancel, and say nothing."""


def bend(missing: np.ndarray, apart: np.ndarray, most: np.ndarray) -> np.ndarray:
    """How much of what a piece's ends differ by is ``missing`` from the mean of both, -1/2 to 1/2; 0 where a piece is smooth.

    For a piecewise linear quantity with one bend in the piece it is the bend's distance from the middle, and the piece is exact. Where
    more is missing than one bend explains, other ways than the cut may carry it: then it says nothing.
    """
    bent = (np.abs(apart) > BENT * most) & (2 * np.abs(missing) <= np.abs(apart))
    return np.divide(missing, apart, out=np.zeros_like(missing), where=bent)
