"""Keras on JAX: programs are compiled once for a model; other labels and other weights compile nothing, changed flags are seen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import ascribe as asc

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)

if keras.config.backend() != "jax":
    pytest.skip("only JAX compiles programs of Keras models", allow_module_level=True)
counts = import_module("ascribe.backends.jax.traces").counts


def model_of(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, "tanh", name="first"), layers.Dropout(0.5), layers.Dense(3, name="head")])


def values(model: Any, of: int = 1) -> np.ndarray:
    return np.asarray(asc.IntegratedGradients(steps=4)(model, X, of=of, chunk=16).values)


def test_other_labels_and_weights_compile_nothing() -> None:
    model = model_of(0)
    before = counts.programs
    first = values(model)
    assert 0 < counts.programs - before <= 6
    before = counts.programs
    np.testing.assert_array_equal(values(model), first)
    assert not np.allclose(values(model, of=2), first)
    model.get_layer("head").kernel.assign(2 * model.get_layer("head").kernel)
    np.testing.assert_allclose(values(model), 2 * first, rtol=1e-5)
    assert counts.programs == before


def test_a_changed_layer_is_seen() -> None:
    model = model_of(1)
    first = values(model)
    model.get_layer("first").activation = keras.activations.linear
    assert not np.allclose(values(model), first)
