"""Rules without a reference: layer-wise relevance propagation, guided backpropagation.

All are in multiplier form: what comes back is ``m``, and relevance is ``x m``. So a linear operation without a rule of its
own needs nothing, and residual additions and branches are right by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from .layers import AlphaBeta, Epsilon, Flat, Gamma, LayerRule, Norm, Pass, WSquare, ZBox, ZPlus
from .table import DERIVATIVES

__all__ = ["AlphaBeta", "Deconv", "Epsilon", "Flat", "Gamma", "Guided", "LayerRule", "Norm", "Pass", "WSquare", "ZBox", "ZPlus"]


@dataclass(frozen=True)
class Guided:
    """Guided backpropagation (Springenberg et al. 2015): the gradient, through every rectifier only where it is positive.

    A rectifier is whatever computes ``max(x, 0)``, however it is spelt. Raises RuleError for networks without one.
    """

    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = MappingProxyType({**DERIVATIVES, "elementwise": "guided"})


@dataclass(frozen=True)
class Deconv:
    """Deconvolution (Zeiler and Fergus 2014): rectifiers let pass what is positive on the way back, whatever they did forward.

    Raises RuleError for networks without a rectifier.
    """

    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = MappingProxyType({**DERIVATIVES, "elementwise": "deconvolution"})
