"""Records compared with references: multipliers times distances, under a rule that compares (DeepLIFT and its kin)."""

from __future__ import annotations

import inspect

import numpy as np

from ...arrays import Array, as_numpy, namespace
from ...backends.protocol import Evidence, Job
from ...cuts import OUTPUT, Cut
from ...distributions.members import Draws, Line, baseline_of, parts
from ...errors import RuleError
from ..chunks import stream
from ..plan import Block, Combine, Leaves, Plan, broadcast, table
from .path import Pass


class Comparison(Pass):
    """Some records against the references of a distribution. They are run once, whatever the number of references."""

    def __init__(self, plan: Plan, index: np.ndarray) -> None:
        super().__init__(plan, index)
        self.total: dict[Cut, list[Leaves]] = {}
        self.change = np.zeros(0)

    def run(self) -> Block:
        plan, block = self.plan, self.block
        reading = self.evaluate(read=(plan.at,)).reads[plan.at]
        self.spots, self.x = tuple(reading.spots), [a[0] for a in reading.arrays]
        self._start()
        draws = self._draws()
        if draws.noise is not None:
            self._look()
        ends = self._ends(draws)

        def step(first: int, last: int) -> bool:
            points = np.arange(first, last)
            write = tuple(ends(points)) if draws.noise is not None else ()
            typical = plan.chunker.limit is not None
            found = self._compared(draws, points, write)
            self._add(found, draws.weight[first:last])
            return typical and not found.probed

        stream(
            len(draws),
            len(self.index),
            plan.chunker,
            step,
            wait=self.session.device.wait,
            out_of_memory=self.session.device.out_of_memory,
            progress=plan.progress,
        )
        xp = self.session.xp
        block.values = [[xp.cast(xp.stack(t, 0), x) for t, x in zip(self.total[cut], self.record[cut], strict=True)] for cut in plan.cuts]
        block.change = self.change if plan.multiply else None
        block.record = [self.record[cut] for cut in plan.cuts]
        block.steps = np.full(len(self.index), len(draws))
        return block

    def _compared(self, draws: Draws, points: np.ndarray, write: tuple[Array, ...]) -> Evidence:
        """Some points, each record against its reference; the first of all binds the quantities and says what the cuts hold."""
        plan = self.plan
        first = not self.record
        reads = tuple(dict.fromkeys((*plan.cuts, *([OUTPUT] if plan.on == OUTPUT else []))))
        starts = self.starts(draws, points)
        assert starts is not None
        job = Job(
            self.index,
            len(points),
            quantity_key=plan.kinds,
            at=plan.at,
            spots=self.spots,
            write=write,
            wrt=plan.cuts,
            read=reads,
            on=plan.on,
            of=self.reader,
            by=plan.by,
            reference=tuple(broadcast(s, len(points), s.shape[1]) for s in starts),
            every_quantity=self.reader.across,
        )
        found = self.measured(job)
        if first:
            assert found.value is not None
            self.block.explained = as_numpy(found.value)[:, 0].astype(np.float64)
            self.block.classes, self.block.output = self.reader.classes(), table(found)
            for cut in plan.cuts:
                self.record[cut] = [a[0] for a in found.reads[cut].arrays]
            self.block.spots = [found.reads[cut].spots for cut in plan.cuts]
        return found

    def _add(self, found: Evidence, weights: np.ndarray) -> None:
        plan = self.plan
        assert found.value is not None and found.start is not None
        change = as_numpy(found.value).astype(np.float64) - as_numpy(found.start).astype(np.float64)
        some = np.einsum("kpn,p->kn", change, weights)
        self.change = some if not self.change.size else self.change + some
        for cut in plan.cuts:
            totals = self.total.setdefault(cut, [])
            for i, terms in enumerate(self._terms(found, cut)):
                xp = namespace(terms)
                if len(totals) == i:
                    totals.append([xp.accumulator(tuple(terms.shape[2:]), terms) for _ in range(terms.shape[0])])
                totals[i] = [xp.accumulate(t, terms[k], weights) for k, t in enumerate(totals[i])]

    def _terms(self, found: Evidence, cut: Cut) -> Leaves:
        """What every point adds, ``[quantities, points, records, ...]`` for each array at the cut."""
        grads, ends, starts = found.grads[cut], found.reads[cut].arrays, found.starts[cut]
        if self.plan.combine is not None:
            return combined(self.plan.combine, grads, ends, starts)
        if self.plan.multiply:
            return found.shares.get(cut) or [g * (x - x0)[None] for g, x, x0 in zip(grads, ends, starts, strict=True)]
        return grads


def combined(combine: Combine, grads: Leaves, ends: Leaves, starts: Leaves) -> Leaves:
    """What a function of the user's own makes of multipliers, values and reference values (as many of them as it takes), for each
    quantity and point: arrays ``[records, ...]``, tuples of them where the cut holds several. It returns as many, of the same shapes.

    Raises RuleError where it does not.
    """
    takes = [p for p in inspect.signature(combine).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wide, points, records = grads[0].shape[:3]
    ends, starts = ([broadcast(a, points, records) for a in leaves] for leaves in (ends, starts))
    made: list[list[Leaves]] = []
    for q in range(wide):
        made.append([])
        for p in range(points):
            given = ([g[q, p] for g in grads], [x[p] for x in ends], [x[p] for x in starts])
            found = combine(*(g[0] if len(g) == 1 else tuple(g) for g in given[: len(takes)]))
            leaves = [found] if len(grads) == 1 and not isinstance(found, (tuple, list)) else list(found)
            if [tuple(a.shape) for a in leaves] != [tuple(g.shape[2:]) for g in grads]:
                there = f"arrays of shape {', '.join(str(tuple(a.shape)) for a in leaves)}"
                shapes = ", ".join(str(tuple(g.shape[2:])) for g in grads)
                raise RuleError(f"combine={combine!r}", there=there, try_=f"a function that returns {shapes}", code="E-RULE-COMBINE")
            made[-1].append(leaves)
    xp = namespace(grads[0])
    return [xp.stack([xp.stack([leaves[i] for leaves in row], 0) for row in made], 0) for i in range(len(grads))]


def run_compared(plan: Plan, index: np.ndarray) -> Block:
    """Explain some records together under a rule that compares. Raises RuleError where there is nothing to compare with."""
    if baseline_of(plan.over) is None or any(isinstance(f, Line) for f in parts(plan.over)):
        raise RuleError(
            f"by={plan.by!r} compares the record with references",
            there=f"over={plan.over!r}",
            try_="over=asc.Reference(0.0) or over=asc.Background(rows)",
            code="E-RULE-REFERENCE",
        )
    return Comparison(plan, index).run()
