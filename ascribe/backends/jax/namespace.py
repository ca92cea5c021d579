"""JAX's arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import Array
from ..numpy.host import HostNamespace
from .decisions import decide, traced


def is_number(a: Any) -> bool:
    """True for an array of numbers or booleans; False for the keys of random generators and for everything else."""
    return isinstance(a, (jax.Array, np.ndarray)) and (jnp.issubdtype(a.dtype, jnp.number) or a.dtype == bool)


def is_floating(a: Any) -> bool:
    """True for floating-point types, bfloat16 included."""
    return bool(jnp.issubdtype(a.dtype, jnp.floating))


class JaxNamespace:
    """See :class:`ascribe.arrays.Namespace`."""

    writes_in_place = False

    def asarray(self, a: Any, like: Array) -> Array:
        made = jnp.asarray(a)
        return made.astype(like.dtype) if is_floating(made) and is_floating(like) else made

    def numpy(self, a: Array) -> np.ndarray:
        small = is_floating(a) and a.dtype.itemsize < 4
        return np.array(a.astype(jnp.float32) if small else a)

    def concat(self, arrays: list[Array], axis: int) -> Array:
        return jnp.concatenate(arrays, axis)

    def stack(self, arrays: list[Array], axis: int) -> Array:
        return jnp.stack(arrays, axis)

    def broadcast_to(self, a: Array, shape: tuple[int, ...]) -> Array:
        return jnp.broadcast_to(a, shape)

    def moveaxis(self, a: Array, source: int, to: int) -> Array:
        return jnp.moveaxis(a, source, to)

    def where(self, condition: Array, a: Any, b: Any) -> Array:
        return jnp.where(condition, a, b)

    def exp(self, a: Array) -> Array:
        return jnp.exp(a)

    def log(self, a: Array) -> Array:
        return jnp.log(a)

    def sqrt(self, a: Array) -> Array:
        return jnp.sqrt(a)

    def sign(self, a: Array) -> Array:
        return jnp.sign(a)

    def maximum(self, a: Array, b: float) -> Array:
        return jnp.maximum(a, b)

    def amax(self, a: Array, axes: tuple[int, ...]) -> Array:
        if not a.size:
            return a.sum(axes) if axes else a
        return a.max(axes) if axes else a

    def take(self, a: Array, index: Array, axis: int) -> Array:
        return jnp.take(a, index, axis)

    def mix(self, a: Array, b: Array, share: Array, into: Array | None = None) -> Array:
        return MIX(a, b, share)

    def product(self, a: Array, b: Array, into: Array | None = None) -> Array:
        return a * b

    def empty(self, shape: tuple[int, ...], like: Array) -> Array:
        return jnp.zeros(shape, like.dtype)

    def holders(self, a: Array) -> int | None:
        return None

    def zeros_like(self, a: Array) -> Array:
        return jnp.zeros_like(a)

    def pick(self, a: Array, index: np.ndarray) -> Array:
        return a[jnp.arange(len(a)), index]

    def sums(self, a: Array, kept: int) -> np.ndarray:
        axes = tuple(range(kept, a.ndim))
        return np.asarray(self.numpy(a).sum(axes, dtype=np.float64))

    def sizes(self, a: Array, kept: int) -> np.ndarray:
        axes = tuple(range(kept, a.ndim))
        return np.asarray(np.abs(self.numpy(a)).sum(axes, dtype=np.float64))

    def is_floating(self, a: Array) -> bool:
        return is_floating(a)

    def eps(self, a: Array) -> float:
        return float(jnp.finfo(a.dtype).eps) if is_floating(a) else 0.0

    def accumulator(self, shape: tuple[int, ...], like: Array) -> Array:
        return jnp.zeros(shape, jnp.promote_types(like.dtype, jnp.float32))

    def accumulate(self, total: Array, terms: Array, weights: np.ndarray) -> Array:
        return ACCUMULATE(total, terms, weights)

    def cast(self, a: Array, like: Array) -> Array:
        return a.astype(like.dtype)

    def kind(self, a: Array) -> str:
        kinds = {"f": jnp.floating, "c": jnp.complexfloating, "i": jnp.integer}
        return next((letter for letter, kind in kinds.items() if jnp.issubdtype(a.dtype, kind)), "b")

    def astype(self, a: Array, dtype: Any) -> Array:
        return a.astype(dtype)

    def as_floats(self, a: Array) -> Array:
        return a.astype(float)

    def constant(self, a: Any, like: Array) -> Array:
        return jnp.asarray(a, like.dtype)

    def stop(self, a: Array) -> Array:
        return jax.lax.stop_gradient(a)

    def zeros(self, shape: Any, like: Array) -> Array:
        return jnp.zeros(shape, like.dtype)

    def ones_like(self, a: Array) -> Array:
        return jnp.ones_like(a)

    def reshape(self, a: Array, shape: Any) -> Array:
        return a.reshape(shape)

    def permute(self, a: Array, order: Any) -> Array:
        return a.transpose(order)

    def matrix_transpose(self, a: Array) -> Array:
        return a.swapaxes(-1, -2)

    def expand_dims(self, a: Array, axis: int) -> Array:
        return jnp.expand_dims(a, axis)

    def put(self, a: Array, index: Any, b: Array) -> Array:
        return a.at[index].set(b)

    def take_along(self, a: Array, index: Array, axis: int) -> Array:
        return jnp.take_along_axis(a, index, axis)

    def scatter(self, values: Array, index: Array, shape: Any) -> Array:
        places = jnp.indices(index.shape, sparse=True)[:-1]
        return jnp.zeros(shape, values.dtype).at[(*places, index)].add(values)

    def abs(self, a: Array) -> Array:
        return jnp.abs(a)

    def tanh(self, a: Array) -> Array:
        return jnp.tanh(a)

    def sigmoid(self, a: Array) -> Array:
        return jax.nn.sigmoid(a)

    def clip(self, a: Array, low: float | None, high: float | None) -> Array:
        return jnp.clip(a, low, high)

    def copysign(self, number: float, a: Array) -> Array:
        return jnp.copysign(jnp.asarray(number, a.dtype), a)

    def divide(self, a: Array, b: Array, into: Array) -> Array:
        return a / b

    def conj(self, a: Array) -> Array:
        return jnp.conj(a)

    def real(self, a: Array) -> Array:
        return jnp.real(a)

    def softmax(self, a: Array, axis: int) -> Array:
        return jax.nn.softmax(a, axis)

    def log_softmax(self, a: Array, axis: int) -> Array:
        return jax.nn.log_softmax(a, axis)

    def sum(self, a: Array, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
        return a.sum(axes, keepdims=keepdims)

    def mean(self, a: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
        return a.mean(axes, keepdims=keepdims)

    def max_and_place(self, a: Array) -> tuple[Array, Array]:
        place = jnp.argmax(a, -1, keepdims=True)
        return jnp.take_along_axis(a, place, -1), place

    def sum_and_size(self, a: Array) -> list[Array]:
        kind = jnp.promote_types(a.dtype, jnp.float32)
        return [t.sum(dtype=kind) for t in (a, jnp.abs(a))]

    def isnan(self, a: Array) -> Array:
        return jnp.isnan(a)

    def isfinite(self, a: Array) -> Array:
        return jnp.isfinite(a)

    def nan_to_num(self, a: Array, number: float) -> Array:
        return jnp.where(jnp.isnan(a), jnp.asarray(number, a.dtype), a)

    def any(self, a: Array) -> bool:
        return bool(decide(jnp.any(a), 1, False))

    def may_have(self, a: Array) -> bool:
        return traced(a) or bool(jnp.any(a))

    def all(self, a: Array) -> bool:
        return bool(decide(jnp.all(a), 1, False))

    def has_nan(self, a: Array) -> bool:
        return traced(a) or bool(jnp.isnan(a).any())

    def equal(self, a: Array, b: Array) -> bool:
        return bool(decide(jnp.array_equal(a, b), 0, False))

    def tiny(self, a: Array) -> float:
        return float(jnp.finfo(a.dtype).tiny)


class JaxHostNamespace(HostNamespace):
    """NumPy's functions, for sessions whose arrays are in the computer's own memory; types that NumPy does not know are JAX's arrays."""

    def numpy(self, a: Array) -> np.ndarray:
        return super().numpy(a) if isinstance(a, np.ndarray) else xp.numpy(a)

    def sums(self, a: Array, kept: int) -> np.ndarray:
        return super().sums(a, kept) if isinstance(a, np.ndarray) else xp.sums(a, kept)

    def sizes(self, a: Array, kept: int) -> np.ndarray:
        return super().sizes(a, kept) if isinstance(a, np.ndarray) else xp.sizes(a, kept)

    def is_floating(self, a: Array) -> bool:
        return is_floating(a)

    def eps(self, a: Array) -> float:
        return xp.eps(a)


def mixed(a: Array, b: Array, share: Array) -> Array:
    """``a + share * (b - a)``, exact at both ends."""
    return jnp.where(share == 1, b, a + share * (b - a)).astype(jnp.result_type(a, b))


def accumulated(total: Array, terms: Array, weights: Array) -> Array:
    """``total`` plus the weighted sum of terms."""
    highest = jax.lax.Precision.HIGHEST
    return total + jnp.tensordot(weights.astype(total.dtype), terms.astype(total.dtype), 1, precision=highest)


MIX, ACCUMULATE = jax.jit(mixed), jax.jit(accumulated)
xp, host = JaxNamespace(), JaxHostNamespace()
