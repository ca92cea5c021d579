"""Whose model it is, and whose functions are in use: by the model, by ``backend=`` and by TRULENS_BACKEND."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from ascribe.compat.trulens.nn.attribution import InputAttribution
from ascribe.compat.trulens.nn.backend import CHOICE, Backend, get_backend
from ascribe.compat.trulens.nn.models import discern_backend, get_model_wrapper
from ascribe.compat.trulens.nn.models.keras import KerasModelWrapper
from ascribe.compat.trulens.nn.models.others import TensorflowModelWrapper
from ascribe.compat.trulens.nn.models.tensorflow import Tensorflow2ModelWrapper, TensorflowModuleWrapper
from ascribe.errors import BackendError
from tests.support.trulens_keras import BACKEND, ENGINE, LEGACY, X, functional, sequential, subclassed

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
OWN, KIND = Backend[BACKEND], Tensorflow2ModelWrapper if LEGACY else KerasModelWrapper
NET = functional()


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("TRULENS_BACKEND", raising=False)
    CHOICE.last = CHOICE.variable = None


@pytest.mark.parametrize("make", [functional, sequential, subclassed])
def test_models(make):
    model = make()
    assert discern_backend(model) is OWN
    wrapper = get_model_wrapper(model)
    assert type(wrapper) is KIND
    assert wrapper.backend is OWN
    assert get_backend().backend is OWN
    assert "TRULENS_BACKEND" not in os.environ


@pytest.mark.parametrize("name", ["keras" if LEGACY else "tf.keras", *(["pytorch"] if ENGINE != "torch" else [])])
def test_models_of_another_package(name):
    before = get_backend().backend
    with pytest.raises((ValueError, BackendError), match="must be"):
        get_model_wrapper(NET, backend=name)
    assert get_backend().backend is before


def test_frameworks_that_are_named():
    assert type(get_model_wrapper(NET, backend="unknown")) is KIND
    if LEGACY:
        assert type(get_model_wrapper(NET, backend="tf.keras")) is KerasModelWrapper
        assert get_backend().backend is Backend.TF_KERAS
    elif ENGINE == "tensorflow":
        assert type(get_model_wrapper(NET, backend="tensorflow")) is Tensorflow2ModelWrapper
    else:
        with pytest.raises(ValueError, match="must be"):
            get_model_wrapper(NET, backend="tensorflow")


def test_the_wrapper_itself_follows_the_variable(monkeypatch):
    assert KerasModelWrapper(NET).backend is (Backend.TF_KERAS if LEGACY else Backend.KERAS)
    monkeypatch.setenv("TRULENS_BACKEND", "tf.keras" if LEGACY else "keras")
    close = KerasModelWrapper(NET)
    assert close(X).shape == (4, 2)
    monkeypatch.setenv("TRULENS_BACKEND", "keras" if LEGACY else "tf.keras")
    with pytest.raises(ValueError, match="must be"):
        KerasModelWrapper(NET)


def test_the_variable_until_a_model_is_wrapped(monkeypatch):
    for name in ("pytorch", "keras", "tensorflow", "tf.keras"):
        monkeypatch.setenv("TRULENS_BACKEND", name)
        if name != "tensorflow" or LEGACY or ENGINE == "tensorflow":
            assert get_backend().backend is Backend.from_name(name)
        get_model_wrapper(NET)
        assert get_backend().backend is OWN


def test_functions_while_a_model_is_explained():
    torch = pytest.importorskip("torch")
    seen = []

    def quantity(y):
        seen.append(get_backend().backend)
        return y[:, 1]

    ours, theirs = get_model_wrapper(NET), get_model_wrapper(torch.nn.Linear(3, 2))
    assert get_backend().backend is Backend.PYTORCH
    InputAttribution(ours, qoi=quantity).attributions(X)
    assert set(seen) == {OWN}
    seen.clear()
    other = threading.Thread(target=lambda: InputAttribution(theirs, qoi=quantity).attributions(torch.tensor(X)))
    other.start()
    other.join()
    assert set(seen) == {Backend.PYTORCH}


@pytest.mark.skipif(ENGINE != "tensorflow", reason="TensorFlow's own models")
def test_models_of_tensorflow_itself():
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(np.ones((3, 2), np.float32))

        def __call__(self, x):
            return tf.tanh(x @ self.w)

    module = Module()
    for model in (module, tf.function(module.__call__)):
        wrapper = get_model_wrapper(model)
        assert type(wrapper) is TensorflowModuleWrapper
        assert get_backend().backend is Backend.TENSORFLOW
        found = InputAttribution(wrapper, qoi=1, multiply_activation=False).attributions(X)
        np.testing.assert_allclose(found, np.repeat(1 - np.tanh(X.sum(1, keepdims=True)) ** 2, 3, 1), rtol=1e-4)
        assert tf.is_tensor(InputAttribution(wrapper, qoi=1).attributions(tf.constant(X)))
    assert type(get_model_wrapper(lambda x: tf.tanh(x), backend="tensorflow")) is TensorflowModuleWrapper
    with pytest.raises(BackendError, match="TensorFlow 1"):
        get_model_wrapper(tf.Graph())
    with pytest.raises(BackendError, match="TensorFlow 1"):
        TensorflowModelWrapper(None, input_tensors=[], output_tensors=[])
