"""NumPy's own arrays."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ...arrays import Array


class NumpyNamespace:
    """See :class:`ascribe.arrays.Namespace`."""

    writes_in_place = True

    def asarray(self, a: Any, like: np.ndarray) -> Array:
        a = np.asarray(a)
        return a.astype(like.dtype) if a.dtype.kind == "f" and np.asarray(like).dtype.kind == "f" else a

    def numpy(self, a: np.ndarray) -> Array:
        return np.array(a)

    def concat(self, arrays: list[np.ndarray], axis: int) -> Array:
        return np.concatenate(arrays, axis)

    def stack(self, arrays: list[np.ndarray], axis: int) -> Array:
        return np.stack(arrays, axis)

    def broadcast_to(self, a: np.ndarray, shape: tuple[int, ...]) -> Array:
        return np.broadcast_to(a, shape)

    def moveaxis(self, a: np.ndarray, source: int, to: int) -> Array:
        return np.moveaxis(a, source, to)

    def where(self, condition: np.ndarray, a: Any, b: Any) -> Array:
        return np.where(condition, a, b)

    def exp(self, a: np.ndarray) -> Array:
        return np.exp(a)

    def log(self, a: np.ndarray) -> Array:
        return np.log(a)

    def sqrt(self, a: np.ndarray) -> Array:
        return np.sqrt(a)

    def sign(self, a: np.ndarray) -> Array:
        return np.sign(a)

    def maximum(self, a: np.ndarray, b: float) -> Array:
        return np.maximum(a, b)

    def amax(self, a: np.ndarray, axes: tuple[int, ...]) -> Array:
        if not a.size:
            return a.sum(axis=axes) if axes else a
        return a.max(axis=axes) if axes else a

    def take(self, a: np.ndarray, index: np.ndarray, axis: int) -> Array:
        return np.take(a, index, axis)

    def mix(self, a: np.ndarray, b: np.ndarray, share: np.ndarray, into: np.ndarray | None = None) -> Array:
        return np.add(a * (1 - share), b * share, out=into, casting="same_kind")

    def product(self, a: np.ndarray, b: np.ndarray, into: np.ndarray | None = None) -> Array:
        return np.multiply(a, b, out=into, casting="same_kind")

    def empty(self, shape: tuple[int, ...], like: np.ndarray) -> Array:
        return np.empty(shape, like.dtype)

    def holders(self, a: np.ndarray) -> int | None:
        return sys.getrefcount(a)  # views of an array hold it, and views of views too

    def zeros_like(self, a: np.ndarray) -> Array:
        return np.zeros_like(a)

    def pick(self, a: np.ndarray, index: np.ndarray) -> Array:
        return a[np.arange(len(a)), index]

    def sums(self, a: np.ndarray, kept: int) -> Array:
        return np.asarray(a.sum(axis=tuple(range(kept, a.ndim)), dtype=np.float64))

    def sizes(self, a: np.ndarray, kept: int) -> Array:
        return self.sums(np.abs(a), kept)

    def is_floating(self, a: np.ndarray) -> bool:
        return a.dtype.kind == "f"

    def eps(self, a: np.ndarray) -> float:
        return float(np.finfo(a.dtype).eps) if a.dtype.kind == "f" else 0.0

    def accumulator(self, shape: tuple[int, ...], like: np.ndarray) -> Array:
        return np.zeros(shape, np.promote_types(like.dtype, np.float32))

    def accumulate(self, total: np.ndarray, terms: np.ndarray, weights: np.ndarray) -> Array:
        return total + np.tensordot(weights.astype(total.dtype), terms, 1)

    def cast(self, a: np.ndarray, like: np.ndarray) -> Array:
        return a.astype(like.dtype)

    def kind(self, a: np.ndarray) -> str:
        return "i" if a.dtype.kind == "u" else a.dtype.kind

    def astype(self, a: np.ndarray, dtype: Any) -> Array:
        return a.astype(dtype, copy=False)

    def as_floats(self, a: np.ndarray) -> Array:
        return a.astype(np.float64)

    def constant(self, a: Any, like: np.ndarray) -> Array:
        return np.asarray(a, like.dtype)

    def stop(self, a: np.ndarray) -> Array:
        return a

    def zeros(self, shape: Any, like: np.ndarray) -> Array:
        return np.zeros(shape, like.dtype)

    def ones_like(self, a: np.ndarray) -> Array:
        return np.ones_like(a)

    def reshape(self, a: np.ndarray, shape: Any) -> Array:
        return np.reshape(a, shape)

    def permute(self, a: np.ndarray, order: Any) -> Array:
        return np.transpose(a, order)

    def matrix_transpose(self, a: np.ndarray) -> Array:
        return np.swapaxes(a, -1, -2)

    def expand_dims(self, a: np.ndarray, axis: int) -> Array:
        return np.expand_dims(a, axis)

    def put(self, a: np.ndarray, index: Any, b: np.ndarray) -> Array:
        a[index] = b
        return a

    def take_along(self, a: np.ndarray, index: np.ndarray, axis: int) -> Array:
        return np.take_along_axis(a, index, axis)

    def scatter(self, values: np.ndarray, index: np.ndarray, shape: Any) -> Array:
        total = np.zeros(shape, values.dtype)
        np.add.at(total, (*np.indices(index.shape)[:-1], index), values)
        return total

    def abs(self, a: np.ndarray) -> Array:
        return np.abs(a)

    def tanh(self, a: np.ndarray) -> Array:
        return np.tanh(a)

    def sigmoid(self, a: np.ndarray) -> Array:
        return (1 + np.tanh(a / 2)) / 2

    def clip(self, a: np.ndarray, low: float | None, high: float | None) -> Array:
        return np.clip(a, low, high)

    def copysign(self, number: float, a: np.ndarray) -> Array:
        return np.copysign(np.asarray(number, a.dtype), a)

    def divide(self, a: np.ndarray, b: np.ndarray, into: np.ndarray) -> Array:
        return a / b

    def conj(self, a: np.ndarray) -> Array:
        return np.conj(a)

    def real(self, a: np.ndarray) -> Array:
        return np.real(a)

    def softmax(self, a: np.ndarray, axis: int) -> Array:
        return np.exp(self.log_softmax(a, axis))

    def log_softmax(self, a: np.ndarray, axis: int) -> Array:
        a = a - a.max(axis=axis, keepdims=True)
        return a - np.log(np.exp(a).sum(axis=axis, keepdims=True))

    def sum(self, a: np.ndarray, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
        return np.asarray(a.sum(axis=axes, keepdims=keepdims))

    def mean(self, a: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> Array:
        return np.asarray(a.mean(axis=axes, keepdims=keepdims))

    def max_and_place(self, a: np.ndarray) -> tuple[Array, Array]:
        place = np.expand_dims(a.argmax(-1), -1)
        return np.take_along_axis(a, place, -1), place

    def sum_and_size(self, a: np.ndarray) -> list[Array]:
        return [np.asarray(t.sum(dtype=np.promote_types(a.dtype, np.float32))) for t in (a, np.abs(a))]

    def isnan(self, a: np.ndarray) -> Array:
        return np.isnan(a)

    def isfinite(self, a: np.ndarray) -> Array:
        return np.isfinite(a)

    def nan_to_num(self, a: np.ndarray, number: float) -> Array:
        return np.nan_to_num(a, nan=number)

    def any(self, a: np.ndarray) -> bool:
        return bool(np.any(a))

    def may_have(self, a: np.ndarray) -> bool:
        return bool(np.any(a))

    def all(self, a: np.ndarray) -> bool:
        return bool(np.all(a))

    def has_nan(self, a: np.ndarray) -> bool:
        return bool(np.isnan(a).any())

    def equal(self, a: np.ndarray, b: np.ndarray) -> bool:
        return np.array_equal(a, b)

    def tiny(self, a: np.ndarray) -> float:
        return float(np.finfo(a.dtype).tiny)


xp = NumpyNamespace()
