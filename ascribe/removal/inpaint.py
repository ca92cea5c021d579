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
    takes_own_presence = True

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
        places = np.broadcast_to(cell, (*cell.shape[:-2], height, width)).reshape(len(cell), -1, height * width)
        gone = removed_pixels(presence if presence.ndim == 3 else presence[:, None], places)
        out = np.repeat(flat[None], len(presence), 0)
        fill_removed(out, gone, (height, width))
        shape = (len(presence), *flat.shape)
        np.add(out, grain, out=out, where=np.broadcast_to(gone, (*shape[:1], *gone.shape[1:3], height * width)))
        return cast_numbers(out.reshape(len(presence), *pixels.shape), x)


def removed_pixels(presence: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns which pixels are removed, ``[points, records or 1, channels or 1, pixels]``.

    ``presence`` is ``[points, records or 1, cells + 1]``, ``places`` the cell of each pixel, ``[records or 1, channels or 1, pixels]``.
    """
    records = max(presence.shape[1], len(places))
    own = np.broadcast_to(presence[:, :, None], (len(presence), records, places.shape[1], presence.shape[-1]))
    return ~np.take_along_axis(own, np.broadcast_to(places, (records, *places.shape[1:]))[None], -1)


def fill_removed(images: np.ndarray, gone: np.ndarray, size: tuple[int, int]) -> None:
    """Fills the removed pixels of ``images`` ``[points, records, channels, pixels]`` in place, with the means of their neighbours.

    ``gone`` is ``[points, records or 1, channels or 1, pixels]``. Images with the same removed pixels share a linear system; as many
    systems as fit are solved at once.
    """
    points, records, channels, pixels = images.shape
    each = gone.shape[1], gone.shape[2]
    split = (points, each[0], records // each[0], each[1], channels // each[1], pixels)
    stacked = images.reshape(split).transpose(0, 1, 3, 5, 2, 4).reshape(-1, pixels, records // each[0] * (channels // each[1]))
    masks = gone.reshape(-1, pixels)
    step = max(1, MOST_UNKNOWNS // pixels)
    for first in range(0, len(masks), step):
        some = slice(first, first + step)
        stacked[some][masks[some]] = solve_neighbour_means(stacked[some], masks[some], size)
    back = stacked.reshape(points, *each, pixels, records // each[0], channels // each[1]).transpose(0, 1, 4, 2, 5, 3)
    images[...] = back.reshape(images.shape)


MOST_UNKNOWNS = 1 << 18
"""The largest number of pixels whose systems are solved at once."""


def solve_neighbour_means(images: np.ndarray, gone: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the values ``[removed, columns]`` at which each removed pixel is the weighted mean of its neighbours.

    ``images`` is ``[images, pixels, columns]``, ``gone`` ``[images, pixels]``. An image without any pixel left takes its mean.
    """
    height, width = size
    ids = np.flatnonzero(gone)
    known = images.reshape(-1, images.shape[-1])
    number = np.full(gone.size, -1)
    number[ids] = np.arange(len(ids))
    row, column = np.divmod(ids % (height * width), width)
    right, total = np.zeros((len(ids), images.shape[-1])), np.zeros(len(ids))
    empty = np.asarray(gone.all(1))[ids // (height * width)]  # these rows say that a pixel is the mean of its image
    flat_gone = gone.reshape(-1)
    pairs: list[tuple[np.ndarray, np.ndarray, float]] = []
    for down, across, weight in NEIGHBOURS:
        r, c = row + down, column + across
        here = np.flatnonzero((r >= 0) & (r < height) & (c >= 0) & (c < width))
        other = ids[here] + down * width + across
        total[here] += weight
        open_ = flat_gone[other]
        right[here[~open_]] += weight * known[other[~open_]]
        if (down, across) > (0, 0):
            both = open_ & ~empty[here]
            pairs.append((here[both], number[other[both]], weight))
    right[empty] = images.mean(1)[ids[empty] // (height * width)]
    total[empty] = 1.0
    return solve_symmetric(total, pairs, right)


WIDEST_BAND = 64
"""The largest distance of two neighbours among the removed pixels for which a banded solver is faster than a sparse one (measured)."""


def solve_symmetric(diagonal: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray, float]], right: np.ndarray) -> np.ndarray:
    """Returns the solution of a symmetric positive definite system.

    ``pairs`` are the entries off the diagonal: first places, larger second places, and the number that is subtracted there.
    """
    sparse, splu, solve_banded = import_scipy()
    band = max((int((second - first).max()) for first, second, _ in pairs if len(first)), default=0)
    if band <= WIDEST_BAND:
        lower = np.zeros((band + 1, len(diagonal)))
        lower[0] = diagonal
        for first, second, weight in pairs:
            lower[second - first, first] = -weight
        banded: np.ndarray = solve_banded(lower, right, lower=True, overwrite_ab=True, overwrite_b=True, check_finite=False)
        return banded
    places = np.arange(len(diagonal))
    rows = np.concatenate([places, *(half for first, second, _ in pairs for half in (first, second))])
    columns = np.concatenate([places, *(half for first, second, _ in pairs for half in (second, first))])
    data = np.concatenate([diagonal, *(np.full(2 * len(first), -weight) for first, _, weight in pairs)])
    matrix = sparse.csc_matrix((data, (rows, columns)), (len(places), len(places)))
    solved: np.ndarray = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve(right)
    return solved


def import_scipy() -> tuple[Any, Any, Any]:
    """Returns SciPy's sparse matrices, their solver, and the solver of banded matrices. Raises FeatureError without SciPy."""
    try:
        from scipy import sparse
        from scipy.linalg import solveh_banded
        from scipy.sparse.linalg import splu
    except ImportError as error:
        raise FeatureError(
            "Inpainting needs SciPy", found="SciPy is not installed", advice="pip install scipy, or by=asc.Blur()"
        ) from error
    return sparse, splu, solveh_banded
