"""The layers of a Keras model by name, and what kinds they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

SQUASHING = frozenset({"softmax", "log_softmax", "sigmoid", "Softmax", "LogSoftmax", "Sigmoid"})
"""The names of activation functions, layers and operations that give probabilities of scores, or their logarithms."""


def parts_of(layer: Any) -> list[Any]:
    """The layers and operations that a layer calls, as far as it says."""
    if isinstance(layer, keras.Sequential):
        return [*layer.layers]
    own: Any = getattr(layer, "operations", None)
    found: Any = getattr(layer, "_layers", ()) if own is None else own
    return [part for part in found if not isinstance(part, keras.layers.InputLayer)]


def named_layers(layer: Any, prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every layer and operation inside a layer with its path, in the order of the model. Those that only a run shows are missing."""
    for part in parts_of(layer):
        name = getattr(part, "name", None)
        if name is not None and id(part) not in above:
            yield f"{prefix}{name}", part
            yield from named_layers(part, f"{prefix}{name}.", (*above, id(layer)))


def canonical(path: str) -> str:
    """A layer's path as a user writes it, ``outer/inner`` or ``outer.inner``, with dots. No name of Keras has a slash."""
    return path.replace("/", ".")


def kind_of(layer: Any) -> str:
    """The kind of a layer or of an operation: its class; of an activation function its own name."""
    return getattr(layer, "__name__", None) or type(layer).__name__


def squashes(layer: Any) -> bool:
    """True for a softmax or a sigmoid: an activation function, a layer or an operation."""
    if isinstance(layer, keras.layers.Activation):
        return squashes(layer.activation)
    return kind_of(layer) in SQUASHING


def is_table(layer: Any) -> bool:
    """True for a table of embeddings."""
    return isinstance(layer, keras.layers.Embedding)
