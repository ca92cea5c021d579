"""The family of a model: which libraries are loaded decides what is looked for, and none is imported for it."""

from __future__ import annotations

import sys
from typing import Any

from .models import Model, function, unwrap


def model_of(model: Any) -> Model:
    """A model as a pure function. Raises BackendError for one that cannot be called on several records."""
    inner = unwrap(model)[0]
    if (keras := sys.modules.get("keras")) is not None and hasattr(keras, "layers"):
        from ..keras.names import model_behind
        from ..keras.onto_jax import keras_model

        if model_behind(model) is not None:
            return keras_model(model)
    if (linen := sys.modules.get("flax.linen")) is not None:
        from .linen import bound_module, partial_apply

        if isinstance(model, linen.Module):
            return bound_module(model)
        if isinstance(getattr(inner, "__self__", None), linen.Module) and inner is not model:
            return partial_apply(model)
    return function(model)


def is_embedding(kind: str) -> bool:
    """True for the name of a class of embeddings: ``Embed`` in Flax, ``Embedding`` in Equinox."""
    return kind in ("Embed", "Embedding")
