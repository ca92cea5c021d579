"""How far the output depends on a feature being there, in whatever way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_size

ROWS = 64


@dataclass(frozen=True, repr=False)
class HsicIndices(Value):
    """The Hilbert-Schmidt independence criterion between a feature's being there and the output (HSIC; Novello et al. 2022).

    0 where they are independent, up to about 1 / ``budget`` by chance; says nothing of direction, and is not a share of anything. Features
    are there half the time, balanced in each of them; the output's kernel is Gaussian, of ``width`` the median distance between two
    outputs unless given. Keeps the values of all coalitions, and for one game at a time compares all pairs of them: ``budget`` squared
    times the features. Errors hold where there is dependence; without any they are too small.
    """

    budget: int = 1024
    width: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget)
        check_budget(self.budget, 8, "two outputs of each kind and their errors")
        if self.width is not None:
            check_size("width", self.width)

    def rows(self, players: Players) -> int:
        return self.budget

    def game(self, players: Players, seed: int) -> SequentialGame:
        return SequentialGame(_Pairs(check_players(players), self.budget, self.width, np.random.default_rng((seed, 16))))


class _Pairs:
    def __init__(self, features: int, budget: int, width: float | None, rng: np.random.Generator) -> None:
        self.features, self.budget, self.width, self.rng = features, budget, width, rng
        self.there: list[np.ndarray] = []
        self.values: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        half = np.arange(self.budget) % 2 == 0
        every = self.rng.permuted(np.repeat(half[:, None], self.features, axis=1), axis=0)
        for start in range(0, self.budget, ROWS):
            yield CoalitionBlock(every[start : start + ROWS])

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        self.there.append(block.coalitions)
        self.values.append(values)

    def result(self) -> GameEstimate:
        if not self.there:
            raise CoalitionError("an estimate before a block is complete", code="E-COALITION-EARLY")
        signs = np.where(np.concatenate(self.there), 1.0, -1.0)
        signs -= signs.mean(axis=0)
        found = [compute_hsic(signs, outputs, self.width) for outputs in np.concatenate(self.values).T]
        values, errors = (np.stack(part, axis=-1) for part in zip(*found, strict=True))
        return GameEstimate(values, errors)


def compute_hsic(signs: np.ndarray, outputs: np.ndarray, width: float | None) -> tuple[np.ndarray, np.ndarray]:
    """HSIC of each centred column of ``signs`` with the outputs, and its standard error.

    The kernel of a feature is 1 where two coalitions agree on it, else 0: half the product of signs, centred. The error is
    that of a mean: to first order each coalition has its share in the criterion.
    """
    rows = len(outputs)
    apart = np.abs(outputs[:, None] - outputs)
    width = (np.median(apart[np.triu_indices(rows, 1)]) or apart.max()) if width is None else width
    alike = np.exp(-((apart / width) ** 2) / 2) if width else np.ones_like(apart)
    alike = alike - alike.mean(axis=0)
    alike -= alike.mean(axis=1, keepdims=True)
    parts = signs * (alike @ signs) / (2 * rows)
    return parts.mean(axis=0), 2 * parts.std(axis=0) / np.sqrt(rows)
