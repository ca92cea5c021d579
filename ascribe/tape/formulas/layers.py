"""Operations that are linear in one value, with fixed weights: matrix products, convolutions, batch normalisation in evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from ...arrays import Array, Namespace
from ..record_axes import MATRICES, axis_of, count_before
from ..tape import Entry, Var, fold

WEIGHTED = MATRICES | {"convolution"}
"""Forms of operations that are layers where they have fixed weights."""


@dataclass(kw_only=True)
class Layer:
    """A linear operation of ``source`` with result ``out``: see :class:`ascribe.rules.layer.LinearLayer`.

    ``weight`` and ``bias`` are those of the operation merged with its neighbours; the bias has ones where it is broadcast. ``rest`` is
    what the result was added to, where that depends on the record.

    ``into`` is the operation's own input, another value than ``source`` where a step before it was merged, and ``between`` the values
    from there on. ``home`` is the value that ``source`` is a view of, if there is one in between: of rows for each record and step.
    ``absorbed`` collects the relevance of biases, ``records`` is the number of records.
    """

    entry: Entry
    source: Var
    out: Var
    weight: Array
    bias: Array | None = None
    rest: Var | None = None
    into: Var
    between: list[Var] = field(default_factory=list)
    home: Var | None = None
    absorbed: list[Array] = field(default_factory=list)
    records: int = 1
    y: Array = None
    """The result without ``rest``, while a rule is applied."""

    @property
    def xp(self) -> Namespace:
        return self.entry.framework.xp

    @property
    def x(self) -> Array:
        """The input at the record."""
        return self.source.value

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def place(self) -> str:
        return self.entry.place or "the model"

    def sent(self, t: Array) -> tuple[Var, Array]:
        """The value that the cotangent of ``source`` goes to, and the cotangent as it has it."""
        return (self.source, t) if self.home is None else (self.home, self.xp.reshape(t, self.home.shape))

    def product(self, x: Array, weight: Array) -> Array:
        """The operation with another input and weight, without bias."""
        raise NotImplementedError

    def transpose(self, g: Array, weight: Array) -> Array:
        """Its transpose."""
        raise NotImplementedError

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """The operation with another input, weight and bias."""
        y = self.product(x, weight)
        return y if bias is None else y + bias

    def backward(self, p: Array, weight: Array, bias: Array | None) -> Array:
        """The cotangent of the input; the bias takes its share as one more input, which is 1."""
        if bias is not None:
            wide = len(bias.shape) == len(p.shape)
            self.absorbed.append(self.xp.sum((fold(self.xp, p, bias.shape) if wide else p) * bias))
        return self.transpose(p, weight)

    def by_record(self, t: Array) -> Array | None:
        """``[records, elements]`` of an array like the input or the result; None where an axis of records is not known in both."""
        before = self.count_before()
        if before is None:
            return None
        return self.xp.reshape(self.xp.moveaxis(self.xp.reshape(t, (before, self.records, -1)), 1, 0), (self.records, -1))

    def as_input(self, rows: Array) -> Array:
        """:meth:`by_record` of an array like the input, undone."""
        split = self.xp.reshape(rows, (self.records, self.count_before(), -1))
        return self.xp.reshape(self.xp.moveaxis(split, 0, 1), self.x.shape)

    def count_before(self) -> int | None:
        """The number of elements before the records in the input, if that is their number in the result as well."""
        before = 1 if self.records == 1 else count_before(self.source, self.records)
        axis = None if before is None else axis_of(self.source.shape, before, self.records)
        return before if self.records == 1 or axis in self.kept_axes() else None

    def kept_axes(self) -> range:
        """The first axes of the input, which the result has at the same positions."""
        return range(1)

    def per_output(self, scale: Array) -> Array | None:
        """A factor of the result, shaped to multiply the weight; None where it is not one number for each output channel."""
        raise NotImplementedError

    def per_input(self, scale: Array) -> Array | None:
        """A factor of the input, shaped to multiply the weight; None where it is not one number for each input channel."""
        raise NotImplementedError


def along(xp: Namespace, scale: Array, axis: int, rank: int) -> Array | None:
    """The elements of something broadcast that differs along one axis only (counted from the end); None for others."""
    shape = [1] * (rank - len(scale.shape)) + list(scale.shape)
    return None if any(n != 1 for i, n in enumerate(shape) if i != rank + axis) else xp.reshape(scale, (-1,))


class Product(Layer):
    """``x @ w``: a matrix product with the weight on the right, or a batch of them; ``x @ v`` with a vector."""

    def product(self, x: Array, weight: Array) -> Array:
        return x @ weight

    def transpose(self, g: Array, weight: Array) -> Array:
        return g[..., None] * weight if len(weight.shape) == 1 else g @ self.xp.matrix_transpose(weight)

    def kept_axes(self) -> range:
        rank = len(self.source.shape)
        return range(rank - 1 if len(self.weight.shape) <= rank else 0)

    def per_output(self, scale: Array) -> Array | None:
        if len(self.weight.shape) == 1:
            return self.xp.reshape(scale, ()) if prod(scale.shape) == 1 else None
        return along(self.xp, scale, -1, len(self.out.shape))

    def per_input(self, scale: Array) -> Array | None:
        line = along(self.xp, scale, -1, len(self.source.shape))
        return line if line is None or len(self.weight.shape) == 1 else line[:, None]


class Reversed(Layer):
    """``w @ x``: the weight on the left."""

    def product(self, x: Array, weight: Array) -> Array:
        return weight @ x

    def transpose(self, g: Array, weight: Array) -> Array:
        return self.xp.matrix_transpose(weight) @ g

    def kept_axes(self) -> range:
        rank = len(self.source.shape)
        return range(rank - 2 if len(self.weight.shape) <= rank else 0)

    def per_output(self, scale: Array) -> Array | None:
        line = along(self.xp, scale, -2, len(self.out.shape))
        return None if line is None else line[:, None]

    def per_input(self, scale: Array) -> Array | None:
        return along(self.xp, scale, -2, len(self.source.shape))


class Diagonal(Layer):
    """A factor for each channel: batch normalisation that is not merged with another layer."""

    def product(self, x: Array, weight: Array) -> Array:
        return x * weight

    def transpose(self, g: Array, weight: Array) -> Array:
        return g * weight

    def per_output(self, scale: Array) -> Array | None:
        return scale

    per_input = per_output


def layer_of(entry: Entry) -> Layer | None:
    """The operation as a layer; None for others, and where the weights depend on the record."""
    if entry.op.form == "convolution":
        layer: Layer | None = entry.framework.layer(entry)
        return layer
    if entry.op.form in MATRICES:
        return matrix_of(entry)
    affine = normalised(entry)
    if affine is None:
        return None
    x, out = entry.ins[0], entry.out()
    return Diagonal(entry=entry, source=x, into=x, out=out, weight=affine[0], bias=affine[1])


def is_layer(entry: Entry) -> bool:
    """Whether :func:`layer_of` gives a layer; a matrix product is recognised by its arguments alone."""
    return factors_of(entry) is not None if entry.op.form in MATRICES else layer_of(entry) is not None


def factors_of(entry: Entry) -> tuple[Any, Any, Any, Any, Any] | None:
    """``c, a, b, beta, alpha`` of ``beta c + alpha a @ b`` with one of the factors fixed; None for other operations."""
    arguments: Any = entry.framework.arguments(entry)
    if arguments is None:
        return None
    c, a, b, beta, alpha = arguments if entry.op.form == "addmatmul" else (None, *arguments, 1, 1)
    if isinstance(a, Var) == isinstance(b, Var) or (isinstance(c, Var) and beta != 1) or (entry.op.form == "matvec" and isinstance(b, Var)):
        return None
    return c, a, b, beta, alpha


def matrix_of(entry: Entry) -> Layer | None:
    """``beta c + alpha a @ b`` with one of the factors fixed, as a layer."""
    factors = factors_of(entry)
    if factors is None:
        return None
    c, a, b, beta, alpha = factors
    x, weight = (a, b) if isinstance(a, Var) else (b, a)
    bias = None if c is None or isinstance(c, Var) else c * beta if beta != 1 else c
    out = entry.out()
    return (Product if x is a else Reversed)(
        entry=entry,
        source=x,
        into=x,
        out=out,
        weight=weight * alpha if alpha != 1 else weight,
        bias=None if bias is None else entry.framework.xp.reshape(bias, [1] * (len(out.shape) - len(bias.shape)) + list(bias.shape)),
        rest=c if isinstance(c, Var) else None,
    )


def normalised(entry: Entry) -> tuple[Array, Array] | None:
    """Batch normalisation by stored statistics as factor and summand of each channel; None for any other operation."""
    if entry.op.form != "batch_norm":
        return None
    arguments = entry.framework.arguments(entry)
    if arguments is None or not isinstance(arguments[0], Var) or any(isinstance(a, Var) for a in arguments[1:]):
        return None
    x, weight, bias, mean, variance, eps = arguments
    if mean is None or variance is None:
        return None
    xp = entry.framework.xp
    scale = 1 / xp.sqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale
    shift = shift if bias is None else shift + bias
    shape = [1, -1] + [1] * (len(x.shape) - 2)
    return xp.reshape(xp.astype(scale, x.dtype), shape), xp.reshape(xp.astype(shift, x.dtype), shape)
