"""The family of a model: which libraries are loaded decides what is looked for, and none is imported for it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

from ...calls.call import Call
from ...errors import BackendError
from ..protocol import Bias
from .biases import read_biases
from .libraries import libraries, linen_biases, marking
from .mapped import bare_module, maps_over_records
from .models import Model, function
from .opened import open_model


def model_of(model: Any, whole: bool = False) -> Model:
    """A model as a pure function. Raises BackendError for one that cannot be called on several records; ``whole`` if there is one only."""
    if (keras := sys.modules.get("keras")) is not None and hasattr(keras, "layers"):
        from ..keras.names import roots_of
        from ..keras.onto_jax import keras_model

        if roots_of(model):
            return keras_model(model)
    linen: Any = sys.modules.get("flax.linen")
    if linen is not None and isinstance(model, linen.Module) and model.scope is None:
        raise without_variables(type(model).__name__)
    if not callable(model) and hasattr(model, "apply_fn"):
        model = training_state(model)
    if not whole and (bare := bare_module(model)) is not None:
        raise one_record(type(bare).__name__)
    return modules(model) or function(model, maps_over_records(model))


def modules(model: Any) -> Model | None:
    """A model of modules of Flax NNX and Equinox, wherever they are in it; None for a model without."""
    opened = open_model(model, libraries())
    if opened is None:
        return None

    def fn(weights: Any, args: Any, kwargs: Any) -> Any:
        with marking():
            return opened.build(weights)(*args, **kwargs)

    def biases(layers: Sequence[str], call: Call) -> tuple[dict[str, Bias], list[str]]:
        known = linen_biases(model, fn, opened.weights, layers, call)
        return read_biases(layers, opened.layers().get) if known is None else known

    definition = opened.key if opened.lasting else None
    mapped, training, aliases = maps_over_records(model), opened.training, opened.aliases
    return Model(fn, opened.weights, definition, opened.name, mapped, opened.key, biases, training, aliases)


def training_state(state: Any) -> Any:
    """The model of a training state of Flax: its function with its parameters and, where it has them, its statistics."""
    collections = {"params": state.params}
    if getattr(state, "batch_stats", None) is not None:
        collections["batch_stats"] = state.batch_stats
    return functools.partial(state.apply_fn, collections)


def without_variables(name: str) -> BackendError:
    """The error for a linen module that is not bound."""
    what = "A Flax module without its variables cannot be called"
    advice = "model.bind(variables), or functools.partial(model.apply, variables)"
    return BackendError(what, found=f"an unbound {name}", advice=advice)


def one_record(name: str) -> BackendError:
    """The error for an Equinox model that is not mapped over its records."""
    what = "An Equinox model is a function of one record, and is called on several"
    advice = "jax.vmap(model), or a function for a model that takes all records at once: lambda x: model(x)"
    return BackendError(what, found=f"a {name} without jax.vmap", advice=advice, code="E-BACKEND-RECORD")


def is_embedding(kind: str) -> bool:
    """True for the name of a class of embeddings: ``Embed`` in Flax, ``Embedding`` in Equinox."""
    return kind in ("Embed", "Embedding")
