"""Keras models on JAX as pure functions, as the JAX backend traces them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ...calls.call import Call
from ..jax.models import Identity, Model, as_key, unwrap
from ..jax.tags import mark
from ..protocol import Bias
from .biases import read_biases
from .intercept import Interception
from .names import check_built, kind_of, name_of, named_values, roots_of, variables_of


def keras_model(model: Any) -> Model:
    """A Keras model, or a function around one, as a function of its variables. Every value that can be a cut is marked."""
    roots = roots_of(model)
    check_built(roots)
    variables = variables_of(roots)

    def marked(path: str, anchor: str, layer: Any, value: Any) -> Any:
        return mark(value, path, anchor, kind_of(layer))

    def fn(values: Any, args: Any, kwargs: Any) -> Any:
        scope = keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))
        with scope, Interception(roots, marked, lambda path: True):
            return model(*args, **kwargs)

    def biases(layers: Sequence[str], call: Call) -> tuple[dict[str, Bias], list[str]]:
        return read_biases(roots, layers)

    values = [variable.value for variable in variables]
    if name_of(model, roots) == "function":
        inner = unwrap(model)[0]
        code = as_key(getattr(inner, "__code__", inner))
        return Model(fn, values, None, getattr(inner, "__name__", "function"), code=code, biases=biases)
    structure = tuple((path, Identity(part)) for path, part in named_values(roots))
    return Model(fn, values, ("keras", Identity(model), structure), type(model).__name__, biases=biases)
