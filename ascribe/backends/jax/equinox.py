"""Equinox: a module is a pytree, and a marked copy of it is traced. Its own arrays are the weights, everything else the definition."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import equinox
import jax

from .biases import ARRAYS, KnownLayer
from .marked import joined, marked_class
from .opened import Opened, Opening, hashable, open_tree


def owns(obj: Any) -> bool:
    """True for modules of Equinox."""
    return isinstance(obj, equinox.Module)


def is_wrapper(obj: Any) -> bool:
    """True for functions that Equinox has transformed (``filter_jit``, ``filter_vmap``, bound methods), which are modules too."""
    kind = type(obj)
    return kind.__module__.partition(".")[0] == "equinox" and (kind.__name__[:1] == "_" or kind.__name__ in ("BoundMethod", "Partial"))


def open_object(module: Any, name: str, opening: Opening) -> Opened | None:
    """A module apart from its arrays."""
    if is_wrapper(module):
        return open_wrapper(module, name, opening)
    opened, prefix = open_tree(module), opening.prefix(module, name)
    key, lasting = hashable(("equinox", opened.key), module, static_fields(module))

    def build(weights: Any) -> Any:
        return marked(opened.build(weights), (prefix,) if prefix else ())

    training = training_layers(module)
    lasting = lasting and opened.lasting
    return replace(opened, key=key, build=build, lasting=lasting, training=training, layers=lambda: layers_of(module, prefix))


def layers_of(module: Any, prefix: str) -> dict[str, KnownLayer]:
    """The modules inside a module by their paths."""
    named = [(joined(prefix, path), one) for path, one in inner_modules(module, ())]
    return {path: KnownLayer(one, arrays_of(one), channels_first=True) for path, one in named if path}


def arrays_of(module: Any) -> dict[str, Any]:
    """The arrays of a module by their names."""
    return {name: held for name in ARRAYS if equinox.is_array(held := getattr(module, name, None))}


def inner_modules(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """A module, or a container of modules, and all modules inside."""
    if isinstance(value, equinox.Module):
        yield path, value
    parts = vars(value) if isinstance(value, equinox.Module) else value if type(value) is dict else {}
    if isinstance(value, (tuple, list)):
        names = getattr(value, "_fields", range(len(value)))
        parts = dict(zip(names, value, strict=True))
    for name, part in parts.items():
        yield from inner_modules(part, (*path, name))


def static_fields(module: Any) -> list[Any]:
    """The values of the fields of a module, and of those inside of it, that are no part of the tree."""
    values = []
    for field in dataclasses.fields(module):
        value = getattr(module, field.name, None)
        if field.metadata.get("static"):
            values.append(value)
        else:
            inner = jax.tree.leaves(value, is_leaf=owns)
            values += [v for one in inner if owns(one) for v in static_fields(one)]
    return values


def marked(value: Any, path: tuple[Any, ...]) -> Any:
    """A copy of a module, or of a container of modules, in which every module has the class that marks its calls."""
    if isinstance(value, equinox.Module):
        cls = marked_class(type(value), joined("", path)) if callable(value) else type(value)
        copy = object.__new__(cls)
        inner = not is_wrapper(value)
        for name, part in vars(value).items():
            object.__setattr__(copy, name, marked(part, (*path, name)) if inner else part)
        return copy
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(marked(part, (*path, i)) for i, part in enumerate(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*(marked(part, (*path, name)) for name, part in zip(value._fields, value, strict=True)))
    return {key: marked(part, (*path, key)) for key, part in value.items()} if kind is dict else value


def open_wrapper(wrapper: Any, name: str, opening: Opening) -> Opened | None:
    """A transformed function, with the modules inside of it opened; ``filter_jit`` is left out, because everything is traced anyway."""
    kind = type(wrapper).__name__
    if kind == "_JitWrapper":
        return opening.open(wrapper.__wrapped__, name)
    if kind == "BoundMethod":
        return opening.method(wrapper.__self__, wrapper.__func__, name)

    def build(parts: dict[str, Any]) -> Any:
        copy = object.__new__(type(wrapper))
        for key, part in parts.items():
            object.__setattr__(copy, key, part)
        return copy

    return opening.parts(type(wrapper), vars(wrapper), build, name)


def training_layers(module: Any) -> tuple[str, ...]:
    """The kinds of layers that are in training mode, and depend on it."""
    kinds = set()
    for one in jax.tree.leaves(module, is_leaf=lambda m: getattr(m, "inference", None) is not None):
        if getattr(one, "inference", None) is False and getattr(one, "p", 1.0) != 0:
            kinds.add(type(one).__name__)
    return tuple(sorted(kinds))
