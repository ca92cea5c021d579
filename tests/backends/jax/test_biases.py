"""The parts of FullGrad on models of Flax and Equinox: PyTorch's, layer by layer."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("equinox")

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import linen, nnx

import ascribe as asc
from ascribe.arrays import as_numpy
from ascribe.errors import MethodError
from tests.support.jax_networks import jax_network
from tests.support.torch_networks import torch_network

CHANNELS_FIRST = (0, 2, 3, 1)


@pytest.mark.parametrize("family", ["linen", "nnx"])
def test_parts_are_those_of_pytorch(family: str) -> None:
    (theirs, given), (model, args) = torch_network("cnn"), jax_network(family, "cnn")
    truth, found = (asc.FullGradDecomposition()(m, *a, of=1) for m, a in ((theirs, given), (model, args)))
    assert list(found.values) == list(truth.values) == ["INPUT", "conv1", "norm", "conv2", "head"]
    for name, part in truth.values.items():
        wanted = part.numpy().transpose(CHANNELS_FIRST) if part.ndim == 4 else part.numpy()
        np.testing.assert_allclose(found.values[name], wanted, rtol=1e-5, atol=1e-6)
    assert found.gap is not None
    assert np.abs(found.gap.relative).max() < 1e-5


def test_equinox_has_its_channels_first() -> None:
    keys = jax.random.split(jax.random.key(0), 2)
    layers = [eqx.nn.Conv2d(3, 4, 3, key=keys[0]), eqx.nn.Lambda(jax.nn.relu), eqx.nn.MaxPool2d(2, 2), eqx.nn.Lambda(jnp.ravel)]
    model = jax.vmap(eqx.nn.Sequential([*layers, eqx.nn.Linear(36, 2, key=keys[1])]))
    images = jax.random.normal(jax.random.key(1), (2, 3, 8, 8))
    found = asc.FullGradDecomposition()(model, images, of=1)
    assert list(found.values) == ["INPUT", "layers.0", "layers.4"]
    assert found.values["layers.0"].shape == (2, 4, 6, 6)
    assert found.gap is not None
    assert np.abs(found.gap.relative).max() < 1e-5
    assert asc.FullGrad()(model, images, of=1).values.shape == (2, 1, 8, 8)


def test_layers_that_are_not_linear_are_named() -> None:
    model, args = jax_network("nnx", "residual")
    with pytest.warns(match="norm"):
        found = asc.FullGradDecomposition()(model, *args, of=1)
    assert any("norm (LayerNorm)" in check.detail for check in found.checks)


def test_partial_applications_have_the_same_parts() -> None:
    module = linen.Dense(3)
    x = jnp.ones((2, 4))

    class Two(linen.Module):
        @linen.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return linen.Dense(3, name="head")(linen.relu(module.copy(name="first")(x)))

    net = Two()
    variables = net.init(jax.random.key(0), x)
    variables = jax.tree.map(lambda a: a + 0.1, variables)
    bound = asc.FullGradDecomposition()(net.bind(variables), x, of=1)
    applied = asc.FullGradDecomposition()(partial(net.apply, variables), x, of=1)
    assert list(bound.values) == list(applied.values) == ["INPUT", "first", "head"]
    for name, part in bound.values.items():
        np.testing.assert_allclose(as_numpy(applied.values[name]), as_numpy(part), rtol=1e-6)


def test_functions_have_no_layers_to_read() -> None:
    model, args = jax_network("function", "mlp")
    with pytest.raises(MethodError, match="needs the biases of layers"):
        asc.FullGradDecomposition()(model, *args, of=1)


class Dense(nnx.Module):
    """A layer of a user's own with the name of one of Flax, and an activation function inside."""

    def __init__(self) -> None:
        self.kernel, self.bias = nnx.Param(jnp.ones((4, 3))), nnx.Param(jnp.ones(3))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(x @ self.kernel[...] + self.bias[...])


class Own(nnx.Module):
    def __init__(self) -> None:
        self.first, self.norm, self.head = Dense(), nnx.BatchNorm(3, rngs=nnx.Rngs(0)), nnx.Linear(3, 2, rngs=nnx.Rngs(1))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.norm(self.first(x)))


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
def test_only_layers_of_the_libraries_are_taken_to_be_linear() -> None:
    model, x = Own(), jnp.asarray([[1.0, 2.0, 0.0, 1.0], [0.5, -1.0, 2.0, 0.0]])
    model.eval()
    assert list(asc.FullGradDecomposition()(model, x, of=1).values) == ["INPUT", "norm", "head"]
    model.train()  # by the statistics of the batch: not linear in a record
    found = asc.FullGradDecomposition()(model, x, of=1)
    assert list(found.values) == ["INPUT", "head"]
    assert any("norm (BatchNorm)" in check.detail for check in found.checks)
