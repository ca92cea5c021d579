"""The layers of a Keras model by name, and what kinds they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import ModelError
from ..behind import models_behind
from ..recognise import framework_of
from .intercept import FollowedActivation, own_activations
from .package import package_called, package_name, package_of
from .paths import named_parts

SQUASHING = frozenset({"softmax", "log_softmax", "sigmoid", "Softmax", "LogSoftmax", "Sigmoid"})
"""The names of activation functions, layers and operations that give probabilities of scores, or their logarithms."""
OPERATIONS = ("TFOpLambda", "ClassMethod", "InstanceMethod")
"""Layers of Keras 2 that are an operation of TensorFlow in a functional model."""


def named_values(roots: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every layer, operation and activation function inside some models with its path, in the order of the models."""
    for path, part in named_parts(roots):
        yield path, part
        yield from ((f"{path}.{name}", function) for name, function in own_activations(part).items())


def is_keras(value: Any) -> bool:
    """True for a layer or a model of Keras."""
    name = package_name(value)
    return name is not None and isinstance(value, package_called(name).layer)


def roots_of(model: Any) -> dict[str, Any]:
    """The Keras models that are called, by the beginning of their layers' paths: empty for one, the models' names for several.

    They are the model itself, the one whose method it is, or those that a function, a partial application or an object holds.
    """
    package = framework_of(model)
    function = getattr(model, "python_function", None) if package == "tensorflow" else None  # others are not asked: Flax modules set up
    if function is None and package not in (None, "keras") and not is_keras(model):
        return {}
    found = models_behind(model if function is None else function, is_keras, "keras.")
    if len(found) == 1:
        return {"": found[0]}
    roots: dict[str, Any] = {}
    for one in found:
        same = sum(other.name == one.name for other in roots.values())
        roots[f"{one.name}_{same}" if same else one.name] = one
    return roots


def name_of(model: Any, roots: Mapping[str, Any]) -> str:
    """The name of the kind of a model: its class, ``function`` for one around others."""
    return type(model).__name__ if any(root is model for root in roots.values()) else "function"


def variables_of(roots: Mapping[str, Any]) -> list[Any]:
    """The variables of some models, each once."""
    return list({id(variable): variable for root in roots.values() for variable in root.variables}.values())


def native_variable(variable: Any) -> Any:
    """The variable of the framework behind a variable of Keras 3; one of Keras 2 is its framework's."""
    return variable if callable(variable.value) else variable.value


def check_built(roots: Mapping[str, Any]) -> None:
    """Raises ModelError for a model that has no weights yet."""
    for root in roots.values():
        if not root.built:
            advice = "model(x) once before, which creates the weights of layers"
            raise ModelError("The model has no weights yet", found=f"{root.name!r}, not built", advice=advice, code="E-MODEL-LAZY")


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
