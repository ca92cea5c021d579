"""The layers of a Keras model by name, and what kinds they are."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

from ...errors import ModelError
from .intercept import FollowedActivation, own_activations
from .package import package_called, package_name, package_of

SQUASHING = frozenset({"softmax", "log_softmax", "sigmoid", "Softmax", "LogSoftmax", "Sigmoid"})
"""The names of activation functions, layers and operations that give probabilities of scores, or their logarithms."""
OPERATIONS = ("TFOpLambda", "ClassMethod", "InstanceMethod")
"""Layers of Keras 2 that are an operation of TensorFlow in a functional model."""


def parts_of(layer: Any) -> list[Any]:
    """The layers and operations that a layer calls, as far as it declares them."""
    if package_name(layer) is None:
        return []
    package = package_of(layer)
    return [part for part in package.parts(layer) if not isinstance(part, package.layers.InputLayer)]


def named_layers(layer: Any, prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every layer and operation inside a layer with its path, in the order of the model. Those that only a run shows are missing."""
    for part in parts_of(layer):
        name = getattr(part, "name", None)
        if name is not None and id(part) not in above:
            yield f"{prefix}{name}", part
            yield from named_layers(part, f"{prefix}{name}.", (*above, id(layer)))


def named_values(layer: Any) -> Iterator[tuple[str, Any]]:
    """Every layer, operation and activation function inside a layer with its path, in the order of the model."""
    for path, part in named_layers(layer) if layer is not None else ():
        yield path, part
        yield from ((f"{path}.{name}", function) for name, function in own_activations(part).items())


def is_keras(value: Any) -> bool:
    """True for a layer or a model of Keras."""
    name = package_name(value)
    return name is not None and isinstance(value, package_called(name).layer)


def model_behind(model: Any) -> Any:
    """The Keras model that is called: itself, the one whose method it is, or the only one that a function closes over or names."""
    held: list[Any] = []
    if isinstance(model, FunctionType):  # asking another object for these attributes may run its code: a Flax module sets itself up
        held = [getattr(cell, "cell_contents", None) for cell in model.__closure__ or ()]
        held += [model.__globals__[name] for name in model.__code__.co_names if name in model.__globals__]
    owner = model.__self__ if isinstance(model, MethodType) else None
    for candidates in ([model], [owner], held):
        if len(found := [one for one in candidates if is_keras(one)]) == 1:
            return found[0]
    return None


def check_built(host: Any) -> None:
    """Raises ModelError for a model that has no weights yet."""
    if host is not None and not host.built:
        advice = "model(x) once before, which creates the weights of layers"
        raise ModelError("The model has no weights yet", found=f"{host.name!r}, not built", advice=advice, code="E-MODEL-LAZY")


def canonical(path: str) -> str:
    """A layer's path as a user writes it, ``outer/inner`` or ``outer.inner``, with dots. No name of Keras has a slash."""
    return path.replace("/", ".")


def kind_of(layer: Any) -> str:
    """The kind of a layer or of an operation: its class, and if its channels are first; of a function its own name."""
    if (symbol := getattr(layer, "symbol", None)) and type(layer).__name__ in OPERATIONS:
        return str(symbol).rpartition(".")[2]
    layer = layer.function if isinstance(layer, FollowedActivation) else layer
    first = ", channels first" if getattr(layer, "data_format", None) == "channels_first" else ""
    return getattr(layer, "__name__", None) or f"{type(layer).__name__}{first}"


def squashes(layer: Any) -> bool:
    """True for a softmax or a sigmoid: an activation function, a layer or an operation."""
    return kind_of(layer) in SQUASHING


def is_table(layer: Any) -> bool:
    """True for a table of embeddings."""
    return package_name(layer) is not None and isinstance(layer, package_of(layer).layers.Embedding)
