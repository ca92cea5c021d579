"""Models of Keras 2 (``tf_keras``): their cuts, and numbers equal to PyTorch's on the same weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf_keras")

import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.backends.keras import intercept
from ascribe.errors import CutError, ModelError
from ascribe.tree import walk
from tests.support.networks import NAMES
from tests.support.tf_keras_networks import tf_keras_network
from tests.support.torch_networks import torch_network

TOLERANCE = 1e-5
RANDOM = np.random.default_rng(0)
X = tf.constant(RANDOM.normal(size=(3, 6)), tf.float32)
METHODS: dict[str, Callable[[Any, Any], Any]] = {
    "InputXGradient": lambda m, a: asc.InputXGradient()(m, *a),
    "IntegratedGradients": lambda m, a: asc.IntegratedGradients(steps=4)(m, *a, of=asc.Unit(2)),
    "at a layer's input": lambda m, a: asc.IntegratedGradients(steps=4)(m, *a, at=asc.Cut("head", "in")),
    "at a layer's output": lambda m, a: asc.influence(m, *a, at="head", of=asc.LogProb()),
    "on a layer": lambda m, a: asc.attribute(m, *a, of=asc.Unit(1, on="head")),
}
REMOVALS: dict[str, Callable[[Any, Any], Any]] = {
    "FeatureAblation": lambda m, a: asc.FeatureAblation()(m, *a),
    "KernelShap": lambda m, a: asc.KernelShap(budget=64)(m, *a),
}
MAPS: dict[str, Callable[[Any, Any], Any]] = {
    "GradCam": lambda m, a: asc.GradCam("conv2")(m, *a),
    "FullGrad": lambda m, a: asc.FullGrad()(m, *a),
    "Occlusion": lambda m, a: asc.Occlusion((2, 4, 4), (2, 2, 2))(m, *a),
}


def numbers(result: Any) -> np.ndarray:
    """All values of an attribution, in one row."""
    return np.concatenate([as_numpy(leaf).reshape(-1) for _, leaf in walk(result.values) if leaf is not None])


def compare(name: str, explain: Callable[[Any, Any], Any]) -> None:
    found, truth = (numbers(explain(*network(name))) for network in (tf_keras_network, torch_network))
    assert found.shape == truth.shape
    assert np.abs(found - truth).max() <= TOLERANCE * np.abs(truth).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_pytorch(name: str, method: str) -> None:
    compare(name, METHODS[method])


@pytest.mark.parametrize("method", REMOVALS)
@pytest.mark.parametrize("name", ["mlp", "two_inputs"])
def test_numbers_by_removal_are_those_of_pytorch(name: str, method: str) -> None:
    compare(name, REMOVALS[method])


@pytest.mark.parametrize("method", MAPS)
def test_maps_are_those_of_pytorch(method: str) -> None:
    compare("cnn", MAPS[method])


def small(**more: Any) -> Any:
    x = keras.Input((6,))
    return keras.Model(x, layers.Dense(3, name="head", **more)(layers.Dense(4, activation="relu", name="first")(x)))


class Nested(keras.Model):
    """A subclassed model with a shared layer, a functional model and a list of layers inside."""

    def __init__(self, unused: Any = None) -> None:
        super().__init__()
        self.unused = unused
        self.encoder = small()
        self.shared = layers.Dense(3, activation="tanh", name="shared")
        self.blocks = [layers.Dense(3, name=f"block{i}") for i in range(2)]
        self.loss_tracker = keras.metrics.Mean(name="loss")

    def call(self, x: Any, scale: float = 1.0) -> Any:
        y = self.shared(self.encoder(x))
        for block in self.blocks:
            y = block(y)
        return self.shared(y) * scale


def nested(unused: Any = None) -> Any:
    model = Nested(unused)
    model(X)
    return model


def outputs(model: Any, *args: Any) -> list[str]:
    """The layers of a call in execution order, without activation functions."""
    found = [p for p in asc.cuts_of(model, *args)[1:-1] if p.cut.anchor == "out" and "activation" not in p.cut.layer]
    return [p.cut.layer + (f" x{p.calls}" if p.calls > 1 else "") for p in found]


def test_cuts_are_listed_in_the_order_in_which_they_run() -> None:
    model, args = tf_keras_network("residual")
    names = ["stem", "up", "tf.nn.silu", "down", "tf.__operators__.add", "norm", "head"]
    assert [name.rstrip("0123456789").rstrip("_") for name in outputs(model, *args)] == names
    place = next(p for p in asc.cuts_of(model, *args) if p.cut.layer.startswith("tf.nn.silu"))
    assert place.kind == "silu"


def test_nested_and_shared_layers_are_named_by_path_and_use() -> None:
    model = nested()
    inner = model.encoder.name
    assert outputs(model, X) == [f"{inner}.first", f"{inner}.head", inner, "shared x2", "block0", "block1"]
    dotted, slashed = (asc.attribute(model, X, at=f"{inner}{mark}first") for mark in "./")
    np.testing.assert_array_equal(numbers(dotted), numbers(slashed))


def test_one_use_of_a_shared_layer_is_read_by_itself() -> None:
    model = nested()
    found = [asc.activation(model, X, at=asc.Cut("shared", call=call)).values for call in (0, 1)]
    np.testing.assert_allclose(found[0], model.shared(model.encoder(X)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], model(X), rtol=1e-5, atol=1e-6)


def test_gradients_at_cuts_are_those_of_formulas() -> None:
    model = small(activation="tanh")
    found = asc.influence(model, X, of=asc.Unit(1), at="first").values
    w, b = model.get_layer("head").get_weights()
    hidden = model.get_layer("first")(X).numpy()
    np.testing.assert_allclose(found, (1 - np.tanh(hidden @ w + b)[:, 1:2] ** 2) * w[:, 1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("last", ["in the layer", "Softmax", "Activation", "tf.nn.softmax", "subclass"])
def test_logits_are_what_goes_into_a_softmax(last: str) -> None:
    plain = small()

    class Ends(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.end = plain, layers.Softmax()

        def call(self, x: Any) -> Any:
            return self.end(self.body(x))

    if last == "subclass":
        model: Any = Ends()
        model(X)
    elif last == "in the layer":
        model = small(activation="softmax")
        model.set_weights(plain.get_weights())
    else:
        end = {"Softmax": layers.Softmax(), "Activation": layers.Activation("softmax"), "tf.nn.softmax": tf.nn.softmax}[last]
        model = keras.Model(plain.inputs, end(plain.outputs[0]))
    found, truth = asc.attribute(model, X, of=asc.Unit(1, on=asc.LOGITS)), asc.attribute(plain, X, of=asc.Unit(1))
    np.testing.assert_allclose(numbers(found), numbers(truth), rtol=1e-5, atol=1e-7)


def test_masks_go_on_with_values_that_are_replaced() -> None:
    x = keras.Input((5, 4))
    y = layers.Dense(4, name="dense")(layers.Masking(name="masking")(x))
    model = keras.Model(x, layers.GlobalAveragePooling1D()(layers.GRU(3, return_sequences=True, name="gru")(y)))
    given = RANDOM.normal(size=(2, 5, 4)).astype(np.float32)
    given[0, 3:] = 0
    values = asc.IntegratedGradients(steps=4)(model, tf.constant(given), at="dense").values.numpy()
    assert np.abs(values[0, :3]).max() > 0
    assert np.abs(values[0, 3:]).max() == 0
    assert np.abs(values[1, 3:]).max() > 0


def test_the_cell_of_a_recurrent_layer_is_a_cut() -> None:
    x = keras.Input((5, 4))
    model = keras.Model(x, layers.RNN(layers.GRUCell(3, name="cell"), name="rnn")(x))
    given = tf.constant(RANDOM.normal(size=(2, 5, 4)), tf.float32)
    place = next(p for p in asc.cuts_of(model, given) if p.cut == asc.Cut("rnn.cell"))
    last = asc.activation(model, given, at=asc.Cut("rnn.cell", accessor=0, call=place.calls - 1)).values
    np.testing.assert_allclose(last, model(given), rtol=1e-5, atol=1e-6)


def test_embeddings_and_several_inputs_and_outputs() -> None:
    x, ids = keras.Input((6,), name="x"), keras.Input((4,), dtype="int32", name="ids")
    table = layers.Embedding(10, 3, mask_zero=True, name="table")(ids)
    y = layers.Concatenate(name="both")([x, layers.LSTM(3, name="lstm")(table)])
    model = keras.Model({"x": x, "ids": ids}, {"a": layers.Dense(2, name="a")(y), "b": layers.Dense(3, name="b")(y)})
    given = {"x": X, "ids": tf.constant(RANDOM.integers(0, 10, (3, 4)))}
    found = asc.attribute(model, given, of=asc.Unit(2, on=asc.OUTPUT.at("b")))
    truth = asc.attribute(model, given, of=asc.Unit(2, on="b"))
    np.testing.assert_allclose(numbers(found), numbers(truth))
    assert asc.influence(model, given, of=asc.Unit(2, on="b"), at=asc.EMBEDDINGS).values.shape == (3, 4, 3)


def test_keywords_reach_the_model() -> None:
    model = nested()
    once, twice = (asc.attribute(model, X, scale=scale, of=asc.Unit(0)) for scale in (1.0, 2.0))
    np.testing.assert_allclose(2 * numbers(once), numbers(twice), rtol=1e-5, atol=1e-6)


def test_errors_name_the_nearest_layer_and_say_what_is_missing() -> None:
    with pytest.raises(CutError, match="first") as unknown:
        asc.attribute(small(), X, at="firts")
    assert unknown.value.code == "E-CUT-UNKNOWN"
    with pytest.raises(CutError) as unused:
        asc.attribute(nested(layers.Dense(3, name="unused")), X, at="unused")
    assert unused.value.code == "E-CUT-NOT-RUN"
    with pytest.raises(ModelError) as lazy:
        asc.attribute(Nested(), X)
    assert lazy.value.code == "E-MODEL-LAZY"


def test_state_is_as_before_and_other_threads_are_not_followed() -> None:
    net, seen = small(activation="softmax"), list[str]()
    before = keras.layers.Layer.__call__, *(layer.activation for layer in net.layers[1:])
    asc.IntegratedGradients(steps=4)(net, X, at="first", of=asc.Unit(1, on=asc.LOGITS))

    def visit(path: str, anchor: str, layer: Any, value: Any) -> Any:
        seen.append(path)
        return value

    with intercept.Interception(net, visit):
        thread = threading.Thread(target=net, args=(X,))
        thread.start()
        thread.join()
        assert seen == []
        net(X)
    assert seen == ["first", "first", "head", "head"]
    assert before == (keras.layers.Layer.__call__, *(layer.activation for layer in net.layers[1:]))
    assert not intercept.PLACED


def test_state_is_as_before_after_an_error() -> None:
    class Broken(layers.Layer):  # type: ignore[misc]
        breaks = False

        def call(self, x: Any) -> Any:
            if self.breaks:
                raise RuntimeError("broken")
            return x

    x = keras.Input((6,))
    net = keras.Model(x, Broken()(layers.Dense(3, name="head")(x)))
    before = keras.layers.Layer.__call__
    Broken.breaks = True
    with pytest.raises(ModelError, match="broken"):
        asc.attribute(net, X, at="head")
    assert keras.layers.Layer.__call__ is before
    assert not intercept.PLACED
