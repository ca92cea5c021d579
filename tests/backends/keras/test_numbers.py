"""Explanations of Keras models are PyTorch's numbers on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.tree import walk
from tests.support.keras_networks import keras_network, native
from tests.support.networks import NAMES
from tests.support.torch_networks import torch_network

TOLERANCE = 1e-5
Explain = Callable[[Any, Any], Any]

METHODS: dict[str, Explain] = {
    "Saliency": lambda m, a: asc.Saliency()(m, *a),
    "InputXGradient": lambda m, a: asc.InputXGradient()(m, *a),
    "IntegratedGradients": lambda m, a: asc.IntegratedGradients(steps=4)(m, *a),
    "SmoothGrad": lambda m, a: asc.SmoothGrad(samples=4)(m, *a),
    "of a class": lambda m, a: asc.IntegratedGradients(steps=4)(m, *a, of=asc.Unit(2)),
    "at a layer": lambda m, a: asc.IntegratedGradients(steps=4)(m, *a, at=asc.Cut("head", "in")),
    "at a layer's output": lambda m, a: asc.influence(m, *a, at="head", of=asc.LogProb()),
    "on a layer": lambda m, a: asc.attribute(m, *a, of=asc.Unit(1, on="head")),
    "activation": lambda m, a: asc.activation(m, *a, at=asc.Cut("head", "in")),
}
REMOVAL: dict[str, Explain] = {
    "FeatureAblation": lambda m, a: asc.FeatureAblation()(m, *a),
    "KernelShap": lambda m, a: asc.KernelShap(budget=128)(m, *a),
    "ShapleySampling": lambda m, a: asc.ShapleySampling(budget=128)(m, *a),
    "Lime": lambda m, a: asc.Lime(budget=128)(m, *a),
}
IMAGES: dict[str, Explain] = {
    "Occlusion": lambda m, a: asc.Occlusion((2, 4, 4), (2, 2, 2))(m, *a),
    "Rise": lambda m, a: asc.Rise(budget=32, cells=4)(m, *a),
}

MAPS: dict[str, Explain] = {
    "GradCam": lambda m, a: asc.GradCam("conv2")(m, *a),
    "FullGrad": lambda m, a: asc.FullGrad()(m, *a),
}

COMPILED = keras.config.backend() == "jax"
"""Every kind of call takes seconds to compile there: one network has all methods, the others two."""
FEW = ("IntegratedGradients", "at a layer")
CASES = [(name, method) for name in NAMES for method in METHODS if not COMPILED or name == "mlp" or method in FEW]


def numbers(result: Any) -> np.ndarray:
    """All values of an attribution, in one row."""
    return np.concatenate([as_numpy(leaf).reshape(-1) for _, leaf in walk(result.values) if leaf is not None])


def plain(name: str) -> tuple[Any, tuple[Any, ...]]:
    return torch_network(name)


def check(name: str, explain: Explain, peer: Callable[[str], tuple[Any, tuple[Any, ...]]] = plain, tolerance: float = TOLERANCE) -> None:
    found, truth = (numbers(explain(*network(name))) for network in (keras_network, peer))
    assert found.shape == truth.shape
    assert np.abs(found - truth).max() <= tolerance * np.abs(truth).max()


@pytest.mark.parametrize(("name", "method"), CASES)
def test_gradients(name: str, method: str) -> None:
    check(name, METHODS[method])


@pytest.mark.parametrize("method", REMOVAL)
@pytest.mark.parametrize("name", ["mlp"] if COMPILED else ["mlp", "attention", "two_inputs"])
def test_removal(name: str, method: str) -> None:
    check(name, REMOVAL[method])


@pytest.mark.parametrize("method", IMAGES)
def test_images(method: str) -> None:
    check("cnn", IMAGES[method])


@pytest.mark.parametrize("method", MAPS)
def test_maps(method: str) -> None:
    check("cnn", MAPS[method])


def test_the_parts_of_biases_add_up() -> None:
    x = keras.Input((6,))
    y = keras.layers.ReLU(name="relu")(keras.layers.Dense(4, name="first")(x))
    model = keras.Model(x, keras.layers.Dense(3, name="head")(y))
    model.set_weights([np.random.default_rng(3).normal(size=w.shape) for w in model.get_weights()])
    found = asc.FullGradDecomposition()(model, native(np.ones((2, 6))), of=1)
    assert list(found.values) == ["INPUT", "first", "head"]
    assert found.gap is not None
    assert np.abs(found.gap.relative).max() < 1e-5


def test_biases_of_layers_with_activation_functions_are_parts_too() -> None:
    image, layers = (8, 8, 3), keras.layers
    model = keras.Sequential(
        [
            *(layers.Input(image), layers.Conv2D(4, 3, activation="relu", name="conv"), layers.BatchNormalization(name="norm")),
            *(layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3, activation="softmax", name="head")),
        ]
    )
    random = np.random.default_rng(3)
    model.set_weights(
        [np.abs(random.normal(size=w.shape)) if w.shape == (4,) else random.normal(size=w.shape) for w in model.get_weights()]
    )
    x, of = native(random.normal(size=(2, *image))), asc.Unit(1, on=asc.LOGITS)
    parts, full = asc.FullGradDecomposition()(model, x, of=of), asc.FullGrad()(model, x, of=of)
    assert list(parts.values) == ["INPUT", "conv", "norm", "head"]
    assert tuple(parts.values["conv"].shape) == (2, 6, 6, 4)
    assert parts.gap is not None
    assert np.abs(parts.gap.relative).max() < 1e-5
    assert tuple(full.values.shape) == (2, 8, 8, 1)


def test_a_second_call_sees_other_weights() -> None:
    model, args = keras_network("mlp")
    first = numbers(asc.attribute(model, *args, of=asc.Unit(0), at="first"))
    model.get_layer("head").set_weights([2 * w for w in model.get_layer("head").get_weights()])
    np.testing.assert_allclose(numbers(asc.attribute(model, *args, of=asc.Unit(0), at="first")), 2 * first, rtol=1e-5, atol=1e-7)


def test_arrays_of_numpy_give_arrays_of_numpy() -> None:
    model, args = keras_network("mlp")
    found = asc.attribute(model, as_numpy(args[0]))
    assert isinstance(found.values, np.ndarray)
    np.testing.assert_allclose(found.values, as_numpy(asc.attribute(model, *args).values), rtol=1e-5, atol=1e-7)
