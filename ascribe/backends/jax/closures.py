"""Everything that a function's result depends on, as a key: a function whose key is that of before need not be traced again.

A key exists where all of it can be compared: the code, arrays of JAX (which do not change), numbers, texts, and functions of such. A
function that also uses an object of another kind, such as an array of NumPy or an instance of a user's class, has no key.
"""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Hashable
from typing import Any

import jax
import numpy as np

from ..behind import names_in

STANDARD = {"builtins", "collections", "functools", "itertools", "math", "operator"}
TRUSTED = frozenset({"einops", "equinox", "flax", "jax", "jaxlib", "numpy", "optax", *STANDARD})
"""Root packages whose functions, classes and modules do not change while a process runs."""
SMALL = 4096
"""Bytes of an array of NumPy up to which its numbers are part of a key."""
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), np.generic, np.dtype)


class Unknown(Exception):
    """Raised for an object that cannot be compared with what it was before."""


class Same:
    """A key that is equal for one and the same object. The object is not kept alive."""

    def __init__(self, obj: Any) -> None:
        self.ref, self.number = weakref.ref(obj), id(obj)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.number == other.number and self.ref() is not None and self.ref() is other.ref()


def key_of_function(fn: Any) -> Hashable | None:
    """A key of a function that is equal as long as its results are; None where that cannot be known."""
    try:
        return key_of(fn, {})
    except (Unknown, TypeError, ValueError):  # ValueError: a name of an outer function that has no value yet
        return None


def key_of(value: Any, seen: dict[int, int]) -> Hashable:
    """A key of a value. Raises Unknown. ``seen`` are the functions around it, for functions that call each other."""
    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, jax.Array):
        return Same(value)
    if isinstance(value, (tuple, list)):
        return type(value), tuple(key_of(v, seen) for v in value)
    if isinstance(value, dict):
        return type(value), tuple((key_of(k, seen), key_of(v, seen)) for k, v in value.items())
    if isinstance(value, np.ndarray) and value.nbytes <= SMALL and value.dtype.kind in "fiubc":
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, functools.partial):
        return functools.partial, key_of((value.func, value.args, value.keywords), seen)
    if isinstance(value, types.MethodType):
        return types.MethodType, key_of((value.__func__, value.__self__), seen)
    if is_trusted(value):
        return Same(value) if hasattr(type(value), "__weakref__") or isinstance(value, types.FunctionType) else ("trusted", id(value))
    wrapped = getattr(value, "__wrapped__", None)
    if type(value).__module__.partition(".")[0] in ("jax", "jaxlib") and type(value).__name__ == "PjitFunction" and wrapped is not None:
        return "jit", key_of(wrapped, seen)
    if isinstance(value, types.FunctionType):
        return key_of_code(value, seen)
    raise Unknown


def is_trusted(value: Any) -> bool:
    """True for modules, classes, functions and other objects of packages that do not change."""
    if isinstance(value, types.ModuleType):
        return root(value.__name__) in TRUSTED
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return root(value.__module__) in TRUSTED
    made = getattr(value, "__wrapped__", None)
    own = root(type(value).__module__) in ("jax", "jaxlib", "numpy") and callable(value)
    return own and (made is None or root(getattr(made, "__module__", None)) in TRUSTED)


def root(module: str | None) -> str:
    """The root package of a module's name."""
    return (module or "").partition(".")[0]


def key_of_code(fn: types.FunctionType, seen: dict[int, int]) -> Hashable:
    """A key of a function by its code and everything that the code refers to. Raises Unknown."""
    if id(fn) in seen:
        return "recursion", seen[id(fn)]
    seen[id(fn)] = len(seen)
    cells = [cell.cell_contents for cell in fn.__closure__ or ()]
    names = [name for name in names_in(fn.__code__) if name in fn.__globals__]
    parts = (fn.__defaults__, fn.__kwdefaults__, cells, [fn.__globals__[name] for name in names])
    wrapped = getattr(fn, "__wrapped__", None)
    return fn.__code__, tuple(names), key_of(parts, seen), None if wrapped is None else key_of(wrapped, seen)
