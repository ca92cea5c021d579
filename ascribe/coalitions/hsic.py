"""HSIC indices: the statistical dependence between the presence of a feature and the output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_size

BLOCK_ROWS = 64
"""The number of coalitions in a block."""


@dataclass(frozen=True, repr=False)
class HsicIndices(Value):
    """Computes the Hilbert-Schmidt independence criterion (HSIC) between the presence of a feature and the output.

    *Use it when* you look for any dependence, also a nonlinear one, and need no sign. The index is >= 0, about 1 / ``budget`` by chance
    for an independent feature. It is no share of the output and does not add up.

    Each feature is present in half of the coalitions. The kernel of the output is Gaussian; ``width`` is its standard deviation in the
    unit of the output, and None takes the median distance between two outputs.

    Cost: ``budget`` model evaluations, and ``budget`` squared times the number of features in arithmetic for each quantity and record.
    Standard errors hold for dependent features, and are too small for independent ones. Raises CoalitionError for ``budget`` below 8.
    Source: Novello, Fel and Vigouroux 2022.
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
        return SequentialGame(_HsicEstimator(check_players(players), self.budget, self.width, np.random.default_rng((seed, 16))))


class _HsicEstimator:
    def __init__(self, features: int, budget: int, width: float | None, rng: np.random.Generator) -> None:
        self.features, self.budget, self.width, self.rng = features, budget, width, rng
        self.present: list[np.ndarray] = []
        self.values: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        half = np.arange(self.budget) % 2 == 0
        every = self.rng.permuted(np.repeat(half[:, None], self.features, axis=1), axis=0)
        for start in range(0, self.budget, BLOCK_ROWS):
            yield CoalitionBlock(every[start : start + BLOCK_ROWS])

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        self.present.append(block.coalitions)
        self.values.append(values)

    def result(self) -> GameEstimate:
        if not self.present:
            raise CoalitionError("No estimate is known before a block is complete", code="E-COALITION-EARLY")
        signs = np.where(np.concatenate(self.present), 1.0, -1.0)
        signs -= signs.mean(axis=0)
        results = [compute_hsic(signs, outputs, self.width) for outputs in np.concatenate(self.values).T]
        values, errors = (np.stack(part, axis=-1) for part in zip(*results, strict=True))
        return GameEstimate(values, errors)


def compute_hsic(signs: np.ndarray, outputs: np.ndarray, width: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the HSIC of each centred column of ``signs`` with the outputs, and its standard error.

    The kernel of a feature is 1 if two coalitions agree on it, else 0; centred, it is half the product of the signs. To first order
    the criterion is a mean over coalitions, and its standard error is that of a mean.
    """
    rows = len(outputs)
    apart = np.abs(outputs[:, None] - outputs)
    width = (np.median(apart[np.triu_indices(rows, 1)]) or apart.max()) if width is None else width
    kernel = np.exp(-((apart / width) ** 2) / 2) if width else np.ones_like(apart)
    kernel = kernel - kernel.mean(axis=0)
    kernel -= kernel.mean(axis=1, keepdims=True)
    parts = signs * (kernel @ signs) / (2 * rows)
    return parts.mean(axis=0), 2 * parts.std(axis=0) / np.sqrt(rows)
