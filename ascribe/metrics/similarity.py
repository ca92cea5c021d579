"""Similarities of rows of numbers: correlations, and the structural similarity of images."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Literal

import numpy as np

from ..errors import InputError

Correlation = Literal["pearson", "spearman"]


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlation along the last axis; NaN where a side is constant."""
    constant = is_constant(a) | is_constant(b)
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return np.where(constant, np.nan, np.clip(found, -1.0, 1.0))


def is_constant(a: np.ndarray) -> np.ndarray:
    """Returns whether the numbers along the last axis are equal up to rounding."""
    return np.asarray(np.ptp(a, -1) <= ROUNDING * np.abs(a).max(-1))


ROUNDING = 1e-12
"""A spread of this share of the largest number is rounding."""


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns Spearman's rank correlation along the last axis, with mean ranks for ties; NaN where a side is constant."""
    return pearson(mean_ranks(a), mean_ranks(b))


def mean_ranks(a: np.ndarray) -> np.ndarray:
    """Returns the ranks along the last axis from 1, and the mean of their ranks for equal numbers."""
    order = np.argsort(a, -1)  # in any order among equal numbers, because these get the same rank
    ordered = np.take_along_axis(a, order, -1)
    new = np.ones(a.shape, bool)
    new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    group = np.cumsum(new, -1) - 1
    flat = (group + np.arange(group[..., 0].size).reshape(*group.shape[:-1], 1) * a.shape[-1]).reshape(-1)
    place = np.broadcast_to(np.arange(1.0, a.shape[-1] + 1), a.shape).reshape(-1)
    sums, counts = np.bincount(flat, place, a.size), np.bincount(flat, minlength=a.size)
    ranks = np.empty(a.shape)
    np.put_along_axis(ranks, order, (sums / np.maximum(counts, 1))[flat].reshape(a.shape), -1)
    return ranks


CORRELATIONS = {"pearson": pearson, "spearman": spearman}

Similarity = Literal["spearman", "pearson", "cosine", "ssim"]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the cosine of the angle along the last axis; NaN where a side is 0."""
    size = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.where(size > 0, (a * b).sum(-1) / np.where(size > 0, size, 1.0), np.nan)


def structural_similarity(a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the mean structural similarity of images, each scaled to [0, 1] first; ``shape`` is that of one image. Needs scikit-image.

    Raises InputError for records without height and width, and without scikit-image.
    """
    try:
        ssim: Callable[..., float] = import_module("skimage.metrics").structural_similarity
    except ImportError as error:
        raise InputError("`ssim` needs scikit-image", found="it is not installed", advice="pip install 'ascribe[images]'") from error
    if len(shape) < 2 or min(shape[-2:]) < 3:
        raise InputError("`ssim` compares images", found=f"records of shape {shape}", advice="similarity='spearman'")
    last = len(shape) == 3 and shape[-1] <= 4 < min(shape[:2])
    window = min(7, *(shape[:2] if last else shape[-2:]))
    window -= 1 - window % 2
    axis = None if len(shape) == 2 else 2 if last else 0

    def scaled(rows: np.ndarray) -> np.ndarray:
        low, width = rows.min(-1, keepdims=True), np.ptp(rows, -1)[..., None]
        return np.asarray(((rows - low) / np.where(width > 0, width, 1.0)).reshape(-1, *shape))

    pairs = zip(scaled(a), scaled(b), strict=True)
    return np.array([ssim(x, y, win_size=window, data_range=1.0, channel_axis=axis) for x, y in pairs], np.float64)


SIMILARITIES: dict[str, Callable[[np.ndarray, np.ndarray, tuple[int, ...]], np.ndarray]] = {
    "spearman": lambda a, b, shape: spearman(a, b),
    "pearson": lambda a, b, shape: pearson(a, b),
    "cosine": lambda a, b, shape: cosine(a, b),
    "ssim": structural_similarity,
}
"""Functions of rows ``[records, elements]`` and the shape of a record that return one number for each record."""
