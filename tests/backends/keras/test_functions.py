"""Functions, methods and objects around Keras models: their cuts are those of the models, their numbers those of the formula."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import ArgumentError
from tests.support.keras_networks import native

X = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


def network(name: str) -> Any:
    x = keras.Input((6,))
    return keras.Model(x, layers.Dense(3, name="head")(layers.Dense(4, activation="tanh", name="first")(x)), name=name)


ONE, OTHER = network("one"), network("other")
BOTH = [ONE, OTHER]


class Service:
    """An object of the user's own that holds a model."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def scores(self, x: Any) -> Any:
        return self.net(x) * 2

    def __call__(self, x: Any) -> Any:
        return self.scores(x)


def doubled(x: Any) -> Any:
    return ONE(x) * 2


AROUND: dict[str, tuple[Callable[[Any], Any], float]] = {
    "a lambda": (lambda x: ONE(x)[:, :2], 1.0),
    "a function": (doubled, 2.0),
    "a partial application": (partial(ONE, training=False), 1.0),
    "a method": (Service(ONE).scores, 2.0),
    "an object": (Service(ONE), 2.0),
    "a function of a function": (lambda x: doubled(x), 2.0),
}


def layer_names(model: Any) -> list[str]:
    return [p.cut.layer for p in asc.cuts_of(model, native(X))[1:-1] if p.cut.anchor == "out" and "activation" not in p.cut.layer]


def values(result: Any) -> np.ndarray:
    return as_numpy(result.values)


@pytest.mark.parametrize("kind", AROUND)
def test_the_cuts_of_the_model_behind_are_those_of_the_function(kind: str) -> None:
    function, times = AROUND[kind]
    assert layer_names(function) == ["first", "head"]
    for x in (native(X), X):
        found, truth = (asc.influence(model, x, of=1, at="first") for model in (function, ONE))
        assert isinstance(found.values, type(x))
        np.testing.assert_allclose(values(found), times * values(truth), rtol=1e-5, atol=1e-7)


def test_several_models_have_their_names_before_those_of_their_layers() -> None:
    for function in (lambda x: ONE(x) + OTHER(x), lambda x: sum(net(x) for net in BOTH)):
        assert layer_names(function) == ["one.first", "one.head", "one", "other.first", "other.head", "other"]
        found = asc.influence(function, native(X), of=1, at="other.first")
        np.testing.assert_allclose(values(found), values(asc.influence(OTHER, native(X), of=1, at="first")), rtol=1e-5, atol=1e-7)
        found = asc.influence(function, native(X), of=1)
        truth = sum(values(asc.influence(net, native(X), of=1)) for net in BOTH)
        np.testing.assert_allclose(values(found), truth, rtol=1e-5, atol=1e-6)


def test_one_model_after_another() -> None:
    first, second = network("body"), keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="softmax", name="end")], name="tail")
    found = asc.influence(lambda x: second(first(x)), native(X), of=asc.Unit(1, on=asc.LOGITS), at="body")
    kernel = second.get_layer("end").get_weights()[0]
    np.testing.assert_allclose(values(found), np.broadcast_to(kernel[:, 1], (3, 3)), rtol=1e-5)


def test_predictions_as_arrays_of_numpy_are_explained_by_removal() -> None:
    truth = asc.KernelShap(budget=64)(ONE, X, of=1)
    quiet = partial(ONE.predict, verbose=0)
    for model in (quiet, lambda x: ONE.predict(x, verbose=0)):
        np.testing.assert_allclose(values(asc.KernelShap(budget=64)(model, X, of=1)), values(truth), rtol=1e-4, atol=1e-5)


def test_a_keyword_that_the_model_would_ignore_is_an_error() -> None:
    for given, advice in (("trainning", "training="), ("on", "of=")):
        with pytest.raises(ArgumentError, match=advice) as wrong:
            asc.attribute(ONE, native(X), **{given: False})
        assert wrong.value.code == "E-ARGUMENT"
    sequential = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    with pytest.raises(ArgumentError, match="target"):
        asc.attribute(sequential, native(X), target=1)
    assert values(asc.attribute(ONE, native(X), training=False)).shape == (3, 6)


class Encoding(keras.Model):
    """A model with a method of its own that runs a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = layers.Dense(4, activation="tanh", name="encoder"), layers.Dense(3, name="head")

    def encode(self, x: Any) -> Any:
        return self.encoder(x)

    def call(self, x: Any) -> Any:
        return self.head(self.encode(x))


def test_a_method_of_a_model_has_the_layers_that_it_calls() -> None:
    model = Encoding()
    model(native(X))
    assert layer_names(model.encode) == ["encoder"]
    kernel = model.encoder.get_weights()[0]
    found = asc.influence(model.encode, native(X), of=1, at=asc.Cut("encoder", "in"))
    hidden = as_numpy(keras.ops.stop_gradient(model.encode(native(X))))
    np.testing.assert_allclose(values(found), (1 - hidden[:, 1:2] ** 2) * kernel[:, 1], rtol=1e-4, atol=1e-6)
