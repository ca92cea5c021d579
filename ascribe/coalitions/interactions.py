"""Interaction values of pairs of features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .exact import can_enumerate, check_complete, contribution_weights, enumerate_coalitions, signed_weights
from .games import CoalitionBlock, RunningMean, SequentialGame, check_budget, check_count, check_tolerance, make_empty_and_full
from .kernel import make_plan
from .permutations import average_circle, make_arcs
from .regression import LinearFit, RegressionEstimator
from .sampling import compute_size_weights

PairIndex = Literal["shapley", "taylor", "faith"]


@dataclass(frozen=True, repr=False)
class Interactions(Value):
    """Computes pairwise interaction values: a symmetric matrix ``[features, features]`` for each record, which adds up.

    Entries [i, j] and [j, i] each hold half of the pair's index; the diagonal holds what remains for the single feature.

    *Use it when* features act together, and you want to know which pairs. ``index`` is

    - ``"shapley"``: the mean over coalitions S of v(S with i, j) - v(S with i) - v(S with j) + v(S), by the Shapley interaction index.
      Rows sum to the Shapley values. Source: Grabisch and Roubens 1999; Lundberg et al. 2018.
    - ``"taylor"``: the same difference over the coalitions before both features in a random order, with v(i) - v(none) on the diagonal
      (Shapley-Taylor). Source: Sundararajan, Dhamdhere and Agarwal 2020.
    - ``"faith"``: the coefficients of the best pairwise game under the Shapley kernel (Faith-Shap). Source: Tsai, Yeh and Ravikumar 2023.

    Cost: all 2^n coalitions if ``budget`` covers them (default: 4096, or 8 n (n - 1) if that is larger). Otherwise ``"faith"`` fits
    sampled coalitions as :class:`ShapleyRegression` does; the other indices evaluate random circles of features, n (n - 1) coalitions
    each, which give an unbiased sample of each pair and feature (``"taylor"`` then adds up in expectation only). Sampling stops early
    if the relative standard error reaches ``tolerance``.

    Raises CoalitionError for an unknown ``index``, and for a budget below one circle or one fit.
    """

    budget: int | None = None
    index: PairIndex = "shapley"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget, optional=True)
        check_tolerance(self.tolerance)
        if self.index not in ("shapley", "taylor", "faith"):
            raise CoalitionError("`index=` must be 'shapley', 'taylor' or 'faith'", found=f"index={self.index!r}", advice="index='shapley'")

    def rows(self, players: Players) -> int:
        n = check_players(players)
        budget = max(4096, 8 * n * (n - 1)) if self.budget is None else self.budget
        if can_enumerate(n, budget):
            return int(2**n)
        if self.index == "faith":
            return check_budget(budget, 2 + 3 * n * (n + 1) // 2, f"a fit of {n * (n + 1) // 2} values and its errors")
        return 2 + (check_budget(budget, 2 + n * (n - 1), f"a circle of {n} features") - 2) // (n * (n - 1)) * n * (n - 1)

    def game(self, players: Players, seed: int) -> SequentialGame:
        n, rows = players.count, self.rows(players)
        rng = np.random.default_rng((seed, 18))
        if self.index == "faith" and n > 1:
            weights = compute_size_weights(n, "kernel")
            units = make_plan(n, weights, weights, rows, False, self.tolerance is not None and not can_enumerate(n, rows))
            return SequentialGame(RegressionEstimator(units.draw(rng), make_pairwise_fit(n)), self.tolerance)
        if can_enumerate(n, rows):
            return SequentialGame(_PairEnumeration(n, self.index))
        return SequentialGame(_CircleEstimator(n, self.index, (rows - 2) // (n * (n - 1)), rng), self.tolerance)


def make_pairwise_fit(features: int) -> LinearFit:
    """Returns a model with one term for each feature and one for each pair (1 if present), and a matrix as readout."""
    one, two = np.triu_indices(features, 1)
    readout = np.zeros((features, features, features + len(one)))
    every, pairs = np.arange(features), features + np.arange(len(one))
    readout[every, every, every] = 1
    readout[one, two, pairs] = readout[two, one, pairs] = 0.5

    def columns(present: np.ndarray) -> np.ndarray:
        return np.concatenate([present, present[:, one] & present[:, two]], axis=1).astype(float)

    return LinearFit(columns, readout.reshape(features**2, -1), False, True, (features, features))


class _PairEnumeration:
    """Sums over all coalitions: weights are positive for coalitions with both or neither of a pair, negative for those with one of them."""

    def __init__(self, features: int, index: PairIndex) -> None:
        self.features, self.index = features, index
        numbers = np.array([comb(features - 2, size) for size in range(features - 1)] if features > 1 else [1.0])
        self.pair = pair_size_weights(features, index) / numbers
        self.values: np.ndarray | float = 0.0
        self.known = 0

    def blocks(self) -> Iterator[CoalitionBlock]:
        return enumerate_coalitions(self.features)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        present = block.coalitions
        size = present.sum(axis=1)
        both = present[:, :, None].astype(int) + present[:, None, :]
        at = size[:, None, None] - both
        weights = self.pair[np.clip(at, 0, len(self.pair) - 1)] * np.where(both == 1, -0.5, 0.5)
        every = np.arange(self.features)
        weights[:, every, every] = 0
        weights[:, every, every] = self._single(present) - (weights.sum(axis=2) if self.index == "shapley" else 0)
        self.values = self.values + np.tensordot(weights, values, axes=(0, 0))
        self.known += len(values)

    def _single(self, present: np.ndarray) -> np.ndarray:
        """Returns the weights of a feature's own value: its Shapley value, or v(i) - v(none)."""
        alone = contribution_weights(self.features) if self.index == "shapley" else (np.arange(self.features) == 0).astype(float)
        return signed_weights(present, alone)

    def result(self) -> GameEstimate:
        check_complete(self.known, self.features)
        return GameEstimate(np.asarray(self.values), complete=True)


def pair_size_weights(features: int, index: PairIndex) -> np.ndarray:
    """Returns the weight of all coalitions of each size 0 ... n - 2 without the pair in its index; the sum is 1."""
    if features < 2:
        return np.zeros(1)
    if index == "shapley":
        return np.full(features - 1, 1 / (features - 1))
    return 2 * (features - 1 - np.arange(features - 1)) / (features * (features - 1))


class _CircleEstimator:
    """The mean of samples, one from each circle: each pair is at the ends of two arcs, one in each direction."""

    def __init__(self, features: int, index: PairIndex, circles: int, rng: np.random.Generator) -> None:
        self.features, self.index, self.circles, self.rng = features, index, circles, rng
        self.average = RunningMean()

    def blocks(self) -> Iterator[CoalitionBlock]:
        yield CoalitionBlock(make_empty_and_full(self.features))
        for _ in range(self.circles):
            order = self.rng.permutation(self.features)
            yield CoalitionBlock(make_arcs(order), order)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.ends = values
            return
        arcs = values.reshape(self.features, self.features - 1, -1)
        sample = np.empty((self.features, self.features, values.shape[1]))
        sample[np.ix_(block.key, block.key)] = estimate_circle(arcs, self.ends, self.index)
        self.average.add(sample)

    def result(self) -> GameEstimate:
        return self.average.estimate(self.index == "shapley")


def estimate_circle(arcs: np.ndarray, ends: np.ndarray, index: PairIndex) -> np.ndarray:
    """Returns a circle's sample of all interactions from the values of its arcs ``[starts, sizes, games]``: ``[n, n, games]``."""
    n = len(arcs)
    none, all_ = (np.broadcast_to(end, (n, 1, arcs.shape[2])) for end in ends)
    arcs_ = np.concatenate([none, arcs, all_], axis=1)
    after = np.roll(arcs_, -1, axis=0)
    # the feature before an arc of each size 0 ... n - 2 and the feature after it: both, one, the other, neither
    beyond = arcs_[:, 2:] - arcs_[:, 1:-1] - after[:, 1:-1] + after[:, :-2]
    before, size = np.indices((n, n - 1))
    sample = np.zeros((n, n, arcs.shape[2]))
    share = pair_size_weights(n, index) * (n - 1) / 4  # sizes have equal counts; half of two arcs, half for each entry of the matrix
    sample[before, (before + size + 1) % n] = beyond * share[:, None]
    sample = sample + sample.swapaxes(0, 1)
    every = np.arange(n)
    sample[every, every] = average_circle(arcs, ends) - sample.sum(axis=1) if index == "shapley" else arcs[:, 0] - ends[0]
    return sample
