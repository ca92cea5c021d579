"""Tells what a deep network's output is owed to, and how far that answer can be trusted."""

from __future__ import annotations

from .baselines import Call, MaskTokens, mask_tokens
from .cuts import EMBEDDINGS, INPUT, LOGITS, OUTPUT, Cut
from .distributions import Background, Gaussian, Line, Point, Uniform
from .engine import activation, attribute, cuts_of, influence
from .errors import AscribeError, AscribeWarning
from .quantities import (
    Box,
    Channel,
    Contrast,
    Custom,
    Labels,
    LogProb,
    Mask,
    Max,
    Prob,
    Threshold,
    Total,
    Unit,
)
from .result import Attribution
from .rules import Gradient

__version__ = "0.1.0.dev0"

__all__ = [
    "EMBEDDINGS",
    "INPUT",
    "LOGITS",
    "OUTPUT",
    "AscribeError",
    "AscribeWarning",
    "Attribution",
    "Background",
    "Box",
    "Call",
    "Channel",
    "Contrast",
    "Custom",
    "Cut",
    "Gaussian",
    "Gradient",
    "Labels",
    "Line",
    "LogProb",
    "Mask",
    "MaskTokens",
    "Max",
    "Point",
    "Prob",
    "Threshold",
    "Total",
    "Uniform",
    "Unit",
    "activation",
    "attribute",
    "cuts_of",
    "influence",
    "mask_tokens",
]
