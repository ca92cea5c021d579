"""Cuts of Keras models: names, order, shared and nested layers, operations, masks, activations."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import CutError, ModelError
from tests.support.keras_networks import keras_network, native

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 6)).astype(np.float32)


def listed(model: Any, *args: Any) -> list[str]:
    """The cuts inside a model, without those of activation functions."""
    found = asc.cuts_of(model, *args)[1:-1]
    return [f"{p.cut.layer} {p.cut.anchor}" + (f" x{p.calls}" if p.calls > 1 else "") for p in found if "activation" not in p.cut.layer]


def outputs(model: Any, *args: Any) -> list[str]:
    return [one.replace(" out", "") for one in listed(model, *args) if " out" in one]


def small(**more: Any) -> Any:
    x = keras.Input((6,))
    y = layers.Dense(4, activation="relu", name="first")(x)
    return keras.Model(x, layers.Dense(3, name="head", **more)(y))


class Nested(keras.Model):
    """A subclassed model with a shared layer, a functional model and a list of layers inside."""

    def __init__(self, unused: Any = None) -> None:
        super().__init__()
        self.unused = unused
        self.encoder = small()
        self.encoder.name = "encoder"
        self.shared = layers.Dense(3, activation="tanh", name="shared")
        self.blocks = [layers.Dense(3, name=f"block{i}") for i in range(2)]

    def call(self, x: Any, scale: float = 1.0) -> Any:
        y = self.shared(self.encoder(x))
        for block in self.blocks:
            y = block(y)
        return self.shared(y) * scale


def nested(unused: Any = None) -> Any:
    model = Nested(unused)
    model(native(X))
    return model


def test_the_cuts_of_a_functional_model_are_listed_in_the_order_in_which_they_run() -> None:
    model, args = keras_network("residual")
    names = ["stem", "up", "silu", "down", "add", "norm", "head"]
    assert [name.rstrip("_0123456789") for name in outputs(model, *args)] == names
    assert listed(model, *args)[:4] == ["stem in", "stem out", "up in", "up out"]


def test_activation_functions_are_cuts() -> None:
    found = {repr(p.cut): p for p in asc.cuts_of(small(activation="softmax"), native(X))}
    assert found["Cut('head.activation', 'in')"].shape == (1, 3)
    assert found["Cut('head.activation', 'in')"].kind == "softmax"
    assert "Cut('first.activation')" in found


def test_layers_of_sequential_models_are_cuts() -> None:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, name="a"), layers.ReLU(name="b"), layers.Dense(2, name="c")])
    assert outputs(model, native(X)) == ["a", "b", "c"]


def test_nested_and_shared_layers_are_named_by_path_and_use() -> None:
    names = ["encoder.first", "encoder.head", "encoder", "shared x2", "block0", "block1"]
    assert sorted(outputs(nested(), native(X))) == sorted(names)


def test_a_path_can_be_written_with_slashes() -> None:
    model, x = nested(), native(X)
    dotted, slashed = (asc.attribute(model, x, at=name) for name in ("encoder.first", "encoder/first"))
    np.testing.assert_array_equal(as_numpy(dotted.values), as_numpy(slashed.values))


def test_one_use_of_a_shared_layer_is_read_by_itself() -> None:
    model, x = nested(), native(X)
    first, second = (asc.activation(model, x, at=asc.Cut("shared", call=call)) for call in (0, 1))
    inner = model.encoder(x)
    np.testing.assert_allclose(as_numpy(first.values), as_numpy(ops.stop_gradient(model.shared(inner))), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(as_numpy(second.values), as_numpy(ops.stop_gradient(model(x))), rtol=1e-5, atol=1e-6)


def test_gradients_at_cuts_are_those_of_finite_differences() -> None:
    model, x = small(activation="tanh"), native(X)
    found = as_numpy(asc.influence(model, x, of=asc.Unit(1), at="first").values)
    hidden = as_numpy(ops.stop_gradient(model.get_layer("first")(x))).astype(np.float64)
    w, b = (v.astype(np.float64) for v in model.get_layer("head").get_weights())
    np.testing.assert_allclose(found, (1 - np.tanh(hidden @ w + b)[:, 1:2] ** 2) * w[:, 1], rtol=1e-4, atol=1e-6)


def test_logits_are_what_goes_into_the_softmax_of_a_layer() -> None:
    model, plain, x = small(activation="softmax"), small(), native(X)
    plain.set_weights(model.get_weights())
    found = asc.attribute(model, x, of=asc.Unit(1, on=asc.LOGITS))
    truth = asc.attribute(plain, x, of=asc.Unit(1))
    np.testing.assert_allclose(as_numpy(found.values), as_numpy(truth.values), rtol=1e-5, atol=1e-7)


def test_logits_are_what_goes_into_a_softmax_layer() -> None:
    plain, x = small(), native(X)
    for last in (layers.Softmax(), layers.Activation("softmax"), ops.softmax):
        model = keras.Model(plain.inputs, last(plain.outputs[0]))
        found = asc.attribute(model, x, of=asc.Unit(1, on=asc.LOGITS))
        truth = asc.attribute(plain, x, of=asc.Unit(1))
        np.testing.assert_allclose(as_numpy(found.values), as_numpy(truth.values), rtol=1e-5, atol=1e-7)


def test_masks_go_on_with_values_that_are_replaced() -> None:
    x = keras.Input((5, 4))
    y = layers.Masking(name="masking")(x)
    y = layers.Dense(4, name="dense")(y)
    model = keras.Model(x, layers.GlobalAveragePooling1D()(layers.GRU(3, return_sequences=True, name="gru")(y)))
    given = RANDOM.normal(size=(2, 5, 4)).astype(np.float32)
    given[0, 3:] = 0
    values = as_numpy(asc.IntegratedGradients(steps=4)(model, native(given), at="dense").values)
    assert np.abs(values[0, :3]).max() > 0
    assert np.abs(values[0, 3:]).max() == 0
    assert np.abs(values[1, 3:]).max() > 0


def test_the_layers_inside_attention_are_cuts() -> None:
    model, args = keras_network("attention")
    found = outputs(model, *args)
    assert {"attention.query", "attention.key", "attention.value", "attention.attention_output"} <= set(found)
    assert asc.influence(model, *args, at="attention.value").values.shape == (4, 5, 2, 4)


def test_the_cell_of_a_recurrent_layer_is_a_cut() -> None:
    x = keras.Input((5, 4))
    model = keras.Model(x, layers.RNN(layers.GRUCell(3, name="cell"), name="rnn")(x))
    given = native(RANDOM.normal(size=(2, 5, 4)).astype(np.float32))
    assert any(p.cut == asc.Cut("rnn.cell") for p in asc.cuts_of(model, given))


def test_embeddings_are_found() -> None:
    model, args = keras_network("embedding")
    assert asc.attribute(model, *args).values.shape == (4, 5, 8)
    assert asc.influence(model, *args, at=asc.EMBEDDINGS).values.shape == (4, 5, 8)


def test_an_unknown_layer_is_named_with_the_nearest() -> None:
    with pytest.raises(CutError, match="first") as wrong:
        asc.attribute(small(), native(X), at="firts")
    assert wrong.value.code == "E-CUT-UNKNOWN"


def test_a_layer_that_does_not_run_is_named() -> None:
    model = nested(layers.Dense(3, name="unused"))
    with pytest.raises(CutError) as wrong:
        asc.attribute(model, native(X), at="unused")
    assert wrong.value.code == ("E-CUT-UNKNOWN" if keras.config.backend() == "jax" else "E-CUT-NOT-RUN")


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(ModelError) as wrong:
        asc.attribute(Nested(), native(X))
    assert wrong.value.code == "E-MODEL-LAZY"


def test_keywords_reach_the_model() -> None:
    model, x = nested(), native(X)
    once, twice = (asc.attribute(model, x, scale=scale, of=asc.Unit(0)) for scale in (1.0, 2.0))
    np.testing.assert_allclose(2 * as_numpy(once.values), as_numpy(twice.values), rtol=1e-5, atol=1e-6)


def test_several_outputs_are_chosen_among() -> None:
    x = keras.Input((6,))
    y = layers.Dense(4, activation="tanh", name="body")(x)
    both = {"a": layers.Dense(2, name="a")(y), "b": layers.Dense(3, name="b")(y)}
    model = keras.Model(x, both)
    found = asc.attribute(model, native(X), of=asc.Unit(2, on=asc.OUTPUT.at("b")))
    alone = asc.attribute(keras.Model(x, both["b"]), native(X), of=asc.Unit(2))
    np.testing.assert_allclose(as_numpy(found.values), as_numpy(alone.values), rtol=1e-5, atol=1e-6)
