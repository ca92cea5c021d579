"""All coalitions there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_count

Index = Literal["shapley", "banzhaf"]
BLOCK = 256


@dataclass(frozen=True, repr=False)
class Exact(Value):
    """Shapley values by all 2^n coalitions: a feature's mean contribution over all orders in which features can arrive.

    ``index="banzhaf"`` gives Banzhaf values instead: the mean contribution over all coalitions alike, which does not add up.
    Costs 2^n coalitions; raises CoalitionError for more than ``most`` features (Shapley 1953; Banzhaf 1965).
    """

    index: Index = "shapley"
    most: int = 16

    def __post_init__(self) -> None:
        check_index(self.index)
        check_count("most", self.most)

    def rows(self, players: Players) -> int:
        n = check_players(players)
        if n > self.most:
            raise CoalitionError(
                f"all coalitions of {n} features", there=f"2^{n}{f' = {2**n:,}' if n < 60 else ''}; most={self.most}",
                try_="ShapleyRegression(budget=...) or Permutations(budget=...), or fewer features: a grid, superpixels, groups",
                code="E-COALITION-MANY",
            )  # fmt: skip
        return int(2**n)

    def game(self, players: Players, seed: int) -> SequentialGame:
        self.rows(players)
        return SequentialGame(ExactEstimator(players.count, self.index))


def check_index(index: str) -> None:
    """Raise CoalitionError for a value that is not known."""
    if index not in ("shapley", "banzhaf"):
        raise CoalitionError(f"index={index!r}", there="shapley, banzhaf")


def can_enumerate(features: int, budget: int) -> bool:
    """Whether all coalitions cost no more than the budget: then nothing needs to be estimated."""
    return features < 60 and 2**features <= budget


class ExactEstimator:
    """Sums over all coalitions."""

    def __init__(self, features: int, index: Index = "shapley") -> None:
        self.features, self.index = features, index
        self.arrives = contribution_weights(features, index)
        self.values: np.ndarray | float = 0.0
        self.told = 0

    def blocks(self) -> Iterator[CoalitionBlock]:
        return enumerate_coalitions(self.features)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        self.values = self.values + signed_weights(block.coalitions, self.arrives).T @ values
        self.told += len(values)

    def result(self) -> GameEstimate:
        check_complete(self.told, self.features)
        return GameEstimate(np.asarray(self.values), complete=self.index == "shapley")


def contribution_weights(features: int, index: Index = "shapley") -> np.ndarray:
    """The weight of a feature's arrival at one coalition of each size, ``[features]``; over all coalitions without it they sum to 1."""
    if index == "banzhaf":
        return np.full(features, 0.5 ** (features - 1))
    return np.array([1 / (features * comb(features - 1, size)) for size in range(features)])


def enumerate_coalitions(features: int) -> Iterator[CoalitionBlock]:
    """All coalitions, in blocks."""
    for start in range(0, 2**features, BLOCK):
        yield CoalitionBlock(decode_coalitions(np.arange(start, min(start + BLOCK, 2**features)), features))


def check_complete(told: int, features: int) -> None:
    """Raise CoalitionError before all coalitions are known: sums over some of them are no values."""
    if told < 2**features:
        raise CoalitionError("an estimate before all coalitions are known", there=f"{told} of {2**features:,}", code="E-COALITION-EARLY")


def signed_weights(there: np.ndarray, arrives: np.ndarray) -> np.ndarray:
    """How each coalition counts in each feature's value, ``[rows, features]``: for it with the feature, against it without."""
    size = there.sum(axis=1, keepdims=True)
    return np.where(there, arrives[np.maximum(size - 1, 0)], -arrives[np.minimum(size, len(arrives) - 1)])


def decode_coalitions(numbers: np.ndarray, features: int) -> np.ndarray:
    """The coalitions of these binary numbers, ``[numbers, features]``: feature 0 is the lowest bit."""
    return (numbers[:, None] >> np.arange(features)) & 1 > 0
