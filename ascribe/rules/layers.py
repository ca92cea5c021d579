"""LRP's rules for layers: operations that are linear in one value, with weights that do not depend on the record.

``z_j = sum_i x_i w_ij + b_j`` throughout, ``R_j`` is the relevance of ``z_j``, ``+`` and ``-`` are the positive and the negative part, and
``s(z) = z + epsilon sign(z)`` with ``sign(0) = 1``. Batch normalisation in evaluation, and constants added or multiplied, are merged
into the neighbouring layer. Operations that are no layers are treated as :mod:`.treatments` says. Each rule has its formula in
``propagate``, in multiplier form: it returns relevance over value, and where needed relevance that is no multiple of the value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..errors import RuleError
from ..values import format_value, is_number
from .layer import Answer, LinearLayer, has_negative, negative, positive, share, signed_forward
from .treatments import Unreferenced, with_rest


class LayerRule(Unreferenced):
    """What the rules for layers share. A rule of your own is a subclass with :meth:`propagate`: see ``docs/extending.md``.

    ``bias`` says whether biases take a share of the relevance, or all goes to the inputs.
    """

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="layer")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        """The multipliers of a layer's inputs (relevance over value), given the relevance of its result.

        The second part of the answer is relevance that is no multiple of the values. Either part may be None.
        """
        raise NotImplementedError

    def bias_of(self, layer: LinearLayer) -> Array | None:
        """The bias, unless the rule gives it no share."""
        return layer.bias if getattr(self, "bias", True) else None

    def result(self, layer: LinearLayer) -> Array:
        """The layer's result, without the bias where that takes no share."""
        return layer.y if layer.bias is None or self.bias_of(layer) is not None else layer.y - layer.bias

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises RuleError for what is no number, or one below zero or without an end."""
        for name in ("epsilon", "gamma"):
            value = getattr(self, name, 0.0)
            if not (is_number(value) and 0 <= value < math.inf):
                raise RuleError(f"{name}={format_value(value)}", try_="a number that is not negative")


@dataclass(frozen=True, repr=False)
class Epsilon(LayerRule):
    """LRP-epsilon: ``R_i = sum_j x_i w_ij / s(z_j) R_j`` (Bach et al. 2015, formula 58).

    Conserves relevance, except for the share of biases.     Use it as the default, and for dense layers. Cost: one transpose of the layer.
    """

    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        p = share(relevance, self.result(layer), self.epsilon)
        return layer.backward(p, layer.weight, self.bias_of(layer)), None


@dataclass(frozen=True, repr=False)
class Gamma(LayerRule):
    """LRP-gamma: as :class:`Epsilon` with ``w + gamma w+`` for weights and biases (Montavon et al. 2019).

    Use it for convolutions whose inputs are not negative (after a ReLU). Cost: one more forward pass of the layer.
    ``generalised`` is for inputs of both signs: positive contributions are strengthened where ``z_j`` is positive,
    negative ones where it is negative (Andeol et al. 2021). It costs two more, four where inputs have both signs.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6
    generalised: bool = False
    bias: bool = True
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        x, bias = layer.x, self.bias_of(layer)
        more, more_bias = layer.weight + self.gamma * positive(layer.weight), positive(bias, self.gamma, 1.0)
        if not self.generalised:
            z = layer.forward(x, more, more_bias)
            return layer.backward(share(relevance, z, self.epsilon), more, more_bias), None
        less, less_bias = layer.weight + self.gamma * negative(layer.weight), negative(bias, self.gamma, 1.0)
        above, both = self.result(layer) >= 0, has_negative(x)
        p = share(relevance * above, signed_forward(layer, both, more, less, more_bias), self.epsilon)
        n = share(relevance * ~above, signed_forward(layer, both, less, more, less_bias), self.epsilon)
        high = layer.backward(p, more, more_bias) + layer.backward(n, less, less_bias)
        return (layer.xp.where(x >= 0, high, layer.transpose(p, less) + layer.transpose(n, more)) if both else high), None


@dataclass(frozen=True, repr=False)
class AlphaBeta(LayerRule):
    """LRP-alpha-beta: ``alpha`` times the shares of positive contributions, less ``beta`` times those of negative ones.

    Bach et al. 2015, formula 60. Use it to weigh evidence for and against separately. Cost: one more forward pass of the layer for each
    sign of the contributions, two where inputs have both signs.
    Raises RuleError unless ``alpha - beta`` is 1: nothing would be conserved. A neuron with contributions of one sign only passes on
    alpha times its relevance, or -beta times.
    """

    alpha: float = 2.0
    beta: float = 1.0
    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    def __post_init__(self) -> None:
        self.check()
        numbers = is_number(self.alpha) and is_number(self.beta) and math.isfinite(self.alpha)
        if not (numbers and abs(self.alpha - self.beta - 1) <= 1e-9 and self.beta >= 0):
            raise RuleError(
                f"alpha={format_value(self.alpha)}, beta={format_value(self.beta)}",
                try_="alpha - beta = 1 and beta >= 0, such as 2 and 1, or 1 and 0",
            )

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        return signed_contributions(layer, relevance, self.alpha, self.beta, self.epsilon, self.bias_of(layer))


@dataclass(frozen=True, repr=False)
class ZPlus(LayerRule):
    """The z+ rule: shares of the positive contributions only (Montavon et al. 2017). :class:`AlphaBeta` with 1 and 0.

    Use it for convolutions, where heatmaps of one sign are wanted.
    """

    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    alpha: ClassVar[float] = 1.0
    beta: ClassVar[float] = 0.0

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        return signed_contributions(layer, relevance, self.alpha, self.beta, self.epsilon, self.bias_of(layer))


def signed_contributions(layer: LinearLayer, relevance: Array, alpha: float, beta: float, epsilon: float, bias: Array | None) -> Answer:
    """Contributions of either sign apart: those of positive weights and inputs, or of negative ones, are the positive ones."""
    xp, x = layer.xp, layer.x
    plus, minus = positive(layer.weight), negative(layer.weight)
    both = has_negative(x)
    p = alpha * share(relevance, signed_forward(layer, both, plus, minus, positive(bias)), epsilon)
    high = layer.backward(p, plus, positive(bias))
    low = layer.transpose(p, minus) if both else high
    if beta:
        less = signed_forward(layer, both, minus, plus, negative(bias))
        n = -beta * xp.where(less == 0, 0.0, relevance / (less - epsilon))
        high = high + layer.backward(n, minus, negative(bias))
        low = low + layer.transpose(n, plus) if both else high
    return xp.where(x >= 0, high, low) if both else high, None


@dataclass(frozen=True, repr=False, eq=False)
class ZBox(LayerRule):
    """The z^B rule for inputs between bounds: ``x_i w_ij - low_i w_ij+ - high_i w_ij-`` (Montavon et al. 2017).

    Use it for a first layer of bounded inputs, such as pixels: it is the only rule here that uses their range.
    ``low`` and ``high`` are numbers, one for each channel (a tuple, or an array ``[channels]``), or arrays of the inputs' shape
    without records. Scalings between the bounded values and the layer are merged into it. Biases take no share.
    Cost: three more forward passes of the layer.
    Raises RuleError for bounds that are no numbers, or a lower one above the upper one.
    """

    low: Any
    high: Any
    epsilon: float = 1e-6
    strict: bool = False

    def __post_init__(self) -> None:
        self.check()
        low, high = (bound(value) for value in (self.low, self.high))
        if (not low.ndim or not high.ndim or low.shape == high.shape) and (low > high).any():
            raise RuleError(
                f"low={format_value(self.low)}, high={format_value(self.high)}", try_="a lower bound that is not above the upper one"
            )

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        x, weight = layer.x, layer.weight
        low, high = (bound_like(b, x) for b in (self.low, self.high))
        plus, minus = positive(weight), negative(weight)
        z = layer.product(x, weight) - layer.product(low, plus) - layer.product(high, minus)
        p = share(relevance, z, self.epsilon)
        return layer.transpose(p, weight), -low * layer.transpose(p, plus) - high * layer.transpose(p, minus)


def bound_like(b: Any, x: Array) -> Array:
    """A bound for every element of ``x``: from one number, one for each channel, or one for each element of a record.

    Raises RuleError where it does not fit.
    """
    xp = namespace(x)
    t = xp.constant(as_numpy(b), x)
    if len(t.shape) == 1 and len(x.shape) > 2:
        t = xp.reshape(t, (-1, *[1] * (len(x.shape) - 2)))
    try:
        np.broadcast_shapes(tuple(t.shape), tuple(x.shape))
        return xp.broadcast_to(t, x.shape)
    except (ValueError, RuntimeError):
        there = f"inputs of shape {tuple(x.shape)}"
        raise RuleError(f"a bound of shape {tuple(t.shape)}", there=there, try_="a number, or one for each channel") from None


def bound(value: Any) -> np.ndarray:
    """A bound as numbers. Raises RuleError for what is none, or has no end."""
    try:
        found = np.asarray(as_numpy(value), np.float64)
    except (TypeError, ValueError):
        found = np.asarray(np.nan)
    if not np.isfinite(found).all():
        raise RuleError(f"a bound of {format_value(value)}", try_="a number, or one for each channel")
    return found


@dataclass(frozen=True, repr=False)
class WSquare(LayerRule):
    """The w^2 rule: shares ``w_ij^2``, whatever the inputs are (Montavon et al. 2017).

    Use it for a first layer of unbounded inputs. Cost: one more forward pass of it.
    """

    epsilon: float = 1e-6
    bias: bool = False
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        bias = self.bias_of(layer)
        return evenly(layer, layer.weight * layer.weight, None if bias is None else bias * bias, relevance, self.epsilon)


@dataclass(frozen=True, repr=False)
class Flat(LayerRule):
    """The same share to every input of a neuron (Lapuschkin et al. 2019).

    Use it for the first layer, where regions matter and not single pixels. Cost: one more forward pass of it.
    """

    epsilon: float = 1e-6
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        return evenly(layer, layer.xp.ones_like(layer.weight), None, relevance, self.epsilon)


def evenly(layer: LinearLayer, weight: Array, bias: Array | None, relevance: Array, epsilon: float) -> Answer:
    """Shares by weights, whatever the inputs are."""
    p = share(relevance, layer.forward(layer.xp.ones_like(layer.x), weight, bias), epsilon)
    return None, layer.backward(p, weight, bias)


@dataclass(frozen=True, repr=False)
class Norm(LayerRule):
    """Shares in proportion to what is summed: :class:`Epsilon`, for average pools, means and sums as well as for layers."""

    epsilon: float = 1e-6
    strict: bool = False

    bias: ClassVar[bool] = True
    treats: ClassVar[Mapping[str, str]] = with_rest(weights="layer", average="epsilon")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        p = share(relevance, layer.y, self.epsilon)
        return layer.backward(p, layer.weight, layer.bias), None


@dataclass(frozen=True, repr=False)
class Pass(LayerRule):
    """Relevance unchanged: for layers and norms whose output has the shape of their input. Conserves everything.

    Raises RuleError for layers of another shape.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="layer", norm="pass", average="pass")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        if relevance.shape != layer.x.shape:
            shapes = f"{layer.name} from {tuple(layer.x.shape)} to {tuple(layer.y.shape)} in {layer.place}"
            raise RuleError(f"{self!r} for a layer that changes the shape", there=shapes, try_="asc.rules.Epsilon() there")
        return None, relevance


@dataclass(frozen=True, repr=False)
class Absolute(LayerRule):
    """Shares by the size of contributions: ``R_i = sum_j |x_i w_ij| / sum_i |x_i w_ij| R_j`` (Nam et al. 2020, the last layer).

    Use it for the last layer, below :class:`RelativeAttributing`. Cost: one more forward pass of the layer. Biases take no share.
    """

    epsilon: float = 0.0
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        size, weight = layer.xp.abs(layer.x), layer.xp.abs(layer.weight)
        p = share(relevance, layer.product(size, weight), self.epsilon)
        return None, size * layer.transpose(p, weight)


@dataclass(frozen=True, repr=False)
class RelativeAttributing(LayerRule):
    """Relative attributing propagation through a layer (Nam et al. 2020): who gave less than the mean is counted against.

    With ``P_j`` the sum of a neuron's positive contributions and ``N_j`` that of the sizes of its negative ones, an input is credited
    ``sum_j (z_ij+ / P_j + |z_ij-| / (P_j + N_j)) R_j``; then every input that was credited anything gives up the same amount, so that
    a record's relevance adds up to what came. Biases take no share. Cost: two more forward passes of the layer, four where inputs
    have both signs.
    Raises RuleError for layers whose first axis does not run over the records.
    """

    epsilon: float = 0.0
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        x, both = layer.x, has_negative(layer.x)
        plus, minus = positive(layer.weight), negative(layer.weight)
        ups, downs = signed_forward(layer, both, plus, minus, None), -signed_forward(layer, both, minus, plus, None)
        p = share(relevance, ups, self.epsilon)
        n = share(relevance, ups + downs, self.epsilon)
        credit = layer.transpose(p, plus) - layer.transpose(n, minus)
        if both:
            credit = layer.xp.where(x >= 0, credit, layer.transpose(p, minus) - layer.transpose(n, plus))
        return None, shifted(layer, x * credit, relevance)


def shifted(layer: LinearLayer, credit: Array, relevance: Array) -> Array:
    """Less the same amount at every active input of a record, so that it adds up to the relevance that came."""
    xp = layer.xp
    rows, came = layer.by_record(credit), layer.by_record(relevance)
    if rows is None or came is None:
        there = f"{layer.name} on {tuple(layer.x.shape)} in {layer.place}, {layer.records} records"
        raise RuleError("relative propagation where a layer's rows are not the records", there=there, try_="asc.rules.Absolute() there")
    total, active = xp.sum(came, (1,), True), rows != 0
    count = xp.clip(xp.sum(xp.cast(active, rows), (1,), True), 1, None)
    return xp.reshape(xp.where(active, rows - (xp.sum(rows, (1,), True) - total) / count, 0.0), credit.shape)


@dataclass(frozen=True, repr=False)
class Reading(LayerRule):
    """The treatment of operations that compute the quantity from the model's output, under any rule for layers."""

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest()
