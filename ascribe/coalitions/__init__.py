"""Over which subsets of features: coalitions, and what is estimated from their worth."""

from __future__ import annotations

from .base import Coalitions, Estimate, Game, Players, Tree
from .bernoulli import Random
from .exact import Exact
from .hsic import Dependence
from .interactions import Interactions
from .kernel import Banzhaf, Leverage, ShapleyKernel
from .leave import LeaveOneOut
from .lime import Surrogate
from .owen import Owen
from .permutations import Permutations
from .rise import SmoothMasks
from .sobol import TotalIndices

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
