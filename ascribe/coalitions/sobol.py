"""How much of the output's variance goes back to a feature when all are mixed in by chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_tolerance

GROUPS = 16


@dataclass(frozen=True, repr=False)
class TotalSobolIndices(Value):
    """Sobol's total indices: the share of the variance that a feature has a part in, alone or with others (Fel et al. 2021).

    How much of each feature is there is uniform between 0 and 1, drawn evenly (Latin hypercubes); Jansen's estimator compares
    each draw with draws in which one feature alone is new: n + 1 coalitions a draw, ``budget`` together (4096, or 32 draws, if left
    out), or fewer when ``tolerance`` is reached before. Shares are at least 0 and sum to 1 or more; they say nothing of direction.
    Removals must know what half a feature is (a mix of value and replacement).
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
        return SequentialGame(_Jansen(n, self._draws(n), np.random.default_rng((seed, 15))), self.tolerance)

    def _draws(self, n: int) -> int:
        budget = max(4096, 32 * (n + 1)) if self.budget is None else self.budget
        return check_budget(budget, 4 * (n + 1), f"four draws of {n} features") // (n + 1)


class _Jansen:
    """Sums over groups of draws, each group a Latin hypercube: squared differences, values and its squares.

    Half the mean squared change over the variance, 0 where nothing varies. Errors are those of a ratio, to first order: with few draws
    what is left without a group may hardly vary at all, and a jackknife_error says nothing.
    """

    def __init__(self, features: int, draws: int, rng: np.random.Generator) -> None:
        self.features, self.draws, self.rng = features, draws, rng
        self.groups = min(GROUPS, draws // 2)
        self.told: list[int] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        for group, draws in enumerate(np.diff(np.linspace(0, self.draws, self.groups + 1).astype(int)).tolist()):
            evenly = draw_latin_hypercube(draws, 2 * self.features, self.rng)
            there, new = evenly[:, : self.features], evenly[:, self.features :]
            rows = np.repeat(there[:, None], self.features + 1, axis=1)
            one = np.arange(self.features)
            rows[:, 1 + one, one] = new
            yield CoalitionBlock(rows.reshape(-1, self.features), group)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        draws = values.reshape(-1, self.features + 1, values.shape[1])
        if not self.told:
            games = values.shape[1]
            self.shift = values.mean(axis=0)
            self.counts = np.zeros((self.groups, 1))
            self.changes = np.zeros((self.groups, self.features, games))
            self.sums, self.squares = np.zeros((self.groups, games)), np.zeros((self.groups, games))
        self.told.append(block.key)
        self.counts[block.key] = len(draws)
        self.changes[block.key] = ((draws[:, 1:] - draws[:, :1]) ** 2).sum(axis=0) / 2
        self.sums[block.key] = (draws[:, 0] - self.shift).sum(axis=0)
        self.squares[block.key] = ((draws[:, 0] - self.shift) ** 2).sum(axis=0)

    def result(self) -> GameEstimate:
        if len(self.told) < 2:
            raise CoalitionError("an estimate before two groups of draws are complete", code="E-COALITION-EARLY")
        counts, changes, sums, squares = (a[self.told] for a in (self.counts, self.changes, self.sums, self.squares))
        count = counts.sum()
        mean = sums.sum(axis=0) / count
        apart = (squares - 2 * mean * sums + counts * mean**2) / (count - 1)  # each group's part in the variance
        variance = apart.sum(axis=0)
        variance = np.where(variance > 1e-14 * np.abs(squares.sum(axis=0) / count) + 1e-300, variance, np.inf)
        shares = changes.sum(axis=0) / count / variance
        pulls = (changes / count - shares * apart[:, None]) / variance  # of the groups on the shares, to first order; their sum is 0
        return GameEstimate(shares, np.sqrt((pulls**2).sum(axis=0) * len(counts) / (len(counts) - 1)))


def draw_latin_hypercube(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers between 0 and 1, in every column one in each of ``rows`` equal pieces, in random order (a Latin hypercube)."""
    order = rng.permuted(np.repeat(np.arange(rows)[:, None], columns, axis=1), axis=0)
    return (order + rng.random((rows, columns))) / rows
