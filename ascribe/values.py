"""The base class of values such as cuts, quantities and rules: comparable, hashable, with a repr that can be evaluated."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from types import FunctionType
from typing import Any

import numpy as np

PLAIN = frozenset({int, float, str, bool, type(None)})
"""Types whose values are compared and written as they are."""


class Value:
    """A mixin for dataclasses: a short repr, and equality and a hash that support arrays.

    The repr has the first field and required fields by position, and other fields by name if they differ from the default. Dataclasses
    with ``eq=False`` use the equality of this class: arrays are equal if their type, shape and elements are.
    """

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = [f.name for f in dataclasses.fields(self)]  # type: ignore[arg-type]
        return all(values_equal(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        return hash((type(self), *(hash_value(getattr(self, f.name)) for f in dataclasses.fields(self))))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        shown = []
        for i, f in enumerate(dataclasses.fields(self)):  # type: ignore[arg-type]
            value, default = getattr(self, f.name), f.default
            plain = type(value) in PLAIN
            if not f.repr or value is default or (value == default and type(value) is type(default) if plain else _same(value, default)):
                continue
            text = repr(value) if plain else format_value(value)
            positional = default is dataclasses.MISSING or (i == 0 and not isinstance(value, bool))
            shown.append(text if positional else f"{f.name}={text}")
        return f"{public_name(type(self))}({', '.join(shown)})"


def public_name(kind: type) -> str:
    """Returns the name of a class in an expression that is valid after ``from ascribe import *``.

    Names of the package are unqualified (``Line``); names of its modules have the module (``rules.Epsilon``).
    """
    package, _, rest = kind.__module__.partition(".")
    if package != "ascribe" or vars(sys.modules[package]).get(kind.__name__) is kind:
        return kind.__name__
    return f"{rest.partition('.')[0]}.{kind.__name__}" if rest.partition(".")[0] in MODULES else kind.__name__


MODULES = ("coalitions", "cuts", "distributions", "features", "metrics", "quantities", "removal", "rules")
"""The public modules whose classes appear in expressions."""


def format_value(value: Any) -> str:
    """Returns a value as an expression; arrays are shown by their shape, functions by their name."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, FunctionType):
        return value.__name__ if value.__name__.isidentifier() else "<function>"
    if type(value) is dict:
        return f"{{{', '.join(f'{key!r}: {format_value(part)}' for key, part in value.items())}}}"
    if type(value) in (tuple, list):
        inside = ", ".join(map(format_value, value)) + ("," if type(value) is tuple and len(value) == 1 else "")
        return f"({inside})" if type(value) is tuple else f"[{inside}]"
    shape = getattr(value, "shape", None)
    return f"<{'x'.join(map(str, shape)) or 'number'} array>" if isinstance(shape, tuple) else repr(value)


def values_equal(a: Any, b: Any) -> bool:
    """True if two values are equal; arrays if their class, shape, data type and elements are equal."""
    if a is b:
        return True
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(values_equal(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)) and type(a) is type(b):
        return len(a) == len(b) and all(map(values_equal, a, b))
    if hasattr(a, "shape") and hasattr(b, "shape"):
        return type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype and bool((a == b).all())
    return not hasattr(a, "shape") and not hasattr(b, "shape") and bool(a == b)


def hash_value(value: Any) -> int:
    """Returns a hash that is consistent with :func:`values_equal`: of arrays it uses the shape, of containers the parts."""
    if hasattr(value, "shape"):
        return hash(tuple(value.shape))
    if isinstance(value, Mapping):
        return hash(frozenset(value))
    return hash(tuple(map(hash_value, value))) if isinstance(value, (tuple, list)) else hash(value)


def is_number(value: Any) -> bool:
    """True for a real number that is not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """True for an integer >= 1 that is not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and not hasattr(value, "shape") and bool(value == default))
