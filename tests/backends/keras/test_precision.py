"""Policies of data types: values come back in the type that the model has at the cut, float64 to float64's precision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import ascribe as asc
from ascribe.arrays import as_numpy
from tests.support.keras_networks import native

X = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
ROUNDING = {"float16": 2**-10, "bfloat16": 2**-7}
POLICIES = ("mixed_float16", "mixed_bfloat16", "bfloat16")


def network(policy: str) -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        x = keras.Input((6,))
        model = keras.Model(x, layers.Dense(3, name="head", activation="softmax")(layers.Dense(4, activation="tanh", name="first")(x)))
    finally:
        keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def kind(array: Any) -> str:
    return str(keras.backend.standardize_dtype(array.dtype))


@pytest.mark.parametrize("policy", POLICIES)
def test_short_floats_come_back_as_the_model_has_them(policy: str) -> None:
    model, plain, short = network(policy), network("float32"), policy.removeprefix("mixed_")
    at_input, inside = (
        (lambda m, x: asc.IntegratedGradients(steps=4)(m, x, of=1)),
        (lambda m, x: asc.InputXGradient()(m, x, of=asc.Unit(1, on=asc.LOGITS), at="first")),
    )
    for explain, x, expected in (
        (at_input, native(X), "float32"),
        (at_input, ops.cast(native(X), short), short),
        (inside, native(X), short),
    ):
        found, truth = explain(model, x).values, as_numpy(explain(plain, native(X)).values)
        assert kind(found) == expected
        assert np.abs(as_numpy(found) - truth).max() <= 16 * ROUNDING[short] * np.abs(truth).max()
    assert asc.IntegratedGradients(steps=4)(model, X, of=1).values.dtype == np.float32


DOUBLE = """
import json
import numpy as np
import keras
if keras.config.backend() == "jax":
    import jax
    jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
import ascribe as asc
rng = np.random.default_rng(0)
x = rng.normal(size=(3, 6))
net = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, activation="tanh", name="first"), keras.layers.Dense(3, name="head")])
net.set_weights([rng.normal(size=a.shape) for a in net.get_weights()])
given = keras.ops.convert_to_tensor(x)
if keras.config.backend() == "torch":
    leaf = given.clone().requires_grad_()
    net(leaf)[:, 1].sum().backward()
    truth = leaf.grad
elif keras.config.backend() == "jax":
    truth = jax.grad(lambda x: net(x)[:, 1].sum())(given)
else:
    import tensorflow as tf
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(net(given)[:, 1])
    truth = tape.gradient(total, given)
errors = []
for one in (x, given):
    found = asc.influence(net, one, of=1).values
    assert "float64" in str(found.dtype), found.dtype
    errors.append(float(np.abs(keras.ops.convert_to_numpy(found) - keras.ops.convert_to_numpy(truth)).max()))
    inner = asc.InputXGradient()(net, one, of=1, at="head").values
    assert "float64" in str(inner.dtype), inner.dtype
print(json.dumps(errors))
"""


def test_float64_gives_the_frameworks_own_gradients() -> None:
    root = Path(__file__).parents[3]
    variables = {**os.environ, "PYTHONPATH": str(root)}
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", DOUBLE], env=variables, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    # Keras 3.15 computes parts of a float64 model in float32: products of matrices on PyTorch, tanh on JAX
    bar = 1e-9 if keras.config.backend() == "tensorflow" else 1e-6
    assert max(json.loads(found.stdout.splitlines()[-1])) < bar
