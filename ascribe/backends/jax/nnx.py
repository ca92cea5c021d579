"""Flax NNX: a module is taken apart by ``nnx.split``, and a marked copy is put together by ``nnx.merge`` while it is traced.

The copy may be changed by its own calls (running statistics, counts of random numbers); the user's module never is.
"""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from .biases import ARRAYS, KnownLayer
from .marked import joined, marked_class
from .opened import Opened, Opening, hashable

MODES = (("deterministic", False), ("use_running_average", False))
"""Attributes of layers that depend on the mode, and their values in training."""


def owns(obj: Any) -> bool:
    """True for modules, and for other objects with state such as ``nnx.Rngs``."""
    return isinstance(obj, nnx.Pytree)


def open_object(node: Any, name: str, opening: Opening) -> Opened:
    """A module or another object with state, apart from its arrays."""
    graphdef, state = nnx.split(node)
    prefix = opening.prefix(node, name) if isinstance(node, nnx.Module) else ""
    weights, tree = jax.tree.flatten(state)
    key, lasting = hashable(("nnx", graphdef, tree), node, fixed_values(node))

    def build(weights: Any) -> Any:
        copy = nnx.merge(graphdef, jax.tree.unflatten(tree, weights))
        mark_calls(copy, prefix)
        return copy

    training, others = training_layers(node), aliases(node, prefix)
    return Opened(weights, key, build, lasting, type(node).__name__, training, lambda: layers_of(node, prefix), others)


def layers_of(node: Any, prefix: str) -> dict[str, KnownLayer]:
    """The modules inside a module by their paths."""
    modules = [(joined(prefix, path), module) for path, module in nnx.iter_modules(node)] if isinstance(node, nnx.Module) else []
    return {path: KnownLayer(module, arrays_of(module), channels_first=False) for path, module in modules if path}


def arrays_of(module: Any) -> dict[str, Any]:
    """The arrays of a module by their names."""
    return {
        name: held[...] for name in ARRAYS if isinstance(held := getattr(module, name, None), nnx.Variable) and held.get_value() is not None
    }


register: Any = vars(nnx.Pytree)["__init_subclass__"].__func__
"""Makes a class known to NNX and to JAX, without calling what the user's classes do with their subclasses."""


def mark_calls(copy: Any, prefix: str) -> None:
    """Give every module of a copy the class that marks its calls. A module that is used at several places has the first one's path."""
    if not isinstance(copy, nnx.Module):
        return
    for path, module in list(nnx.iter_modules(copy)):
        where, cls = joined(prefix, path), type(module)
        if not where or not callable(module):
            continue
        new = marked_class(cls, where)
        if "_pytree__nodes" not in vars(new):
            register(new, pytree=cls._pytree__is_pytree)
        object.__setattr__(module, "__class__", new)


def fixed_values(node: Any) -> list[Any]:
    """Everything in a module that is neither a module nor an array."""
    return [value for _, value in nnx.iter_graph(node) if not isinstance(value, (nnx.Pytree, nnx.Variable))]


def aliases(node: Any, prefix: str) -> dict[str, str]:
    """The other paths of modules that are used at several places, with the first one."""
    if not isinstance(node, nnx.Module):
        return {}
    paths = {id(module): path for path, module in nnx.iter_modules(node)}
    others = {}
    for path, module in nnx.iter_modules(node):
        for name, child in nnx.iter_children(module):
            if paths.get(id(child), (*path, name)) != (*path, name):
                others[joined(prefix, (*path, name))] = joined(prefix, paths[id(child)])
    return others


def training_layers(node: Any) -> tuple[str, ...]:
    """The kinds of layers that are in training mode, and depend on it."""
    if not isinstance(node, nnx.Module):
        return ()
    kinds = set()
    for _, module in nnx.iter_modules(node):
        rate = getattr(module, "rate", getattr(module, "dropout_rate", 1.0))
        active = any(getattr(module, name, None) is value for name, value in MODES)
        if active and rate != 0:
            kinds.add(type(module).__name__)
    return tuple(sorted(kinds))
