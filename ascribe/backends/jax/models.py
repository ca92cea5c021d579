"""Models of JAX as pure functions ``fn(weights, args, kwargs)``, whose weights are arguments."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np

from ...calls.call import Call
from ..protocol import Bias
from .closures import key_of_function
from .namespace import is_number

LIBRARIES = ("jax", "jaxlib", "flax", "equinox", "numpy", "builtins", "functools")


@dataclass(frozen=True, eq=False)
class Model:
    """A model as a pure function.

    ``weights`` is a pytree of arrays, taken anew for every session. ``definition`` is equal for models that differ in their weights
    only; None for a function that uses objects which may have changed, and is therefore traced anew: of that, ``code`` is equal for the
    same code. ``vmapped`` is True if every record is computed by itself.
    """

    fn: Callable[[Any, Any, Any], Any]
    weights: Any
    definition: Hashable
    name: str
    vmapped: bool = False
    code: Hashable = None
    biases: Callable[[Sequence[str], Call], tuple[dict[str, Bias], list[str]]] | None = None
    """The biases of layers in a call, and the layers that are nonlinear; None where they cannot be read."""
    training: tuple[str, ...] = ()
    """The kinds of layers that are in training mode, and depend on it."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """For other paths of a module that is used at several places, the path that its calls are marked with."""

    @cached_property
    def weights_key(self) -> Hashable:
        """The structure of the weights, their shapes and types."""
        leaves, tree = jax.tree.flatten(self.weights)
        return tree, tuple((np.shape(a), str(getattr(a, "dtype", type(a))), bool(getattr(a, "weak_type", False))) for a in leaves)

    def arrays(self) -> list[Any]:
        """The weights, one after the other."""
        return [leaf for leaf in jax.tree.leaves(self.weights) if is_number(leaf)]


class Identity:
    """An object as a key that is equal to itself only. Holds the object, so that no other gets its number."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __hash__(self) -> int:
        return id(self.obj)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.obj is self.obj


def as_key(obj: Any) -> Hashable:
    """An object as a key: by its value where it can be hashed."""
    try:
        hash(obj)
    except TypeError:
        return Identity(obj)
    return (type(obj), obj)


def changeable(obj: Any) -> bool:
    """True for an object whose content may change unseen: a key of it is equal for as long as it is the same object."""
    if isinstance(obj, (type, types.ModuleType)):
        return False
    if isinstance(obj, types.FunctionType):
        return bool(obj.__closure__) and not in_library(obj.__module__)
    by_identity: Any = object.__hash__
    return type(obj).__hash__ is by_identity and bool(getattr(obj, "__dict__", None)) and not in_library(type(obj).__module__)


def in_library(name: Any) -> bool:
    """True for the name of a module of a library whose objects hold no modules and settings but those that they are given."""
    return str(name).partition(".")[0] in LIBRARIES


def can_be_traced(leaf: Any) -> bool:
    """True for what can be an argument of a compiled program: arrays, and keys of random generators."""
    return isinstance(leaf, jax.Array) or is_number(leaf)


class BoundArguments:
    """The arguments that a ``functools.partial`` binds: arrays are weights, everything else is part of the definition."""

    def __init__(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        leaves, self.tree = jax.tree.flatten((given, dict(named)))
        self.weights = [leaf for leaf in leaves if can_be_traced(leaf)]
        self.others = [None if can_be_traced(leaf) else (leaf,) for leaf in leaves]

    @property
    def definition(self) -> Hashable:
        """A key of everything that is no array."""
        return self.tree, tuple(as_key(other) for other in self.others)

    def call(self, fn: Callable[..., Any], weights: Any, args: Any, kwargs: Any) -> Any:
        """``fn`` with the bound arguments and those of a call."""
        arrays = iter(weights)
        given, named = jax.tree.unflatten(self.tree, [next(arrays) if other is None else other[0] for other in self.others])
        return fn(*given, *args, **{**named, **kwargs})


def unwrap(model: Any) -> tuple[Any, BoundArguments]:
    """The function inside partial applications, and what they bind."""
    given: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    while isinstance(model, functools.partial):
        given, named, model = (*model.args, *given), {**model.keywords, **named}, model.func
    return model, BoundArguments(given, named)


def function(model: Any, vmapped: bool = False) -> Model:
    """A function; the arrays that a ``functools.partial`` binds are its weights. Cuts are the names of ``checkpoint_name``."""
    inner, bound = unwrap(model)

    def fn(weights: Any, args: Any, kwargs: Any) -> Any:
        return bound.call(inner, weights, args, kwargs)

    name, code = getattr(inner, "__name__", type(inner).__name__), as_key(getattr(inner, "__code__", inner))
    return Model(fn, bound.weights, definition_of(inner, bound), name, vmapped, code)


def definition_of(inner: Any, bound: BoundArguments) -> Hashable:
    """A key of a function and of what is bound to it; None where it is not known whether both are as they were."""
    function, others = key_of_function(inner), key_of_function(bound.others)
    return None if function is None or others is None else ("function", function, bound.tree, others)
