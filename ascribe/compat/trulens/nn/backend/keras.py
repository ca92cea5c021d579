"""``trulens.nn.backend.keras_backend.keras``: the functions of Keras 3, on any of its back ends; some also accept NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import keras
import numpy as np
from keras import ops

from .....errors import BackendError
from . import Backend
from . import memory_suggestions as memory_suggestions

TENSORS = {"tensorflow": ("tensorflow", "Tensor"), "torch": ("torch", "Tensor"), "jax": ("jax", "Array")}
"""The class of arrays of each back end of Keras: its package and its name."""

framework = keras.config.backend()
Tensor = getattr(import_module(TENSORS[framework][0]), TENSORS[framework][1]) if framework in TENSORS else np.ndarray
TensorVar = keras.Variable

backend = Backend.KERAS
SETTINGS: dict[str, Callable[[], Any]] = {
    "floatX": keras.config.floatx,
    "floatX_size": lambda: np.dtype(keras.config.floatx()).itemsize,
    "dim_order": keras.config.image_data_format,
    "channel_axis": lambda: 1 if keras.config.image_data_format() == "channels_first" else 3,
}
"""Names of this module whose values are settings of Keras that can be changed."""

abs, clone, maximum, minimum, sign, stack, tile = ops.abs, ops.copy, ops.maximum, ops.minimum, ops.sign, ops.stack, ops.tile
identity = clone


def __getattr__(name: str) -> Any:
    if name not in SETTINGS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return SETTINGS[name]()


def set_seed(seed: int) -> None:
    """Seeds the generators of Keras, its back end, NumPy and Python."""
    keras.utils.set_random_seed(seed)


def is_deterministic() -> bool:
    return True


def is_tensor(x: Any) -> bool:
    return isinstance(x, (Tensor, TensorVar, keras.KerasTensor))


def gradient(scalar: Any, wrt: Any) -> list[Any]:
    """Returns the gradient at each tensor: on PyTorch, and on TensorFlow in a graph (in a ``tf.function``).

    Raises BackendError on JAX, which differentiates functions only.
    """
    wrt = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    if framework == "torch":
        from .pytorch import gradient as gradient_of_pytorch

        return gradient_of_pytorch(scalar, wrt)
    if framework == "tensorflow":
        from .tensorflow import gradient as gradient_of_tensorflow

        return gradient_of_tensorflow(scalar, wrt)
    problem = f"Keras on {framework} has no gradients of arrays, only of functions"
    raise BackendError(problem, found="a call of gradient", advice="jax.grad(function)", code="E-COMPAT-BACKEND")


def as_array(t: Any, dtype: Any = None) -> np.ndarray:
    array = t if isinstance(t, np.ndarray) else np.asarray(ops.convert_to_numpy(t))
    return array if dtype is None else array.astype(dtype)


def as_tensor(x: Any, dtype: Any = None, device: Any = None) -> Any:
    """Returns an array as a tensor, floating ones of the type ``floatX`` unless another is given; a tensor unchanged."""
    if is_tensor(x):
        return x
    floats = dtype is None and np.asarray(x).dtype.kind == "f"
    return ops.convert_to_tensor(x, dtype=keras.config.floatx() if floats else dtype)


def int_shape(t: Any) -> tuple[int, ...]:
    return tuple(t.shape)


def shape(t: Any) -> Any:
    return ops.shape(t)


def expand_dims(t: Any, axis: int = -1) -> Any:
    return ops.expand_dims(t, axis)


def reshape(t: Any, shape: Any) -> Any:
    return t.reshape(shape) if isinstance(t, np.ndarray) else ops.reshape(t, shape)


def mean(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.mean(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else ops.mean(t, axis, keepdims)


def sum(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.sum(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else ops.sum(t, axis, keepdims)


def max(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.max(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else ops.max(t, axis, keepdims)


def min(t: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return t.min(axis=axis, keepdims=keepdims) if isinstance(t, np.ndarray) else ops.min(t, axis, keepdims)


def ones_like(t: Any, dtype: Any = None, name: str | None = None) -> Any:
    return ops.ones_like(t, dtype=dtype)


def zeros_like(t: Any, dtype: Any = None, name: str | None = None) -> Any:
    return ops.zeros_like(t, dtype=dtype)


def random_normal_like(t: Any, mean: float = 0.0, var: float = 1.0) -> Any:
    return keras.random.normal(ops.shape(t), mean, float(np.sqrt(var)), dtype=keras.backend.standardize_dtype(t.dtype))


def sigmoid(t: Any, axis: Any = None) -> Any:
    return ops.sigmoid(t)


def softmax(t: Any, axis: int = -1) -> Any:
    return ops.softmax(t, axis=axis)


def concat(ts: Any, axis: int = 0) -> Any:
    return ops.concatenate(list(ts), axis=axis)
