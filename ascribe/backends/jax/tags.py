"""Marks in a traced program: an identity around every call of a module, with the module's path.

The marks are made only while this package traces a model. They change no number, so a mark in a program of somebody else would do no
harm, but there are none: each family of models marks under a context of its own thread.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.extend.core as jax_core
import jax.numpy as jnp
from jax.interpreters import ad, batching, mlir

from ...tree import Path, map_leaves
from .namespace import is_number

cut_mark = jax_core.Primitive("ascribe_cut")
"""The identity. Its parameters are ``layer``, ``anchor``, ``path`` (where the array is in the value) and ``kind`` (of module)."""


def _identity(x: Any, **where: Any) -> Any:
    return x


def _derivative(primals: Any, tangents: Any, **where: Any) -> Any:
    return cut_mark.bind(primals[0], **where), tangents[0]


def _batched(arrays: Any, axes: Any, **where: Any) -> Any:
    """Mapped axes come first, so that a record's array is marked with the records in front."""
    return cut_mark.bind(jnp.moveaxis(arrays[0], axes[0], 0), **where), 0


def _lowered(ctx: Any, x: Any, **where: Any) -> Any:
    return [x]


cut_mark.def_impl(_identity)
cut_mark.def_abstract_eval(_identity)
ad.primitive_jvps[cut_mark] = _derivative
batching.primitive_batchers[cut_mark] = _batched
mlir.register_lowering(cut_mark, _lowered)

TRACING = jax.make_user_context(default_value=None)
"""Set while a model is traced, to something new each time: programs that JAX keeps of functions inside the model have no marks."""


def mark(tree: Any, layer: str, anchor: str, kind: str) -> Any:
    """The same value with every array of numbers in it marked."""

    def marked(path: Path, leaf: Any) -> Any:
        return cut_mark.bind(jnp.asarray(leaf), layer=layer, anchor=anchor, path=path, kind=kind) if is_number(leaf) else leaf

    return map_leaves(tree, marked)


def call_marked(call: Any, args: Any, kwargs: Any, layer: str, kind: str) -> Any:
    """Call a module with its arguments and its result marked; the model itself, whose path is empty, without."""
    if not layer:
        return call(*args, **kwargs)
    args, kwargs = mark((args, kwargs), layer, "in", kind)
    return mark(call(*args, **kwargs), layer, "out", kind)


def kind_of(cls: type) -> str:
    """The kind of a layer: the name of its class, and where the channels of Flax's convolutions are, which their names do not say."""
    last = cls.__name__.startswith("Conv") and cls.__module__.partition(".")[0] == "flax"
    return f"{cls.__name__}, channels last" if last else cls.__name__
