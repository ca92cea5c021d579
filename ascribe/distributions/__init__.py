"""The points over which influence is averaged: ``over=`` of the verbs."""

from __future__ import annotations

from .baselines import MaskTokens, mask_tokens
from .members import Background, Gaussian, Line, Point, Points, Reference, Uniform
from .shuffles import Shuffled, shuffled

__all__ = ["Background", "Gaussian", "Line", "MaskTokens", "Point", "Points", "Reference", "Shuffled", "Uniform", "mask_tokens", "shuffled"]
