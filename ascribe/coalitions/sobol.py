"""Total Sobol indices: the share of the output's variance in which a feature takes part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_tolerance

GROUPS = 16
"""The number of groups of draws for standard errors."""


@dataclass(frozen=True, repr=False)
class TotalSobolIndices(Value):
    """Estimates total Sobol indices: the share of the output's variance that depends on a feature, alone or with others.

    *Use it when* you want a global sensitivity with all interactions, and need no sign. Indices are >= 0 and sum to 1 or more.

    The presence of each feature is uniform in [0, 1], sampled by Latin hypercubes; the removal must be able to mix a value with its
    replacement. Jansen's estimator compares each draw with draws in which one feature is new, n + 1 coalitions for each draw.

    Cost: at most ``budget`` model evaluations (default: 4096, or 32 draws if that is larger), or fewer if the relative standard error
    reaches ``tolerance``. Raises CoalitionError for a budget below 4 draws. Source: Fel et al. 2021; Jansen 1999.
    """

    budget: int | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget, optional=True)
        check_tolerance(self.tolerance)

    def rows(self, players: Players) -> int:
        return self._draws(players.count) * (players.count + 1)

    def game(self, players: Players, seed: int) -> SequentialGame:
        n = check_players(players)
        return SequentialGame(_JansenEstimator(n, self._draws(n), np.random.default_rng((seed, 15))), self.tolerance)

    def _draws(self, n: int) -> int:
        budget = max(4096, 32 * (n + 1)) if self.budget is None else self.budget
        return check_budget(budget, 4 * (n + 1), f"four draws of {n} features") // (n + 1)


class _JansenEstimator:
    """Sums over groups of draws, each a Latin hypercube: squared differences, values and their squares.

    The index is half the mean squared change divided by the variance, and 0 for a constant output. Standard errors are those of a
    ratio, to first order: with few draws the rest of the groups may hardly vary, so that a jackknife fails.
    """

    def __init__(self, features: int, draws: int, rng: np.random.Generator) -> None:
        self.features, self.draws, self.rng = features, draws, rng
        self.groups = min(GROUPS, draws // 2)
        self.received: list[int] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        for group, draws in enumerate(np.diff(np.linspace(0, self.draws, self.groups + 1).astype(int)).tolist()):
            uniform = draw_latin_hypercube(draws, 2 * self.features, self.rng)
            present, new = uniform[:, : self.features], uniform[:, self.features :]
            rows = np.repeat(present[:, None], self.features + 1, axis=1)
            one = np.arange(self.features)
            rows[:, 1 + one, one] = new
            yield CoalitionBlock(rows.reshape(-1, self.features), group)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        draws = values.reshape(-1, self.features + 1, values.shape[1])
        if not self.received:
            games = values.shape[1]
            self.shift = values.mean(axis=0)
            self.counts = np.zeros((self.groups, 1))
            self.changes = np.zeros((self.groups, self.features, games))
            self.sums, self.squares = np.zeros((self.groups, games)), np.zeros((self.groups, games))
        self.received.append(block.key)
        self.counts[block.key] = len(draws)
        self.changes[block.key] = ((draws[:, 1:] - draws[:, :1]) ** 2).sum(axis=0) / 2
        self.sums[block.key] = (draws[:, 0] - self.shift).sum(axis=0)
        self.squares[block.key] = ((draws[:, 0] - self.shift) ** 2).sum(axis=0)

    def result(self) -> GameEstimate:
        if len(self.received) < 2:
            raise CoalitionError("No estimate is known before two groups of draws are complete", code="E-COALITION-EARLY")
        counts, changes, sums, squares = (a[self.received] for a in (self.counts, self.changes, self.sums, self.squares))
        count = counts.sum()
        mean = sums.sum(axis=0) / count
        apart = (squares - 2 * mean * sums + counts * mean**2) / (count - 1)  # each group's part of the variance
        variance = apart.sum(axis=0)
        variance = np.where(variance > 1e-14 * np.abs(squares.sum(axis=0) / count) + 1e-300, variance, np.inf)
        shares = changes.sum(axis=0) / count / variance
        influences = (changes / count - shares * apart[:, None]) / variance  # of each group on the indices, to first order; they sum to 0
        return GameEstimate(shares, np.sqrt((influences**2).sum(axis=0) * len(counts) / (len(counts) - 1)))


def draw_latin_hypercube(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Draws numbers in [0, 1]: in each column, one in each of ``rows`` equal intervals, in random order (a Latin hypercube)."""
    order = rng.permuted(np.repeat(np.arange(rows)[:, None], columns, axis=1), axis=0)
    return (order + rng.random((rows, columns))) / rows
