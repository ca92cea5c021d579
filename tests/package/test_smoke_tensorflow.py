"""A few calls on models of TensorFlow and Keras, which `make oldest` runs with the oldest versions of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ascribe as asc
from ascribe.methods import METHODS

tf = pytest.importorskip("tensorflow", reason="there is no TensorFlow for this version of Python")
keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
W1, B1, W2 = (RNG.normal(size=size).astype(np.float32) for size in ((6, 5), (5,), (5, 3)))
X = RNG.normal(size=(4, 6)).astype(np.float32)
HIDDEN = np.maximum(X @ W1 + B1, 0)


class Module(tf.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.w1, self.b1, self.w2 = map(tf.Variable, (W1, B1, W2))

    def __call__(self, x: object) -> object:
        return tf.nn.relu(x @ self.w1 + self.b1) @ self.w2


def network() -> keras.Model:  # type: ignore[name-defined]
    model = keras.Sequential([keras.layers.Dense(5, activation="relu", name="first"), keras.layers.Dense(3, use_bias=False, name="head")])
    model.build((None, 6))
    model.set_weights([W1, B1, W2])
    return model


@pytest.mark.parametrize("name", ["IntegratedGradients", "DeepLift", "InputXGradient", "LRP", "KernelShap", "FeatureAblation"])
def test_a_linear_function_gets_weight_times_input(name: str) -> None:
    a = METHODS[name]()(lambda x: tf.matmul(x, W1), tf.constant(X), of=1)
    assert isinstance(a.values, tf.Tensor)
    np.testing.assert_allclose(a.to_numpy(), W1[:, 1] * X, atol=1e-4)


@pytest.mark.parametrize("name", ["IntegratedGradients", "DeepLift", "KernelShap", "ShapleyExact"])
def test_values_of_a_module_and_of_a_keras_model_add_up(name: str) -> None:
    method = METHODS[name](steps=256) if name == "IntegratedGradients" else METHODS[name]()
    change = (HIDDEN - np.maximum(B1, 0)) @ W2[:, 1]
    for model, x in ((Module(), tf.constant(X)), (network(), X)):
        values = method(model, x, of=1).to_numpy()
        np.testing.assert_allclose(values.sum(1), change, atol=0.05 * float(np.abs(values).sum(1).max()))


def test_a_layer_of_a_keras_model(tmp_path: Path) -> None:
    a = asc.InputXGradient()(network(), X, of=1, at="first")
    np.testing.assert_allclose(a.to_numpy(), HIDDEN * W2[:, 1], atol=1e-4)
    a.save(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(asc.Attribution.load(tmp_path / "a.safetensors").to_numpy(), a.to_numpy())
