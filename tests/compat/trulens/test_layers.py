"""Layers of Keras models by trulens' names: values, interventions and gradients at them."""

from __future__ import annotations

import numpy as np
import pytest

from ascribe.compat.trulens.nn.models import get_model_wrapper
from ascribe.compat.trulens.nn.quantities import ClassQoI, MaxClassQoI
from ascribe.compat.trulens.nn.slices import Cut, InputCut, LogitCut, OutputCut
from ascribe.compat.trulens.utils.typing import ModelInputs
from tests.support.trulens_keras import B2, LEGACY, W2, Dense, L, X, functional, keras, nested, sequential, subclassed, two_inputs

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
NET = Dense(X)


def close(found, expected):
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("make", "hidden"),
    [(functional, 1), (functional, -2), (nested, "inner"), (nested, 1), (sequential, 0), (subclassed, 0), (subclassed, "hidden")],
)
def test_values_at_layers_by_name_and_number(make, hidden):
    wrapper = get_model_wrapper(make())
    close(wrapper.fprop((X,), to_cut=Cut(hidden)), NET.hidden)
    close(wrapper.fprop((X,), to_cut=Cut(hidden, "in")), X)
    close(wrapper.fprop((X,), to_cut=InputCut()), X)


def test_layers_of_nested_models():
    wrapper = get_model_wrapper(nested())
    assert list(wrapper._layers) == ["x", "inner", "inner/a", "inner/hidden", "logits"]
    for name in ("inner/hidden", "inner.hidden"):
        close(wrapper.fprop((X,), to_cut=Cut(name)), NET.hidden)
    for number, name in enumerate(["", "inner.hidden", "logits"]):
        assert number == 0 or wrapper.layer(number) == name
    close(wrapper.fprop((X,), to_cut=Cut("inner/a")), X)
    close(wrapper.qoi_bprop(ClassQoI(1), (X,), attribution_cut=Cut("inner/a")), NET.gradient(1))


def test_the_layer_of_the_input_counts():
    wrapper = get_model_wrapper(functional("logits", "linear"))
    close(wrapper.fprop((X,), to_cut=Cut(0)), X)
    found = wrapper.qoi_bprop(ClassQoI(0), (X,), attribution_cut=Cut([0, "hidden"]))
    assert len(found) == 2
    close(found[0], NET.gradient(0))
    close(found[1], np.broadcast_to(W2[:, 0], (4, 4)))


@pytest.mark.parametrize("name", [3, -4, "nothing", 1.5], ids=str)
def test_layers_that_are_not_there(name):
    wrapper = get_model_wrapper(functional())
    with pytest.raises(ValueError):
        wrapper.fprop((X,), to_cut=Cut(name))


def test_values_are_replaced_at_a_layer():
    wrapper = get_model_wrapper(functional("logits", "linear"))
    put = np.arange(16, dtype=np.float32).reshape(4, 4)
    close(wrapper.fprop((0 * X,), doi_cut=Cut("hidden"), intervention=put), put @ W2 + B2)
    close(wrapper.fprop((0 * X,), doi_cut=Cut("hidden"), to_cut=Cut("hidden"), intervention=put), put)
    close(wrapper.fprop((X,), doi_cut=InputCut(), intervention=2 * X), Dense(2 * X).scores)
    close(wrapper.fprop((X,), doi_cut=InputCut(), intervention=ModelInputs([2 * X])), Dense(2 * X).scores)
    with pytest.raises(ValueError, match="intervention"):
        wrapper.fprop((X,), doi_cut=Cut("hidden"))


def test_several_layers_at_once():
    wrapper = get_model_wrapper(functional("logits", "linear"))
    hidden, scores = wrapper.fprop((X,), to_cut=Cut(["hidden", 2]))
    close(hidden, NET.hidden)
    close(scores, NET.scores)
    scores, hidden = wrapper.fprop((X,), attribution_cut=Cut("hidden"))
    close(hidden, NET.hidden)


def test_gradients():
    wrapper = get_model_wrapper(functional("logits", "linear"))
    best = NET.scores.argmax(1)
    expected = np.where(best[:, None] == 0, NET.gradient(0), NET.gradient(1))
    close(wrapper.qoi_bprop(MaxClassQoI(), (X,)), expected)
    close(wrapper.qoi_bprop(ClassQoI(2), (X,), to_cut=Cut("hidden")), (NET.before[:, 2:3] > 0) * np.array([[0.25, -1.0, 0.5]]))
    close(wrapper.qoi_bprop(ClassQoI(1), (X,), to_cut=InputCut()), np.broadcast_to([0.0, 1.0, 0.0], (4, 3)))
    put = np.ones((4, 4), np.float32)
    found = wrapper.qoi_bprop(MaxClassQoI(), (0 * X,), doi_cut=Cut(1), attribution_cut=Cut(1), intervention=put)
    close(found, np.broadcast_to(W2[:, 1], (4, 4)))


# Scores


def test_scores_by_their_name():
    close(get_model_wrapper(functional("logits", "linear")).fprop((X,), to_cut=LogitCut()), NET.scores)
    close(get_model_wrapper(functional()).fprop((X,), to_cut=LogitCut()), NET.scores)
    close(get_model_wrapper(functional(), logit_layer="hidden").fprop((X,), to_cut=LogitCut()), NET.hidden)
    close(get_model_wrapper(functional(), logit_layer=1).fprop((X,), to_cut=LogitCut("in")), X)
    close(get_model_wrapper(functional("logits", "linear")).fprop((X,), to_cut=LogitCut("in")), NET.hidden)


def test_without_the_softmax():
    model = functional()
    for layer in (-1, "probs", 2):
        wrapper = get_model_wrapper(model, replace_softmax=True, softmax_layer=layer)
        assert wrapper.model is model
        close(wrapper(X), NET.scores)
        close(wrapper.fprop((X,), to_cut=OutputCut()), NET.scores)
        close(wrapper.fprop((X,), to_cut=LogitCut()), NET.scores)
        close(wrapper.qoi_bprop(ClassQoI(1), (X,)), NET.gradient(1))
    close(np.asarray(model.predict(X, verbose=0)), NET.probabilities)
    assert model.layers[-1].activation is keras.activations.softmax
    close(get_model_wrapper(model).qoi_bprop(ClassQoI(1), (X,)), NET.gradient_of_probability(1))


def test_a_softmax_layer_without_an_activation():
    with pytest.raises(ValueError, match="activation"):
        get_model_wrapper(two_inputs(), replace_softmax=True, softmax_layer="joined")
    plain = get_model_wrapper(functional("logits", "linear"), replace_softmax=True)
    close(plain.fprop((X,), to_cut=LogitCut()), NET.scores)


# Outputs and inputs


def test_output_layers_that_are_set():
    model = subclassed()
    wrapper = get_model_wrapper(model)
    close(wrapper(X), NET.scores)
    wrapper.set_output_layers([model.first])
    close(wrapper.fprop((X,)), NET.hidden)
    wrapper.set_output_layers([model.first, model.second])
    assert len(wrapper.fprop((X,))) == 2
    with pytest.raises(Exception, match="list"):
        wrapper.set_output_layers(model.first)
    with pytest.raises(ValueError, match="belong"):
        wrapper.set_output_layers([L.Dense(2)])
        wrapper.fprop((X,))


A, B = X, np.array([[0.5], [1.0], [-1.0], [2.0]], np.float32)


@pytest.mark.parametrize("as_dict", [False, True])
def test_several_inputs(as_dict):
    model = two_inputs(as_dict)
    wrapper = get_model_wrapper(model)
    expected = np.asarray(model.predict({"a": A, "b": B} if as_dict else [A, B], verbose=0))
    close(wrapper.fprop((A, B)), expected)
    close(wrapper.fprop(([A, B],)), expected)
    close(wrapper.fprop(({"b": B, "a": A},)), expected)
    close(wrapper.fprop((), {"b": B, "a": A}), expected)
    close(wrapper.fprop((A,), {"b": B}), expected)
    close(wrapper.fprop((A, B), to_cut=Cut("b")), B)
    first, second = wrapper.fprop((A, B), to_cut=Cut("joined", "in"))
    assert (first.shape, second.shape) == ((4, 3), (4, 1))
    weights = np.asarray(model.get_weights()[2])
    close(wrapper.qoi_bprop(ClassQoI(1), (A, B), attribution_cut=Cut("b")), np.broadcast_to(weights[3:, 1], (4, 1)))


def test_the_names_are_printed(capsys):
    get_model_wrapper(nested()).print_layer_names()
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()][:3] == ["'x'", "'inner'", "'inner/a'"]


def test_weights_that_change_are_seen():
    model = functional("logits", "linear")
    wrapper = get_model_wrapper(model)
    wrapper(X)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    close(wrapper(X), np.zeros((4, 2)))


@pytest.mark.skipif(not LEGACY, reason="Keras 3 compiles such methods itself")
def test_a_model_whose_call_is_compiled():
    import tensorflow as tf

    class Compiled(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = L.Dense(4, activation="relu", name="hidden"), L.Dense(2, name="logits")

        @tf.function
        def call(self, x):
            return self.second(self.first(x))

    model = Compiled()
    model(X)
    model.set_weights(functional().get_weights())
    wrapper = get_model_wrapper(model)
    close(wrapper.fprop((X,), to_cut=Cut(0)), NET.hidden)
    close(wrapper.qoi_bprop(ClassQoI(1), (X,), attribution_cut=Cut(0)), np.broadcast_to(W2[:, 1], (4, 4)))
