"""Coalitions: which subsets of features are evaluated, and the values estimated from them. ``over=`` of perturbation methods."""

from __future__ import annotations

from .base import Coalitions, Game, GameEstimate, Players, Tree
from .bernoulli import RandomCoalitions
from .exact import Exact
from .fixed import FixedGame
from .hsic import HsicIndices
from .interactions import Interactions
from .kernel import Banzhaf, Leverage, ShapleyRegression
from .leave_one_out import LeaveOneOut
from .lime import LinearSurrogate
from .owen import Owen
from .permutations import Permutations
from .rise import SmoothMasks
from .sobol import TotalSobolIndices

__all__ = [
    "Banzhaf",
    "Coalitions",
    "Exact",
    "FixedGame",
    "Game",
    "GameEstimate",
    "HsicIndices",
    "Interactions",
    "LeaveOneOut",
    "Leverage",
    "LinearSurrogate",
    "Owen",
    "Permutations",
    "Players",
    "RandomCoalitions",
    "ShapleyRegression",
    "SmoothMasks",
    "TotalSobolIndices",
    "Tree",
]
