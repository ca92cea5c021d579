"""TensorFlow's tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array


class TensorflowNamespace:
    """See :class:`ascribe.arrays.Namespace`."""

    writes_in_place = False

    def asarray(self, a: Any, like: Array) -> Array:
        given = tf.convert_to_tensor(a)
        return tf.cast(given, like.dtype) if given.dtype.is_floating and like.dtype.is_floating else given

    def numpy(self, a: Array) -> np.ndarray:
        if a.dtype == tf.string:
            return np.array(a.numpy())
        if a.dtype.is_floating and a.dtype.size < 4:
            a = tf.cast(a, tf.float32)
        return np.array(a)

    def concat(self, arrays: list[Array], axis: int) -> Array:
        return tf.concat(arrays, axis)

    def stack(self, arrays: list[Array], axis: int) -> Array:
        return tf.stack(arrays, axis)

    def broadcast_to(self, a: Array, shape: tuple[int, ...]) -> Array:
        return tf.broadcast_to(a, shape)

    def moveaxis(self, a: Array, source: int, to: int) -> Array:
        order = [i for i in range(len(a.shape)) if i != source % len(a.shape)]
        order.insert(to % len(a.shape), source % len(a.shape))
        return tf.transpose(a, order)

    def where(self, condition: Array, a: Any, b: Any) -> Array:
        like = a if hasattr(a, "dtype") else b if hasattr(b, "dtype") else None
        kind = None if like is None else like.dtype
        return tf.where(condition, tf.convert_to_tensor(a, kind), tf.convert_to_tensor(b, kind))

    def exp(self, a: Array) -> Array:
        return tf.exp(a)

    def log(self, a: Array) -> Array:
        return tf.math.log(a)

    def sqrt(self, a: Array) -> Array:
        return tf.sqrt(a)

    def sign(self, a: Array) -> Array:
        return tf.sign(a)

    def maximum(self, a: Array, b: float) -> Array:
        return tf.maximum(a, tf.cast(b, a.dtype))

    def amax(self, a: Array, axes: tuple[int, ...]) -> Array:
        if not axes:
            return a
        return tf.reduce_max(a, axes) if all(a.shape) else tf.reduce_sum(a, axes)  # the largest of nothing

    def take(self, a: Array, index: Array, axis: int) -> Array:
        return tf.gather(a, index, axis=axis)

    def mix(self, a: Array, b: Array, share: Array, into: Array | None = None) -> Array:
        share = tf.cast(share, a.dtype)
        return a * (1 - share) + b * share

    def product(self, a: Array, b: Array, into: Array | None = None) -> Array:
        return a * b

    def empty(self, shape: tuple[int, ...], like: Array) -> Array:
        return tf.zeros(shape, like.dtype)

    def holders(self, a: Array) -> int | None:
        return None

    def zeros_like(self, a: Array) -> Array:
        return tf.zeros_like(a)

    def pick(self, a: Array, index: np.ndarray) -> Array:
        return tf.gather(a, tf.convert_to_tensor(index), axis=1, batch_dims=1)

    def sums(self, a: Array, kept: int) -> np.ndarray:
        return np.asarray(tf.reduce_sum(tf.cast(a, tf.float64), tuple(range(kept, len(a.shape)))))

    def sizes(self, a: Array, kept: int) -> np.ndarray:
        return self.sums(tf.abs(a), kept)

    def is_floating(self, a: Array) -> bool:
        return bool(a.dtype.is_floating)

    def eps(self, a: Array) -> float:
        if not a.dtype.is_floating:
            return 0.0
        return 2.0**-7 if a.dtype == tf.bfloat16 else float(np.finfo(a.dtype.as_numpy_dtype).eps)

    def accumulator(self, shape: tuple[int, ...], like: Array) -> Array:
        return tf.zeros(shape, tf.float64 if like.dtype == tf.float64 else tf.float32)

    def accumulate(self, total: Array, terms: Array, weights: np.ndarray) -> Array:
        return total + tf.tensordot(tf.convert_to_tensor(weights, total.dtype), tf.cast(terms, total.dtype), 1)

    def cast(self, a: Array, like: Array) -> Array:
        return tf.cast(a, like.dtype)

    def kind(self, a: Array) -> str:
        kind = a.dtype
        return "f" if kind.is_floating else "c" if kind.is_complex else "b" if kind.is_bool else "i" if kind.is_integer else "O"

    def astype(self, a: Array, dtype: Any) -> Array:
        return tf.cast(a, dtype)

    def as_floats(self, a: Array) -> Array:
        return tf.cast(a, tf.float32)

    def constant(self, a: Any, like: Array) -> Array:
        return tf.cast(a, like.dtype)

    def stop(self, a: Array) -> Array:
        return tf.stop_gradient(a)

    def zeros(self, shape: Any, like: Array) -> Array:
        return tf.zeros(shape, like.dtype)

    def ones_like(self, a: Array) -> Array:
        return tf.ones_like(a)

    def reshape(self, a: Array, shape: Any) -> Array:
        return tf.reshape(a, shape)

    def permute(self, a: Array, order: Any) -> Array:
        return tf.transpose(a, order)

    def matrix_transpose(self, a: Array) -> Array:
        return tf.linalg.matrix_transpose(a)

    def expand_dims(self, a: Array, axis: int) -> Array:
        return tf.expand_dims(a, axis)

    def put(self, a: Array, index: Any, b: Array) -> Array:
        places: np.ndarray = np.arange(int(np.prod(a.shape))).reshape(tuple(a.shape))[index]
        values = tf.reshape(tf.broadcast_to(tf.cast(b, a.dtype), places.shape), [-1])
        return tf.reshape(tf.tensor_scatter_nd_update(tf.reshape(a, [-1]), places.reshape(-1, 1), values), a.shape)

    def take_along(self, a: Array, index: Array, axis: int) -> Array:
        return tf.experimental.numpy.take_along_axis(a, index, axis)

    def scatter(self, values: Array, index: Array, shape: Any) -> Array:
        places = np.indices(tuple(index.shape))[:-1]
        at = tf.stack([*(tf.convert_to_tensor(p, index.dtype) for p in places), index], -1)
        return tf.scatter_nd(at, values, tf.cast(tf.convert_to_tensor(shape), index.dtype))

    def abs(self, a: Array) -> Array:
        return tf.abs(a)

    def tanh(self, a: Array) -> Array:
        return tf.tanh(a)

    def sigmoid(self, a: Array) -> Array:
        return tf.sigmoid(a)

    def clip(self, a: Array, low: float | None, high: float | None) -> Array:
        a = a if low is None else tf.maximum(a, tf.cast(low, a.dtype))
        return a if high is None else tf.minimum(a, tf.cast(high, a.dtype))

    def copysign(self, number: float, a: Array) -> Array:
        negative = tf.bitcast(a, {2: tf.int16, 4: tf.int32, 8: tf.int64}[a.dtype.size]) < 0
        return tf.where(negative, tf.cast(-abs(number), a.dtype), tf.cast(abs(number), a.dtype))

    def divide(self, a: Array, b: Array, into: Array) -> Array:
        return a / b

    def conj(self, a: Array) -> Array:
        return tf.math.conj(a)

    def real(self, a: Array) -> Array:
        return tf.math.real(a)

    def softmax(self, a: Array, axis: int) -> Array:
        return tf.nn.softmax(a, axis)

    def log_softmax(self, a: Array, axis: int) -> Array:
        return tf.nn.log_softmax(a, axis)

    def sum(self, a: Array, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
        return tf.reduce_sum(a, axes, keepdims)

    def mean(self, a: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
        return tf.reduce_mean(a, axes, keepdims)

    def max_and_place(self, a: Array) -> tuple[Array, Array]:
        return tf.reduce_max(a, -1, True), tf.expand_dims(tf.argmax(a, -1), -1)

    def sum_and_size(self, a: Array) -> list[Array]:
        wide = a if a.dtype == tf.float64 else tf.cast(a, tf.float32)
        return [tf.reduce_sum(wide), tf.reduce_sum(tf.abs(wide))]

    def isnan(self, a: Array) -> Array:
        return tf.math.is_nan(a)

    def isfinite(self, a: Array) -> Array:
        return tf.math.is_finite(a)

    def nan_to_num(self, a: Array, number: float) -> Array:
        return tf.where(tf.math.is_nan(a), tf.cast(number, a.dtype), a)

    def any(self, a: Array) -> bool:
        return bool(tf.reduce_any(tf.cast(a, tf.bool)))

    def may_have(self, a: Array) -> bool:
        return self.any(a)

    def all(self, a: Array) -> bool:
        return bool(tf.reduce_all(tf.cast(a, tf.bool)))

    def has_nan(self, a: Array) -> bool:
        return a.dtype.is_floating and bool(tf.reduce_any(tf.math.is_nan(a)))

    def equal(self, a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(tf.reduce_all(tf.equal(a, b)))

    def tiny(self, a: Array) -> float:
        kind = np.float32 if a.dtype == tf.bfloat16 else a.dtype.as_numpy_dtype
        return float(np.finfo(kind).tiny)


xp = TensorflowNamespace()
