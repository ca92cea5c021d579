"""The layers of Keras models by trulens' names, for Keras 3 and for the legacy Keras of TensorFlow. Imports neither."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

KERAS = ("keras", "tf_keras")
"""The packages of Keras 3 and of the legacy Keras."""


def roots_of(model: Any) -> list[str]:
    """Returns the root packages of the classes of an object, in the order of inheritance."""
    return [cls.__module__.partition(".")[0] for cls in type(model).__mro__]


def keras_package(model: Any) -> str | None:
    """Returns the package of a Keras model, ``"keras"`` or ``"tf_keras"``; None for anything else, also for a layer."""
    for cls in type(model).__mro__:
        parts = cls.__module__.split(".")
        if cls.__name__ == "Model" and (parts[0] in KERAS or parts[:3] == ["tensorflow", "python", "keras"]):
            return "keras" if parts[0] == "keras" else "tf_keras"
    return None


def is_input_layer(layer: Any) -> bool:
    """Returns True for the layer of an input of a functional model."""
    return type(layer).__name__ == "InputLayer"


def named_layers(model: Any) -> dict[str, Any]:
    """Returns the layers of a model by name; those of nested models by path, ``outer/inner``."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        found[layer.name] = layer
        if keras_package(layer) is not None:
            found.update({f"{layer.name}/{name}": inner for name, inner in named_layers(layer).items()})
    return found


def numbered_layers(model: Any) -> list[Any]:
    """Returns the layers of a model in the order of their numbers: those of a nested model, except its inputs, are in its place."""
    found: list[Any] = []
    for layer in model.layers:
        inner = (
            numbered_layers(layer) if keras_package(layer) is not None and input_names(model) and getattr(layer, "inputs", None) else None
        )
        found += [layer] if inner is None else [part for part in inner if not is_input_layer(part)]
    return found


def input_names(model: Any) -> list[str]:
    """Returns the names of a functional model's input layers, in the order of its inputs; none of other models."""
    names = getattr(model, "input_names", None)  # the legacy Keras
    if names is None:
        names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    layers = {layer.name for layer in model.layers if is_input_layer(layer)}
    return list(names) if layers.issuperset(names) else []


def takes_dict(model: Any) -> bool:
    """Returns True for a functional model that was made of a dictionary of inputs."""
    structs = (getattr(model, name, None) for name in ("_inputs_struct", "_nested_inputs"))
    return any(isinstance(struct, Mapping) for struct in structs)


def takes_separately(model: Any, count: int) -> bool:
    """Returns True if the ``call`` of a model has its own positional parameter for each of so many arguments."""
    try:
        taken = signature(model.call).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(p.kind is Parameter.VAR_POSITIONAL for p in taken):
        return True
    named = [p for p in taken if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    return sum(p.name not in ("training", "mask") for p in named) >= count
