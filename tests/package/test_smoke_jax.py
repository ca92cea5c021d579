"""A few calls on JAX functions, which `make oldest` runs with the oldest version of JAX."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

import ascribe as asc
from ascribe.methods import METHODS

RNG = np.random.default_rng(0)
WEIGHTS = {name: RNG.normal(size=size).astype(np.float32) for name, size in (("w1", (6, 5)), ("b1", (5,)), ("w2", (5, 3)))}
X = RNG.normal(size=(4, 6)).astype(np.float32)


def linear(w: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return x @ w["w1"]


def mlp(w: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return jax.nn.relu(checkpoint_name(x @ w["w1"] + w["b1"], "first")) @ w["w2"]


@pytest.mark.parametrize("name", ["IntegratedGradients", "DeepLift", "InputXGradient", "LRP", "KernelShap", "FeatureAblation"])
def test_a_linear_function_gets_weight_times_input(name: str) -> None:
    a = METHODS[name]()(partial(linear, WEIGHTS), jnp.asarray(X), of=1)
    assert isinstance(a.values, jax.Array)
    np.testing.assert_allclose(a.values, WEIGHTS["w1"][:, 1] * X, atol=1e-4)


def test_integrated_gradients_add_up_and_are_saved(tmp_path: Path) -> None:
    model = partial(mlp, WEIGHTS)
    a = asc.IntegratedGradients(steps=256)(model, jnp.asarray(X), of=1)
    np.testing.assert_allclose(
        a.values.sum(1), (model(X) - model(np.zeros_like(X)))[:, 1], atol=0.05 * float(np.abs(a.values).sum(1).max())
    )
    a.save(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(asc.Attribution.load(tmp_path / "a.safetensors").values, a.values)


def test_a_hidden_layer() -> None:
    hidden = X @ WEIGHTS["w1"] + WEIGHTS["b1"]
    a = asc.InputXGradient()(partial(mlp, WEIGHTS), jnp.asarray(X), of=1, at="first")
    np.testing.assert_allclose(a.values, np.maximum(hidden, 0) * WEIGHTS["w2"][:, 1], atol=1e-4)
