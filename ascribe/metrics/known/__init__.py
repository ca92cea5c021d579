"""Models and data whose attributions are known by construction, so that a method can be scored against the truth.

>>> problem = asc.metrics.known.PROBLEMS["additive"]
>>> a = asc.IntegratedGradients(problem.baseline)(problem.build("torch"), *problem.arguments("torch"), of=problem.of)
>>> bool(problem.score(a).error.max() < 1e-3)
True
"""

from __future__ import annotations

from .models import FRAMEWORKS
from .problems import PROBLEMS, Agreement, KnownAnswer

__all__ = ["FRAMEWORKS", "PROBLEMS", "Agreement", "KnownAnswer"]
