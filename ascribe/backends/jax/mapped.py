"""Transformations around a model: is it mapped over its records, or is it a function of one record?"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

from ..behind import content


def layers_of(model: Any) -> Iterator[Any]:
    """A model and what it wraps, from the outside: inside partial applications, compiled and transformed functions, bound methods."""
    while model is not None:
        yield model
        if isinstance(model, functools.partial):
            model = model.func
        elif isinstance(model, types.FunctionType):
            cells = variables(model)
            inside = model.__globals__.get("__name__", "").startswith("jax.") and "fun" in cells
            model = content(cells["fun"]) if inside else None
        elif type(model).__name__ in ("PjitFunction", "_JitWrapper"):
            model = model.__wrapped__
        elif isinstance(model, types.MethodType) or type(model).__name__ == "BoundMethod":
            model = model.__self__
        else:
            model = None  # not asked for attributes: a module of Flax linen sets itself up for that


def variables(function: Any) -> dict[str, Any]:
    """The variables that a function closes over, in their cells."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def map_of(model: Any) -> Any:
    """The outermost ``jax.vmap`` or ``equinox.filter_vmap`` around a function; None without."""
    for layer in layers_of(model):
        if type(layer).__name__ == "_VmapWrapper" or (isinstance(layer, types.FunctionType) and layer.__code__.co_name == "vmap_f"):
            return layer
    return None


def maps_over_records(model: Any) -> bool:
    """True if a model is mapped over an axis without a name, by which records could be combined."""
    mapped = map_of(model)
    if isinstance(mapped, types.FunctionType):
        cells = variables(mapped)
        return "axis_name" in cells and content(cells["axis_name"]) is None
    return mapped is not None and getattr(mapped, "_axis_name", "") is None


def bare_module(model: Any) -> Any:
    """The Equinox module that is called as it is, or by one of its methods; None for everything else."""
    equinox = sys.modules.get("equinox")
    if equinox is None or map_of(model) is not None:
        return None
    last = list(layers_of(model))[-1]
    return last if isinstance(last, equinox.Module) else None
