"""Convolutions as layers: their transposes, and the channels of their kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ....tape.formulas.layers import Layer, along
from ..namespace import xp
from .raw import Node, Raw

Array = Any

TRANSPOSED = {
    "Conv2D": "Conv2DBackpropInput",
    "DepthwiseConv2dNative": "DepthwiseConv2dNativeBackpropInput",
    "Conv3D": "Conv3DBackpropInputV2",
    "Conv2DBackpropInput": "Conv2D",
    "Conv3DBackpropInputV2": "Conv3D",
}
"""Convolutions with their transposes."""

KNOWN = {
    "Conv2D": {"use_cudnn_on_gpu", "strides", "padding", "explicit_paddings", "data_format", "dilations", "T"},
    "Conv3D": {"strides", "padding", "data_format", "dilations", "T"},
}
"""The attributes of convolutions that are transposes of transposed ones."""


def convolve(node: Node, x: Array, weight: Array) -> Array:
    """A convolution with other tensors."""
    if "Backprop" in node.kind:
        return node.raw([x.shape[0], *(int(n) for n in node.inputs[0][1:])], weight, x)
    return node.raw(x, weight)


def spread(weight: Array, dilations: Sequence[int]) -> Array:
    """A kernel with zeros between its elements."""
    for axis, step in enumerate(dilations):
        first, *rest = tf.unstack(weight, axis=axis)
        weight = tf.stack([first, *(row for part in rest for row in (*[tf.zeros_like(part)] * (step - 1), part))], axis)
    return weight


def flat(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Attributes as alternating names and values."""
    return tuple(part for pair in settings.items() for part in pair)


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
        if self.backwards:
            kept = {name: value for name, value in settings.items() if name in KNOWN[kind]}
            return Raw(kind, flat(kept), 1, (g.dtype, weight.dtype))(g, weight)
        if kind == "Conv3DBackpropInputV2":
            settings["Tshape"] = tf.int32.as_datatype_enum
        if any(n > 1 for n in settings["dilations"]):  # on CPU no transpose has them
            weight = spread(weight, self._dilations())
            settings["dilations"] = [1] * len(settings["dilations"])
        raw = Raw(kind, flat(settings), 1, (tf.int32, weight.dtype, g.dtype))
        groups = self._groups() if kind == "Conv2DBackpropInput" else 1
        if groups == 1:
            return raw(list(self.source.shape), weight, g)
        rank = len(self.source.shape)  # on CPU no transpose has groups
        axis = self._channel(rank) % rank
        shape = [n // groups if d == axis else n for d, n in enumerate(self.source.shape)]
        pairs = zip(tf.split(weight, groups, -1), tf.split(g, groups, axis), strict=True)
        return tf.concat([raw(shape, w, part) for w, part in pairs], axis)

    def per_output(self, scale: Array) -> Array | None:
        line = along(xp, scale, self._channel(len(self.out.shape)), len(self.out.shape))
        if line is None or line.shape[0] == 1:
            return line
        if self.backwards:
            return line[:, None]
        return tf.reshape(line, self.weight.shape[-2:]) if self.node.kind == "DepthwiseConv2dNative" else line

    def per_input(self, scale: Array) -> Array | None:
        line = along(xp, scale, self._channel(len(self.source.shape)), len(self.source.shape))
        if line is None or line.shape[0] == 1 or self.backwards:
            return line
        groups = 1 if self.node.kind == "DepthwiseConv2dNative" else self._groups()
        if groups == 1:
            return line[:, None]
        parts = tf.repeat(tf.reshape(line, (groups, -1)), self.weight.shape[-1] // groups, 0)  # [outputs, inputs of a group]
        return tf.transpose(parts)

    def _groups(self) -> int:
        """How many groups of channels there are."""
        groups: int = self.source.shape[self._channel(len(self.source.shape))] // self.weight.shape[-2]
        return groups

    def _dilations(self) -> list[int]:
        """The dilation along each axis of the kernel that is a place."""
        given = self.node.settings["dilations"]
        return list(given[2:] if self.node.text("data_format").startswith("NC") else given[1:-1])

    def _channel(self, rank: int) -> int:
        """The axis of the channels, from the end."""
        return 1 - rank if self.node.text("data_format").startswith("NC") else -1
