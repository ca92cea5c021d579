"""The family of a model: which libraries are loaded decides what is looked for, and none is imported for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ...calls.call import Call
from ...errors import BackendError
from ..protocol import Bias
from .biases import read_biases
from .mapped import bare_module, maps_over_records
from .models import Model, function, unwrap
from .opened import open_model


def model_of(model: Any, whole: bool = False) -> Model:
    """A model as a pure function. Raises BackendError for one that cannot be called on several records; ``whole`` if there is one only."""
    inner = unwrap(model)[0]
    if (keras := sys.modules.get("keras")) is not None and hasattr(keras, "layers"):
        from ..keras.names import roots_of
        from ..keras.onto_jax import keras_model

        if roots_of(model):
            return keras_model(model)
    if (linen := sys.modules.get("flax.linen")) is not None:
        from .linen import bound_module, partial_apply

        if isinstance(model, linen.Module):
            return bound_module(model)
        if isinstance(getattr(inner, "__self__", None), linen.Module) and inner is not model:
            return partial_apply(model)
    if not whole and (bare := bare_module(model)) is not None:
        raise one_record(type(bare).__name__)
    return modules(model) or function(model, maps_over_records(model))


def modules(model: Any) -> Model | None:
    """A model of modules of Flax NNX and Equinox, wherever they are in it; None for a model without."""
    opened = open_model(model, libraries())
    if opened is None:
        return None

    def fn(weights: Any, args: Any, kwargs: Any) -> Any:
        return opened.build(weights)(*args, **kwargs)

    def biases(layers: Sequence[str], call: Call) -> tuple[dict[str, Bias], list[str]]:
        return read_biases(layers, opened.layers().get)

    definition = opened.key if opened.lasting else None
    return Model(fn, opened.weights, definition, opened.name, maps_over_records(model), opened.key, biases, opened.training)


def libraries() -> list[Any]:
    """The libraries of modules that are loaded."""
    found: list[Any] = []
    if "flax.nnx" in sys.modules:
        from . import nnx

        found.append(nnx)
    if "equinox" in sys.modules:
        from . import equinox

        found.append(equinox)
    return found


def one_record(name: str) -> BackendError:
    """The error for an Equinox model that is not mapped over its records."""
    what = "An Equinox model is a function of one record, and is called on several"
    advice = "jax.vmap(model), or a function for a model that takes all records at once: lambda x: model(x)"
    return BackendError(what, found=f"a {name} without jax.vmap", advice=advice, code="E-BACKEND-RECORD")


def is_embedding(kind: str) -> bool:
    """True for the name of a class of embeddings: ``Embed`` in Flax, ``Embedding`` in Equinox."""
    return kind in ("Embed", "Embedding")
