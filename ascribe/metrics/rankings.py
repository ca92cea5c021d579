"""Rankings of features by their values, with ties in random order."""

from __future__ import annotations

import numpy as np

from .removed import Present


def rank_features(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns the rank of each feature, ``[records, features]``: 0 for the largest value. Equal values are in random order.

    A ranking by position would favour methods whose values are all equal, because important pixels are often in the middle.
    """
    order = np.lexsort((random.random(values.shape), -values), axis=-1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(values.shape[1]), values.shape), 1)
    return ranks


def first_removed(ranks: np.ndarray, counts: np.ndarray) -> Present:
    """Returns the function that removes, at point k, the ``counts[k]`` features of the smallest ranks."""
    return lambda index, points: ranks[index][None] >= counts[points][:, None, None]


def first_kept(ranks: np.ndarray, counts: np.ndarray) -> Present:
    """Returns the function that keeps, at point k, only the ``counts[k]`` features of the smallest ranks."""
    return lambda index, points: ranks[index][None] < counts[points][:, None, None]


def step_counts(features: int, steps: int | None) -> np.ndarray:
    """Returns how many features are removed at each point of a curve, from none to all: ``steps`` nearly equal steps, or one by one."""
    steps = features if steps is None else min(int(steps), features)
    return np.unique(np.round(np.linspace(0, features, steps + 1)).astype(int))
