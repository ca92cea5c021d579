"""Replacements taken from other records: background rows, the nearest background rows, and the other records of the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..distributions.baselines import resolve_background, to_float64
from ..errors import FeatureError
from ..values import Value, is_count
from .base import FixedReplacement, Leaves, RemovalContext, Replacement


@dataclass(frozen=True, eq=False, repr=False)
class Resample(Value):
    """Replaces removed features with the values of background rows, and averages the quantity over the rows (marginal distribution).

    *Use it when* you have training data: replacements are values that occur. With Shapley values over coalitions, the result is the
    interventional Shapley value.

    ``background`` holds rows in the shape of the records, ``[rows, ...]``, one array for each input. ``samples`` is the number of rows
    drawn without replacement; None takes all rows. Cost: one model row for each background row and coalition.

    Raises FeatureError for ``samples`` below 1, and DistributionError if the rows do not have the shape of the records.
    Source: Janzing, Minorics and Blöbaum 2020.
    """

    background: Any
    samples: int | None = None

    def replacement_for(self, context: RemovalContext) -> Replacement:
        rows = resolve_background(self.background, context.here)
        count = len(rows[0])
        if self.samples is not None and not is_count(self.samples):
            there = f"samples={self.samples!r}"
            raise FeatureError("`samples=` must be an integer >= 1, or None", found=there, advice="samples=None for all rows")
        if self.samples is None or self.samples >= count:
            return FixedReplacement([r[:, None] for r in rows])
        chosen = np.sort(np.random.default_rng((context.here.seed, 6)).choice(count, self.samples, replace=False))
        return FixedReplacement([r[chosen][:, None] for r in rows], random=True)


@dataclass(frozen=True, eq=False, repr=False)
class Nearest(Value):
    """Replaces removed features with the values of the ``count`` nearest background rows (an empirical conditional distribution).

    *Use it when* features depend on each other, and a replacement should fit the features that are present.

    The distance is Euclidean over the present features; each element is divided by its standard deviation in the background.
    Cost: ``count`` model rows for each coalition.

    Raises FeatureError if ``count`` is not an integer from 1 to the number of rows, and for NaN or infinity in the records or the rows.
    Source: Aas, Jullum and Løland 2021 (the empirical approach, with fixed neighbours instead of kernel weights).
    """

    background: Any
    count: int = 5

    def replacement_for(self, context: RemovalContext) -> Replacement:
        rows = resolve_background(self.background, context.here)
        if not is_count(self.count) or self.count > len(rows[0]):
            there, advice = f"count={self.count!r}, and {len(rows[0])} rows in the background", f"count={min(5, len(rows[0]))}"
            raise FeatureError(
                "`count=` of nearest rows must be an integer from 1 to the number of background rows", found=there, advice=advice
            )
        cells = context.groups.take(context.here.index).cells
        width = context.groups.cell_count
        apart = np.zeros((len(context.here.index), len(rows[0]), width + 1))
        for x, row, cell in zip(context.values, rows, cells, strict=True):
            numbers, others = (to_float64(a, repr(self)) for a in (x, row))
            if not (np.isfinite(numbers).all() and np.isfinite(others).all()):
                there = f"NaN or infinity in {self!r} or in the records, so that rows have no distance"
                raise FeatureError("Nearest rows need finite numbers", found=there, advice="by=asc.Resample(rows)")
            scale = others.std(0)
            squares = ((numbers[:, None] - others[None]) / np.where(scale > 0, scale, 1.0)) ** 2
            where = np.broadcast_to(cell, numbers.shape)
            for i, (square, place) in enumerate(zip(squares, where, strict=True)):
                for b, values in enumerate(square):
                    apart[i, b] += np.bincount(np.where(place < 0, width, place).reshape(-1), values.reshape(-1), width + 1)
        return NearestRows(rows, apart, self.count)


@dataclass(frozen=True, eq=False)
class NearestRows:
    """The nearest rows for every coalition; ``apart`` is the squared distance in each cell, ``[records, rows, cells + 1]``."""

    rows: Leaves
    apart: np.ndarray
    draws: int
    random: bool = False

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> Leaves:
        distance = np.einsum("pc,nbc->pnb", presence.astype(np.float64), self.apart)
        order = np.argsort(distance, axis=-1, kind="stable")
        chosen = np.take_along_axis(order, draw[:, None, None], -1)[..., 0]
        return [r[chosen] for r in self.rows]


@dataclass(frozen=True, repr=False)
class Permute(Value):
    """Replaces removed features with the values of another record of the same call, chosen by a random permutation of the records.

    *Use it when* the call has many records and no other data is at hand. Over ``LeaveOneOut`` this is permutation importance.

    ``samples`` is the number of permutations; all features share each of them. Cost: ``samples`` model rows for each coalition.

    Raises FeatureError for a call with one record, and for ``samples`` below 1. Source: Breiman 2001.
    """

    samples: int = 5

    def replacement_for(self, context: RemovalContext) -> Replacement:
        total, index = context.here.total, context.here.index
        if total < 2 or not is_count(self.samples):
            there, advice = (
                f"{self!r}, and {total} record{'' if total == 1 else 's'} in the call",
                "by=asc.Resample(rows), or a call with several records",
            )
            raise FeatureError("Permuting records needs at least 2 records and `samples=` >= 1", found=there, advice=advice)
        draws = [np.random.default_rng((context.here.seed, 7, k)).permutation(total)[index] for k in range(self.samples)]
        wanted, place = np.unique(np.stack(draws), return_inverse=True)
        values = context.read_records(wanted)
        return FixedReplacement([v[place.reshape(self.samples, -1)] for v in values], random=True)
