"""What features bring together that they do not bring alone."""

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
    """How much pairs of features matter together: a symmetric matrix for each record, that adds up.

    Half of a pair's index stands at [i, j] and half at [j, i]; on the diagonal what is left to the feature itself. ``index``:
    ``"shapley"``, the mean over coalitions of what i and j bring together beyond what each brings; rows then sum to the Shapley
    values (Grabisch and Roubens 1999; Lundberg et al. 2018). ``"taylor"``, that mean over the coalitions before both in a random
    order, with what each feature brings alone on the diagonal (Shapley-Taylor; Sundararajan et al. 2020). ``"faith"``, the
    coefficients of the make_pairwise_fit game nearest to the real one under the Shapley kernel (Faith-Shap; Tsai et al. 2023).

    All 2^n coalitions where the ``budget`` (4096, or 8 n (n - 1), if left out) holds them. Otherwise ``"faith"`` fits coalitions drawn
    as for :class:`ShapleyRegression`, and the others take all arcs of random circles of features, n (n - 1) coalitions a circle, of
    which each pair and each feature has an unbiased sample (``"taylor"`` then adds up in the mean only). ``tolerance`` as there.
    """

    budget: int | None = None
    index: PairIndex = "shapley"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget, optional=True)
        check_tolerance(self.tolerance)
        if self.index not in ("shapley", "taylor", "faith"):
            raise CoalitionError(f"index={self.index!r}", there="shapley, taylor, faith")

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
            return SequentialGame(_Enumerated(n, self.index))
        return SequentialGame(_Circles(n, self.index, (rows - 2) // (n * (n - 1)), rng), self.tolerance)


def make_pairwise_fit(features: int) -> LinearFit:
    """One term for each feature and one for each pair, of whether they are there; read out as a matrix."""
    one, two = np.triu_indices(features, 1)
    readout = np.zeros((features, features, features + len(one)))
    every, pairs = np.arange(features), features + np.arange(len(one))
    readout[every, every, every] = 1
    readout[one, two, pairs] = readout[two, one, pairs] = 0.5

    def columns(there: np.ndarray) -> np.ndarray:
        return np.concatenate([there, there[:, one] & there[:, two]], axis=1).astype(float)

    return LinearFit(columns, readout.reshape(features**2, -1), False, True, (features, features))


class _Enumerated:
    """Sums over all coalitions: a pair counts those with both or neither for it, those with one of the two against it."""

    def __init__(self, features: int, index: PairIndex) -> None:
        self.features, self.index = features, index
        numbers = np.array([comb(features - 2, size) for size in range(features - 1)] if features > 1 else [1.0])
        self.pair = pair_size_weights(features, index) / numbers
        self.values: np.ndarray | float = 0.0
        self.told = 0

    def blocks(self) -> Iterator[CoalitionBlock]:
        return enumerate_coalitions(self.features)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        there = block.coalitions
        size = there.sum(axis=1)
        both = there[:, :, None].astype(int) + there[:, None, :]
        at = size[:, None, None] - both
        weights = self.pair[np.clip(at, 0, len(self.pair) - 1)] * np.where(both == 1, -0.5, 0.5)
        every = np.arange(self.features)
        weights[:, every, every] = 0
        weights[:, every, every] = self._single(there) - (weights.sum(axis=2) if self.index == "shapley" else 0)
        self.values = self.values + np.tensordot(weights, values, axes=(0, 0))
        self.told += len(values)

    def _single(self, there: np.ndarray) -> np.ndarray:
        """How a feature's own value counts coalitions: its Shapley value, or what it brings alone."""
        alone = contribution_weights(self.features) if self.index == "shapley" else (np.arange(self.features) == 0).astype(float)
        return signed_weights(there, alone)

    def result(self) -> GameEstimate:
        check_complete(self.told, self.features)
        return GameEstimate(np.asarray(self.values), complete=True)


def pair_size_weights(features: int, index: PairIndex) -> np.ndarray:
    """The weight in a pair's index of all coalitions of each size 0 ... n - 2 without it; together 1."""
    if features < 2:
        return np.zeros(1)
    if index == "shapley":
        return np.full(features - 1, 1 / (features - 1))
    return 2 * (features - 1 - np.arange(features - 1)) / (features * (features - 1))


class _Circles:
    """The average of samples, one from each circle: every pair is at the two ends of two arcs, one each way round."""

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
        found = np.empty((self.features, self.features, values.shape[1]))
        found[np.ix_(block.key, block.key)] = estimate_circle(arcs, self.ends, self.index)
        self.average.add(found)

    def result(self) -> GameEstimate:
        return self.average.estimate(self.index == "shapley")


def estimate_circle(arcs: np.ndarray, ends: np.ndarray, index: PairIndex) -> np.ndarray:
    """A circle's sample of all interactions, from the values of its arcs ``[starts, sizes, games]``: ``[places, places, games]``."""
    n = len(arcs)
    none, all_ = (np.broadcast_to(end, (n, 1, arcs.shape[2])) for end in ends)
    arcs_ = np.concatenate([none, arcs, all_], axis=1)
    after = np.roll(arcs_, -1, axis=0)
    # the feature before an arc of each size 0 ... n - 2 and the one behind it: both, one, the other, neither
    beyond = arcs_[:, 2:] - arcs_[:, 1:-1] - after[:, 1:-1] + after[:, :-2]
    before, size = np.indices((n, n - 1))
    found = np.zeros((n, n, arcs.shape[2]))
    share = pair_size_weights(n, index) * (n - 1) / 4  # sizes come up alike; half of two arcs, half for each place in the matrix
    found[before, (before + size + 1) % n] = beyond * share[:, None]
    found = found + found.swapaxes(0, 1)
    every = np.arange(n)
    found[every, every] = average_circle(arcs, ends) - found.sum(axis=1) if index == "shapley" else arcs[:, 0] - ends[0]
    return found
