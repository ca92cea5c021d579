"""Maps of layers with as many channels as rows: only the layer says which axis is which."""

from __future__ import annotations

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc

X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


class Flax(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = linen.relu(linen.Conv(8, (3, 3), name="conv1")(x))
        x = linen.relu(linen.Conv(8, (3, 3), name="conv2")(x))
        return linen.Dense(3, name="head")(x.mean((1, 2)))


class Torch(nn.Module):
    def __init__(self, variables: object) -> None:
        super().__init__()
        p = jax.tree.map(np.asarray, variables)["params"]  # type: ignore[index]
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)
        for name in ("conv1", "conv2"):
            getattr(self, name).weight.data = torch.tensor(p[name]["kernel"].transpose(3, 2, 0, 1).copy())
            getattr(self, name).bias.data = torch.tensor(p[name]["bias"] + 0.1)
        self.head.weight.data, self.head.bias.data = torch.tensor(p["head"]["kernel"].T.copy()), torch.tensor(p["head"]["bias"].copy())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.conv2(torch.relu(self.conv1(x)))).mean((2, 3)))


@pytest.fixture(scope="module")
def models() -> tuple[object, nn.Module]:
    free = Flax()
    variables = free.init(jax.random.key(0), X)
    for name in ("conv1", "conv2"):
        variables["params"][name]["bias"] = jnp.full(8, 0.1)
    peer = Torch(variables)
    for name in ("conv1", "conv2"):
        getattr(peer, name).bias.data = torch.full((8,), 0.1)
    return free.bind(variables), peer


@pytest.mark.parametrize("method", [asc.GradCam("conv2"), asc.GradCam(), asc.FullGrad(), asc.GuidedGradCam()], ids=repr)
def test_flax_and_pytorch_have_the_same_map(method: asc.methods.Method, models: tuple[object, nn.Module]) -> None:
    model, peer = models
    found = np.asarray(method(model, jnp.asarray(X), of=1).values)
    expected = method(peer, torch.tensor(X.transpose(0, 3, 1, 2).copy()), of=1).values.numpy()
    if found.shape != expected.shape:
        found = found.transpose(0, 3, 1, 2)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
