"""Parts of the layer rules: a layer as a rule sees it, and the division of relevance by the sums of a layer."""

from __future__ import annotations

from typing import Any, Protocol

from ..arrays import Array, Namespace, namespace

Answer = tuple[Array | None, Array | None]
"""Multipliers of the inputs, and relevance of the inputs that is no multiple of their values; either may be None."""


class LinearLayer(Protocol):
    """A linear operation with fixed weights, merged with its neighbours (batch normalisation, constants): ``y = x * w + b``.

    Arrays are those of the model's framework, and ``xp`` its array functions. ``x`` is the input at the record, ``y`` the result.
    """

    weight: Array
    bias: Array | None
    y: Array
    records: int

    @property
    def xp(self) -> Namespace: ...
    @property
    def x(self) -> Array: ...
    @property
    def name(self) -> str:
        """The name of the operation."""

    @property
    def place(self) -> str:
        """The path of the module that it ran in."""

    def product(self, x: Array, weight: Array) -> Array:
        """The layer with another input and weight, without bias."""

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """The layer with another input, weight and bias."""

    def transpose(self, g: Array, weight: Array) -> Array:
        """The transpose of the layer with another weight: from an array of the shape of ``y`` to one of the shape of ``x``."""

    def backward(self, p: Array, weight: Array, bias: Array | None) -> Array:
        """:meth:`transpose`; the bias takes its share, which is reported as absorbed."""

    def by_record(self, t: Array) -> Array | None:
        """``[records, elements]`` of an array like ``x`` or ``y``; None where no axis of ``x`` is known to run over the records."""

    def as_input(self, rows: Array) -> Array:
        """:meth:`by_record` of an array like ``x``, undone."""


def stabilise(z: Array, epsilon: float) -> Array:
    """Returns ``z + epsilon sign(z)`` with ``sign(0) = 1``."""
    held = namespace(z).copysign(epsilon, z)
    held += z
    return held


def share(relevance: Array, z: Array, epsilon: float) -> Array:
    """Returns ``relevance / z``, stabilised; if ``epsilon`` is 0, 0 where ``z`` is 0."""
    xp = namespace(z)
    if epsilon:
        held = stabilise(z, epsilon)
        return xp.divide(relevance, held, held)
    return xp.where(z == 0, 0.0, relevance / z)


def has_negative(x: Array) -> bool:
    """Returns False if no element is negative; True where that is not known."""
    return namespace(x).may_have(x < 0)


def positive(t: Array, by: float = 1.0, rest: float = 0.0) -> Array:
    """Returns ``rest t + by t+``; None for None."""
    return _part(t, 0, None, by, rest)


def negative(t: Array, by: float = 1.0, rest: float = 0.0) -> Array:
    """Returns ``rest t + by t-``; None for None."""
    return _part(t, None, 0, by, rest)


def _part(t: Array, low: Any, high: Any, by: float, rest: float) -> Array:
    if t is None:
        return None
    part = namespace(t).clip(t, low, high)
    return part * by + t * rest if rest else part


def signed_forward(layer: LinearLayer, both: bool, high: Array, low: Array, bias: Array | None) -> Array:
    """Returns the layer with weights ``high`` for positive inputs and ``low`` for negative ones; ``both`` if there are negative inputs."""
    if not both:
        return layer.forward(layer.x, high, bias)
    return layer.forward(positive(layer.x), high, bias) + layer.product(negative(layer.x), low)
