"""The packages of Keras: Keras 3 (``keras``) and Keras 2 (``tf_keras``), which TensorFlow uses under ``TF_USE_LEGACY_KERAS``.

Everything in which they differ is in :class:`KerasPackage`. A package is imported only where one of its layers arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from ...tree import walk

NAMES = ("keras", "tf_keras")
"""The root packages of the classes of layers."""


@dataclass(frozen=True, eq=False)
class KerasPackage:
    """What ascribe uses of one package."""

    layers: Any
    """The module of the layers' classes."""
    layer: type
    model: type
    followed: tuple[type, ...]
    """The classes whose ``__call__`` is replaced: that of layers first."""
    linear: Any
    """The activation function that does nothing."""
    only_shapes: Callable[[Any], bool]
    """True for the arguments of a call that computes shapes, or adds a layer to a functional model, and no numbers."""
    parts: Callable[[Any], Iterable[Any]]
    """The layers and operations that a layer calls, as far as it declares them."""
    mask: Callable[[Any], Any]
    """The Keras mask of an array, None without."""
    set_mask: Callable[[Any, Any], None]
    numbers: Callable[[Any], Any]
    """The numbers of a variable, as an array of NumPy."""


def keras_3() -> KerasPackage:
    """Keras 3."""
    keras: Any = import_module("keras")
    backend: Any = import_module("keras.src.backend")
    in_symbolic_scope: Any = import_module("keras.src.backend.common.symbolic_scope").in_symbolic_scope

    def parts(layer: Any) -> Iterable[Any]:
        if isinstance(layer, keras.Sequential):
            return list(layer.layers)
        own = getattr(layer, "operations", None)
        return getattr(layer, "_layers", ()) if own is None else own

    return KerasPackage(
        layers=keras.layers,
        layer=keras.layers.Layer,
        model=keras.Model,
        followed=(keras.layers.Layer, keras.Operation),
        linear=keras.activations.linear,
        only_shapes=lambda arguments: bool(in_symbolic_scope()),
        parts=parts,
        mask=backend.get_keras_mask,
        set_mask=backend.set_keras_mask,
        numbers=keras.ops.convert_to_numpy,
    )


def keras_2() -> KerasPackage:
    """Keras 2. An operation in a functional model, such as ``tf.nn.relu(x)``, is a layer there."""
    keras: Any = import_module("tf_keras")

    def set_mask(array: Any, mask: Any) -> None:
        array._keras_mask = mask

    return KerasPackage(
        layers=keras.layers,
        layer=keras.layers.Layer,
        model=keras.Model,
        followed=(keras.layers.Layer,),
        linear=keras.activations.linear,
        only_shapes=lambda arguments: any(keras.backend.is_keras_tensor(leaf) for _, leaf in walk(arguments) if hasattr(leaf, "dtype")),
        parts=lambda layer: layer._flatten_layers(recursive=False, include_self=False),
        mask=lambda array: getattr(array, "_keras_mask", None),
        set_mask=set_mask,
        numbers=lambda variable: variable.numpy(),
    )


@lru_cache
def package_called(name: str) -> KerasPackage:
    """A package by the name of its root."""
    return {"keras": keras_3, "tf_keras": keras_2}[name]()


FOUND: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()
"""The packages of classes that were looked at."""


def package_name(layer: Any) -> str | None:
    """The package that a layer or an operation belongs to, by its class; None for any other object."""
    kind: Any = type(layer)
    if kind not in FOUND:
        roots = (cls.__module__.partition(".")[0] for cls in kind.__mro__ if cls.__name__ in ("Layer", "Operation"))
        FOUND[kind] = next((root for root in roots if root in NAMES), None)
    return FOUND[kind]


def package_of(layer: Any) -> KerasPackage:
    """The package of a layer or an operation."""
    name = package_name(layer)
    assert name is not None
    return package_called(name)
