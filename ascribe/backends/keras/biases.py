"""The biases of Keras layers, and the implicit ones of batch normalisation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...cuts import Cut
from ..protocol import Bias
from .intercept import own_activations
from .names import kind_of, named_values
from .package import package_name, package_of

CONVOLUTIONS = frozenset(
    {
        "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D",
        "SeparableConv1D", "SeparableConv2D",
    }
)  # fmt: skip
LINEAR = CONVOLUTIONS | {"Dense"}
PIECEWISE_LINEAR = frozenset(
    {
        "relu", "relu6", "leaky_relu", "linear", "Relu", "Relu6", "LeakyRelu", "ReLU", "LeakyReLU", "PReLU", "Dropout", "SpatialDropout1D",
        "SpatialDropout2D", "SpatialDropout3D", "Identity", "Flatten", "Reshape", "Permute", "RepeatVector", "Transpose", "Squeeze",
        "ExpandDims", "Concatenate", "Add", "Subtract", "Average", "Maximum", "Minimum", "Negative", "Sum", "Mean", "Max", "GetItem",
        "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
        "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
        "GlobalAveragePooling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "UpSampling1D", "UpSampling2D", "UpSampling3D",
        "Cropping1D", "Cropping2D", "Cropping3D", "Embedding",
    }
)  # fmt: skip
"""Layers, operations and activation functions that add nothing: scaling what goes in by a positive number scales what comes out."""


def is_one_of(layer: Any, names: Iterable[str]) -> bool:
    """True for a layer of one of these classes of its package."""
    if package_name(layer) is None:
        return False
    there = package_of(layer).layers
    return isinstance(layer, tuple(getattr(there, name) for name in names))


def bias_of(layer: Any, path: str) -> Bias | None:
    """The bias of the layer at a path; None for a layer without.

    A layer that applies an activation function adds its bias to what goes into that function, which is a cut of its own.
    """
    if package_name(layer) is None:  # an activation function
        return None
    package = package_of(layer)
    if is_one_of(layer, ["BatchNormalization"]):
        axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]  # Keras 2 has a list
        scale = 1 / np.sqrt(package.numbers(layer.moving_variance) + layer.epsilon) * (package.numbers(layer.gamma) if layer.scale else 1)
        return Bias((package.numbers(layer.beta) if layer.center else 0) - package.numbers(layer.moving_mean) * scale, axis)
    if not is_one_of(layer, LINEAR) or not layer.use_bias:
        return None
    inner = own_activations(layer)
    if not inner and layer.activation is not package.linear:  # a layer applied as a function: nothing shows its argument
        return None
    first = is_one_of(layer, CONVOLUTIONS) and layer.data_format == "channels_first"
    return Bias(package.numbers(layer.bias), 1 if first else -1, Cut(f"{path}.activation", "in") if inner else None)


def bends(layer: Any) -> bool:
    """True if a layer is neither linear plus a known bias nor known to add nothing; those that hold others do nothing themselves."""
    if is_one_of(layer, LINEAR):
        return layer.use_bias and bias_of(layer, "") is None
    if is_one_of(layer, ["BatchNormalization"]) or (package_name(layer) and isinstance(layer, package_of(layer).model)):
        return False
    if is_one_of(layer, ["Activation"]):
        return kind_of(layer.activation) not in PIECEWISE_LINEAR
    return kind_of(layer).partition(",")[0] not in PIECEWISE_LINEAR


def read_biases(roots: Mapping[str, Any], layers: Iterable[str]) -> tuple[dict[str, Bias], list[str]]:
    """The biases among these layers, and the names of those that bend: ``norm (LayerNormalization)``."""
    known = dict(named_values(roots))
    held = {name: known[name] for name in layers if name in known}
    biases = {name: bias for name, layer in held.items() if (bias := bias_of(layer, name)) is not None}
    return biases, [f"{name} ({kind_of(layer)})" for name, layer in held.items() if bends(layer)]
