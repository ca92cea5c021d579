"""Gradients with other rules for rectifiers: whatever computes ``max(x, 0)``, however it is spelt.

All raise RuleError in networks without one, where they would be the plain gradient. None of them adds up to anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from ..errors import RuleError
from .table import DERIVATIVES


@dataclass(frozen=True)
class Guided:
    """Guided backpropagation (Springenberg et al. 2015): the gradient, through every rectifier only where it is positive.

    Raises RuleError for networks without a rectifier.
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


@dataclass(frozen=True)
class BetaSmooth:
    """The gradient with every rectifier's step smoothed: ``sigmoid(beta x)``, the derivative of a softplus (Dombrowski et al. 2019).

    The run itself keeps its rectifiers. Raises RuleError for networks without one, and unless ``beta`` is positive.
    """

    beta: float = 10.0
    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = MappingProxyType({**DERIVATIVES, "elementwise": "smooth"})

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise RuleError(f"beta={self.beta!r}", try_="a positive number: the larger, the nearer to the gradient")
