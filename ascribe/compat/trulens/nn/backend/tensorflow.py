"""``trulens.nn.backend.tf_backend.tf``: TensorFlow's functions by trulens' names; some also accept NumPy arrays."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

from . import Backend
from . import memory_suggestions as memory_suggestions

Tensor = tf.Tensor

backend = Backend.TENSORFLOW
dim_order = "channels_last"
channel_axis = 3
tf1 = False

clone = identity = tf.identity
abs, maximum, minimum, sign, stack, tile = tf.abs, tf.maximum, tf.minimum, tf.sign, tf.stack, tf.tile


def float_type() -> str:
    """Returns the floating type of the loaded Keras, ``"float32"`` where none is loaded."""
    keras = next((module for name in ("tf_keras", "keras") if hasattr(module := sys.modules.get(name), "backend")), None)
    return str(keras.backend.floatx()) if keras is not None else "float32"


floatX = float_type()
floatX_size = np.dtype(floatX).itemsize


def set_seed(seed: int) -> None:
    """Seeds the generators of TensorFlow and NumPy."""
    tf.random.set_seed(seed)
    np.random.seed(seed)


def is_deterministic() -> bool:
    return True


def is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor) or type(x).__name__ == "KerasTensor"


def gradient(scalar: Any, wrt: Any) -> list[Any]:
    """Returns the gradient at each tensor, in a graph: in a ``tf.function``, not in eager execution."""
    return list(tf.gradients(scalar, wrt))


def as_array(t: Any, dtype: Any = None) -> np.ndarray:
    array = np.asarray(t)
    return array if dtype is None else array.astype(dtype)


def as_tensor(x: Any, dtype: Any = None, device: Any = None) -> Any:
    """Returns an array as a tensor, floating ones of the type ``floatX`` unless another is given; a tensor unchanged."""
    if is_tensor(x):
        return x
    floats = dtype is None and np.asarray(x).dtype.kind == "f"
    return tf.constant(x, dtype=floatX if floats else dtype)


def int_shape(t: Any) -> tuple[int, ...]:
    return tuple(t.shape)


def shape(t: Any) -> Any:
    return t.shape


def expand_dims(t: Any, axis: int = -1) -> Any:
    return tf.expand_dims(t, axis)


def reshape(t: Any, shape: Any) -> Any:
    return t.reshape(shape) if isinstance(t, np.ndarray) else tf.reshape(t, shape)


def mean(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.mean(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else tf.reduce_mean(t, axis, keepdims)


def sum(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.sum(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else tf.reduce_sum(t, axis, keepdims)


def max(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.max(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else tf.reduce_max(t, axis, keepdims)


def min(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.min(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else tf.reduce_min(t, axis, keepdims)


def ones_like(t: Any, dtype: Any = None, name: str | None = None) -> Any:
    return tf.ones_like(t, dtype=dtype, name=name)


def zeros_like(t: Any, dtype: Any = None, name: str | None = None) -> Any:
    return tf.zeros_like(t, dtype=dtype, name=name)


def random_normal_like(t: Any, mean: float = 0.0, var: float = 1.0) -> Any:
    return tf.random.normal(tf.shape(t), mean, float(np.sqrt(var)), dtype=t.dtype)


def sigmoid(t: Any, axis: Any = None) -> Any:
    return tf.sigmoid(t)


def softmax(t: Any, axis: int = -1) -> Any:
    return tf.nn.softmax(t, axis=axis)


def concat(ts: Any, axis: int = 0) -> Any:
    return tf.concat(list(ts), axis=axis)
