"""Gradients with other rules for ReLU, that is, for every operation that computes ``max(x, 0)``.

All raise RuleError in networks without a ReLU, where they would equal the plain gradient. None of them is complete.
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
    """Guided backpropagation: a ReLU passes on ``1[x > 0] max(g, 0)`` of the gradient ``g``.

    *Use it when* sharp images of positive influence are wanted for a ReLU network. It is known to depend little on the later layers.

    One forward and one backward pass. Raises RuleError for networks without a ReLU. Source: Springenberg et al. 2015.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = derivatives("guided")


@dataclass(frozen=True, repr=False)
class Deconv(Unreferenced):
    """Deconvolution: a ReLU passes on ``max(g, 0)`` of the gradient ``g``, whatever its input was.

    *Use it when* results of older work are reproduced; :class:`Guided` is sharper.

    One forward and one backward pass. Raises RuleError for networks without a ReLU. Source: Zeiler and Fergus 2014.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = derivatives("deconvolution")


@dataclass(frozen=True, repr=False)
class BetaSmooth(Unreferenced):
    """The gradient with ``sigmoid(beta x)``, the derivative of a softplus, instead of the step of every ReLU.

    *Use it when* gradients are noisy or were manipulated: a smaller ``beta`` (> 0) is smoother, a larger one is nearer to the gradient.

    The forward pass keeps its ReLUs. One forward and one backward pass. Raises RuleError for networks without a ReLU, and unless ``beta``
    is positive. Source: Dombrowski et al. 2019.
    """

    beta: float = 10.0
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = derivatives("smooth")

    def __post_init__(self) -> None:
        if not (is_number(self.beta) and 0 < self.beta < math.inf):
            raise RuleError("`beta` must be a finite number > 0", found=f"beta={format_value(self.beta)}", advice="beta=10.0")
