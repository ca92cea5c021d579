"""A linear surrogate of the game near the record (LIME)."""

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
"""The number of groups of coalitions for the jackknife standard error."""
SWEEPS = 1000
"""The largest number of sweeps of the lasso over all coefficients."""

Distance = Literal["cosine", "euclidean", "hamming"]
WIDTHS = {"cosine": 0.25, "hamming": 0.25}
"""The default width for distances in [0, 1]."""


@dataclass(frozen=True, repr=False)
class LinearSurrogate(Value):
    """Fits a linear model to random coalitions, with larger weights near the record, and returns its coefficients (LIME).

    *Use it when* you need the numbers of LIME, or a sparse explanation (``lasso``). The coefficients do not add up, and depend on
    ``distance``, ``width`` and ``ridge``; for values with a definition use :class:`ShapleyRegression`.

    Each feature is present independently with probability ``p``. A coalition has weight exp(-d^2 / (2 width^2)). ``distance`` d to the full
    coalition is, for k of n features present: ``"cosine"`` 1 - sqrt(k / n), ``"hamming"`` 1 - k / n, or ``"euclidean"`` sqrt(n - k).
    ``width`` None takes 0.25, or 0.75 sqrt(n) for ``"euclidean"``. The fit is ridge regression with penalty ``ridge``; with ``lasso`` it
    is a lasso with that penalty on absolute values and half the mean squared error, so that some coefficients are 0. The intercept has
    no penalty.

    Cost: ``budget`` model evaluations (default: 2048, or 8 n if that is larger), or fewer if the relative standard error reaches
    ``tolerance``. Raises CoalitionError for a budget below n + 2, and for arguments out of range. Source: Ribeiro, Singh and Guestrin 2016.
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
            problem = "`distance=` must be 'cosine', 'euclidean' or 'hamming'"
            raise CoalitionError(problem, found=f"distance={self.distance!r}", advice="distance='cosine'")
        check_size("ridge", self.ridge, zero=True)
        for name in ("width", "lasso"):
            if (value := getattr(self, name)) is not None:
                check_size(name, value)

    def rows(self, players: Players) -> int:
        n = check_players(players)
        return check_budget(max(2048, 8 * n) if self.budget is None else self.budget, n + 2, f"a fit of {n} values and a constant")

    def game(self, players: Players, seed: int) -> SequentialGame:
        rows = self.rows(players)
        return SequentialGame(_SurrogateEstimator(players.count, rows, self, np.random.default_rng((seed, 17))), self.tolerance)

    def weigh(self, present: np.ndarray) -> np.ndarray:
        """Returns the weight of each coalition, from the number of its features."""
        n = present.shape[1]
        share = present.sum(axis=1) / n
        if self.distance == "cosine":
            far = 1 - np.sqrt(share)
        else:
            far = np.sqrt((1 - share) * n) if self.distance == "euclidean" else 1 - share
        width = WIDTHS.get(self.distance, 0.75 * np.sqrt(n)) if self.width is None else self.width
        return np.exp(-((far / width) ** 2) / 2)


class _SurrogateEstimator:
    """Weighted sums for each group of coalitions: products of the terms (a constant and the features), and of terms and values."""

    def __init__(self, features: int, budget: int, over: LinearSurrogate, rng: np.random.Generator) -> None:
        self.features, self.budget, self.over, self.rng = features, budget, over, rng
        self.groups = min(GROUPS, budget)
        self.products: list[np.ndarray] = []
        self.rights: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        for group, rows in enumerate(np.diff(np.linspace(0, self.budget, self.groups + 1).astype(int)).tolist()):
            present = self.rng.random((rows, self.features)) < self.over.p
            if group == 0:
                present[0] = True  # the record itself, where the surrogate should be accurate
            yield CoalitionBlock(present)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if not self.rights:
            self.shift = values.mean(axis=0)
        terms = np.concatenate([np.ones((len(values), 1)), block.coalitions], axis=1)
        weighted = terms.T * self.over.weigh(block.coalitions)
        self.products.append(weighted @ terms)
        self.rights.append(weighted @ (values - self.shift))

    def result(self) -> GameEstimate:
        if not self.rights:
            raise CoalitionError("No estimate is known before a block is complete", code="E-COALITION-EARLY")
        matrix, right = np.sum(self.products, axis=0), np.sum(self.rights, axis=0)
        coefficients = self._fit(matrix, right)
        if len(self.rights) < 2:
            return GameEstimate(coefficients, np.full_like(coefficients, np.nan))
        parts = zip(self.products, self.rights, strict=True)
        return GameEstimate(coefficients, jackknife_error(np.stack([self._fit(matrix - m, right - r) for m, r in parts])))

    def _fit(self, matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Returns the coefficients of the features; subtracting means eliminates the intercept."""
        mean = matrix[0, 1:] / matrix[0, 0]
        inner = matrix[1:, 1:] - matrix[0, 0] * np.outer(mean, mean)
        target = right[1:] - mean[:, None] * right[0]
        if self.over.lasso is None:
            return np.linalg.lstsq(inner + self.over.ridge * np.eye(len(inner)), target, rcond=None)[0]
        return lasso(inner / matrix[0, 0], target / matrix[0, 0], self.over.lasso)


def jackknife_error(without: np.ndarray) -> np.ndarray:
    """Returns the jackknife standard error, given the estimates without each of the groups, ``[groups, ...]``."""
    groups = len(without)
    return np.sqrt(((without - without.mean(axis=0)) ** 2).sum(axis=0) * (groups - 1) / groups)


def lasso(matrix: np.ndarray, right: np.ndarray, penalty: float, precision: float = 1e-10) -> np.ndarray:
    """Minimises x' matrix x / 2 - right' x + penalty |x| for each column of ``right``, by coordinate descent.

    Non-finite columns stay non-finite, and do not delay convergence.
    """
    coefficients = np.zeros_like(right)
    diagonal = np.diagonal(matrix)
    scale = largest_finite(right)
    for _ in range(SWEEPS):
        largest = 0.0
        for i in np.flatnonzero(diagonal > 0):
            rest = right[i] - matrix[i] @ coefficients + diagonal[i] * coefficients[i]
            new = np.sign(rest) * np.maximum(np.abs(rest) - penalty, 0) / diagonal[i]
            largest = max(largest, diagonal[i] * largest_finite(new - coefficients[i]))
            coefficients[i] = new
        if largest <= precision * scale:
            break
    return coefficients


def largest_finite(values: np.ndarray) -> float:
    """Returns the largest absolute finite value; 0 if there is none."""
    return float(np.abs(values).max(where=np.isfinite(values), initial=0.0))
