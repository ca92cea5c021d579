"""Records over the points of a distribution: where paths start and end, the change along them, more points where needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Array, as_numpy, namespace
from ...backends.protocol import ArrayAt, Evidence, Job
from ...calls.call import Call
from ...cuts import OUTPUT, Cut
from ...distributions.background_rows import OwnRows, Rows, SharedRows
from ...distributions.baselines import FromInput, Here, called, points_of, refuse_other_ids, resolve, rows_of
from ...distributions.members import Draws, Line, Point, baseline_of, has_background, samples_of
from ...distributions.quadrature import nodes
from ...distributions.shuffles import own_rows
from ...errors import CutError, DistributionError
from ...utils.completeness import scale_of
from ..plan import Block, Leaves, Plan, Reader, at_record, broadcast, sum_all, table
from .accumulate import Sums

LEVELS = (4, 8, 16, 32, 64, 128, 256, 512)
FROM = 32
"""Points from which a record is given up whose gap nothing between the points accounts for."""
FEW = 8
"""Records on which it is tried whether a layer can be written at."""
HOPELESS = 4.0
"""Times the bend of the quantity between the points: a larger gap is not made by the number of points."""


def run_block(plan: Plan, index: np.ndarray) -> Block:
    """Explain some records together."""
    return at_record(plan, index) if isinstance(plan.over, Point) else Pass(plan, index).run()


class Pass:
    """Some records over the points of a distribution."""

    def __init__(self, plan: Plan, index: np.ndarray) -> None:
        self.plan, self.index, self.session = plan, index, plan.session
        self.reader = Reader(plan, index)
        self.block = Block(index)
        self.x: Leaves = []
        self.spots: tuple[ArrayAt, ...] = ()
        self.begin: Leaves | None = None
        self.rows: Rows | None = None
        self.record: dict[Cut, Leaves] = {}

    def run(self) -> Block:
        plan = self.plan
        self._look()
        self._start()
        if getattr(plan.over, "tolerance", None) is not None:
            self._adapt(plan.over)
        else:
            draws = self._draws()
            self.block.steps = np.full(len(self.index), len(draws))
            draws = self._with_start(draws)
            ends = self._ends(draws)
            sums = Sums(self, draws, ends)
            sums.run(self.index)
            self.block.values = sums.values()
            self.block.bend = None if sums.course is None else sums.course.bend
            self.block.change = self._change(draws, sums, ends)
            if plan.bare:
                self.block.explained = np.full(self.block.values[0][0].shape[:2], np.nan)
        self.block.record = [self.record[cut] for cut in plan.cuts]
        return self.block

    def _draws(self) -> Draws:
        found: Draws = self.plan.over.draw(self.plan.seed, self.rows.count if self.rows is not None else 0)
        return found

    def _with_start(self, draws: Draws) -> Draws:
        """At a layer, the start of a line rides along as a point without weight: the part before the layer is not run for it again."""
        if not (self.plan.at.layer and self.plan.multiply and self.begin is not None) or draws.position is None or draws.moves:
            return draws
        if draws.stepwise or draws.position[0] == 0 or self.plan.inner or self.plan.bare:
            return draws
        return Draws(np.concatenate([[0.0], draws.weight]), np.concatenate([[0.0], draws.position]))

    def evaluate(self, **job: Any) -> Evidence:
        """Evaluate a job for this block's records unless it says others, and count what it cost."""
        made = Job(**{"index": self.index, "quantity_key": self.plan.kinds, **job})
        found = self.session.evaluate(made)
        self.count(found, made)
        return found

    def measured(self, job: Job) -> Evidence:
        """Evaluate a chunk of points; the first ever also counts its memory, which caps the chunks to come."""
        plan = self.plan
        if plan.chunker.settled or plan.chunker.limit is not None:
            found = self.session.evaluate(job)
        else:
            found = self.session.evaluate(replace(job, count_bytes=True))
            if found.bytes_kept:
                plan.chunker.cap(max(1, self.session.device.spare_memory() * job.points * job.records // found.bytes_kept))
        self.count(found, job)
        self.block.unruled.update(found.unruled)
        self.block.trace.add(found.trace)
        return found

    def count(self, found: Evidence, job: Job) -> None:
        self.block.forward += found.forward
        self.block.backward += found.backward
        self.block.rows += job.points * job.records

    def _look(self) -> None:
        """The records themselves, run once: values at every cut, the prediction, the quantities bound; bare, no further than the cuts."""
        plan = self.plan
        wanted = () if plan.bare or plan.on != OUTPUT else (OUTPUT,)
        reads = tuple(dict.fromkeys((plan.at, *plan.cuts, *wanted)))
        found = self.evaluate(read=reads) if plan.bare else self.evaluate(read=reads, on=plan.on, of=self.reader)
        if found.value is not None:
            self.block.explained = as_numpy(found.value)[:, 0].astype(np.float64)
            self.block.classes, self.block.output = self.reader.classes(), table(found)
        for cut in (plan.at, *plan.cuts):
            self.record[cut] = [a[0] for a in found.reads[cut].arrays]
        self.block.spots = [found.reads[cut].spots for cut in plan.cuts]
        self.spots, self.x = tuple(found.reads[plan.at].spots), self.record[plan.at]
        if plan.at.layer:
            self.check_writable(plan.at, self.spots, self.x)

    def check_writable(self, at: Cut, spots: Sequence[ArrayAt], x: Leaves) -> None:
        """Write at a layer what is there anyway: the quantity must not move. Eight records show it, where they can be run apart.

        Raises CutError where it does: the layer works in place on something that others rely on.
        """
        if self.session.facts.weights.writable.get((at, self.plan.on)):
            return
        some = np.arange(len(self.index))
        if len(some) > FEW and not self.plan.on.layer and self.plan.apart() and all(a.shape[0] == len(some) for a in x):
            some = np.linspace(0, len(some) - 1, FEW).astype(int)
        write = tuple(broadcast(a[some][None] if len(a) == len(self.index) else a[None], 1, len(some)) for a in x)
        job = {"index": self.index[some], "at": at, "spots": tuple(spots), "write": write}
        back = as_numpy(self.evaluate(**job, on=self.plan.on, of=self.reader).value)[:, 0]
        scale = np.abs(self.block.explained).max() + 1e-30
        if not np.allclose(back, self.block.explained[:, some], rtol=0, atol=1e-3 * scale, equal_nan=True):
            raise CutError(
                f"writing at {at!r} changes more than what flows through it: another branch relies on it being changed in place",
                try_="the cut where that value is made, or the layer without inplace=True",
                code="E-CUT-ALIAS",
            )
        self.session.facts.weights.writable[at, self.plan.on] = True

    def _start(self) -> None:
        """Where paths start: one array per array at the cut, or the rows of a background."""
        baseline = baseline_of(self.plan.over)
        fit = rows_of if has_background(self.plan.over) else resolve
        inner = baseline.baseline if isinstance(baseline, FromInput) else baseline
        if own_rows(inner):
            self.rows = OwnRows(partial(self._own, inner), samples_of(self.plan.over) or inner.samples)
            return
        if isinstance(baseline, FromInput):
            found = self._from_input(called(inner, self.session.call), fit)
        elif baseline is not None:
            given = called(baseline, self.session.call)
            if isinstance(given, Call) and not self.plan.at.layer:
                refuse_other_ids(given, self.session.call)
            found = fit(given, self._here(self.plan.at))
        else:
            return
        self.rows, self.begin = (SharedRows(found), None) if fit is rows_of else (None, found)

    def _from_input(self, inner: Any, fit: Callable[[Any, Here], Leaves]) -> Leaves:
        """What the cut holds where the inputs are a baseline: in another call of the model, or run forward from the inputs."""
        at = self.plan.at
        if isinstance(inner, Call):
            return fit(inner, self._here(at))
        source = self.session.cut_info(at).source()
        start = fit(inner, self._here(source))
        return start if source == at else self._carried(source, start, fit is rows_of)

    def _own(self, maker: Any, sample: int) -> Leaves:
        """A row for each record, made out of it; at a layer, what that holds then."""
        plan, session = self.plan, self.session
        if not plan.at.layer:
            return [maker.rows(x, i, plan.seed, sample) for i, x in enumerate(self.x)]
        source = session.cut_info(plan.at).source()
        if source.layer:  # token ids
            return [a[self.index] for a in self._other(plan.at, maker.call(session.call, plan.seed, sample))]
        rows = [maker.rows(x, i, plan.seed, sample) for i, x in enumerate(self._here(source).values)]
        return self._carried(source, rows, False)

    def _here(self, cut: Cut) -> Here:
        """What a baseline at a cut is fitted to."""
        spots, values = self.spots, self.x
        if cut != self.plan.at:
            reading = self.evaluate(read=(cut,)).reads[cut]
            spots, values = tuple(reading.spots), [a[0] for a in reading.arrays]
        session = self.session
        return Here(
            values,
            session.names(spots),
            self.index,
            session.records,
            session.call,
            partial(self._other, cut),
            self.plan.seed,
            [spot.axis for spot in spots],
            bool(cut.layer),
        )

    def _carried(self, source: Cut, start: Leaves, rows: bool) -> Leaves:
        """Starts at the inputs, run forward to the cut where the path is.

        Raises DistributionError for rows beside other arguments that belong to records: which record's would a row take?
        """
        spots = tuple(self.evaluate(read=(source,)).reads[source].spots)
        if not rows:
            index = self.index[:1] if self._alone(start, source) else self.index
            write = tuple(broadcast(b[None], 1, len(index)) for b in start)
            found = self.evaluate(index=index, at=source, spots=spots, write=write, read=(self.plan.at,))
            return [a[0] for a in found.reads[self.plan.at].arrays]
        if not self.session.cut_info(source).replaces_all():
            raise DistributionError(
                "rows for the inputs, with other arguments that belong to the records",
                there=f"a path at {self.plan.at!r}",
                try_="Background(asc.Call(rows, ...), at=...) with all arguments",
            )
        parts: list[Leaves] = []
        for some in self.chunks(np.arange(len(start[0])), 1):
            write = tuple(r[some][:, None] for r in start)
            found = self.evaluate(index=self.index[:1], points=len(some), at=source, spots=spots, write=write, read=(self.plan.at,))
            parts.append([a[:, 0] for a in found.reads[self.plan.at].arrays])
        return [self.session.xp.concat(list(arrays), 0) for arrays in zip(*parts, strict=True)]

    def _alone(self, start: Leaves, at: Cut) -> bool:
        """Whether one row stands for the baselines of all records: it is the same, and leaves nothing of them in the call.

        Only where the output is explained: to ask whether records run apart takes the whole model.
        """
        same = all(b.shape[0] == 1 for b in start) and not self.plan.on.layer
        return same and self.session.cut_info(at).replaces_all() and self.plan.apart()

    def _other(self, cut: Cut, call: Call) -> Leaves:
        """The value at a cut when the model is called with other arguments."""
        with self.session.another(call.after(self.session.call)) as other:
            job = Job(np.arange(other.records), read=(cut,))
            found = other.evaluate(job)
            self.count(found, job)
            return [a[0] for a in found.reads[cut].arrays]

    def _ends(self, draws: Draws) -> Callable[[np.ndarray], Leaves]:
        """Where paths end: the records, the records displaced, or the user's points; ``[points or 1, records, ...]``."""
        if draws.given:
            own = points_of(self.plan.over.values, self._here(self.plan.at))
            return lambda points: [p[points] for p in own]
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
            return self.rows.at(draws.row[points])
        return None if self.begin is None else [b[None] for b in self.begin]

    def values_at(self, write: Leaves, points: int, of: Any = None, read: tuple[Cut, ...] = ()) -> Evidence:
        """The quantity, and values at other cuts, with some value written: forward only."""
        full = tuple(broadcast(w, points, len(self.index)) for w in write)
        return self.evaluate(
            points=points, at=self.plan.at, spots=self.spots, write=full, read=read, on=self.plan.on if of else None, of=of
        )

    def _change(self, draws: Draws, sums: Sums, ends: Callable[[np.ndarray], Leaves]) -> np.ndarray | None:
        """The change of the quantity along the paths, averaged over them, ``[quantities, records]``; None without a start."""
        if self.plan.bare or not self.plan.multiply or (self.begin is None and self.rows is None):
            return None
        last: np.ndarray = self.block.explained
        if draws.noise is not None:
            last = self._mean_value(draws, ends, getattr(draws.noise, "each", 1))
        if self.rows is not None:
            total: np.ndarray = last - self._row_values(draws)
            return total
        change: np.ndarray = last - (sums.first if sums.first is not None else self.start_value())
        return change

    def start_value(self) -> np.ndarray:
        """The quantity at the baseline, ``[quantities, records]``."""
        assert self.begin is not None
        write = [b[None] for b in self.begin]
        if self._alone(self.begin, self.plan.at):
            return self._values_alone(write)[:, 0]
        return as_numpy(self.values_at(write, 1, self.reader).value)[:, 0].astype(np.float64)

    def _values_alone(self, rows: Leaves) -> np.ndarray:
        """The quantities of every record at rows ``[rows, 1, ...]`` that belong to none of them, ``[quantities, rows, records]``."""
        index, count = self.index[:1], len(rows[0])
        job = {"index": index, "points": count, "at": self.plan.at, "spots": self.spots, "write": tuple(rows)}
        found = self.evaluate(**job, on=self.plan.on, of=self.reader.across)
        values = as_numpy(found.value)[:, :, 0].astype(np.float64)
        return values.reshape(*self.block.explained.shape, count).transpose(0, 2, 1)

    def _mean_value(self, draws: Draws, ends: Callable[[np.ndarray], Leaves], each: int) -> np.ndarray:
        points = np.arange(0, len(draws), each)
        total = np.zeros_like(self.block.explained)
        for some in self.chunks(points, len(self.index)):
            found = self.values_at(ends(some), len(some), self.reader)
            total += as_numpy(found.value).astype(np.float64).sum(1)
        return total / len(points)

    def chunks(self, points: np.ndarray, records: int) -> Iterator[np.ndarray]:
        """Points in runs of as many as fit beside this number of records."""
        size = max(1, self.plan.chunker.size // records)
        for k in range(0, len(points), size):
            yield points[k : k + size]

    def _row_values(self, draws: Draws) -> np.ndarray:
        """The mean of the quantity over the background's rows that were drawn, ``[quantities, records]``.

        Where the rows replace everything that a record brings to the model, they are run once and not once per record.
        """
        assert self.rows is not None and draws.row is not None
        used, times = np.unique(draws.row, return_counts=True)
        weights = times / times.sum()
        alone = self.rows.shared and self.session.cut_info(self.plan.at).replaces_all() and self.plan.apart()
        total = np.zeros_like(self.block.explained)
        for some in self.chunks(np.arange(len(used)), 1 if alone else len(self.index)):
            write = self.rows.at(used[some])
            values = self._values_alone(write) if alone else as_numpy(self.values_at(write, len(some), self.reader).value)
            total += np.einsum("kpn,p->kn", values.astype(np.float64), weights[some])
        return total

    def _adapt(self, line: Line) -> None:
        """More and more points for the records whose gap is still too large, as long as more points can make it smaller.

        Raises DistributionError for values elsewhere than where the line is: they need not add up, so no gap would stop it.
        """
        assert self.begin is not None and line.tolerance is not None
        if self.plan.cuts != (self.plan.at,):
            asked, line_at = ", ".join(map(repr, self.plan.cuts)), repr(self.plan.at)
            raise DistributionError(
                f"tolerance= with the attribution at {asked}", there=f"a line at {line_at}", try_="steps=, or at= both the same"
            )
        change = self.block.explained - self.start_value()
        n = len(self.index)
        values: list[list[Array]] = []
        self.block.steps = np.zeros(n, dtype=int)
        active = np.arange(n)
        bend = np.full((2, *change.shape), np.inf)
        most = line.steps or LEVELS[-1]
        for level in [k for k in LEVELS if k <= most] or [most]:
            position, weight = nodes("gauss-legendre", level)
            draws = Draws(weight, position)
            sums = Sums(self, draws, self._ends(draws), active)
            sums.run(self.index[active])
            found = sums.values()
            values = found if not values else put(values, found, active)
            self.block.steps[active] += len(draws)
            added = found[0] if self.plan.multiply else [v * d[None] for v, d in zip(found[0], sums.fixed()[self.plan.at], strict=True)]
            gap = np.abs(sum_all(added) - change[:, active])
            size = np.sum([namespace(a).sizes(a, 2) for a in added], axis=0)
            scale = scale_of(size, change[:, active], self.block.explained[:, active], namespace(added[0]).eps(added[0]))
            open_ = gap > line.tolerance * scale
            if open_.any():
                assert sums.course is not None
                bend[:, :, active] = sums.course.bend()
                open_ &= (gap <= HOPELESS * bend[0][:, active]) | (level < FROM)
            if not open_.any():
                break
            active = active[open_.any(0)] if self.plan.apart() else active
        self.block.values, self.block.change = values, change if self.plan.multiply else None
        self.block.bend = lambda: bend


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
