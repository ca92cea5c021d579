"""Over which subsets of features: coalitions, and what is estimated from their worth."""

from __future__ import annotations

from .base import Coalitions, Estimate, Game, Players, Tree
from .chance import Random
from .dependence import Dependence
from .exact import Exact
from .interactions import Interactions
from .kernel import Banzhaf, Leverage, ShapleyKernel
from .leave import LeaveOneOut
from .masks import SmoothMasks
from .owen import Owen
from .permutations import Permutations
from .sensitivity import TotalIndices
from .surrogate import Surrogate

__all__ = [
    "Banzhaf",
    "Coalitions",
    "Dependence",
    "Estimate",
    "Exact",
    "Game",
    "Interactions",
    "LeaveOneOut",
    "Leverage",
    "Owen",
    "Permutations",
    "Players",
    "Random",
    "ShapleyKernel",
    "SmoothMasks",
    "Surrogate",
    "TotalIndices",
    "Tree",
]
