"""Distributions of points over which gradients are averaged (``over=``), and the baselines where paths start."""

from __future__ import annotations

from .baselines import MaskedTokens
from .draws import Distribution, Draws
from .members import Background, Gaussian, Line, Point, Points, Reference, Uniform
from .shuffles import Shuffled

__all__ = [
    "Background",
    "Distribution",
    "Draws",
    "Gaussian",
    "Line",
    "MaskedTokens",
    "Point",
    "Points",
    "Reference",
    "Shuffled",
    "Uniform",
]
