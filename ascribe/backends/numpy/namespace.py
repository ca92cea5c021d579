"""NumPy's own arrays."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ...arrays import Array


class NumpyNamespace:
    """See :class:`ascribe.arrays.Namespace`."""

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

    def product(self, a: np.ndarray, b: np.ndarray, into: np.ndarray) -> None:
        np.multiply(a, b, out=into, casting="same_kind")

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


xp = NumpyNamespace()
