"""Smooth random masks over a grid of features (RISE)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_share, check_tolerance

BLOCK_CELLS = 1 << 22
"""The largest number of elements of a block of masks."""


@dataclass(frozen=True, repr=False)
class SmoothMasks(Value):
    """Computes the mean of v(mask) over smooth random masks, weighted by how much each mask keeps of a feature (RISE).

    *Use it when* records are images and you want a smooth saliency map from forward passes only. Features must form a grid, such as
    ``features=asc.features.Pixels()``. The values do not add up.

    A coarse grid of ``cells`` along each axis (one number for all axes, at most their lengths) keeps each cell with probability ``p``. It
    is enlarged by linear interpolation to one cell more than the features' grid, and cropped at a random offset. The sum is divided by
    what the masks kept, not by its expectation as in the paper, so that a constant in v adds no noise.

    Cost: ``budget`` model evaluations, or fewer if the relative standard error reaches ``tolerance``.
    Raises CoalitionError for ``cells`` that do not fit the grid, and for ``p`` outside (0, 1). Source: Petsiuk, Das and Saenko 2018.
    """

    budget: int = 4000
    cells: int | tuple[int, ...] = 7
    p: float = 0.5
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget)
        check_budget(self.budget, 2, "standard errors")
        for cells in self.cells if isinstance(self.cells, tuple) else (self.cells,):
            check_count("cells", cells)
        check_share("p", self.p)
        check_tolerance(self.tolerance)

    def rows(self, players: Players) -> int:
        return self.budget

    def game(self, players: Players, seed: int) -> SequentialGame:
        check_players(players)
        shape = players.shape or (players.count,)
        cells = self.cells if isinstance(self.cells, tuple) else tuple(min(self.cells, size) for size in shape)
        if len(cells) != len(shape) or any(c > s for c, s in zip(cells, shape, strict=True)):
            fitting = tuple(min(7, size) for size in shape)
            there = f"cells={self.cells!r}, features on a grid of {' x '.join(map(str, shape))}"
            raise CoalitionError("`cells=` does not fit the grid of the features", found=there, advice=f"cells={fitting!r}")
        return SequentialGame(_MaskEstimator(shape, cells, self.budget, self.p, np.random.default_rng((seed, 14))), self.tolerance)


class _MaskEstimator:
    """Sums of values weighted by masks, and the sums for the variance of their ratio to the sum of the masks."""

    def __init__(self, shape: tuple[int, ...], cells: tuple[int, ...], budget: int, p: float, rng: np.random.Generator) -> None:
        self.shape, self.cells, self.budget, self.p, self.rng = shape, cells, budget, p, rng
        self.lenses = [make_lenses(size, count) for size, count in zip(shape, cells, strict=True)]
        self.sums: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        size = int(np.prod(self.shape))
        rows = max(1, min(64, BLOCK_CELLS // size))
        for start in range(0, self.budget, rows):
            yield CoalitionBlock(self._masks(min(rows, self.budget - start)).reshape(-1, size))

    def _masks(self, rows: int) -> np.ndarray:
        masks = (self.rng.random((rows, *self.cells)) < self.p).astype(np.float32)
        for axis, lens in enumerate(self.lenses, 1):
            chosen = lens[self.rng.integers(len(lens), size=rows)]
            flat = np.moveaxis(masks, axis, 1).reshape(rows, masks.shape[axis], -1)
            drawn = (chosen @ flat).reshape(rows, chosen.shape[1], *np.delete(masks.shape[1:], axis - 1))
            masks = np.moveaxis(drawn, 1, axis)
        return masks

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        masks = block.coalitions.T.astype(np.float64)
        if not self.sums:
            self.shift = values.mean(axis=0)
            games = values.shape[1]
            self.sums = [np.zeros((len(masks), size)) for size in (1, 1, games, games, games)]
        values = values - self.shift
        squared = masks**2
        added = (masks.sum(axis=1)[:, None], squared.sum(axis=1)[:, None], masks @ values, squared @ values, squared @ values**2)
        for total, part in zip(self.sums, added, strict=True):
            total += part

    def result(self) -> GameEstimate:
        if not self.sums:
            raise CoalitionError("No estimate is known before a block is complete", code="E-COALITION-EARLY")
        kept, kept2, weighted, weighted2, squares = self.sums
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = weighted / kept
            off = np.maximum(squares - 2 * mean * weighted2 + mean**2 * kept2, 0)
            return GameEstimate(mean + self.shift, np.sqrt(off) / kept)


def make_lenses(size: int, cells: int) -> np.ndarray:
    """Returns matrices that enlarge ``cells`` to ``size`` by linear interpolation, for each offset in a cell: ``[offsets, size, cells]``.

    The enlarged grid is one cell longer than ``size``; the offset is the position of the crop.
    """
    step = -(-size // cells)
    drawn = (np.arange((cells + 1) * step) + 0.5) * cells / ((cells + 1) * step) - 0.5
    below = np.floor(drawn)
    part = drawn - below
    lens = np.zeros((len(drawn), cells), dtype=np.float32)
    every = np.arange(len(drawn))
    np.add.at(lens, (every, np.clip(below, 0, cells - 1).astype(int)), 1 - part)
    np.add.at(lens, (every, np.clip(below + 1, 0, cells - 1).astype(int)), part)
    return np.stack([lens[start : start + size] for start in range(step)])
