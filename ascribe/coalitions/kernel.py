"""Shapley and Banzhaf values by regression on sampled coalitions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import ClassVar, Literal

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import Players
from .exact import Enumeration, Index, fits
from .play import Run, check_budget, check_count, check_players, check_share
from .regression import Fit, Regression
from .strata import Plan, Sizes, size_weights

GROUPS = 20
"""Into which a sample is dealt to see how far chance moves the fit: standard errors are then known to about a sixth."""


MOST_TERMS = 600
"""Up to this many terms a cubic fit is quick enough to be taken unasked: 16 features."""


@dataclass(frozen=True, repr=False)
class _Regressed(Value):
    """What the members of this family have in common."""

    budget: int | None = None
    paired: bool = True
    tolerance: float | None = None
    order: Literal[1, 3] | None = None

    drawn: ClassVar[Sizes] = "kernel"
    index: ClassVar[Index] = "shapley"

    def __post_init__(self) -> None:
        check_count("budget", self.budget)
        check_share("tolerance", self.tolerance)
        if self.order not in (None, 1, 3) or (self.order == 3 and not self.paired):
            raise CoalitionError(f"order={self.order!r}, paired={self.paired}", there="order 1, or 3 with pairs", try_="leave order out")

    def rows(self, players: Players) -> int:
        n = check_players(players)
        return int(2**n) if fits(n, self._budget(n)) else self._budget(n)

    def game(self, players: Players, seed: int) -> Run:
        n = check_players(players)
        budget = self._budget(n)
        if fits(n, budget):
            return Run(Enumeration(n, self.index))
        weights = size_weights(n, "kernel" if self.index == "shapley" else "uniform")
        units = plan(n, weights, size_weights(n, self.drawn), budget, self.paired, self.tolerance is not None)
        fit = cubic(n, self.index, None if self.order else n) if self._cubic(n, budget) else linear(n, self.paired, self.index)
        return Run(Regression(units.draw(np.random.default_rng((seed, 11))), fit), self.tolerance)

    def _budget(self, n: int) -> int:
        budget = 2048 + 4 * n if self.budget is None else self.budget
        if fits(n, budget):
            return budget
        terms = cubic_terms(n) if self.order == 3 else n
        return check_budget(budget, 2 + 3 * terms, f"a fit of {terms} terms and its errors")

    def _cubic(self, n: int, budget: int) -> bool:
        """Whether triples are fitted too: unasked where there are two pairs of coalitions for each term."""
        terms = cubic_terms(n)
        return self.order == 3 or (self.order is None and self.paired and terms <= MOST_TERMS and budget >= 2 + 4 * terms)


@dataclass(frozen=True, repr=False)
class ShapleyKernel(_Regressed):
    """Shapley values as the additive game nearest to the real one under the Shapley kernel (Kernel SHAP; Lundberg and Lee 2017).

    Coalitions are drawn without repetition by size, with the kernel's weights, so that the smallest and the largest sizes are
    looked at completely first; with ``paired`` always with their complement, so that what acts in pairs of features cancels
    (Covert and Lee 2021). ``order=3`` fits what acts in triples too and shares it out as Shapley values do, which takes errors down
    several times over; it is taken unasked where the budget holds 4 coalitions for each of its n + n (n - 1) (n - 2) / 6 terms (for up
    to 16 features). Values add up exactly. Nearly unbiased; far smaller errors than :class:`Permutations` at one budget.

    ``budget`` coalitions at most (2048 + 4 n if left out), all 2^n where they fit; fewer when ``tolerance``, the largest standard
    error as a share of the range of values, is reached before. Raises CoalitionError below 3 coalitions for each term.
    """


@dataclass(frozen=True, repr=False)
class Leverage(_Regressed):
    """Shapley values as :class:`ShapleyKernel` has them, from coalitions drawn by their leverage in the fit.

    All sizes are drawn alike, where the kernel prefers small and large ones: better for games with much going on between many
    features, and with proven bounds. Source: Musco and Witter 2025.
    """

    drawn: ClassVar[Sizes] = "leverage"


@dataclass(frozen=True, repr=False)
class Banzhaf(_Regressed):
    """Banzhaf values, a feature's mean contribution over all coalitions alike, as the nearest additive game under equal weights.

    Arguments and costs are those of :class:`ShapleyKernel`. Values do not add up. Source: Liu et al. 2025 (Kernel Banzhaf).
    """

    drawn: ClassVar[Sizes] = "uniform"
    index: ClassVar[Index] = "banzhaf"


def plan(features: int, weights: np.ndarray, chances: np.ndarray, budget: int, paired: bool, early: bool) -> Plan:
    """How to spend a budget on sampled coalitions; ``early`` when the game may end before it is spent."""
    units = (budget - 2) // (1 + paired)
    groups = min(max(GROUPS, units // (4 * features)), 3 * GROUPS) if early else GROUPS
    return Plan(features, weights, chances, units, 8 * features if early else units, paired, min(groups, units))


def linear(features: int, paired: bool, index: Index) -> Fit:
    """One term for each feature: whether it is there."""
    if paired:
        return Fit(lambda there: 2.0 * there - 1.0, 2 * np.eye(features), True, index == "shapley")
    return Fit(lambda there: there.astype(float), np.eye(features), False, index == "shapley")


def cubic_terms(features: int) -> int:
    return features + comb(features, 3)


def cubic(features: int, index: Index, leading: int | None) -> Fit:
    """One term for each feature, 1 or -1, and one for each product of three: all of order up to 3 that pairs can see.

    Such a product is worth 2 / 3 to each of its features in Shapley values, and nothing in Banzhaf values.
    """
    triples = np.array(list(combinations(range(features), 3)))
    readout = np.zeros((features, features + len(triples)))
    every = np.arange(features)
    readout[every, every] = 2
    if index == "shapley":
        readout[triples, features + np.arange(len(triples))[:, None]] = 2 / 3

    def columns(there: np.ndarray) -> np.ndarray:
        signs = 2.0 * there - 1.0
        return np.concatenate([signs, signs[:, triples].prod(axis=2)], axis=1)

    return Fit(columns, readout, True, index == "shapley", leading=leading)
