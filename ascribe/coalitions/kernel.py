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
"""Into which a sample is dealt to see how far chance moves the fit: standard errors are then known to about a sixth."""
MOST_SMOOTH = 1000
"""Up to this many features fits are smooth unasked; with more, five pairs for each feature take the better part of a minute."""

ALIKE_FROM = 8
"""Above this many coalitions for each feature a smooth fit does better with sizes drawn alike, below it with the kernel's
(docs/reports/shapley-accuracy.md, and 96 to 512 coalitions on the same games)."""


@dataclass(frozen=True, repr=False)
class _RegressionFamily(Value):
    """What the members of this family have in common."""

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
            raise CoalitionError("smooth=True, paired=False", there="a game is smoothed between pairs", try_="leave one of them out")

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
    """Shapley values by regression on coalitions drawn by the Shapley kernel (Kernel SHAP; Lundberg and Lee 2017).

    Coalitions are drawn without repetition by size, so that the smallest and the largest sizes are looked at completely first;
    with ``paired`` always with their complement, so that what acts in pairs of features cancels (Covert and Lee 2021). With pairs of
    up to 1,000 features the fit takes in what acts in three and more features as well, as far as near coalitions have near values,
    and shares it out as Shapley values do: errors are several times smaller on networks and forests.

    ``smooth`` says how. None, the default: which features act together is found for each game from its own coalitions (the smallest
    leave-one-out error). True: the same expectation for all games, so that values are linear in the game. False: the additive fit as
    published. Values add up exactly in all three. A smooth fit above 8 n coalitions draws all sizes alike, as :class:`Leverage`.

    ``budget`` coalitions at most (2048 + 4 n if left out), all 2^n where they fit; fewer when ``tolerance``, the largest standard
    error as a share of the range of values, is reached before. Raises CoalitionError below 3 n + 2.
    """


@dataclass(frozen=True, repr=False)
class Leverage(_RegressionFamily):
    """Shapley values as :class:`ShapleyRegression` has them, from coalitions drawn by their leverage in the fit.

    All sizes are drawn alike, where the kernel prefers small and large ones: better for games with much going on between many
    features, and with proven bounds. Source: Musco and Witter 2025.
    """

    drawn: ClassVar[Sizes] = "leverage"


@dataclass(frozen=True, repr=False)
class Banzhaf(_RegressionFamily):
    """Banzhaf values, a feature's mean contribution over all coalitions alike, as the nearest additive game under equal weights.

    Arguments and costs are those of :class:`ShapleyRegression`. Values do not add up. Source: Liu et al. 2025 (Kernel Banzhaf).
    """

    drawn: ClassVar[Sizes] = "uniform"
    index: ClassVar[Index] = "banzhaf"


def make_plan(features: int, weights: np.ndarray, chances: np.ndarray, budget: int, paired: bool, early: bool) -> SamplingPlan:
    """How to spend a budget on sampled coalitions; ``early`` when the game may end before it is spent."""
    units = (budget - 2) // (1 + paired)
    groups = min(max(GROUPS, units // (4 * features)), 3 * GROUPS) if early else GROUPS
    return SamplingPlan(features, weights, chances, units, 8 * features if early else units, paired, min(groups, units))


def make_linear_fit(features: int, paired: bool, index: Index) -> LinearFit:
    """One term for each feature: whether it is there. Banzhaf values have a constant in addition, which pairs cancel."""
    if index == "shapley" and not paired:
        return LinearFit(lambda there: there.astype(float), np.eye(features), False)
    signs, ends = 2 * np.eye(features), 0.0 if index == "shapley" else (1 + paired) / 2**features
    if paired:
        return LinearFit(lambda there: 2.0 * there - 1.0, signs, True, index == "shapley", ends=ends)
    return LinearFit(lambda there: np.insert(2.0 * there - 1.0, 0, 1.0, axis=1), np.insert(signs, 0, 0.0, axis=1), False, False, ends=ends)
