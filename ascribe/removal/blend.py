"""Rows with replacements for removed features, written line by line into memory that is used again."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, namespace
from ..errors import FeatureError
from .base import FixedReplacement, Replacement

FEW = 2
"""How often a line must be repeated, on average, for its presence to be looked up once."""


def collapse_repeated_lines(cells: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Cells ``[1 or records, ..., height, width]`` without the lines that are equal to the one before, and the span of lines that each of
    those left is for: a grid of 7 rows on 224 lines has 7. All cells and no spans where lines are not repeated.
    """
    if cells.ndim < 3 or cells.shape[-2] < 2:
        return cells, []
    lines = np.moveaxis(cells, -2, 0).reshape(cells.shape[-2], -1)
    starts = np.flatnonzero(np.concatenate([[True], (lines[1:] != lines[:-1]).any(1)]))
    if len(starts) * FEW > len(lines):
        return cells, []
    return cells[..., starts, :], list(zip(starts.tolist(), [*starts[1:].tolist(), len(lines)], strict=True))


class Blend:
    """Puts stand-ins into one array of some records, ``[records, ...]``, whose ``cells`` are columns of the presence.

    A select costs several times what a product does; only where there is something infinite, or nothing to multiply, is it taken. Rows
    are written into the same memory again and again, unless the model or other code has kept a part of it.
    """

    def __init__(self, x: Array, cells: np.ndarray, instead: Replacement) -> None:
        self.x, self.xp = x, namespace(x)
        self.cells = cells
        self.few, self.spans = collapse_repeated_lines(cells)
        known = [x, *(instead.arrays if isinstance(instead, FixedReplacement) else [])]
        smooth = isinstance(instead, FixedReplacement) and all(self.xp.is_floating(a) for a in known)
        sizes = [float(self.xp.sizes(a, 0)) for a in known] if smooth else [np.inf]
        self.smooth = bool(np.isfinite(sizes).all())
        self.nothing = self.smooth and not any(sizes[1:])
        self.index = self._index(self.few if self.smooth else cells)
        self.memory: Array | None = None
        self.holders: int | None = None

    def __call__(self, presence: np.ndarray, instead: Array) -> Array:
        """Rows ``[points, records, ...]``: ``x`` where its cells are there, ``instead`` where not, and in between in part.

        Raises FeatureError for whole numbers and words that would be there in part.
        """
        whole = presence.dtype == bool
        if not whole and not self.xp.is_floating(self.x):
            floats = "x.float()" if hasattr(self.x, "float") else "x.astype(float)"
            try_ = f"coalitions of whole features, such as asc.coalitions.Permutations(), or {floats} for a model that takes it"
            raise FeatureError(f"type {self.x.dtype} for features that are there in part", try_=try_, code="E-FEATURES-TYPE")
        x = self.x[None]
        if not self.smooth:
            keep = self._share(presence, self.index, self.cells)
            return self.xp.where(keep, x, instead) if whole else instead + keep * (x - instead)
        share = self._share(presence.astype(np.float32), self.index, self.few)
        rows = self._rows(len(presence))
        for k, (first, last) in enumerate(self.spans or [(0, 0)]):
            lines = (..., slice(first, last), slice(None)) if self.spans else ...
            part = share[..., k : k + 1, :] if self.spans else share
            if self.nothing:
                self.xp.product(x[lines], part, rows[lines])
            else:
                self.xp.mix(instead[lines], x[lines], part, rows[lines])
        return rows

    def keep(self, presence: np.ndarray) -> Array:
        """How much of each coordinate is there, ``[points, records, ...]``: False and True, or in part from 0 to 1."""
        share = self._share(presence if presence.dtype == bool else presence.astype(np.float32), self._index(self.cells), self.cells)
        return self.xp.broadcast_to(share, (len(presence), *self.x.shape))

    def _index(self, cells: np.ndarray) -> Array:
        return self.xp.asarray(cells.reshape(-1).astype(np.int64), self.x)

    def _share(self, presence: np.ndarray, index: Array, cells: np.ndarray) -> Array:
        """The presence of some cells, ``[points, *cells]``."""
        return self.xp.take(self.xp.asarray(presence, self.x), index, 1).reshape((len(presence), *cells.shape))

    def _rows(self, points: int) -> Array:
        """Memory for so many points: that of the last ones, if it is large enough and no other code has kept any of it."""
        if self.memory is not None and len(self.memory) >= points and self.xp.holders(self.memory) == self.holders:
            return self.memory[:points]
        self.memory = None
        rows = self.xp.empty((points, *self.x.shape), self.x)
        if self.xp.holders(rows) is not None:
            self.memory = rows
            del rows
            self.holders = self.xp.holders(self.memory)
            return self.memory[:points]
        return rows
