"""Backward rules: ``by=`` of the verbs, for gradients and relevance.

A rule defines how influence is propagated backwards through each operation of the network. The families are the plain gradient, DeepLIFT
(:class:`Rescale`, :class:`RevealCancel`), layer-wise relevance propagation (LRP: :class:`Epsilon` and other layer rules), corrected
gradients for transformers (:class:`AttnLRP` and others), ReLU rules (:class:`Guided`) and rule books, which choose a rule by layer.

Parameters that several rules share:

* ``epsilon``: stabiliser of divisions, a number >= 0 in the units of the layer's output. Larger values absorb more relevance.
* ``bias``: True if biases take a share of the relevance, False if the inputs get all of it.
* ``strict``: True raises RuleError for an operation without a formula; False applies its derivative and reports it in the checks.
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
from .layer import LinearLayer, share
from .layers import Absolute, AlphaBeta, Epsilon, Flat, Gamma, LayerRule, Norm, Pass, RelativeAttributing, WSquare, ZBox, ZPlus
from .relu import BetaSmooth, Deconv, Guided
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
    "LinearLayer",
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
    "share",
    "treats_operations",
]
