"""Gradients with other rules for rectifiers: whatever computes ``max(x, 0)``, however it is spelt.

All raise RuleError in networks without one, where they would be the plain gradient. None of them adds up to anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import RuleError
from ..values import format_value, is_number
from .treatments import Unreferenced, derivatives


@dataclass(frozen=True, repr=False)
class Guided(Unreferenced):
    """Guided backpropagation (Springenberg et al. 2015): the gradient, through every rectifier only where it is positive.

    Raises RuleError for networks without a rectifier.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = derivatives("guided")


@dataclass(frozen=True, repr=False)
class Deconv(Unreferenced):
    """Deconvolution (Zeiler and Fergus 2014): rectifiers let pass what is positive on the way back, whatever they did forward.

    Raises RuleError for networks without a rectifier.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = derivatives("deconvolution")


@dataclass(frozen=True, repr=False)
class BetaSmooth(Unreferenced):
    """The gradient with every rectifier's step smoothed: ``sigmoid(beta x)``, the derivative of a softplus (Dombrowski et al. 2019).

    The run itself keeps its rectifiers. Raises RuleError for networks without one, and unless ``beta`` is positive.
    """

    beta: float = 10.0
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = derivatives("smooth")

    def __post_init__(self) -> None:
        if not (is_number(self.beta) and 0 < self.beta < math.inf):
            raise RuleError(f"beta={format_value(self.beta)}", try_="a positive number: the larger, the nearer to the gradient")
