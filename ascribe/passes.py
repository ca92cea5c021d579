"""From a plan to numbers: points made, the model run over them in chunks, influence weighted and summed as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from .arrays import Array, as_numpy, namespace
from .backends.protocol import Evidence, Job, Session, Spot
from .baselines import Call, FromInput, Here, resolve, rows_of
from .cuts import INPUT, OUTPUT, Cut
from .distributions import Draws, Line, baseline_of, has_background
from .errors import DistributionError
from .quantities import Bound, Part, Quantity, scores
from .quadrature import nodes
from .rules import Rule
from .stream import Chunker, Progress, stream

Leaves = list[Array]
Reduce = Literal["mean", "square", "variance"]
"""What to make of the influence at all points: its mean, the mean of its square, or its variance."""
LEVELS = (4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Plan:
    """A request with everything about it settled: the cuts found, the quantities made, the draws known how to make."""

    session: Session
    quantities: tuple[Quantity, ...]
    cuts: tuple[Cut, ...]
    over: Any
    at: Cut
    on: Cut
    by: Rule
    seed: int
    multiply: bool
    reduce: Reduce
    chunker: Chunker
    progress: Progress

    @property
    def inner(self) -> tuple[Cut, ...]:
        """The attribution cuts other than the one where the points live."""
        return tuple(cut for cut in self.cuts if cut != self.at)


@dataclass
class Block:
    """What came of some records. Arrays are ``[quantities, records, ...]``; ``record`` holds those at the cuts, ``[records, ...]``."""

    index: np.ndarray
    values: list[list[Array]] = field(default_factory=list)
    record: list[list[Array]] = field(default_factory=list)
    spots: list[list[Spot]] = field(default_factory=list)
    explained: np.ndarray = field(default_factory=lambda: np.zeros(0))
    start: np.ndarray | None = None
    change: np.ndarray | None = None
    output: np.ndarray | None = None
    classes: np.ndarray | None = None
    steps: np.ndarray | None = None
    forward: int = 0
    backward: int = 0
    rows: int = 0


class Reader:
    """Reads the quantities off the model: bound at the records first, then the same for every point."""

    def __init__(self, plan: Plan, index: np.ndarray) -> None:
        self.plan, self.index = plan, index
        self.bound: list[Bound] = []

    def __call__(self, tree: Any, rows: np.ndarray) -> list[Array]:
        """One number per row for each quantity; the first call, at the records, binds them."""
        values = [scores(tree, q) for q in self.plan.quantities]
        if not self.bound:
            session = self.plan.session
            part = Part(self.index, session.records)
            self.bound = [q.bind(y, session.class_names, part) for q, y in zip(self.plan.quantities, values, strict=True)]
        local = rows - self.index[0]
        return [b(y) if b.same else b.take(local)(y) for b, y in zip(self.bound, values, strict=True)]

    def across(self, tree: Any, rows: np.ndarray) -> list[Array]:
        """For rows that stand for no record: every record's own quantity of each, ``quantities x records`` lists."""
        found = []
        for quantity, bound in zip(self.plan.quantities, self.bound, strict=True):
            y = scores(tree, quantity)
            if bound.same:
                found += [bound(y)] * len(self.index)
            else:
                found += [bound.take(np.full(len(rows), i))(y) for i in range(len(self.index))]
        return found

    def classes(self) -> np.ndarray | None:
        """The class of each record under each quantity, where all are classes."""
        all_classes = [b.classes for b in self.bound]
        return None if any(c is None for c in all_classes) else np.stack([np.asarray(c) for c in all_classes])


def run_block(plan: Plan, index: np.ndarray) -> Block:
    """Explain some records together."""
    draws_nothing = not hasattr(plan.over, "factors") and type(plan.over).__name__ == "Point"
    return at_record(plan, index) if draws_nothing else Pass(plan, index).run()


def at_record(plan: Plan, index: np.ndarray) -> Block:
    """Value and influence at the records themselves: one pass, nothing written."""
    reader = Reader(plan, index)
    reads = tuple(dict.fromkeys((*plan.cuts, *([OUTPUT] if plan.on == OUTPUT else []))))
    job = Job(index, wrt=plan.cuts, read=reads, on=plan.on, of=reader, by=plan.by)
    found = evaluate(plan.session, job)
    block = Block(index, forward=found.forward, backward=found.backward, rows=len(index))
    assert found.value is not None
    block.explained = as_numpy(found.value)[:, 0].astype(np.float64)
    block.classes, block.output = reader.classes(), table(found)
    for cut in plan.cuts:
        reading = found.reads[cut]
        here = [a[0] for a in reading.arrays]
        grads = [g[:, 0] for g in found.grads[cut]]
        block.values.append([g * x[None] for g, x in zip(grads, here, strict=True)] if plan.multiply else grads)
        block.record.append(here)
        block.spots.append(reading.spots)
    plan.progress.advance(len(index))
    return block


def table(found: Evidence) -> np.ndarray | None:
    """The model's output as ``[records, classes]``, when it is one floating array of that form."""
    reading = found.reads.get(OUTPUT)
    if reading is None:
        return None
    flat = [a for s, a in zip(reading.spots, reading.arrays, strict=True) if s.path in ((), ("logits",)) and a.ndim == 3]
    return as_numpy(flat[0])[0].astype(np.float64) if len(flat) == 1 else None


def evaluate(session: Session, job: Job) -> Evidence:
    """Evaluate a job; when one point of several records does not fit, in two halves of the records."""
    try:
        return session.evaluate(job)
    except Exception as error:
        if not session.out_of_memory(error) or job.points > 1 or job.records == 1 or not session.splits():
            raise
    middle = job.records // 2
    halves = [evaluate(session, replace(job, index=job.index[cut], write=tuple(w[:, cut] for w in job.write)))
              for cut in (slice(None, middle), slice(middle, None))]
    return side_by_side(session, halves)


def side_by_side(session: Session, halves: Sequence[Evidence]) -> Evidence:
    """Evidence about some records and about others as that about all of them."""
    first = halves[0]
    cat = session.xp.concat
    value = None if first.value is None else cat([h.value for h in halves], 2)
    grads = {cut: [cat([h.grads[cut][i] for h in halves], 2) for i in range(len(g))] for cut, g in first.grads.items()}
    reads = {cut: replace(r, arrays=[cat([h.reads[cut].arrays[i] for h in halves], 1) for i in range(len(r.arrays))])
             for cut, r in first.reads.items()}
    return Evidence(value, grads, reads, sum(h.forward for h in halves), sum(h.backward for h in halves))


class Pass:
    """Some records over the points of a distribution."""

    def __init__(self, plan: Plan, index: np.ndarray) -> None:
        self.plan, self.index, self.session = plan, index, plan.session
        self.reader = Reader(plan, index)
        self.block = Block(index)
        self.x: Leaves = []
        self.spots: tuple[Spot, ...] = ()
        self.begin: Leaves | None = None
        self.rows: Leaves | None = None
        self.record: dict[Cut, Leaves] = {}

    def run(self) -> Block:
        plan = self.plan
        self._look()
        self._start()
        if getattr(plan.over, "tolerance", None) is not None:
            self._adapt(plan.over)
        else:
            draws = plan.over.draw(plan.seed, len(self.rows[0]) if self.rows is not None else 0)
            ends = self._ends(draws)
            sums = Sums(self, draws, ends)
            sums.run(self.index)
            self.block.values = sums.values()
            self.block.change = self._change(draws, sums, ends)
            self.block.steps = np.full(len(self.index), len(draws))
        self.block.record = [self.record[cut] for cut in plan.cuts]
        return self.block

    def evaluate(self, **job: Any) -> Evidence:
        """Evaluate a job for this block's records unless it says others, and count what it cost."""
        made = Job(**{"index": self.index, **job})
        found = evaluate(self.session, made)
        self.count(found, made)
        return found

    def count(self, found: Evidence, job: Job) -> None:
        self.block.forward += found.forward
        self.block.backward += found.backward
        self.block.rows += job.points * job.records

    def _look(self) -> None:
        """The records themselves, run once: values at every cut, the prediction, the quantities bound."""
        plan = self.plan
        reads = tuple(dict.fromkeys((plan.at, *plan.cuts, *([OUTPUT] if plan.on == OUTPUT else []))))
        found = self.evaluate(read=reads, on=plan.on, of=self.reader)
        assert found.value is not None
        self.block.explained = as_numpy(found.value)[:, 0].astype(np.float64)
        self.block.classes, self.block.output = self.reader.classes(), table(found)
        for cut in (plan.at, *plan.cuts):
            self.record[cut] = [a[0] for a in found.reads[cut].arrays]
        self.block.spots = [found.reads[cut].spots for cut in plan.cuts]
        self.spots, self.x = tuple(found.reads[plan.at].spots), self.record[plan.at]

    def _start(self) -> None:
        """Where paths start: one array per array at the cut, or the rows of a background."""
        baseline = baseline_of(self.plan.over)
        fit = rows_of if has_background(self.plan.over) else resolve
        if isinstance(baseline, FromInput):
            source = self.session.resolve(INPUT, True)
            start = fit(baseline.baseline, self._here(source))
            found = start if source == self.plan.at else self._carried(source, start, fit is rows_of)
        elif baseline is not None:
            found = fit(baseline, self._here(self.plan.at))
        else:
            return
        self.rows, self.begin = (found, None) if fit is rows_of else (None, found)

    def _here(self, cut: Cut) -> Here:
        """What a baseline at a cut is fitted to."""
        spots, values = self.spots, self.x
        if cut != self.plan.at:
            reading = self.evaluate(read=(cut,)).reads[cut]
            spots, values = tuple(reading.spots), [a[0] for a in reading.arrays]
        session = self.session
        return Here(values, session.names(spots), self.index, session.records, session.call, self._other, self.plan.seed)

    def _carried(self, source: Cut, start: Leaves, rows: bool) -> Leaves:
        """Starts at the inputs, run forward to the cut where the path is.

        Raises DistributionError for rows beside other arguments that belong to records: which record's would a row take?
        """
        spots = tuple(self.evaluate(read=(source,)).reads[source].spots)
        if not rows:
            write = tuple(broadcast(b[None], 1, len(self.index)) for b in start)
            found = self.evaluate(at=source, spots=spots, write=write, read=(self.plan.at,))
            return [a[0] for a in found.reads[self.plan.at].arrays]
        if not self.session.replaces_all(source):
            raise DistributionError("rows for the inputs, with other arguments that belong to the records",
                                    there=f"a path at {self.plan.at!r}", try_="Background(asc.Call(rows, ...), at=...) with all arguments")
        write = tuple(r[:, None] for r in start)
        found = self.evaluate(index=self.index[:1], points=len(start[0]), at=source, spots=spots, write=write, read=(self.plan.at,))
        return [a[:, 0] for a in found.reads[self.plan.at].arrays]

    def _other(self, call: Call) -> Leaves:
        """The value at the cut when the model is called with other arguments."""
        with self.session.another(call) as other:
            at = other.resolve(self.plan.at, True)
            job = Job(np.arange(other.records), read=(at,))
            found = other.evaluate(job)
            self.count(found, job)
            return [a[0] for a in found.reads[at].arrays]

    def _ends(self, draws: Draws) -> Callable[[np.ndarray], Leaves]:
        """Where paths end: the records, or the records displaced; ``[points or 1, records, ...]`` for given points."""
        noise = draws.noise
        if noise is None:
            still = [x[None] for x in self.x]
            return lambda points: still
        spans = [spread_of(x) if noise.relative else None for x in self.x]

        def displaced(points: np.ndarray) -> Leaves:
            found = []
            for i, (x, span) in enumerate(zip(self.x, spans, strict=True)):
                e = namespace(x).asarray(np.stack([noise.draw(int(k), i, tuple(x.shape[1:])) for k in points])[:, None], x)
                found.append(x[None] + (e if span is None else e * span[None]))
            return found

        return displaced

    def starts(self, draws: Draws, points: np.ndarray) -> Leaves | None:
        """Where paths start, ``[points or 1, records or 1, ...]``."""
        if self.rows is not None:
            assert draws.row is not None
            return [r[draws.row[points]][:, None] for r in self.rows]
        return None if self.begin is None else [b[None] for b in self.begin]

    def values_at(self, write: Leaves, points: int, of: Any = None, read: tuple[Cut, ...] = ()) -> Evidence:
        """The quantity, and values at other cuts, with some value written: forward only."""
        full = tuple(broadcast(w, points, len(self.index)) for w in write)
        return self.evaluate(points=points, at=self.plan.at, spots=self.spots, write=full, read=read, on=self.plan.on if of else None, of=of)

    def _change(self, draws: Draws, sums: Sums, ends: Callable[[np.ndarray], Leaves]) -> np.ndarray | None:
        """The change of the quantity along the paths, averaged over them, ``[quantities, records]``; None without a start."""
        if not self.plan.multiply or (self.begin is None and self.rows is None):
            return None
        last = self.block.explained
        if draws.noise is not None:
            last = self._mean_value(draws, ends, getattr(draws.noise, "each", 1))
        if self.rows is not None:
            return last - self._row_values(draws)
        if sums.first is None:
            sums.first = self.start_value()
        self.block.start = sums.first
        return last - sums.first

    def start_value(self) -> np.ndarray:
        """The quantity at the baseline, ``[quantities, records]``."""
        assert self.begin is not None
        found = self.values_at([b[None] for b in self.begin], 1, self.reader)
        return as_numpy(found.value)[:, 0].astype(np.float64)

    def _mean_value(self, draws: Draws, ends: Callable[[np.ndarray], Leaves], each: int) -> np.ndarray:
        points = np.arange(0, len(draws), each)
        total = np.zeros_like(self.block.explained)
        for some in self.chunks(points):
            found = self.values_at(ends(some), len(some), self.reader)
            total += as_numpy(found.value).astype(np.float64).sum(1)
        return total / len(points)

    def chunks(self, points: np.ndarray) -> Iterator[np.ndarray]:
        """Points in runs of as many as fit beside this block's records."""
        size = max(1, self.plan.chunker.size // len(self.index))
        for k in range(0, len(points), size):
            yield points[k : k + size]

    def _row_values(self, draws: Draws) -> np.ndarray:
        """The mean of the quantity over the background's rows that were drawn, ``[quantities, records]``.

        Where the rows replace everything that a record brings to the model, they are run once and not once per record.
        """
        assert self.rows is not None and draws.row is not None
        used, times = np.unique(draws.row, return_counts=True)
        weights = times / times.sum()
        shape = self.block.explained.shape
        alone = self.session.splits() and self.session.replaces_all(self.plan.at)
        total = np.zeros(shape)
        for some in self.chunks(np.arange(len(used))) if not alone else [np.arange(len(used))]:
            write = [r[used[some]][:, None] for r in self.rows]
            if alone:
                job = {"index": self.index[:1], "points": len(some), "at": self.plan.at, "spots": self.spots, "write": tuple(write)}
                found = self.evaluate(**job, on=self.plan.on, of=self.reader.across)
                values = as_numpy(found.value)[:, :, 0].reshape(*shape, -1).transpose(0, 2, 1)
            else:
                values = as_numpy(self.values_at(write, len(some), self.reader).value)
            total += np.einsum("kpn,p->kn", values.astype(np.float64), weights[some])
        return total

    def _adapt(self, line: Line) -> None:
        """More and more points for the records whose gap is still too large."""
        assert self.begin is not None and line.tolerance is not None
        self.block.start = self.start_value()
        change = self.block.explained - self.block.start
        n = len(self.index)
        values: list[list[Array]] = []
        self.block.steps = np.zeros(n, dtype=int)
        active = np.arange(n)
        for level in [k for k in LEVELS if k <= (line.steps or LEVELS[-1])] or [line.steps]:
            position, weight = nodes("gauss-legendre", int(level or 1))
            draws = Draws(weight, position)
            sums = Sums(self, draws, self._ends(draws), active)
            sums.run(self.index[active])
            found = sums.values()
            values = found if not values else put(values, found, active)
            self.block.steps[active] += len(draws)
            gap = np.abs(sum_all(found) - change[:, active])
            scale = np.maximum(np.abs(change[:, active]), 1e-6 * np.abs(self.block.explained[:, active]) + 1e-30)
            open_ = (gap > line.tolerance * scale).any(0) if self.plan.multiply else np.zeros(len(active), bool)
            if not open_.any():
                break
            active = active[open_] if self.session.splits() else active
        self.block.values, self.block.change = values, change


class Sums:
    """The weighted sum of influence over points, kept as one array per array at each cut and quantity."""

    def __init__(self, run: Pass, draws: Draws, ends: Callable[[np.ndarray], Leaves], part: np.ndarray | None = None) -> None:
        self.run_, self.draws, self.ends = run, draws, ends
        self.plan = run.plan
        self.part = np.arange(len(run.index)) if part is None else part
        self.first: np.ndarray | None = None
        self.total: dict[Cut, list[list[Array]]] = {}
        self.carry: dict[Cut, tuple[Leaves, Leaves]] = {}
        self.middle: dict[Cut, Leaves] = {}
        self.index = run.index
        self.measured = False

    def run(self, index: np.ndarray) -> None:
        """Go through all points in chunks."""
        self.index = index
        session, plan = self.plan.session, self.plan
        stream(len(self.draws), len(index), plan.chunker, self.step, wait=session.wait, out_of_memory=session.out_of_memory,
               progress=plan.progress)

    def step(self, first: int, last: int) -> None:
        """One chunk: make the points, run them, add what came."""
        plan, run = self.plan, self.run_
        points = np.arange(first, last)
        ends, starts = self._local(self.ends(points)), self._local(run.starts(self.draws, points))
        write = tuple(broadcast(z, len(points), len(self.index)) for z in between(starts, ends, self.draws, points))
        reads = plan.inner if self.draws.stepwise else ()
        job = Job(self.index, len(points), plan.at, run.spots, write, plan.cuts, reads, plan.on, run.reader, plan.by)
        found = self._evaluated(job)
        distances = self._moving(points, ends, starts) if plan.multiply and self.draws.moves else {}
        if first == 0 and self.draws.position is not None and self.draws.position[0] == 0 and self.draws.row is None:
            self.first = as_numpy(found.value)[:, 0].astype(np.float64)
        for cut in plan.cuts:
            if self.draws.stepwise and plan.multiply:
                self._piecewise(cut, found.grads[cut], list(write) if cut == plan.at else found.reads[cut].arrays)
            else:
                grads = found.grads[cut]
                if distances:
                    grads = [g * d[None] for g, d in zip(grads, distances[cut], strict=True)]
                self._add(cut, grads, self.draws.weight[first:last])

    def _evaluated(self, job: Job) -> Evidence:
        """Evaluate; the first chunk ever also counts its memory, which caps the chunks to come."""
        run, plan = self.run_, self.plan
        if plan.chunker.settled or plan.chunker.limit is not None:
            found = evaluate(plan.session, job)
        else:
            found, held = plan.session.held(job)
            if held:
                plan.chunker.cap(max(1, plan.session.spare_memory() * job.points * job.records // held))
        run.count(found, job)
        return found

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
            if self.draws.noise is not None:
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
        totals = self.total.setdefault(cut, [])
        for i, g in enumerate(grads):
            xp = namespace(g)
            if len(totals) == i:
                totals.append([xp.accumulator(tuple(g.shape[2:]), g) for _ in range(g.shape[0])])
            totals[i] = [xp.accumulate(t, g[k], weights) for k, t in enumerate(totals[i])]

    def _piecewise(self, cut: Cut, grads: Leaves, values: Leaves) -> None:
        """The trapezoid rule along the path's image: mean of neighbouring influences times the step between them."""
        if cut in self.carry:
            before_g, before_v = self.carry[cut]
            cat = self.plan.session.xp.concat
            grads = [cat([b, g], 1) for b, g in zip(before_g, grads, strict=True)]
            values = [cat([b, v], 0) for b, v in zip(before_v, values, strict=True)]
        self.carry[cut] = [g[:, -1:] for g in grads], [v[-1:] for v in values]
        if grads[0].shape[1] > 1:
            pieces = [(g[:, 1:] + g[:, :-1]) / 2 * (v[1:] - v[:-1])[None] for g, v in zip(grads, values, strict=True)]
            self._add(cut, pieces, np.ones(pieces[0].shape[1]))

    def values(self) -> list[list[Array]]:
        """The sums, times the distance where that is the same at every point: per cut, ``[quantities, records, ...]`` each."""
        plan, run = self.plan, self.run_
        fixed = plan.multiply and not self.draws.moves and not self.draws.stepwise
        distance = self._fixed() if fixed else {}
        found = []
        for cut in plan.cuts:
            stacked = [namespace(t[0]).stack(t, 0) for t in self.total[cut]]
            if plan.reduce == "variance":
                half = len(stacked) // 2
                stacked = [squares - mean * mean for mean, squares in zip(stacked[:half], stacked[half:], strict=True)]
            if fixed:
                stacked = [s * d[None] for s, d in zip(stacked, distance[cut], strict=True)]
            found.append([namespace(s).cast(s, x) for s, x in zip(stacked, run.record[cut], strict=True)])
        return found

    def _fixed(self) -> dict[Cut, Leaves]:
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


def between(starts: Leaves, ends: Leaves, draws: Draws, points: np.ndarray) -> Leaves:
    """The points on the way from start to end; the ends themselves where there is no line."""
    if draws.position is None:
        return ends
    found = []
    for s, e in zip(starts, ends, strict=True):
        a = namespace(e).asarray(draws.position[points].reshape(-1, *[1] * (e.ndim - 1)), e)
        found.append(s + a * (e - s))
    return found


def broadcast(a: Array, points: int, records: int) -> Array:
    """``[points or 1, records or 1, ...]`` in full."""
    return namespace(a).broadcast_to(a, (points, records, *a.shape[2:]))


def spread_of(x: Array) -> Array:
    """Each record's largest value less its smallest, shaped to multiply it."""
    xp = namespace(x)
    axes = tuple(range(1, x.ndim))
    return (xp.amax(x, axes) + xp.amax(-x, axes)).reshape(-1, *[1] * (x.ndim - 1))


def put(values: list[list[Array]], found: list[list[Array]], part: np.ndarray) -> list[list[Array]]:
    """Values with those of some records replaced."""
    for old, new in zip(values, found, strict=True):
        for a, b in zip(old, new, strict=True):
            a[:, part] = b
    return values


def sum_all(values: list[list[Array]]) -> np.ndarray:
    """Everything a record's values add up to, over all arrays of the first cut, ``[quantities, records]`` in double precision."""
    return np.sum([as_numpy(v).astype(np.float64).reshape(v.shape[0], v.shape[1], -1).sum(-1) for v in values[0]], axis=0)


