"""The modules of a TensorFlow model by their paths, and its variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from ..keras.package import package_name
from ..keras.paths import parts_of

IGNORED = {"_self_setattr_tracking", "_self_unconditional_checkpoint_dependencies", "_self_unconditional_dependency_names"}
"""Attributes of ``tf.Module`` that hold bookkeeping."""
ROOTS = frozenset({"tensorflow", "keras", "tf_keras", "sonnet"})
"""Root packages of the classes of modules."""


def is_module(value: Any) -> bool:
    """True for a ``tf.Module`` and for a layer of Keras."""
    if isinstance(value, tf.Module):
        return True
    return callable(value) and any(cls.__name__ == "Layer" and cls.__module__.partition(".")[0] in ROOTS for cls in type(value).__mro__)


def host_of(model: Any) -> Any:
    """The module that a model is, or whose method it is; None for a function."""
    for candidate in (model, getattr(model, "__self__", None), getattr(model, "func", None), bound_owner(model)):
        if is_module(candidate):
            return candidate
    return None


def bound_owner(model: Any) -> Any:
    """The object whose method a ``tf.function`` is, None for other functions."""
    return getattr(getattr(model, "python_function", None), "__self__", None)


def named_modules(host: Any) -> dict[str, Any]:
    """Every module inside a module by its path, in the order of the attributes; a module with several paths has the first."""
    found: dict[str, Any] = {}
    seen = {id(host)}
    waiting: list[tuple[str, Any]] = [("", host)]
    while waiting:
        name, value = waiting.pop()
        if name and is_module(value):
            if id(value) in seen:
                continue
            seen.add(id(value))
            found[name] = value
        waiting += [(f"{name}.{key}" if name else str(key), part) for key, part in parts(value)][::-1]
    return found


def parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """The attributes of a module, or the elements of a container, that may hold modules."""
    if (name := package_name(value)) is not None and is_module(value):
        yield from ((getattr(part, "name", name), part) for part in parts_of(value))
    elif is_module(value):
        ignored = IGNORED | set(getattr(type(value), "_TF_MODULE_IGNORED_PROPERTIES", ()))
        yield from ((k, v) for k, v in vars(value).items() if k not in ignored and holds(v))
    elif isinstance(value, Mapping):
        yield from ((k, v) for k, v in value.items() if holds(v))
    elif isinstance(value, (list, tuple)):
        yield from ((i, v) for i, v in enumerate(value) if holds(v))


def holds(value: Any) -> bool:
    """True if a value is a module or a container."""
    return is_module(value) or isinstance(value, (list, tuple, Mapping))


def variables_of(model: Any) -> list[Any]:
    """The variables of a model; none of a function."""
    host = host_of(model)
    owner = model if host is None else host
    for candidate in (owner, *(getattr(owner, "signatures", None) or {}).values()):
        try:
            found = getattr(candidate, "variables", ())
        except AssertionError:  # a function whose loaded object is gone: the run says so
            continue
        if not callable(found) and (some := [v for v in found if isinstance(v, tf.Variable)]):
            return some
    return []


def floating_type(variables: list[Any]) -> tf.DType | None:
    """The floating type of the variables, None where they have none or several."""
    kinds = {tf.as_dtype(v.dtype) for v in variables}
    kinds = {kind for kind in kinds if kind.is_floating}
    return kinds.pop() if len(kinds) == 1 else None
