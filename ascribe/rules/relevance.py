"""Rules without a reference: layer-wise relevance propagation, guided backpropagation.

All are in multiplier form: what comes back is ``m``, and relevance is ``x m``. So a linear operation without a rule of its
own needs nothing, and residual additions and branches are right by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from ..errors import RuleError
from .table import DERIVATIVES, with_rest


@dataclass(frozen=True)
class Epsilon:
    """LRP-epsilon: ``R_i = sum_j x_i w_ij / (z_j + epsilon sign z_j) R_j`` (Bach et al. 2015); biases take their share."""

    epsilon: float = 1e-6
    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = with_rest(weights="epsilon")


@dataclass(frozen=True)
class Gamma:
    """LRP-gamma: as :class:`Epsilon` with ``w + gamma max(w, 0)`` for weights and biases (Montavon et al. 2019).

    For layers whose inputs are not negative.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6
    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = with_rest(weights="gamma")


@dataclass(frozen=True)
class AlphaBeta:
    """LRP-alpha-beta: positive contributions times ``alpha``, less negative ones times ``beta`` (Bach et al. 2015).

    Raises RuleError unless ``alpha - beta`` is 1: nothing would be conserved.
    """

    alpha: float = 2.0
    beta: float = 1.0
    epsilon: float = 1e-6
    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = with_rest(weights="alphabeta")

    def __post_init__(self) -> None:
        if abs(self.alpha - self.beta - 1) > 1e-9 or self.beta < 0:
            raise RuleError(
                f"alpha={self.alpha}, beta={self.beta}", try_="alpha - beta = 1 and beta >= 0, such as 2 and 1, or 1 and 0"
            )


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
