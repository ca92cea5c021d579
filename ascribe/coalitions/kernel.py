"""Shapley and Banzhaf values by regression on sampled coalitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import Players, check_players
from .exact import ExactEstimator, Index, can_enumerate
from .games import SequentialGame, check_budget, check_count, check_tolerance
from .gaussian_process import GaussianProcessEstimator
from .regression import LinearFit, RegressionEstimator
from .sampling import SamplingPlan, Sizes, compute_size_weights

GROUPS = 20
"""A sample is divided into this many groups to estimate standard errors, with a relative precision of about a sixth."""
MOST_SMOOTH = 1000
"""Up to this many features, fits are smooth by default; with more, five pairs for each feature take almost a minute."""

ALIKE_FROM = 8
"""Above this many coalitions for each feature, a smooth fit has smaller errors with uniform sizes; below, with the kernel's sizes
(docs/reports/shapley-accuracy.md, and 96 to 512 coalitions on the same games)."""


@dataclass(frozen=True, repr=False)
class _RegressionFamily(Value):
    """The fields and the game that all members of this family share."""

    budget: int | None = None
    paired: bool = True
    tolerance: float | None = None
    smooth: bool | None = None

    drawn: ClassVar[Sizes] = "kernel"
    index: ClassVar[Index] = "shapley"

    def __post_init__(self) -> None:
        check_count("budget", self.budget, optional=True)
        check_tolerance(self.tolerance)
        if self.smooth and not self.paired:
            there = "smooth=True, paired=False"
            raise CoalitionError("`smooth=` needs paired coalitions", found=there, advice="paired=True, or smooth=None")

    def rows(self, players: Players) -> int:
        n = check_players(players)
        return int(2**n) if can_enumerate(n, self._budget(n)) else self._budget(n)

    def game(self, players: Players, seed: int) -> SequentialGame:
        n = check_players(players)
        budget = self._budget(n)
        if can_enumerate(n, budget):
            return SequentialGame(ExactEstimator(n, self.index))
        smooth = self.paired and (n <= MOST_SMOOTH if self.smooth is None else self.smooth)
        drawn = "leverage" if smooth and self.drawn == "kernel" and budget > ALIKE_FROM * n else self.drawn
        weights = compute_size_weights(n, "kernel" if self.index == "shapley" else "uniform")
        units = make_plan(n, weights, compute_size_weights(n, drawn), budget, self.paired, self.tolerance is not None)
        sample = units.draw(np.random.default_rng((seed, 11)))
        if smooth:
            return SequentialGame(GaussianProcessEstimator(sample, self.index, self.smooth is None), self.tolerance)
        return SequentialGame(RegressionEstimator(sample, make_linear_fit(n, self.paired, self.index)), self.tolerance)

    def _budget(self, n: int) -> int:
        budget = 2048 + 4 * n if self.budget is None else self.budget
        if can_enumerate(n, budget):
            return budget
        return check_budget(budget, 2 + 3 * n, f"a fit of {n} values and its errors")


@dataclass(frozen=True, repr=False)
class ShapleyRegression(_RegressionFamily):
    """Estimates Shapley values by weighted least squares on sampled coalitions (Kernel SHAP).

    *Use it when* there are too many features for :class:`Exact`. It is usually the most accurate estimator of this package at equal cost.

    Coalition sizes are drawn by the Shapley kernel, without repetition; the smallest and the largest sizes are evaluated completely
    first. With ``paired``, each coalition is evaluated with its complement, which cancels interactions of pairs of features. For pairs
    and up to 1,000 features, a Gaussian process models interactions of three and more features; errors on networks and forests are
    several times smaller than those of the additive fit.

    ``smooth`` selects the fit. None (default): the covariance is chosen for each game by the smallest leave-one-out error. True: all games
    share one covariance, so that values are linear in the game. False: the additive fit as published. Values add up exactly in all
    three. Above 8 n coalitions, a smooth fit draws all sizes equally often, as :class:`Leverage` does.

    Cost: at most ``budget`` model evaluations (default 2048 + 4 n), all 2^n if the budget covers them; fewer if the largest standard
    error, as a share of the range of the values, reaches ``tolerance``. Raises CoalitionError for a budget below 3 n + 2.
    Source: Lundberg and Lee 2017; Covert and Lee 2021.
    """


@dataclass(frozen=True, repr=False)
class Leverage(_RegressionFamily):
    """Estimates Shapley values as :class:`ShapleyRegression` does, with coalitions drawn by their leverage in the fit.

    All sizes are drawn equally often; the Shapley kernel prefers small and large ones.

    *Use it when* many features interact, or you need proven error bounds. Arguments, cost and errors are those of
    :class:`ShapleyRegression`. Source: Musco and Witter 2025.
    """

    drawn: ClassVar[Sizes] = "leverage"


@dataclass(frozen=True, repr=False)
class Banzhaf(_RegressionFamily):
    """Estimates Banzhaf values: the mean of v(S with i) - v(S) over all coalitions S without i, by regression with equal weights.

    *Use it when* you rank features of noisy games; Banzhaf rankings are robust to noise. The values do not add up.

    Arguments, cost and errors are those of :class:`ShapleyRegression`. Source: Liu et al. 2024 (Kernel Banzhaf).
    """

    drawn: ClassVar[Sizes] = "uniform"
    index: ClassVar[Index] = "banzhaf"


def make_plan(features: int, weights: np.ndarray, chances: np.ndarray, budget: int, paired: bool, early: bool) -> SamplingPlan:
    """Returns the sampling plan of a budget; ``early`` is True if the game may end before the budget is spent."""
    units = (budget - 2) // (1 + paired)
    groups = min(max(GROUPS, units // (4 * features)), 3 * GROUPS) if early else GROUPS
    return SamplingPlan(features, weights, chances, units, 8 * features if early else units, paired, min(groups, units))


def make_linear_fit(features: int, paired: bool, index: Index) -> LinearFit:
    """Returns a model with one term for each feature (1 if present). Banzhaf values have a constant as well, which pairs cancel."""
    if index == "shapley" and not paired:
        return LinearFit(lambda present: present.astype(float), np.eye(features), False)
    signs, end_weight = 2 * np.eye(features), 0.0 if index == "shapley" else (1 + paired) / 2**features
    if paired:
        return LinearFit(lambda present: 2.0 * present - 1.0, signs, True, index == "shapley", end_weight=end_weight)
    return LinearFit(
        lambda present: np.insert(2.0 * present - 1.0, 0, 1.0, axis=1),
        np.insert(signs, 0, 0.0, axis=1),
        False,
        False,
        end_weight=end_weight,
    )
