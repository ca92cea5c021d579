"""LRP's rules for layers: operations that are linear in one value, with weights that do not depend on the record.

Formulas use ``z_j = sum_i x_i w_ij + b_j``, the relevance ``R_j`` of output ``j``, ``+`` and ``-`` for positive and negative parts, and
``s(z) = z + epsilon sign(z)`` with ``sign(0) = 1``. Batch normalisation in evaluation mode and constant factors or terms are merged
into the adjacent layer. All other operations are treated by the table in :mod:`.treatments`.
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
    """Base class of the layer rules. A rule of your own is a subclass with :meth:`propagate`: see ``docs/extending.md``.

    ``epsilon`` is the stabiliser, ``bias`` says whether biases take a share of the relevance or the inputs get all of it.
    """

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="layer")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        """Returns the multipliers of a layer's inputs (relevance over value), given the relevance of its output.

        The second part of the result is relevance that is no multiple of the values. Either part may be None.
        """
        raise NotImplementedError

    def bias_of(self, layer: LinearLayer) -> Array | None:
        """Returns the bias; None if it takes no share."""
        return layer.bias if getattr(self, "bias", True) else None

    def result(self, layer: LinearLayer) -> Array:
        """Returns the layer's output, without the bias if that takes no share."""
        return layer.y if layer.bias is None or self.bias_of(layer) is not None else layer.y - layer.bias

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raises RuleError unless ``epsilon`` and ``gamma`` are finite numbers >= 0."""
        for name in ("epsilon", "gamma"):
            value = getattr(self, name, 0.0)
            if not (is_number(value) and 0 <= value < math.inf):
                raise RuleError(f"`{name}` must be a finite number >= 0", found=f"{name}={format_value(value)}", advice=f"{name}=0.25")


@dataclass(frozen=True, repr=False)
class Epsilon(LayerRule):
    """LRP-epsilon: ``R_i = sum_j x_i w_ij / s(z_j) R_j``.

    *Use it when* relevance is propagated through dense or middle layers, where it is the most common choice. Larger values of ``epsilon``
    absorb relevance of weak or contradictory contributions and make sparser maps.

    Conserves relevance up to the shares of biases and ``epsilon``. Cost: one transpose of the layer. Raises RuleError for a negative
    ``epsilon``. Source: Bach et al. 2015, formula 58.
    """

    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        p = share(relevance, self.result(layer), self.epsilon)
        return layer.backward(p, layer.weight, self.bias_of(layer)), None


@dataclass(frozen=True, repr=False)
class Gamma(LayerRule):
    """LRP-gamma: :class:`Epsilon` with weights and biases ``w + gamma w+``, which favours positive contributions.

    *Use it when* relevance is propagated through convolutions near the input, where LRP-epsilon gives noisy maps.

    ``gamma`` is a number >= 0: 0 is LRP-epsilon, large values approach :class:`ZPlus`. The plain rule needs inputs >= 0. ``generalised``
    accepts inputs of both signs: positive contributions are strengthened where ``z_j`` is positive, negative ones where it is negative.
    Cost: one more run of the layer; two more if generalised, four for inputs of both signs. Raises RuleError for negative parameters.
    Source: Montavon et al. 2019; generalised: Andeol et al. 2021.
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
    """LRP-alpha-beta: ``R_i = sum_j (alpha z_ij+ / z_j+ - beta z_ij- / z_j-) R_j`` with the contributions ``z_ij = x_i w_ij``.

    *Use it when* positive and negative evidence should be separated in convolutions; 2 and 1 show both, 1 and 0 only positive evidence.

    Conserves relevance if ``alpha - beta = 1``; a neuron whose contributions have one sign passes on ``alpha`` or ``-beta`` times its
    relevance. Cost: one more run of the layer for each sign of the contributions, two for inputs of both signs. Raises RuleError unless
    ``alpha - beta = 1`` and ``beta >= 0``. Source: Bach et al. 2015, formula 60.
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
                "`alpha - beta` must be 1, and `beta` must be >= 0",
                found=f"alpha={format_value(self.alpha)}, beta={format_value(self.beta)}",
                advice="alpha=2, beta=1, or alpha=1, beta=0",
            )

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        return signed_contributions(layer, relevance, self.alpha, self.beta, self.epsilon, self.bias_of(layer))


@dataclass(frozen=True, repr=False)
class ZPlus(LayerRule):
    """The z+ rule: ``R_i = sum_j z_ij+ / s(z_j+) R_j``, :class:`AlphaBeta` with 1 and 0.

    *Use it when* relevance is propagated through convolutions behind ReLU layers and only positive evidence is wanted.

    Cost: one more run of the layer, two for inputs of both signs. Raises RuleError for a negative ``epsilon``. Source: Montavon et al.
    2017.
    """

    epsilon: float = 1e-6
    bias: bool = True
    strict: bool = False

    alpha: ClassVar[float] = 1.0
    beta: ClassVar[float] = 0.0

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        return signed_contributions(layer, relevance, self.alpha, self.beta, self.epsilon, self.bias_of(layer))


def signed_contributions(layer: LinearLayer, relevance: Array, alpha: float, beta: float, epsilon: float, bias: Array | None) -> Answer:
    """Returns the shares of positive and of negative contributions separately, weighted by ``alpha`` and ``-beta``."""
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
    """The z^B rule for bounded inputs: shares of ``x_i w_ij - low_i w_ij+ - high_i w_ij-``.

    *Use it when* the first layer reads pixels, or other inputs with known bounds; it is the only rule that uses these bounds.

    ``low`` and ``high`` are in the units of the inputs: numbers, one number for each channel (a tuple or an array ``[channels]``), or
    arrays of the shape of one record. Scalings between the bounded values and the layer are merged into it. Biases take no share. Cost:
    three more runs of the layer. Raises RuleError for bounds that are not finite, or a lower bound above the upper one. Source: Montavon
    et al. 2017.
    """

    low: Any
    high: Any
    epsilon: float = 1e-6
    strict: bool = False

    def __post_init__(self) -> None:
        self.check()
        low, high = (bound(value) for value in (self.low, self.high))
        if (not low.ndim or not high.ndim or low.shape == high.shape) and (low > high).any():
            there = f"low={format_value(self.low)}, high={format_value(self.high)}"
            raise RuleError("The lower bound is above the upper bound", found=there, advice="bounds with low <= high")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        x, weight = layer.x, layer.weight
        low, high = (bound_like(b, x) for b in (self.low, self.high))
        plus, minus = positive(weight), negative(weight)
        z = layer.product(x, weight) - layer.product(low, plus) - layer.product(high, minus)
        p = share(relevance, z, self.epsilon)
        return layer.transpose(p, weight), -low * layer.transpose(p, plus) - high * layer.transpose(p, minus)


def bound_like(b: Any, x: Array) -> Array:
    """Returns a bound for every element of ``x``, from a number, one for each channel, or one for each element of a record.

    Raises RuleError if the bound does not fit.
    """
    xp = namespace(x)
    t = xp.constant(as_numpy(b), x)
    if len(t.shape) == 1 and len(x.shape) > 2:
        t = xp.reshape(t, (-1, *[1] * (len(x.shape) - 2)))
    try:
        np.broadcast_shapes(tuple(t.shape), tuple(x.shape))
        return xp.broadcast_to(t, x.shape)
    except (ValueError, RuntimeError):
        there = f"a bound of shape {tuple(t.shape)} for inputs of shape {tuple(x.shape)}"
        raise RuleError("A bound does not fit the inputs", found=there, advice="a number, or one for each channel") from None


def bound(value: Any) -> np.ndarray:
    """Returns a bound as an array. Raises RuleError unless it consists of finite numbers."""
    try:
        found = np.asarray(as_numpy(value), np.float64)
    except (TypeError, ValueError):
        found = np.asarray(np.nan)
    if not np.isfinite(found).all():
        raise RuleError("A bound must be finite", found=f"a bound of {format_value(value)}", advice="a number, or one for each channel")
    return found


@dataclass(frozen=True, repr=False)
class WSquare(LayerRule):
    """The w^2 rule: ``R_i = sum_j w_ij^2 / sum_k w_kj^2 R_j``, independent of the values of the inputs.

    *Use it when* the inputs of the first layer are unbounded or have no natural zero.

    Cost: one more run of the layer. Raises RuleError for a negative ``epsilon``. Source: Montavon et al. 2017.
    """

    epsilon: float = 1e-6
    bias: bool = False
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        bias = self.bias_of(layer)
        return evenly(layer, layer.weight * layer.weight, None if bias is None else bias * bias, relevance, self.epsilon)


@dataclass(frozen=True, repr=False)
class Flat(LayerRule):
    """The flat rule: every input of a neuron gets the same share.

    *Use it when* the first layer should only show which region matters, not which pixel.

    Cost: one more run of the layer. Raises RuleError for a negative ``epsilon``. Source: Lapuschkin et al. 2019.
    """

    epsilon: float = 1e-6
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        return evenly(layer, layer.xp.ones_like(layer.weight), None, relevance, self.epsilon)


def evenly(layer: LinearLayer, weight: Array, bias: Array | None, relevance: Array, epsilon: float) -> Answer:
    """Returns shares by weights, independent of the values of the inputs."""
    p = share(relevance, layer.forward(layer.xp.ones_like(layer.x), weight, bias), epsilon)
    return None, layer.backward(p, weight, bias)


@dataclass(frozen=True, repr=False)
class Norm(LayerRule):
    """:class:`Epsilon` for layers, and also for average pooling, means and sums.

    *Use it when* relevance of pooled values should follow the values, instead of being spread evenly.

    Cost: one transpose of the layer. Raises RuleError for a negative ``epsilon``.
    """

    epsilon: float = 1e-6
    strict: bool = False

    bias: ClassVar[bool] = True
    treats: ClassVar[Mapping[str, str]] = with_rest(weights="layer", average="epsilon")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        p = share(relevance, layer.y, self.epsilon)
        return layer.backward(p, layer.weight, layer.bias), None


@dataclass(frozen=True, repr=False)
class Pass(LayerRule):
    """The identity: relevance is passed on unchanged, ``R_i = R_i``.

    *Use it when* a layer or a norm keeps the shape of its input and should not redistribute relevance.

    Conserves relevance exactly. No cost. Raises RuleError for layers that change the shape.
    """

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest(weights="layer", norm="pass", average="pass")

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        if relevance.shape != layer.x.shape:
            shapes = f"{layer.name} from {tuple(layer.x.shape)} to {tuple(layer.y.shape)} in {layer.place}"
            raise RuleError(
                f"`{self!r}` cannot treat a layer that changes the shape", found=shapes, advice="asc.rules.Epsilon() for this layer"
            )
        return None, relevance


@dataclass(frozen=True, repr=False)
class Absolute(LayerRule):
    """Shares by the absolute values of contributions: ``R_i = sum_j |z_ij| / sum_k |z_kj| R_j``.

    *Use it when* the last layer starts relative attributing propagation: see ``RELATIVE_PROPAGATION``.

    Biases take no share. Cost: one more run of the layer. Raises RuleError for a negative ``epsilon``. Source: Nam et al. 2020.
    """

    epsilon: float = 0.0
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: Array) -> Answer:
        size, weight = layer.xp.abs(layer.x), layer.xp.abs(layer.weight)
        p = share(relevance, layer.product(size, weight), self.epsilon)
        return None, size * layer.transpose(p, weight)


@dataclass(frozen=True, repr=False)
class RelativeAttributing(LayerRule):
    """Relative attributing propagation: an input that contributes less than the mean gets negative relevance.

    *Use it when* relevance should separate the object from its background, in all layers but the last: see ``RELATIVE_PROPAGATION``.

    An input is credited ``sum_j (z_ij+ / P_j + |z_ij-| / (P_j + N_j)) R_j``, where ``P_j`` is the sum of a neuron's positive contributions
    and ``N_j`` the sum of the absolute negative ones. Then every input with a credit loses the same amount, so that the relevance of a
    record is conserved. Biases take no share. Cost: two more runs of the layer, four for inputs of both signs. Raises RuleError for layers
    whose input has no axis of records. Source: Nam et al. 2020.
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
    """Returns the credit minus one amount for all active inputs of a record, so that the sum is the relevance of the output."""
    xp = layer.xp
    rows, came = layer.by_record(credit), layer.by_record(relevance)
    if rows is None or came is None:
        there = f"{layer.name} on {tuple(layer.x.shape)} in {layer.place}, {layer.records} records"
        what = "Relative propagation needs layers with an axis of the input that runs over the records"
        raise RuleError(what, found=there, advice="asc.rules.Absolute() for this layer")
    total, active = xp.sum(came, (1,), True), rows != 0
    count = xp.clip(xp.sum(xp.cast(active, rows), (1,), True), 1, None)
    return layer.as_input(xp.where(active, rows - (xp.sum(rows, (1,), True) - total) / count, 0.0))


@dataclass(frozen=True, repr=False)
class Reading(LayerRule):
    """The treatment of operations that compute the quantity from the output of the model, under any layer rule."""

    strict: bool = False

    treats: ClassVar[Mapping[str, str]] = with_rest()
