"""Stand-ins taken from other records: rows of a background, those of them that are near, and the other records of the call."""

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
    """Rows of a background: what is removed takes their values, and the quantity is averaged over the rows.

    With Shapley values these are the interventional ones (Janzing et al. 2020). ``samples`` rows drawn without return, or all of them; that
    many model rows for each coalition.
    """

    background: Any
    samples: int | None = None

    def replacement_for(self, context: RemovalContext) -> Replacement:
        rows = resolve_background(self.background, context.here)
        count = len(rows[0])
        if self.samples is not None and not is_count(self.samples):
            raise FeatureError(f"samples={self.samples}", try_="from 1 up, or None for all rows")
        if self.samples is None or self.samples >= count:
            return FixedReplacement([r[:, None] for r in rows])
        chosen = np.sort(np.random.default_rng((context.here.seed, 6)).choice(count, self.samples, replace=False))
        return FixedReplacement([r[chosen][:, None] for r in rows], random=True)


@dataclass(frozen=True, eq=False, repr=False)
class Nearest(Value):
    """The ``count`` background rows that are most like the record in what is left of it: an empirical conditional distribution.

    Distances are Euclidean over the features that are there, each number in units of its spread in the background (Aas et al. 2021 use
    such neighbours too). ``count`` model rows for each coalition.
    """

    background: Any
    count: int = 5

    def replacement_for(self, context: RemovalContext) -> Replacement:
        rows = resolve_background(self.background, context.here)
        if not is_count(self.count) or self.count > len(rows[0]):
            there = f"{len(rows[0])} in the background"
            raise FeatureError(f"{self.count!r} nearest rows", there=there, try_="a whole number from 1 up, and no more than there are")
        cells = context.groups.take(context.here.index).cells
        width = context.groups.cell_count
        apart = np.zeros((len(context.here.index), len(rows[0]), width + 1))
        for x, row, cell in zip(context.values, rows, cells, strict=True):
            numbers, others = (to_float64(a, repr(self)) for a in (x, row))
            if not (np.isfinite(numbers).all() and np.isfinite(others).all()):
                raise FeatureError(f"{self!r} with NaN or infinity", there="no distance between rows", try_="asc.Resample(rows)")
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
    """The value of another record of the same call, by a permutation of the records: what permutation importance does (Breiman 2001).

    ``samples`` permutations, drawn anew for each and the same for all features. That many model rows for each coalition.
    """

    samples: int = 5

    def replacement_for(self, context: RemovalContext) -> Replacement:
        total, index = context.here.total, context.here.index
        if total < 2 or not is_count(self.samples):
            there = f"records in the call: {total}"
            raise FeatureError(f"{self!r}", there=there, try_="a call with several records, and samples from 1 up")
        draws = [np.random.default_rng((context.here.seed, 7, k)).permutation(total)[index] for k in range(self.samples)]
        wanted, place = np.unique(np.stack(draws), return_inverse=True)
        values = context.read_records(wanted)
        return FixedReplacement([v[place.reshape(self.samples, -1)] for v in values], random=True)
