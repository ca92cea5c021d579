"""Builds the rows of a chunk: values of present features mixed with replacements, written into reused memory."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, namespace
from ..errors import FeatureError
from .base import FixedReplacement, Replacement

FEW = 2
"""A line of cells must be repeated this often, on average, before its presence is looked up once for all repeats."""


def collapse_repeated_lines(cells: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Removes the lines of cells ``[1 or records, ..., height, width]`` that are equal to the line before.

    Returns the remaining lines and the span of lines that each of them covers: a grid of 7 rows on 224 lines has 7. Returns all cells and
    no spans if too few lines are repeated.
    """
    if cells.ndim < 3 or cells.shape[-2] < 2:
        return cells, []
    lines = np.moveaxis(cells, -2, 0).reshape(cells.shape[-2], -1)
    starts = np.flatnonzero(np.concatenate([[True], (lines[1:] != lines[:-1]).any(1)]))
    if len(starts) * FEW > len(lines):
        return cells, []
    return cells[..., starts, :], list(zip(starts.tolist(), [*starts[1:].tolist(), len(lines)], strict=True))


class Blend:
    """Mixes one array ``[records, ...]`` with its replacements; ``cells`` are the columns of the presence that its coordinates belong to.

    Products are used instead of a select, which costs several times as much. A select is used only for non-finite or non-floating
    values. Rows are written into the same memory again, unless the model or other code has kept a part of it.
    """

    def __init__(self, x: Array, cells: np.ndarray, replacement: Replacement) -> None:
        self.x, self.xp = x, namespace(x)
        self.cells = cells
        self.lines_of_cells, self.spans = collapse_repeated_lines(cells)
        known = [x, *(replacement.arrays if isinstance(replacement, FixedReplacement) else [])]
        multiplies = isinstance(replacement, FixedReplacement) and all(self.xp.is_floating(a) for a in known)
        sizes = [float(self.xp.sizes(a, 0)) for a in known] if multiplies else [np.inf]
        self.multiplies = bool(np.isfinite(sizes).all())
        self.is_zero = self.multiplies and not any(sizes[1:])
        self.index = self._index(self.lines_of_cells if self.multiplies else cells)
        self.memory: Array | None = None
        self.holders: int | None = None

    def __call__(self, presence: np.ndarray, replacement: Array) -> Array:
        """Returns rows ``[points, records, ...]``: ``x`` where present, ``replacement`` where absent, a mixture for partial presence.

        ``presence`` is ``[points, cells + 1]``, or ``[points, records, cells + 1]`` where each record has its own.
        Raises FeatureError for integers and words with partial presence.
        """
        whole = presence.dtype == bool
        if not whole and not self.xp.is_floating(self.x):
            floats = "x.float()" if hasattr(self.x, "float") else "x.astype(float)"
            advice = f"over=asc.coalitions.Permutations(), whose features are present or absent, or {floats} if the model takes it"
            there = f"values of type {self.x.dtype}"
            raise FeatureError("Features present in part need floating-point values", found=there, advice=advice, code="E-FEATURES-TYPE")
        x = self.x[None]
        if not self.multiplies:
            keep = self._share(presence, self.index, self.cells)
            return self.xp.where(keep, x, replacement) if whole else replacement + keep * (x - replacement)
        share = self._share(presence.astype(np.float32), self.index, self.lines_of_cells)
        rows = self._rows(len(presence)) if self.xp.writes_in_place else None
        made = []
        for k, (first, last) in enumerate(self.spans or [(0, 0)]):
            lines = (..., slice(first, last), slice(None)) if self.spans else ...
            part = share[..., k : k + 1, :] if self.spans else share
            into = None if rows is None else rows[lines]
            if self.is_zero:
                made.append(self.xp.product(x[lines], part, into))
            else:
                made.append(self.xp.mix(replacement[lines], x[lines], part, into))
        if rows is not None:
            return rows
        return made[0] if len(made) == 1 else self.xp.concat(made, -2)

    def keep(self, presence: np.ndarray) -> Array:
        """Returns the presence of each coordinate, ``[points, records, ...]``: bool, or a share from 0 to 1."""
        share = self._share(presence if presence.dtype == bool else presence.astype(np.float32), self._index(self.cells), self.cells)
        return self.xp.broadcast_to(share, (len(presence), *self.x.shape))

    def _index(self, cells: np.ndarray) -> Array:
        return self.xp.asarray(cells.reshape(-1).astype(np.int64), self.x)

    def _share(self, presence: np.ndarray, index: Array, cells: np.ndarray) -> Array:
        """Returns the presence of some cells, ``[points, *cells]``; ``[points, records, ...]`` where each record has its own."""
        if presence.ndim == 3:
            points, records, columns = presence.shape
            own = cells.reshape(len(cells), -1).astype(np.int64) + np.arange(records)[:, None] * columns
            flat = self.xp.asarray(presence.reshape(points, -1), self.x)
            return self.xp.take(flat, self.xp.asarray(own.reshape(-1), self.x), 1).reshape((points, records, *cells.shape[1:]))
        return self.xp.take(self.xp.asarray(presence, self.x), index, 1).reshape((len(presence), *cells.shape))

    def _rows(self, points: int) -> Array:
        """Returns memory for some points: the last memory if it is large enough and no other code holds a part of it."""
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
