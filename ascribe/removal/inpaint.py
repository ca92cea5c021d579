"""Removal by inpainting: removed pixels of an image are filled in from their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, cast_numbers, namespace
from ..distributions.baselines import to_float64
from ..errors import FeatureError
from ..features.base import check_layout
from ..utils.record_layout import ImageLayout, has_channels_last
from ..values import Value, is_number
from .base import Leaves, RemovalContext, Replacement

STRAIGHT, DIAGONAL = 1 / 6, 1 / 12
"""The weights of direct and of diagonal neighbours (Rong et al. 2022); all eight sum to 1."""
NEIGHBOURS = (
    *((down, across, STRAIGHT) for down, across in ((0, 1), (1, 0), (0, -1), (-1, 0))),
    *((down, across, DIAGONAL) for down, across in ((1, 1), (1, -1), (-1, 1), (-1, -1))),
)
"""Offsets down and right, and the weight: direct neighbours count twice as much as diagonal ones."""


@dataclass(frozen=True, repr=False)
class Inpaint(Value):
    """Replaces removed pixels with the weighted mean of their eight neighbours, plus a little noise (noisy linear imputation, ROAD).

    *Use it when* you evaluate attributions of images, and the shape of the removed region should not reveal the class.

    All removed pixels are solved together. ``noise`` is the standard deviation of the noise, in units of the image's range. Records are
    images; ``layout`` says where their channels are: "NCHW" (first) or "NHWC" (last), and None finds it from the lengths. Needs SciPy.
    Cost: one model row and one sparse linear system for each coalition and image.

    Raises FeatureError for a negative ``noise``, without SciPy, and for features that are present in part. Source: Rong et al. 2022.
    """

    noise: float = 0.01
    layout: ImageLayout | None = None

    def replacement_for(self, context: RemovalContext) -> Replacement:
        if not is_number(self.noise) or not 0 <= self.noise < np.inf:
            raise FeatureError("`noise=` must be a finite number >= 0", found=f"noise={self.noise!r}", advice="by=asc.Inpaint(0.01)")
        check_layout(self.layout, repr(self))
        here, values = context.here, context.values_with_axes(2, repr(self))
        known: ImageLayout | None = "NCHW" if context.layer and self.layout is None else self.layout
        last = [has_channels_last(tuple(x.shape[1:]), known) for x in values]
        return InpaintedReplacement(values, context.groups.take(here.index).cells, self.noise, here.seed, here.first, last=last)


@dataclass(frozen=True, eq=False)
class InpaintedReplacement:
    """The records with removed pixels filled in."""

    values: Sequence[Array]
    cells: Sequence[np.ndarray]
    noise: float
    seed: int
    first: int = 0
    draws: int = 1
    random: bool = False
    last: Sequence[bool] = ()
    """For each array, True if its channels are on the last axis."""

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> Leaves:
        if presence.dtype != bool:
            there, advice = f"a presence of type {presence.dtype}", "by=asc.Blur(), or over=asc.coalitions.Permutations()"
            raise FeatureError("Inpainting cannot mix pixels that are present in part", found=there, advice=advice)
        last = self.last or [False] * len(self.values)
        pairs = enumerate(zip(self.values, self.cells, last, strict=True))
        return [self._last(i, x, cell, presence) if moved else self._one(i, x, cell, presence) for i, (x, cell, moved) in pairs]

    def _last(self, i: int, x: Array, cell: np.ndarray, presence: np.ndarray) -> Array:
        xp = namespace(x)
        return xp.moveaxis(self._one(i, xp.moveaxis(x, -1, 1), np.moveaxis(cell, -1, 1), presence), 2, -1)

    def _one(self, i: int, x: Array, cell: np.ndarray, presence: np.ndarray) -> Array:
        pixels = to_float64(x, "inpainting")
        height, width = pixels.shape[-2:]
        flat = pixels.reshape(len(pixels), -1, height * width)
        rng = np.random.default_rng((self.seed, 8, self.first + i))
        grain = rng.standard_normal(flat.shape[1:]) * self.noise * np.ptp(flat, (1, 2), keepdims=True)
        out = np.repeat(flat[None], len(presence), 0)
        places = np.broadcast_to(cell, (*cell.shape[:-2], height, width)).reshape(len(cell), -1, height * width)
        for p, present in enumerate(presence):
            for n, k in np.ndindex(*places.shape[:2]):
                gone = ~present[places[n, k]]
                some = slice(None) if len(places) == 1 else slice(n, n + 1), slice(None) if places.shape[1] == 1 else slice(k, k + 1)
                if gone.any():
                    out[p][some][..., gone] = solve_neighbour_means(flat[some], gone, (height, width)) + grain[some][..., gone]
        return cast_numbers(out.reshape(len(presence), *pixels.shape), x)


def solve_neighbour_means(flat: np.ndarray, gone: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the values ``[..., removed]`` at which each pixel is the weighted mean of its neighbours; ``flat`` is ``[..., pixels]``."""
    sparse, splu = import_scipy()
    height, width = size
    ids = np.flatnonzero(gone)
    number = np.full(gone.size, -1)
    number[ids] = np.arange(len(ids))
    row, column = np.divmod(ids, width)
    right = np.zeros((*flat.shape[:-1], len(ids)))
    entries: list[tuple[np.ndarray, np.ndarray, float]] = []
    total = np.zeros(len(ids))
    for down, across, weight in NEIGHBOURS:
        r, c = row + down, column + across
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        other = (r * width + c)[inside]
        here = np.flatnonzero(inside)
        total[here] += weight
        open_ = gone[other]
        right[..., here[~open_]] += weight * flat[..., other[~open_]]
        entries.append((here[open_], number[other[open_]], -weight))
    if gone.all():  # no pixel to fill in from: use the mean of the image
        return np.broadcast_to(flat.mean(-1, keepdims=True), right.shape)
    rows, columns = (np.concatenate([e[k] for e in entries]) for k in (0, 1))
    data = np.concatenate([np.full(len(e[0]), e[2]) for e in entries])
    matrix = sparse.csc_matrix((data, (rows, columns)), (len(ids), len(ids))) + sparse.diags(total).tocsc()
    solution: np.ndarray = splu(matrix).solve(right.reshape(-1, len(ids)).T).T.reshape(right.shape)
    return solution


def import_scipy() -> tuple[Any, Any]:
    """Returns SciPy's sparse matrices and their solver. Raises FeatureError without SciPy."""
    try:
        from scipy import sparse
        from scipy.sparse.linalg import splu
    except ImportError as error:
        raise FeatureError(
            "Inpainting needs SciPy", found="SciPy is not installed", advice="pip install scipy, or by=asc.Blur()"
        ) from error
    return sparse, splu
