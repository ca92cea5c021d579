"""The biases of Keras layers, and the implicit ones of batch normalisation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from .names import kind_of, named_values

CONVOLUTIONS = (
    keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose, keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D, keras.layers.SeparableConv2D,
)  # fmt: skip
LINEAR = (keras.layers.Dense, *CONVOLUTIONS)
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


def numbers(variable: Any) -> np.ndarray:
    """The numbers of a variable."""
    return np.asarray(keras.ops.convert_to_numpy(variable))


def bias_of(layer: Any) -> tuple[np.ndarray, int] | None:
    """The bias that a layer adds to its output, and the axis of the channels; None for a layer without.

    A layer that applies an activation function adds its bias before that: it has no bias at its output.
    """
    if isinstance(layer, keras.layers.BatchNormalization):
        scale = 1 / np.sqrt(numbers(layer.moving_variance) + layer.epsilon) * (numbers(layer.gamma) if layer.scale else 1)
        return (numbers(layer.beta) if layer.center else 0) - numbers(layer.moving_mean) * scale, layer.axis
    if not isinstance(layer, LINEAR) or not layer.use_bias or layer.activation is not keras.activations.linear:
        return None
    first = isinstance(layer, CONVOLUTIONS) and layer.data_format == "channels_first"
    return numbers(layer.bias), 1 if first else -1


def bends(layer: Any) -> bool:
    """True if a layer is neither linear plus a known bias nor known to add nothing; those that hold others do nothing themselves."""
    if isinstance(layer, LINEAR):
        return layer.use_bias and bias_of(layer) is None
    if isinstance(layer, (keras.layers.BatchNormalization, keras.Model)):
        return False
    if isinstance(layer, keras.layers.Activation):
        return kind_of(layer.activation) not in PIECEWISE_LINEAR
    return kind_of(layer).partition(",")[0] not in PIECEWISE_LINEAR


def read_biases(host: Any, layers: Iterable[str]) -> tuple[dict[str, tuple[Any, int]], list[str]]:
    """The biases among these layers, and the names of those that bend: ``norm (LayerNormalization)``."""
    known = dict(named_values(host))
    held = {name: known[name] for name in layers if name in known}
    biases = {name: bias for name, layer in held.items() if (bias := bias_of(layer)) is not None}
    return biases, [f"{name} ({kind_of(layer)})" for name, layer in held.items() if bends(layer)]
