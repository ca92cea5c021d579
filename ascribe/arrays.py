"""The array functions that ascribe uses, selected by the framework of the array.

Data stay in the user's framework; weights, positions, labels and seeds are NumPy. Nothing here imports a framework before an array of it
arrives.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np

Array = Any


class ArrayLike(Protocol):
    """An array of any framework, for annotations."""

    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...


class Namespace(Protocol):
    """The array functions that a framework must provide."""

    writes_in_place: bool
    """True if arrays can be written to; if not, ``into`` is not given, and ``put`` returns a new array."""

    def asarray(self, a: Any, like: Array) -> Array:
        """Returns ``a`` as an array on the device of ``like``; floating-point values get its data type."""

    def numpy(self, a: Array) -> np.ndarray:
        """Returns a NumPy copy; half precision becomes float32."""

    def concat(self, arrays: list[Array], axis: int) -> Array: ...
    def stack(self, arrays: list[Array], axis: int) -> Array: ...
    def broadcast_to(self, a: Array, shape: tuple[int, ...]) -> Array: ...
    def moveaxis(self, a: Array, source: int, to: int) -> Array: ...
    def where(self, condition: Array, a: Array, b: Array) -> Array: ...
    def exp(self, a: Array) -> Array: ...
    def log(self, a: Array) -> Array: ...
    def sqrt(self, a: Array) -> Array: ...
    def sign(self, a: Array) -> Array: ...
    def maximum(self, a: Array, b: float) -> Array: ...
    def amax(self, a: Array, axes: tuple[int, ...]) -> Array: ...
    def take(self, a: Array, index: Array, axis: int) -> Array:
        """Returns elements of an axis by an integer array of the same framework, ``[count]``."""

    def mix(self, a: Array, b: Array, share: Array, into: Array | None = None) -> Array:
        """Returns ``a + share * (b - a)``, exact at shares 0 and 1; arrays are floating-point, broadcast and finite."""

    def product(self, a: Array, b: Array, into: Array | None = None) -> Array:
        """Returns ``a * b``, written into ``into`` if that is given."""

    def empty(self, shape: tuple[int, ...], like: Array) -> Array:
        """Returns an uninitialised array."""

    def holders(self, a: Array) -> int | None:
        """Returns the number of arrays that share the memory of ``a`` plus a constant; None if unknown."""

    def zeros_like(self, a: Array) -> Array: ...
    def pick(self, a: Array, index: np.ndarray) -> Array:
        """Returns ``a[r, index[r]]`` for every row ``r``."""

    def sums(self, a: Array, kept: int) -> np.ndarray:
        """Returns the sum over all axes after the first ``kept``, in float64."""

    def sizes(self, a: Array, kept: int) -> np.ndarray:
        """Returns the sum of absolute values over all axes after the first ``kept``; finite if all values are."""

    def is_floating(self, a: Array) -> bool: ...
    def eps(self, a: Array) -> float:
        """Returns the relative precision of the data type; 0 for integers."""

    def accumulator(self, shape: tuple[int, ...], like: Array) -> Array:
        """Returns zeros for a sum, in at least float32."""

    def accumulate(self, total: Array, terms: Array, weights: np.ndarray) -> Array:
        """Returns ``total + sum_k weights[k] * terms[k]``, without a temporary of the size of ``terms`` if possible."""

    def cast(self, a: Array, like: Array) -> Array: ...

    # Functions that the formulas of rules need.

    def kind(self, a: Array) -> str:
        """Returns the NumPy code of the data type: f(loat), c(omplex), i(nteger) or b(oolean)."""

    def astype(self, a: Array, dtype: Any) -> Array:
        """Returns the array converted to a data type of the framework."""

    def as_floats(self, a: Array) -> Array:
        """Returns the array in the default floating-point type of the framework."""

    def constant(self, a: Any, like: Array) -> Array:
        """Returns a number or an array with the data type and device of ``like``."""

    def stop(self, a: Array) -> Array:
        """Returns the array detached from the graph, as a constant for derivatives."""

    def zeros(self, shape: Any, like: Array) -> Array: ...
    def ones_like(self, a: Array) -> Array: ...
    def reshape(self, a: Array, shape: Any) -> Array: ...
    def permute(self, a: Array, order: Any) -> Array: ...
    def matrix_transpose(self, a: Array) -> Array:
        """Returns the array with its last two axes exchanged."""

    def expand_dims(self, a: Array, axis: int) -> Array: ...
    def put(self, a: Array, index: Any, b: Array) -> Array:
        """Returns ``a`` with ``b`` at an index; may write into ``a``."""

    def take_along(self, a: Array, index: Array, axis: int) -> Array:
        """Returns the elements at indices along an axis (``np.take_along_axis``)."""

    def scatter(self, values: Array, index: Array, shape: Any) -> Array:
        """Returns zeros with ``values`` added at indices along the last axis."""

    def abs(self, a: Array) -> Array: ...
    def tanh(self, a: Array) -> Array: ...
    def sigmoid(self, a: Array) -> Array: ...
    def clip(self, a: Array, low: float | None, high: float | None) -> Array: ...
    def copysign(self, number: float, a: Array) -> Array:
        """Returns an array of the number with the signs of ``a``."""

    def divide(self, a: Array, b: Array, into: Array) -> Array:
        """Returns ``a / b``; may use the memory of ``into``."""

    def conj(self, a: Array) -> Array: ...
    def real(self, a: Array) -> Array: ...
    def softmax(self, a: Array, axis: int) -> Array: ...
    def log_softmax(self, a: Array, axis: int) -> Array: ...
    def sum(self, a: Array, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array: ...
    def mean(self, a: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array: ...
    def max_and_place(self, a: Array) -> tuple[Array, Array]:
        """Returns the maximum along the last axis and its index; the axis is kept with length 1."""

    def sum_and_size(self, a: Array) -> list[Array]:
        """Returns the sum of all elements and the sum of their absolute values, in at least float32."""

    def isnan(self, a: Array) -> Array: ...
    def isfinite(self, a: Array) -> Array: ...
    def nan_to_num(self, a: Array, number: float) -> Array:
        """Returns ``a`` with NaN replaced by a number."""

    def any(self, a: Array) -> bool: ...
    def may_have(self, a: Array) -> bool:
        """False if no element is true. A framework that traces programs may return True without looking at the elements."""

    def all(self, a: Array) -> bool: ...
    def has_nan(self, a: Array) -> bool: ...
    def equal(self, a: Array, b: Array) -> bool:
        """True if all elements are equal."""

    def tiny(self, a: Array) -> float:
        """Returns the smallest normal number of the data type."""


BACKENDS = {"numpy": "numpy", "torch": "torch", "jax": "jax", "jaxlib": "jax", "tensorflow": "tensorflow"}
"""The folder of the backend by the root package of an array's class."""


def namespace(a: Array) -> Namespace:
    """Returns the functions for an array: ``namespace(x).exp(x)``."""
    kind: Any = type(a)
    return namespace_of(kind)


@lru_cache
def namespace_of(kind: type) -> Namespace:
    """Returns the functions for arrays of a class. Raises TypeError for a framework without a backend."""
    root = framework_of(kind)
    if root is None:
        raise TypeError(f"There is no backend for arrays of type {kind.__name__}")
    xp: Namespace = import_module(f"ascribe.backends.{BACKENDS[root]}.namespace").xp
    return xp


@lru_cache
def framework_of(kind: type) -> str | None:
    """Returns the supported framework of an array class; None for other frameworks. Cached per class."""
    roots = (cls.__module__.partition(".")[0] for cls in kind.__mro__)
    return next((root for root in roots if root in BACKENDS), None)


def is_array(value: Any) -> bool:
    """True for an array of any framework: it has a shape and a dtype and can be indexed."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "__getitem__")


def is_table(value: Any) -> bool:
    """True for a table with named columns, such as a pandas DataFrame."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def as_numpy(value: Any) -> np.ndarray:
    """Returns an array of any framework, a list, a number or a table column as NumPy."""
    kind: Any = type(value)
    ours = is_array(value) and not np.isscalar(value) and framework_of(kind) is not None
    return namespace(value).numpy(value) if ours else np.asarray(value)


def copy_array(array: Array) -> Array:
    """Returns a copy that is detached from any graph, so that later in-place changes of the original do not affect it."""
    if hasattr(array, "detach"):
        return array.detach().clone()
    kind: Any = type(array)
    known = framework_of(kind) is not None
    return array if known and not namespace(array).writes_in_place else np.array(array)


def with_methods(array: Array) -> Array:
    """Returns an array of a framework whose arrays have no methods such as ``reshape`` (TensorFlow) as NumPy; any other unchanged."""
    return array if hasattr(array, "reshape") else as_numpy(array)


def cast_numbers(numbers: np.ndarray, like: Array) -> Array:
    """Returns numbers as an array of the framework and data type of ``like``; for integer types rounded and clipped to their range."""
    xp = namespace(like)
    if xp.is_floating(like) or (kind := xp.numpy(like[:0]).dtype).kind not in "iub":
        return xp.asarray(numbers, like)
    low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    return xp.asarray(np.clip(np.rint(numbers), low, high).astype(kind), like)
