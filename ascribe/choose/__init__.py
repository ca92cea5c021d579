"""Choosing a method: what a model is made of, and methods compared, recommended and tuned on your own records."""

from __future__ import annotations

from .candidates import Candidate, list_candidates
from .citing import cite
from .comparing import compare
from .comparison import Comparison, HeldOut, MethodRow
from .describing import Description, InputArray, Part, describe
from .recommending import Recommendation, recommend
from .spaces import Choice, Float, Int, space_of
from .tuning import Tuning, tune

__all__ = [
    "Candidate",
    "Choice",
    "Comparison",
    "Description",
    "Float",
    "HeldOut",
    "InputArray",
    "Int",
    "MethodRow",
    "Part",
    "Recommendation",
    "Tuning",
    "cite",
    "compare",
    "describe",
    "list_candidates",
    "recommend",
    "space_of",
    "tune",
]
