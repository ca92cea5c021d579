"""TensorFlow as the framework of a tape: the operation again, vector-Jacobian products, convolutions as layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ....arrays import Namespace
from ....tape import Entry, Operation, Var
from ....tape.formulas.layers import Layer, along
from ....tape.motifs import Call
from ....tape.step import Formula
from ....tape.tape import substituted
from ..namespace import xp
from .operations import CALLS
from .pooling import POOL
from .raw import Node, Raw

Array = Any


class TensorflowFramework:
    """See :class:`ascribe.tape.Framework`."""

    name = "TensorFlow"
    xp: Namespace = xp
    calls: Mapping[str, Call] = CALLS
    """The operations that :mod:`ascribe.tape.motifs` makes of what is written out."""

    def __init__(self, formulas: Mapping[tuple[str, str], Mapping[str, Formula]]) -> None:
        self.formulas = formulas
        self.kernels: Mapping[str, Callable[..., Any]] = {}

    def operation(self, call: Any, name: str) -> Operation:
        operation: Operation = call.operation
        return operation

    def arguments(self, entry: Entry) -> tuple[Any, ...] | None:
        return (*entry.args, *entry.call.extra)

    def again(self, entry: Entry, values: Callable[[Var], Array]) -> list[Any]:
        if entry.op.same:
            return [values(entry.ins[0])]
        out = entry.call.run(*[substituted(a, values) for a in entry.args])
        return list(out) if isinstance(out, (list, tuple)) else [out]

    def pull(self, function: Callable[..., Sequence[Any]], at: Sequence[Array], back: Sequence[Array | None]) -> list[Array | None]:
        here = [tf.identity(a) for a in at]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(here)
            outs = function(*here)
        pairs = [(o, g) for o, g in zip(outs, back, strict=True) if g is not None and (o.dtype.is_floating or o.dtype.is_complex)]
        if not pairs:
            return [None] * len(here)
        try:
            found = tape.gradient([o for o, _ in pairs], here, [tf.cast(tf.reshape(g, o.shape), o.dtype) for o, g in pairs])
        except LookupError as wrong:
            raise NotImplementedError(str(wrong)) from wrong
        return [None if g is None else tf.convert_to_tensor(g) for g in found]

    def channel_axis(self, entry: Entry) -> int:
        """The axis of the channels in the result of a convolution."""
        node: Node = entry.call.extra[0]
        return 1 if node.text("data_format").startswith("NC") else len(entry.out().shape) - 1

    def layer(self, entry: Entry) -> Layer | None:
        x, weight, bias = entry.args[:3]
        if not isinstance(x, Var) or isinstance(weight, Var) or isinstance(bias, Var):
            return None
        node: Node = entry.call.extra[0]
        return Convolution(entry=entry, source=x, into=x, out=entry.out(), weight=weight, bias=bias, node=node)


TRANSPOSED = {
    "Conv2D": "Conv2DBackpropInput",
    "DepthwiseConv2dNative": "DepthwiseConv2dNativeBackpropInput",
    "Conv3D": "Conv3DBackpropInputV2",
    "Conv2DBackpropInput": "Conv2D",
    "Conv3DBackpropInputV2": "Conv3D",
}
"""Convolutions with their transposes."""


@dataclass(kw_only=True)
class Convolution(Layer):
    """A convolution in any layout, or a transposed one, with strides, dilations and groups. The last axes of a kernel are its channels."""

    node: Node

    @property
    def backwards(self) -> bool:
        """True for a transposed convolution."""
        return "Backprop" in self.node.kind

    def product(self, x: Array, weight: Array) -> Array:
        return convolve(self.node, x, weight)

    def transpose(self, g: Array, weight: Array) -> Array:
        g = tf.cast(g, weight.dtype)
        kind, settings = TRANSPOSED[self.node.kind], dict(self.node.settings)
        settings.pop("Tshape", None)
        if self.backwards:
            known = {"use_cudnn_on_gpu", "strides", "padding", "explicit_paddings", "data_format", "dilations", "T"}
            kept = {name: value for name, value in settings.items() if name in known}
            return Raw(kind, flat(kept), 1, (g.dtype, weight.dtype))(g, weight)
        if kind == "Conv3DBackpropInputV2":
            settings["Tshape"] = tf.int32.as_datatype_enum
        return Raw(kind, flat(settings), 1, (tf.int32, weight.dtype, g.dtype))(list(self.source.shape), weight, g)

    def per_output(self, scale: Array) -> Array | None:
        line = along(xp, scale, self._channel(len(self.out.shape)), len(self.out.shape))
        if line is None or self.node.kind != "DepthwiseConv2dNative" or line.shape[0] == 1:
            return line if line is None or not self.backwards else line[:, None]
        return tf.reshape(line, self.weight.shape[-2:])

    def per_input(self, scale: Array) -> Array | None:
        line = along(xp, scale, self._channel(len(self.source.shape)), len(self.source.shape))
        if line is None or line.shape[0] == 1:
            return line
        if self.backwards:
            return line
        inside = 1 if self.node.kind == "DepthwiseConv2dNative" else line.shape[0] // self.weight.shape[-2]
        if inside == 1:
            return line[:, None]
        parts = tf.repeat(tf.reshape(line, (inside, -1)), self.weight.shape[-1] // inside, 0)  # [outputs, inputs of a group]
        return tf.transpose(parts)

    def _channel(self, rank: int) -> int:
        """The axis of the channels, from the end."""
        return 1 - rank if self.node.text("data_format").startswith("NC") else -1


def flat(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Attributes as alternating names and values."""
    return tuple(part for pair in settings.items() for part in pair)


def convolve(node: Node, x: Array, weight: Array) -> Array:
    """A convolution with other tensors."""
    if "Backprop" in node.kind:
        return node.raw(node.inputs[0], weight, x)
    return node.raw(x, weight)


def var_of(like: Array, entry: Entry | None, slot: int = 0) -> Var:
    """A value on the tape for a tensor."""
    var = Var(like, entry, slot, xp.kind(like))
    var.shape, var.held = tuple(like.shape), like
    return var


TENSORFLOW = TensorflowFramework({("pool", "winner"): POOL})
"""TensorFlow, with its own formulas."""
