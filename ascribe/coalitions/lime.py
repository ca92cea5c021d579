"""A linear model of the game near the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_share, check_size, check_tolerance

GROUPS = 20
SWEEPS = 1000

Distance = Literal["cosine", "euclidean", "hamming"]
WIDTHS = {"cosine": 0.25, "hamming": 0.25}


@dataclass(frozen=True, repr=False)
class LinearSurrogate(Value):
    """The coefficients of a linear model fitted to random coalitions, those near the record counting most (LIME; Ribeiro et al. 2016).

    Features are there by chance, each with probability ``p``. A coalition counts exp(-distance^2 / (2 width^2)); ``distance`` to
    the one with all features is 1 - cosine, the share of features missing (``"hamming"``), or the root of their number
    (``"euclidean"``). ``width`` is 0.25, or 0.75 sqrt(n) for ``"euclidean"``, unless given. The fit is ridge regression with penalty
    ``ridge``, or, with ``lasso``, that penalty on absolute values and half the mean squared error: some coefficients are then 0.
    The intercept is free.

    ``budget`` coalitions (2048, or 8 n, if left out), or fewer when ``tolerance`` is reached before. Does not add up, and is no
    estimate of anything but its own fit; for values that can be checked take :class:`ShapleyRegression`.
    """

    budget: int | None = None
    distance: Distance = "cosine"
    width: float | None = None
    ridge: float = 1.0
    lasso: float | None = None
    p: float = 0.5
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget, optional=True)
        check_share("p", self.p)
        check_tolerance(self.tolerance)
        if self.distance not in ("cosine", "euclidean", "hamming"):
            raise CoalitionError(f"distance={self.distance!r}", there="cosine, euclidean, hamming")
        check_size("ridge", self.ridge, zero=True)
        for name in ("width", "lasso"):
            if (value := getattr(self, name)) is not None:
                check_size(name, value)

    def rows(self, players: Players) -> int:
        n = check_players(players)
        return check_budget(max(2048, 8 * n) if self.budget is None else self.budget, n + 2, f"a fit of {n} values and a constant")

    def game(self, players: Players, seed: int) -> SequentialGame:
        rows = self.rows(players)
        return SequentialGame(_Near(players.count, rows, self, np.random.default_rng((seed, 17))), self.tolerance)

    def weigh(self, there: np.ndarray) -> np.ndarray:
        """How much each coalition counts, by how many features it has."""
        n = there.shape[1]
        share = there.sum(axis=1) / n
        if self.distance == "cosine":
            far = 1 - np.sqrt(share)
        else:
            far = np.sqrt((1 - share) * n) if self.distance == "euclidean" else 1 - share
        width = WIDTHS.get(self.distance, 0.75 * np.sqrt(n)) if self.width is None else self.width
        return np.exp(-((far / width) ** 2) / 2)


class _Near:
    """Weighted sums of products of the terms (a constant and the features), and of terms and values, for each group of coalitions."""

    def __init__(self, features: int, budget: int, over: LinearSurrogate, rng: np.random.Generator) -> None:
        self.features, self.budget, self.over, self.rng = features, budget, over, rng
        self.groups = min(GROUPS, budget)
        self.products: list[np.ndarray] = []
        self.rights: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        for group, rows in enumerate(np.diff(np.linspace(0, self.budget, self.groups + 1).astype(int)).tolist()):
            there = self.rng.random((rows, self.features)) < self.over.p
            if group == 0:
                there[0] = True  # the record itself, where the model is to be right
            yield CoalitionBlock(there)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if not self.rights:
            self.shift = values.mean(axis=0)
        terms = np.concatenate([np.ones((len(values), 1)), block.coalitions], axis=1)
        weighted = terms.T * self.over.weigh(block.coalitions)
        self.products.append(weighted @ terms)
        self.rights.append(weighted @ (values - self.shift))

    def result(self) -> GameEstimate:
        if not self.rights:
            raise CoalitionError("an estimate before a block is complete", code="E-COALITION-EARLY")
        matrix, right = np.sum(self.products, axis=0), np.sum(self.rights, axis=0)
        found = self._fitted(matrix, right)
        if len(self.rights) < 2:
            return GameEstimate(found, np.full_like(found, np.nan))
        parts = zip(self.products, self.rights, strict=True)
        return GameEstimate(found, jackknife_error(np.stack([self._fitted(matrix - m, right - r) for m, r in parts])))

    def _fitted(self, matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The coefficients of the features; the constant is eliminated by taking means out."""
        mean = matrix[0, 1:] / matrix[0, 0]
        inner = matrix[1:, 1:] - matrix[0, 0] * np.outer(mean, mean)
        target = right[1:] - mean[:, None] * right[0]
        if self.over.lasso is None:
            return np.linalg.lstsq(inner + self.over.ridge * np.eye(len(inner)), target)[0]
        return lasso(inner / matrix[0, 0], target / matrix[0, 0], self.over.lasso)


def jackknife_error(without: np.ndarray) -> np.ndarray:
    """The standard error of an estimate, from what it would be without each of ``[groups, ...]`` groups."""
    groups = len(without)
    return np.sqrt(((without - without.mean(axis=0)) ** 2).sum(axis=0) * (groups - 1) / groups)


def lasso(matrix: np.ndarray, right: np.ndarray, penalty: float, precision: float = 1e-10) -> np.ndarray:
    """Minimises x' matrix x / 2 - right' x + penalty |x|, for every column of ``right``, one coefficient at a time.

    Columns that are not finite stay so, and nobody waits for them.
    """
    found = np.zeros_like(right)
    diagonal = np.diagonal(matrix)
    scale = largest_finite(right)
    for _ in range(SWEEPS):
        largest = 0.0
        for i in np.flatnonzero(diagonal > 0):
            rest = right[i] - matrix[i] @ found + diagonal[i] * found[i]
            new = np.sign(rest) * np.maximum(np.abs(rest) - penalty, 0) / diagonal[i]
            largest = max(largest, diagonal[i] * largest_finite(new - found[i]))
            found[i] = new
        if largest <= precision * scale:
            break
    return found


def largest_finite(values: np.ndarray) -> float:
    """The largest size of those that are finite; 0 where none is."""
    return float(np.abs(values).max(where=np.isfinite(values), initial=0.0))
