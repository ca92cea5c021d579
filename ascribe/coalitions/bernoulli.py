"""Coalitions drawn at random, each feature independently (Bernoulli sampling)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_share, check_tolerance

BLOCK_ROWS = 32
"""The number of coalitions in a block."""


@dataclass(frozen=True, repr=False)
class RandomCoalitions(Value):
    """Computes the mean of v(S) over coalitions with a feature, minus the mean over coalitions without it.

    Each feature is present independently with probability ``p``. With ``p=0.5`` these are Banzhaf values, by maximum sample reuse.

    *Use it when* there are very many features; :class:`Banzhaf` has smaller errors for fewer features. The values do not add up.

    Cost: ``budget`` model evaluations, or fewer if the relative standard error reaches ``tolerance``.
    Raises CoalitionError for ``p`` outside (0, 1), and if the budget is too small for means with and without a feature.
    Source: Wang and Jia 2023.
    """

    budget: int = 1024
    p: float = 0.5
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_share("p", self.p)
        check_count("budget", self.budget)
        check_tolerance(self.tolerance)
        least = int(np.ceil(4 / min(self.p, 1 - self.p)))
        check_budget(self.budget, least, f"means over coalitions with and without a feature, p={self.p:g},")

    def rows(self, players: Players) -> int:
        return self.budget

    def game(self, players: Players, seed: int) -> SequentialGame:
        estimator = _MeansEstimator(check_players(players), self.budget, self.p, np.random.default_rng((seed, 12)))
        return SequentialGame(estimator, self.tolerance)


class _MeansEstimator:
    """Sums of v(S) and of its squares, over all coalitions and over the coalitions with each feature."""

    def __init__(self, features: int, budget: int, p: float, rng: np.random.Generator) -> None:
        self.features, self.budget, self.p, self.rng = features, budget, p, rng
        self.rows, self.present = 0, np.zeros(features)
        self.sums: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        for start in range(0, self.budget, BLOCK_ROWS):
            yield CoalitionBlock(self.rng.random((min(BLOCK_ROWS, self.budget - start), self.features)) < self.p)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if not self.rows:
            self.shift = values.mean(axis=0)  # squares of the differences keep their digits
            self.sums = [np.zeros((size, values.shape[1])) for size in (1, 1, self.features, self.features)]
        values = values - self.shift
        with_ = block.coalitions.T.astype(float)
        self.rows += len(values)
        self.present += with_.sum(axis=1)
        for total, added in zip(self.sums, (values.sum(axis=0), (values**2).sum(axis=0), with_ @ values, with_ @ values**2), strict=True):
            total += added

    def result(self) -> GameEstimate:
        if not self.rows:
            raise CoalitionError("No estimate is known before a block is complete", code="E-COALITION-EARLY")
        all_, squares, with_, with_squares = self.sums
        present = self.present[:, None]
        mean, variance = mean_and_variance(present, with_, with_squares)
        mean0, variance0 = mean_and_variance(self.rows - present, all_ - with_, squares - with_squares)
        never = int((np.isnan(mean + mean0)).any(axis=1).sum())
        notes = (f"{never} features were always or never present, and have no value",) if never else ()
        return GameEstimate(mean - mean0, np.sqrt(variance + variance0), False, notes)


def mean_and_variance(count: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the variance of the mean; NaN without samples, and for the variance of a single sample."""
    mean = np.divide(sums, count, out=np.full_like(sums, np.nan), where=count > 0)
    left = np.maximum(squares - count * mean**2, 0)
    return mean, np.divide(left, count * (count - 1), out=np.full_like(sums, np.nan), where=count > 1)
