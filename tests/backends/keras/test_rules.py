"""Backward rules on Keras models are PyTorch's numbers on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import ascribe as asc
from tests.backends.keras.test_numbers import check, keras_network
from tests.support.networks import NAMES
from tests.support.rules import peer

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "DeepLift": lambda m, a: asc.DeepLift()(m, *a),
    "AttnLRP": lambda m, a: asc.AttnLRP()(m, *a),
    "LibraGrad": lambda m, a: asc.LibraGrad()(m, *a),
    "GIM": lambda m, a: asc.GIM()(m, *a),
}
LAYER_RULES = {
    "Epsilon": asc.rules.Epsilon(),
    "ZPlus": asc.rules.ZPlus(),
    "Gamma": asc.rules.Gamma(),
    "epsilon plus": asc.rules.EPSILON_PLUS,
}


def in_torch(name: str) -> tuple[Any, tuple[Any, ...]]:
    """The network in PyTorch, with the GRU by Keras' formula."""
    return peer(name, "keras")


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("name", NAMES)
def test_rules(name: str, method: str) -> None:
    check(name, RULES[method], in_torch)


@pytest.mark.parametrize("rule", LAYER_RULES)
@pytest.mark.parametrize("name", ["cnn", "gru"])
def test_rules_of_layers(name: str, rule: str) -> None:
    check(name, lambda m, a: asc.attribute(m, *a, of=asc.Unit(1), by=LAYER_RULES[rule]), in_torch)


@pytest.mark.parametrize("name", ["cnn", "attention", "gru"])
def test_relative_propagation_finds_the_records(name: str) -> None:
    """Keras moves the axes of steps and heads before the records, in attention and in recurrent layers.

    The rule divides by sums that nearly cancel, which amplifies single precision's rounding to 1.4e-5 of the largest value in attention; in
    double precision on TensorFlow the difference is 3e-14.
    """
    family = "keras" if keras.config.backend() == "tensorflow" else "keras at once"
    check(name, lambda m, a: asc.RAP()(m, *a, of=1), lambda name: peer(name, family), tolerance=1e-4)


@pytest.mark.parametrize("name", ["mlp", "residual", "attention"])
def test_rules_between_layers(name: str) -> None:
    check(name, lambda m, a: asc.attribute(m, *a, by=asc.rules.Rescale(), over=asc.Reference(0.5), at=asc.Cut("head", "in")))


def test_operations_are_listed_with_the_layer_that_they_run_in() -> None:
    model, args = keras_network("residual")
    rows = asc.explain_rules(model, *args, by=asc.rules.Epsilon())
    assert "norm" in repr(rows)


def small(shape: tuple[int, ...], *layers: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(3)])


def attending() -> Any:
    x = keras.Input((5, 6))
    y = keras.layers.LayerNormalization()(x + keras.layers.MultiHeadAttention(2, 3)(x, x))
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling1D()(y)))


L = keras.layers
FAMILIES: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "LSTM": ((5, 6), lambda: small((5, 6), L.Bidirectional(L.LSTM(4)))),
    "GRU": ((5, 6), lambda: small((5, 6), L.GRU(4, return_sequences=True), L.GlobalAveragePooling1D())),
    "attention": ((5, 6), attending),
    "images": (
        (9, 9, 4),
        lambda: small(
            (9, 9, 4), L.Conv2D(6, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(3, 2, "same"),
            L.SeparableConv2D(5, 3, strides=2), L.Activation("silu"), L.Conv2DTranspose(4, 3, strides=2), L.DepthwiseConv2D(3), L.Flatten(),
        ),
    ),
    "series": (
        (5, 6),
        lambda: small(
            (5, 6), L.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="gelu"), L.PReLU(), L.RMSNormalization(),
            L.TimeDistributed(L.Dense(3, activation="selu")), L.Flatten(),
        ),
    ),
}  # fmt: skip


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="the layers of other back ends are those of PyTorch and JAX")
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_have_exact_rules(family: str) -> None:
    shape, make = FAMILIES[family]
    x, model = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32), make()
    for rule in (asc.rules.Rescale(), asc.rules.AttnLRP()):
        over = {"over": asc.Reference(0.3)} if rule.compares else {}
        found = asc.attribute(model, x, of=1, by=rule, **over)
        assert any("exact rule for every operation" in str(check) for check in found.checks)
        assert not rule.compares or float(np.max(found.gap.relative)) < 1e-5


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="SavedModels are models of TensorFlow")
def test_an_exported_model_has_the_numbers_of_the_model(tmp_path: Any) -> None:
    import tensorflow as tf

    shape, make = FAMILIES["GRU"]
    x, model = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32), make()
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for rule in (asc.rules.Rescale(), asc.rules.AttnLRP()):
        over = {"over": asc.Reference(0.3)} if rule.compares else {}
        truth, found = (asc.attribute(m, tf.constant(x), of=1, by=rule, **over).values for m in (model, loaded.serve))
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-6 * np.abs(truth).max())
