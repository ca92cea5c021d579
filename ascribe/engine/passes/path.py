"""The path pass: influence averaged over the points of a distribution, the change along the paths, more points where needed."""

from __future__ import annotations

from typing import cast

import numpy as np

from ...arrays import Array, as_numpy, namespace
from ...distributions.draws import Draws
from ...distributions.members import Line
from ...distributions.quadrature import quadrature_nodes
from ...errors import DistributionError
from ...utils.completeness import gap_scale
from ..batch import Batch, sum_all
from ..plan import Plan
from .accumulate import Accumulator
from .records import Records
from .starts import Ends, Starts, draw_points, find_ends, find_starts

LEVELS = (4, 8, 16, 32, 64, 128, 256, 512)
FROM = 32
"""Points from which a record is given up whose gap nothing between the points accounts for."""
HOPELESS = 4.0
"""Times the bend of the quantity between the points: a larger gap is not made by the number of points."""


def run_path(plan: Plan, index: np.ndarray) -> Batch:
    """Returns the influence of some records, averaged over the points of a distribution."""
    records = Records(plan, index)
    records.read()
    return PathPass(records, find_starts(records)).run()


class PathPass:
    """Some records over the points of a distribution."""

    def __init__(self, records: Records, starts: Starts) -> None:
        self.records, self.starts, self.plan, self.batch = records, starts, records.plan, records.batch

    def run(self) -> Batch:
        """Returns the batch with values, change and number of points."""
        batch, records = self.batch, self.records
        if self.plan.request.tolerance is not None:
            self._adapt(cast(Line, self.plan.request.over))
            return batch
        draws = draw_points(records, self.starts)
        batch.steps = np.full(len(records.index), len(draws))
        if self.plan.at.layer and draws.position is not None:
            draws = self._with_start(draws)
        ends = find_ends(records, draws)
        accumulator = Accumulator(records, self.starts, draws, ends)
        accumulator.run(records.index)
        batch.values = accumulator.values()
        batch.bend = None if accumulator.course is None else accumulator.course.bend
        batch.change = self._change(draws, accumulator, ends)
        if self.plan.bare:
            batch.explained = np.full(batch.values[0][0].shape[:2], np.nan)
        return batch

    def _with_start(self, draws: Draws) -> Draws:
        """Adds, at a layer, the start of a line as a point without weight: the part before the layer is not run for it again."""
        plan = self.plan
        assert draws.position is not None
        if not plan.request.multiply or self.starts.fixed is None or draws.moves or draws.stepwise or draws.position[0] == 0:
            return draws
        if plan.inner or plan.bare:
            return draws
        return Draws(np.concatenate([[0.0], draws.weight]), np.concatenate([[0.0], draws.position]))

    def _change(self, draws: Draws, accumulator: Accumulator, ends: Ends) -> np.ndarray | None:
        """Returns the change of the quantity along the paths, averaged over them, ``[quantities, records]``; None without a start."""
        if self.plan.bare or not self.plan.request.multiply or (self.starts.fixed is None and self.starts.rows is None):
            return None
        last: np.ndarray = self.batch.explained
        if draws.noise is not None:
            last = self._mean_value(draws, ends, getattr(draws.noise, "each", 1))
        if self.starts.rows is not None:
            return np.asarray(last - self._row_values(draws))
        return np.asarray(last - (accumulator.first if accumulator.first is not None else self._start_value()))

    def _start_value(self) -> np.ndarray:
        """Returns the quantity at the baseline, ``[quantities, records]``."""
        records, fixed = self.records, self.starts.fixed
        assert fixed is not None
        write = [b[None] for b in fixed]
        if not records.session.compiles and records.share_a_row(fixed, self.plan.at):  # one record would need programs of its own
            return records.evaluate_rows(write)[:, 0]
        return as_numpy(records.evaluate_at(write, 1, records.bound).value)[:, 0].astype(np.float64)

    def _mean_value(self, draws: Draws, ends: Ends, each: int) -> np.ndarray:
        """Returns the mean of the quantity where the paths end, of which each has so many points."""
        records, points = self.records, np.arange(0, len(draws), each)
        total = np.zeros_like(self.batch.explained)
        for some in records.point_chunks(points, len(records)):
            evidence = records.evaluate_at(ends(some), len(some), records.bound)
            total += as_numpy(evidence.value).astype(np.float64).sum(1)
        return total / len(points)

    def _row_values(self, draws: Draws) -> np.ndarray:
        """Returns the mean of the quantity over the background's rows that were drawn, ``[quantities, records]``.

        Where the rows replace everything that a record brings to the model, they are run once and not once per record.
        """
        records, rows = self.records, self.starts.rows
        assert rows is not None and draws.row is not None
        used, times = np.unique(draws.row, return_counts=True)
        weights = times / times.sum()
        alone = rows.shared and records.session.cut_info(self.plan.at).replaces_all() and self.plan.independent
        total = np.zeros_like(self.batch.explained)
        for some in records.point_chunks(np.arange(len(used)), 1 if alone else len(records)):
            write = rows.at(used[some])
            values = records.evaluate_rows(write) if alone else as_numpy(records.evaluate_at(write, len(some), records.bound).value)
            total += np.einsum("kpn,p->kn", values.astype(np.float64), weights[some])
        return total

    def _adapt(self, line: Line) -> None:
        """Adds points for the records whose gap is still too large, as long as more points can make it smaller.

        Raises DistributionError for values elsewhere than where the line is: they need not add up, so no gap would stop it.
        """
        plan, records, batch = self.plan, self.records, self.batch
        multiply = plan.request.multiply
        assert self.starts.fixed is not None and line.tolerance is not None
        if plan.cuts != (plan.at,):
            asked, line_at = ", ".join(map(repr, plan.cuts)), repr(plan.at)
            raise DistributionError(
                "`tolerance=` needs the line and the attribution at the same cut",
                found=f"a line at {line_at}, the attribution at {asked}",
                advice="asc.Line(0.0, steps=64), or the same at= for both",
            )
        change = batch.explained - self._start_value()
        values: list[list[Array]] = []
        batch.steps = np.zeros(len(records), dtype=int)
        active = np.arange(len(records))
        bend = np.full((2, *change.shape), np.inf)
        most = line.steps or LEVELS[-1]
        for level in [k for k in LEVELS if k <= most] or [most]:
            position, weight = quadrature_nodes("gauss-legendre", level)
            draws = Draws(weight, position)
            accumulator = Accumulator(records, self.starts, draws, find_ends(records, draws), active)
            accumulator.run(records.index[active])
            new = accumulator.values()
            values = new if not values else put(values, new, active)
            batch.steps[active] += len(draws)
            added = new[0] if multiply else [v * d[None] for v, d in zip(new[0], accumulator.fixed()[plan.at], strict=True)]
            gap = np.abs(sum_all(added, records.session.xp) - change[:, active])
            size = np.sum([namespace(a).sizes(a, 2) for a in added], axis=0)
            scale = gap_scale(size, change[:, active], batch.explained[:, active], namespace(added[0]).eps(added[0]))
            open_ = gap > line.tolerance * scale
            if open_.any():
                assert accumulator.course is not None
                bend[:, :, active] = accumulator.course.bend()
                open_ &= (gap <= HOPELESS * bend[0][:, active]) | (level < FROM)
            if not open_.any():
                break
            active = active[open_.any(0)] if plan.independent else active
        batch.values, batch.change = values, change if multiply else None
        batch.bend = lambda: bend


def put(values: list[list[Array]], new: list[list[Array]], part: np.ndarray) -> list[list[Array]]:
    """Returns values with those of some records replaced."""
    return [
        [namespace(a).put(a, (slice(None), part), b) for a, b in zip(old, leaves, strict=True)]
        for old, leaves in zip(values, new, strict=True)
    ]
