"""Methods on the seven networks in JAX give PyTorch's numbers, to 1e-5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

import ascribe as asc
from ascribe.arrays import as_numpy
from tests.support.jax_networks import jax_network
from tests.support.networks import NAMES
from tests.support.torch_networks import torch_network

RTOL = 1e-5
LAYERS = {
    "mlp": "first", "cnn": "conv1", "residual": "stem", "attention": "norm", "two_inputs": "left", "embedding": "table",
}  # fmt: skip
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Saliency": (asc.Saliency(), {}),
    "InputXGradient": (asc.InputXGradient(), {}),
    "IntegratedGradients": (asc.IntegratedGradients(steps=7), {}),
    "SmoothGrad": (asc.SmoothGrad(samples=3), {}),
    "VarGrad": (asc.VarGrad(samples=3), {}),
    "SquareGrad": (asc.SquareGrad(samples=3), {}),
    "log-probability": (asc.Saliency(), {"of": asc.LogProb(1)}),
    "contrast": (asc.InputXGradient(), {"of": asc.Contrast(0, 2)}),
    "labels": (asc.Saliency(), {"of": [0, 2, 1, 1]}),
    "own function": (asc.IntegratedGradients(steps=4), {"of": lambda y: (y**2).sum(1)}),
    "several": (asc.IntegratedGradients(steps=4), {"of": [asc.Unit(0), asc.Unit(2)]}),
}
AT_LAYERS: dict[str, Any] = {
    "Conductance": asc.Conductance(steps=5),
    "InternalInfluence": asc.InternalInfluence(steps=5),
    "IntegratedGradients": asc.IntegratedGradients(steps=5),
    "InputXGradient": asc.InputXGradient(),
}
REMOVALS: dict[str, Any] = {
    "FeatureAblation": asc.FeatureAblation(),
    "KernelShap": asc.KernelShap(64),
    "ShapleySampling": asc.ShapleySampling(36),
    "Lime": asc.Lime(64),
    "FeaturePermutation": asc.FeaturePermutation(),
}


def arrays_of(values: Any) -> list[np.ndarray]:
    if isinstance(values, dict):
        return [a for value in values.values() for a in arrays_of(value)]
    return [a for value in values for a in arrays_of(value)] if isinstance(values, (tuple, list)) else [as_numpy(values)]


def channels_first(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, -1, -3) if array.ndim >= 4 else array


def compare(found: Any, truth: Any, image: bool) -> None:
    """The same numbers, relative to the largest."""
    found, truth = arrays_of(found), arrays_of(truth)
    assert len(found) == len(truth)
    for mine, theirs in zip(found, truth, strict=True):
        mine = channels_first(mine) if image else mine
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=RTOL * np.abs(theirs).max() + 1e-30)


def both(family: str, name: str, method: Any, **kwargs: Any) -> None:
    net, args = torch_network(name)
    truth = method(net, *args, **kwargs)
    model, arguments = jax_network(family, name)
    found = method(model, *arguments, **kwargs)
    compare(found.values, truth.values, name == "cnn" and family in ("linen", "nnx"))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["mlp"])
def test_gradients(name: str, call: str) -> None:
    method, kwargs = CALLS[call]
    both("function", name, method, **{"of": 1, **kwargs})


@pytest.mark.parametrize("call", ["IntegratedGradients", "several"])
@pytest.mark.parametrize("name", ["cnn", "residual", "attention", "gru", "two_inputs"])
def test_gradients_of_other_networks(name: str, call: str) -> None:
    method, kwargs = CALLS[call]
    both("function", name, method, **{"of": 1, **kwargs})


@pytest.mark.parametrize("name", NAMES)
def test_flax_linen(name: str) -> None:
    at = {"at": "table"} if name == "embedding" else {}
    both("linen", name, asc.IntegratedGradients(steps=4), of=1, **at)


@pytest.mark.parametrize("call", AT_LAYERS)
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_layers(name: str, call: str) -> None:
    both("linen", name, AT_LAYERS[call], of=1, at=LAYERS[name])


@pytest.mark.parametrize("call", REMOVALS)
@pytest.mark.parametrize("name", ["mlp", "two_inputs"])
def test_removal(name: str, call: str) -> None:
    both("function", name, REMOVALS[call], of=1)


def test_a_tolerance_is_met() -> None:
    both("function", "mlp", asc.IntegratedGradients(tolerance=0.05), of=1)


def test_activations() -> None:
    both("linen", "mlp", asc.LayerActivation(), at="second")


A_FIFTH: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "gradient": ("attention", asc.Saliency(), {}),
    "paths": ("gru", asc.IntegratedGradients(steps=4), {}),
    "at a layer": ("residual", asc.InternalInfluence(steps=4), {"at": "up"}),
    "class activation map": ("cnn", asc.GradCam(), {"at": "conv2"}),
    "Shapley values": ("two_inputs", asc.ShapleySampling(36), {}),
    "rule": ("mlp", asc.DeepLift(0.1), {}),
    "ids": ("embedding", asc.InputXGradient(), {"at": "table"}),
}
"""A fifth of the methods: a network, the method and arguments of its call."""


@pytest.mark.parametrize("call", A_FIFTH)
@pytest.mark.parametrize("family", ["nnx", "equinox"])
def test_modules_of_flax_nnx_and_equinox(family: str, call: str) -> None:
    name, method, kwargs = A_FIFTH[call]
    both(family, name, method, of=1, **kwargs)
