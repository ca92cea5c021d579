"""Corrected gradients: LRP rules under which a layer with weights passes on the plain gradient, for transformers and recurrent networks."""

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
    """AttnLRP: each factor of a product gets half, softmax is linearised, norms have a fixed scale, an activation passes on ``f(x) / x``.

    *Use it when* a transformer is explained with one backward pass: it is the first choice for language and vision models.

    A linear operation passes on the plain gradient, the limit of LRP-epsilon. One forward and one backward pass. ``strict`` raises
    RuleError for operations without a formula. Source: Achtibat et al. 2024.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest()


@dataclass(frozen=True, repr=False)
class CPLRP(Unreferenced):
    """CP-LRP: :class:`AttnLRP` with fixed attention probabilities and gates, which get no relevance.

    *Use it when* relevance has to be conserved: without biases it sums to the quantity.

    One forward and one backward pass. ``strict`` raises RuleError for operations without a formula. Source: Ali et al. 2022.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(softmax="fixed", product="signal")


@dataclass(frozen=True, repr=False)
class Libra(Unreferenced):
    """LibraGrad: attention probabilities, scales of norms and self-gates are fixed; each factor of a product of two signals gets half.

    *Use it when* plain gradients of a transformer should become complete (``FullGrad``, gradient times input) with few changes.

    All other operations pass on the gradient. One forward and one backward pass. ``strict`` raises RuleError for operations without a
    formula. Source: Mehri et al. 2025.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(softmax="fixed")


@dataclass(frozen=True, repr=False)
class GIM(Unreferenced):
    """Gradient interaction modifications: softmax at a higher temperature, equal shares for the factors of a product.

    *Use it when* attention is self-repairing, so that single attention scores seem to have no influence.

    A softmax passes on ``p (g - sum(p g))`` with the probabilities ``p`` of scores divided by ``temperature`` (> 0, default 2.0). Norms
    have a fixed scale. Each factor of a product gets half: a quarter for queries and keys, half for values. All other operations pass on
    the derivative. Relevance does not sum to the quantity. One forward and one backward pass. Raises RuleError for a temperature <= 0.
    Source: Edin et al. 2025, section 4.
    """

    temperature: float = 2.0
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(elementwise="derivative", softmax="tempered")

    def __post_init__(self) -> None:
        number = isinstance(self.temperature, (int, float)) and not isinstance(self.temperature, bool)
        if not number or not 0 < self.temperature < math.inf:
            raise RuleError(
                "`temperature` must be a finite number > 0", found=f"temperature={format_value(self.temperature)}", advice="temperature=2.0"
            )


@dataclass(frozen=True, repr=False)
class LstmLRP(LayerRule):
    """LRP for recurrent networks: in a product of a gate and a signal, the signal gets all relevance; layers follow LRP-epsilon.

    *Use it when* an LSTM, a GRU or a cell written out by hand is explained.

    ``epsilon`` is the stabiliser of layers. One forward and one backward pass. Raises RuleError for a negative ``epsilon``. Source: Arras
    et al. 2017.
    """

    epsilon: float = 0.001
    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(softmax="fixed", product="signal", weights="layer")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        p = share(relevance, layer.y, self.epsilon)
        return layer.backward(p, layer.weight, layer.bias), None
