"""What a result holds is its own: written to later, the user's arrays, weights and buffers change nothing in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.methods.cam.methods import Cam
from ascribe.result.attribution import Attribution
from ascribe.tree import walk

X = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
METHODS = [
    *(kind() for kind in Cam.__subclasses__() if kind.__module__ == "ascribe.methods.cam.methods"),
    asc.AblationCam(),
    asc.ScoreCam(),
    asc.FullGrad(),
    asc.FullGradDecomposition(),
    asc.GuidedGradCam(),
    asc.Saliency(),
    asc.IntegratedGradients(X * 0, steps=2),
    asc.DeepLift(X * 0),
    asc.ExpectedGradients(X + 1),
    asc.LRP(),
    asc.FeatureAblation(features=np.arange(256).reshape(16, 16) // 32),
    asc.Rise(40, by=X + 1),
]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 3)).eval()


def held(a: Attribution) -> Iterator[tuple[str, Any]]:
    """The arrays in a result, by the names of the fields that they lie in."""
    for field in dataclasses.fields(a):
        for _, leaf in walk(getattr(a, field.name)):
            if isinstance(leaf, (np.ndarray, torch.Tensor)):
                yield field.name, leaf


def address(array: Any) -> int:
    """Where an array's memory begins."""
    if isinstance(array, torch.Tensor):
        return array.untyped_storage().data_ptr()
    while isinstance(array.base, np.ndarray):
        array = array.base
    return int(array.__array_interface__["data"][0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["torch", "grad", "numpy"])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_result_shares_no_memory_with_what_it_is_of(method: Any, kind: str) -> None:
    model, labels = network(), torch.tensor([2, 0])
    x: Any = X.clone()
    x = x.numpy() if kind == "numpy" else x.requires_grad_(kind == "grad")
    a = method(model, x, of=labels)
    before = [(name, leaf.clone() if isinstance(leaf, torch.Tensor) else leaf.copy()) for name, leaf in held(a)]
    own = {address(array) for array in (x, labels, *model.parameters(), *walked(method))}
    assert not [name for name, leaf in held(a) if address(leaf) in own]
    assert not [name for name, leaf in held(a) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
    with torch.no_grad():
        for array in (x, labels, *model.parameters()):
            array[...] = 7
    for (name, old), (_, new) in zip(before, held(a), strict=True):
        np.testing.assert_array_equal(np.asarray(new), np.asarray(old), err_msg=name)


def walked(method: Any) -> list[Any]:
    """The arrays that a method was made with."""
    return [leaf for _, leaf in walk(method) if isinstance(leaf, (np.ndarray, torch.Tensor))]


def test_a_black_boxs_result_is_its_own_too() -> None:
    x, buffer = np.random.default_rng(0).normal(size=(2, 3)), np.zeros((2, 2))
    labels = np.array([1, 0])

    def model(rows: np.ndarray) -> np.ndarray:
        buffer[: len(rows), 0], buffer[: len(rows), 1] = rows.sum(1), rows.prod(1)
        return buffer[: len(rows)]

    a = asc.attribute(model, x, of=labels, over=asc.coalitions.LeaveOneOut(), by=0.0, chunk=2)
    own = {address(array) for array in (x, buffer, labels)}
    assert not [name for name, leaf in held(a) if address(leaf) in own]
