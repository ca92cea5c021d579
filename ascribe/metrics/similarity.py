"""Similarities of rows of numbers: correlations, and the structural similarity of images."""

from __future__ import annotations

from typing import Literal

import numpy as np

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
    order = np.argsort(a, -1, kind="stable")
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
