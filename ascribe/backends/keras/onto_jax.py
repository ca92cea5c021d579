"""Keras models on JAX as pure functions, as the JAX backend traces them."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from ..jax.models import Identity, Model
from ..jax.tags import mark
from .biases import read_biases
from .intercept import Interception
from .names import check_built, kind_of, model_behind, named_values


def keras_model(model: Any) -> Model:
    """A Keras model, or a function around one, as a function of its variables. Every value that can be a cut is marked."""
    host = model_behind(model)
    check_built(host)
    variables = list(host.variables)

    def marked(path: str, anchor: str, layer: Any, value: Any) -> Any:
        return mark(value, path, anchor, kind_of(layer))

    def fn(values: Any, args: Any, kwargs: Any) -> Any:
        scope = keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))
        with scope, Interception(host, marked, lambda path: True):
            return model(*args, **kwargs)

    biases = partial(read_biases, host)
    values = [variable.value for variable in variables]
    if host is not model:
        return Model(
            fn, values, None, getattr(model, "__name__", "function"), code=Identity(getattr(model, "__code__", model)), biases=biases
        )
    structure = tuple((path, Identity(part)) for path, part in named_values(host))
    return Model(fn, values, ("keras", Identity(host), structure), type(host).__name__, biases=biases)
