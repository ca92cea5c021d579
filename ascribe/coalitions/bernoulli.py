"""Features that are there by chance, each for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_share, check_tolerance

BLOCK_CELLS = 1 << 20
ROWS = 32


@dataclass(frozen=True, repr=False)
class RandomCoalitions(Value):
    """The mean with a feature there less the mean without it, when each is there by itself with probability ``p``.

    With ``p=0.5`` these are Banzhaf values (Wang and Jia 2023); :class:`Banzhaf` has smaller errors, this takes any number of
    features. ``budget`` coalitions, or fewer when ``tolerance`` is reached before. Does not add up.
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
        estimator = _Means(check_players(players), self.budget, self.p, np.random.default_rng((seed, 12)))
        return SequentialGame(estimator, self.tolerance)


class _Means:
    """Sums of values and its squares, over all coalitions and over those with each feature."""

    def __init__(self, features: int, budget: int, p: float, rng: np.random.Generator) -> None:
        self.features, self.budget, self.p, self.rng = features, budget, p, rng
        self.rows, self.there = 0, np.zeros(features)
        self.sums: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        for start in range(0, self.budget, ROWS):
            yield CoalitionBlock(self.rng.random((min(ROWS, self.budget - start), self.features)) < self.p)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if not self.rows:
            self.shift = values.mean(axis=0)  # squares of what is left after it keep their digits
            self.sums = [np.zeros((size, values.shape[1])) for size in (1, 1, self.features, self.features)]
        values = values - self.shift
        with_ = block.coalitions.T.astype(float)
        self.rows += len(values)
        self.there += with_.sum(axis=1)
        for total, added in zip(self.sums, (values.sum(axis=0), (values**2).sum(axis=0), with_ @ values, with_ @ values**2), strict=True):
            total += added

    def result(self) -> GameEstimate:
        if not self.rows:
            raise CoalitionError("an estimate before a block is complete", code="E-COALITION-EARLY")
        all_, squares, with_, with_squares = self.sums
        there = self.there[:, None]
        mean, variance = mean_and_variance(there, with_, with_squares)
        mean0, variance0 = mean_and_variance(self.rows - there, all_ - with_, squares - with_squares)
        never = int((np.isnan(mean + mean0)).any(axis=1).sum())
        notes = (f"{never} features were there always or never: no values",) if never else ()
        return GameEstimate(mean - mean0, np.sqrt(variance + variance0), False, notes)


def mean_and_variance(count: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and the variance of that mean; NaN from nothing, and from one for the variance."""
    mean = np.divide(sums, count, out=np.full_like(sums, np.nan), where=count > 0)
    left = np.maximum(squares - count * mean**2, 0)
    return mean, np.divide(left, count * (count - 1), out=np.full_like(sums, np.nan), where=count > 1)
