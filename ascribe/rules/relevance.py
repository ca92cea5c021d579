"""Rules without a reference: layer-wise relevance propagation, rectifiers. The names of :mod:`.layers` and :mod:`.rectifiers`.

All are in multiplier form: what comes back is ``m``, and relevance is ``x m``. So a linear operation without a rule of its
own needs nothing, and residual additions and branches are right by themselves.
"""

from __future__ import annotations

from .layers import Absolute, AlphaBeta, Epsilon, Flat, Gamma, LayerRule, Norm, Pass, Relative, WSquare, ZBox, ZPlus
from .rectifiers import BetaSmooth, Deconv, Guided

__all__ = [
    "Absolute",
    "AlphaBeta",
    "BetaSmooth",
    "Deconv",
    "Epsilon",
    "Flat",
    "Gamma",
    "Guided",
    "LayerRule",
    "Norm",
    "Pass",
    "Relative",
    "WSquare",
    "ZBox",
    "ZPlus",
]
