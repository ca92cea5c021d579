"""Over which subsets of features: coalitions, and what is estimated from their worth."""

from __future__ import annotations

from .base import Coalitions, Estimate, Game, Players, Tree
from .chance import Random
from .exact import Exact
from .kernel import Banzhaf, Leverage, ShapleyKernel
from .leave import LeaveOneOut
from .permutations import Permutations

__all__ = [
    "Banzhaf",
    "Coalitions",
    "Estimate",
    "Exact",
    "Game",
    "LeaveOneOut",
    "Leverage",
    "Permutations",
    "Players",
    "Random",
    "ShapleyKernel",
    "Tree",
]
