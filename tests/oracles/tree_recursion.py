"""Path-dependent Shapley values of trees by their definition: every subset of features, every branch, written out.

A feature of the subset follows the record; at a split by another feature both branches count by their shares of the training records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np


def tree_value(tree: Any, record: np.ndarray, kept: frozenset[int], score: int, node: int = 0) -> float:
    """The prediction of a tree of scikit-learn that knows only the ``kept`` features of a record."""
    left, right = tree.children_left[node], tree.children_right[node]
    if left < 0:
        return float(tree.value[node].reshape(-1)[score])
    if tree.feature[node] in kept:
        below = np.float32(record[tree.feature[node]]) <= tree.threshold[node]
        return tree_value(tree, record, kept, score, left if below else right)
    share = tree.weighted_n_node_samples[left] / tree.weighted_n_node_samples[node]
    return share * tree_value(tree, record, kept, score, left) + (1 - share) * tree_value(tree, record, kept, score, right)


def subsets(features: Iterable[int]) -> Iterable[frozenset[int]]:
    """All subsets."""
    known = list(features)
    for size in range(len(known) + 1):
        yield from map(frozenset, combinations(known, size))


def shapley_values(value: Callable[[frozenset[int]], float], count: int) -> np.ndarray:
    """The Shapley value of each of ``count`` features under a function of subsets."""
    found = np.zeros(count)
    for i in range(count):
        for kept in subsets(set(range(count)) - {i}):
            weight = factorial(len(kept)) * factorial(count - len(kept) - 1) / factorial(count)
            found[i] += weight * (value(kept | {i}) - value(kept))
    return found


def shapley_pairs(value: Callable[[frozenset[int]], float], count: int) -> np.ndarray:
    """The Shapley interaction values, half at [i, j] and half at [j, i]; the diagonal holds what remains of the Shapley values."""
    found = np.zeros((count, count))
    for i, j in combinations(range(count), 2):
        for kept in subsets(set(range(count)) - {i, j}):
            weight = factorial(len(kept)) * factorial(count - len(kept) - 2) / (2 * factorial(count - 1))
            change = value(kept | {i, j}) - value(kept | {i}) - value(kept | {j}) + value(kept)
            found[i, j] = found[j, i] = found[i, j] + weight * change
    return found + np.diag(shapley_values(value, count) - found.sum(1))
