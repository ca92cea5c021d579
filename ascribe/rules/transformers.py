"""Corrected gradients: LRP's rules where a layer with weights passes the plain gradient on, for transformers and recurrent nets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..arrays import Array
from ..errors import RuleError
from ..values import format_value
from .layer import Answer, LinearLayer, share
from .layers import LayerRule
from .treatments import Unreferenced, with_rest


@dataclass(frozen=True, repr=False)
class AttnLRP(Unreferenced):
    """AttnLRP (Achtibat et al. 2024): products half to each side, softmax by its Taylor expansion, norms with their scale fixed.

    A linear operation passes the plain gradient on, which is LRP-epsilon in the limit; an activation passes on ``f(x) / x``.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest()


@dataclass(frozen=True, repr=False)
class CPLRP(Unreferenced):
    """CP-LRP (Ali et al. 2022): as :class:`AttnLRP`, all through the values of attention and through what a gate is applied to.

    Attention's probabilities and gates are fixed, so nothing is lost: without biases, relevance adds up to the quantity.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(softmax="fixed", product="signal")


@dataclass(frozen=True, repr=False)
class Libra(Unreferenced):
    """LibraGrad's backward pass (Mehri et al. 2025): probabilities, norms' scales and self-gates fixed, products scaled by half.

    A product of two signals (a gated unit) passes on half to each; what is left is the gradient.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(softmax="fixed")


@dataclass(frozen=True, repr=False)
class GIM(Unreferenced):
    """Gradient interaction modifications (Edin et al. 2025, section 4): for transformers whose attention repairs itself.

    Norms go back with their scale fixed; a softmax by ``p (g - sum(p g))`` with the probabilities ``p`` of scores divided by the
    ``temperature``; each factor of a product gets half (so a quarter to queries and keys, half to values). All else is the derivative.
    Relevance does not add up. Raises RuleError for a temperature that is no number above 0.
    """

    temperature: float = 2.0
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(elementwise="derivative", softmax="tempered")

    def __post_init__(self) -> None:
        number = isinstance(self.temperature, (int, float)) and not isinstance(self.temperature, bool)
        if not number or not 0 < self.temperature < math.inf:
            raise RuleError(f"temperature={format_value(self.temperature)}", try_="a number above 0, such as 2.0")


@dataclass(frozen=True, repr=False)
class LstmLRP(LayerRule):
    """LRP for recurrent nets (Arras et al. 2017): of a gate and a signal, the signal gets all; a layer's sums are split as they are.

    For ``nn.LSTM``, ``nn.GRU`` and cells written out, the same. Layers with weights follow LRP-epsilon.
    """

    epsilon: float = 0.001
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(softmax="fixed", product="signal", weights="layer")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        p = share(relevance, layer.y, self.epsilon)
        return layer.backward(p, layer.weight, layer.bias), None
