"""Exact values by enumeration of all coalitions."""

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
BLOCK_ROWS = 256
"""The number of coalitions in a block."""


@dataclass(frozen=True, repr=False)
class Exact(Value):
    """Computes exact Shapley values, or Banzhaf values, by evaluating all 2^n coalitions of n features.

    The Shapley value phi_i is the mean of v(S with i) - v(S) over all orders in which features can be added:
    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S with i) - v(S)). ``index="banzhaf"`` takes the plain mean over all S.

    *Use it when* there are few features (up to about 16). Shapley values add up to v(all) - v(none); Banzhaf values do not.

    Cost: 2^n model evaluations. Raises CoalitionError for more than ``most`` features. Source: Shapley 1953; Banzhaf 1965.
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
                f"`asc.coalitions.Exact` cannot evaluate all coalitions of {n} features",
                found=f"2^{n}{f' = {2**n:,}' if n < 60 else ''} coalitions, with most={self.most}",
                advice="over=asc.coalitions.ShapleyRegression() or Permutations(), or fewer features: features=asc.Grid(4)",
                code="E-COALITION-MANY",
            )  # fmt: skip
        return int(2**n)

    def game(self, players: Players, seed: int) -> SequentialGame:
        self.rows(players)
        return SequentialGame(ExactEstimator(players.count, self.index))


def check_index(index: str) -> None:
    """Raises CoalitionError for an unknown index."""
    if index not in ("shapley", "banzhaf"):
        raise CoalitionError("`index=` must be 'shapley' or 'banzhaf'", found=f"index={index!r}", advice="index='shapley'")


def can_enumerate(features: int, budget: int) -> bool:
    """True if the budget covers all 2^n coalitions, so that values are exact."""
    return features < 60 and 2**features <= budget


class ExactEstimator:
    """Sums over all coalitions, added block by block."""

    def __init__(self, features: int, index: Index = "shapley") -> None:
        self.features, self.index = features, index
        self.weights = contribution_weights(features, index)
        self.values: np.ndarray | float = 0.0
        self.known = 0

    def blocks(self) -> Iterator[CoalitionBlock]:
        return enumerate_coalitions(self.features)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        self.values = self.values + signed_weights(block.coalitions, self.weights).T @ values
        self.known += len(values)

    def result(self) -> GameEstimate:
        check_complete(self.known, self.features)
        return GameEstimate(np.asarray(self.values), complete=self.index == "shapley")


def contribution_weights(features: int, index: Index = "shapley") -> np.ndarray:
    """Returns the weight of v(S with i) - v(S) for each size of S, ``[features]``; over all S without i, the weights sum to 1."""
    if index == "banzhaf":
        return np.full(features, 0.5 ** (features - 1))
    return np.array([1 / (features * comb(features - 1, size)) for size in range(features)])


def enumerate_coalitions(features: int) -> Iterator[CoalitionBlock]:
    """Yields all coalitions, in blocks."""
    for start in range(0, 2**features, BLOCK_ROWS):
        yield CoalitionBlock(decode_coalitions(np.arange(start, min(start + BLOCK_ROWS, 2**features)), features))


def check_complete(known: int, features: int) -> None:
    """Raises CoalitionError if not all coalitions are known: partial sums are no estimate."""
    if known < 2**features:
        there = f"{known} of {2**features:,} coalitions"
        raise CoalitionError("Exact values are not known before all coalitions are", found=there, code="E-COALITION-EARLY")


def signed_weights(present: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the weight of each coalition in each feature's value, ``[rows, features]``: > 0 if the feature is present, else < 0."""
    size = present.sum(axis=1, keepdims=True)
    return np.where(present, weights[np.maximum(size - 1, 0)], -weights[np.minimum(size, len(weights) - 1)])


def decode_coalitions(numbers: np.ndarray, features: int) -> np.ndarray:
    """Returns the coalitions of binary numbers, ``[numbers, features]``; feature 0 is the lowest bit."""
    return (numbers[:, None] >> np.arange(features)) & 1 > 0
