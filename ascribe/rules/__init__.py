"""Backward rules: ``by=`` of the verbs, where ``over=`` are points.

A rule says how influence is propagated backwards through each operation: the plain gradient, DeepLIFT, layer-wise relevance
propagation (LRP), corrected gradients for transformers, and rule books that choose a rule by layer.
"""

from __future__ import annotations

from .base import Gradient, OperationRule, Rule, RuleLike, as_rule, treats_operations
from .books import (
    EPSILON_ALPHA2_BETA1,
    EPSILON_ALPHA2_BETA1_FLAT,
    EPSILON_PLUS,
    EPSILON_PLUS_FLAT,
    EXCITATION_BACKPROP,
    RELATIVE_PROPAGATION,
    RuleBook,
    Where,
    epsilon_gamma_box,
)
from .layers import Absolute, AlphaBeta, Epsilon, Flat, Gamma, LayerRule, Norm, Pass, RelativeAttributing, WSquare, ZBox, ZPlus
from .rectifiers import BetaSmooth, Deconv, Guided
from .rescale import Rescale, RevealCancel
from .transformers import CPLRP, GIM, AttnLRP, Libra, LstmLRP

__all__ = [
    "CPLRP",
    "EPSILON_ALPHA2_BETA1",
    "EPSILON_ALPHA2_BETA1_FLAT",
    "EPSILON_PLUS",
    "EPSILON_PLUS_FLAT",
    "EXCITATION_BACKPROP",
    "GIM",
    "RELATIVE_PROPAGATION",
    "Absolute",
    "AlphaBeta",
    "AttnLRP",
    "BetaSmooth",
    "Deconv",
    "Epsilon",
    "Flat",
    "Gamma",
    "Gradient",
    "Guided",
    "LayerRule",
    "Libra",
    "LstmLRP",
    "Norm",
    "OperationRule",
    "Pass",
    "RelativeAttributing",
    "Rescale",
    "RevealCancel",
    "Rule",
    "RuleBook",
    "RuleLike",
    "WSquare",
    "Where",
    "ZBox",
    "ZPlus",
    "as_rule",
    "epsilon_gamma_box",
    "treats_operations",
]
