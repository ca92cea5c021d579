"""Arrays that run backwards, are empty, have no numbers or lie elsewhere: the right values, or an error of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends.numpy.namespace import xp as numpy_xp
from ascribe.backends.torch.namespace import xp as torch_xp
from ascribe.errors import DistributionError, InputError
from tests.support.odd_models import seeded

NET = seeded(nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))).eval()
X = torch.tensor([[1.0, -2.0, 0.5], [0.2, 1.5, -1.0]])
ROWS = X.numpy()
IG = asc.IntegratedGradients(steps=4)


class Sums(nn.Module):
    """Two scores of records of any shape."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x.flatten(1).sum(1)
        return torch.stack([total, 2 * total], 1)


# Arrays that run backwards


@pytest.mark.parametrize("view", [
    lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a[:1][::-1], lambda a: a[::-1][:1], lambda a: a[:1, ::-1], lambda a: a[::-1, ::-1],
    lambda a: np.broadcast_to(a[:1], (2, 3)), lambda a: np.asfortranarray(a)])  # fmt: skip
def test_views_of_numpy_arrays_are_explained_as_their_copies(view: Callable[[np.ndarray], np.ndarray]) -> None:
    x = view(ROWS)
    for ask in (
        lambda a: IG(NET, a, of=1),
        lambda a: asc.KernelShap(16)(NET, a, of=1),
        lambda a: asc.ExpectedGradients(a, samples=4)(NET, X, of=1),
        lambda a: asc.IntegratedGradients(a[0], 4)(NET, X, of=1),
        lambda a: asc.ShapleyExact(by=asc.Resample(a))(NET, X, of=1),
        lambda a: asc.attribute(NET, X, of=1, over=asc.Points(np.stack([a[:1]] * 2))),
    ):
        np.testing.assert_allclose(ask(x).to_numpy(), ask(np.array(x)).to_numpy(), rtol=1e-4, atol=1e-5)  # memory laid out otherwise


# Nothing to explain


@pytest.mark.parametrize("shape", [(2, 0), (1, 3, 0, 4), (2, 1, 8, 0)])
@pytest.mark.parametrize("by", ["gradients", "paths", "noise", "references", "rules"])
def test_records_without_a_number_have_values_without_one(shape: tuple[int, ...], by: str) -> None:
    methods: dict[str, list[Any]] = {
        "gradients": [asc.Saliency(), asc.InputXGradient(), asc.FullGradDecomposition()],
        "paths": [IG, asc.Conductance(steps=2), asc.InternalInfluence(steps=2)],
        "noise": [asc.SmoothGrad(2), asc.VarGrad(2), asc.ExpectedGradients(torch.zeros(2, *shape[1:]), 4)],
        "references": [asc.DeepLift(), asc.DeepLiftShap(torch.zeros(2, *shape[1:]))],
        "rules": [asc.LRP(), asc.AttnLRP()],
    }
    for method in methods[by]:
        found = method(Sums(), torch.ones(shape), of=1)
        values = found.values["INPUT"] if isinstance(found.values, dict) else found.values
        assert tuple(values.shape) == shape


def test_the_largest_of_nothing() -> None:
    for xp, empty in ((torch_xp, torch.ones(2, 0, 3)), (numpy_xp, np.ones((2, 0, 3)))):
        assert xp.amax(empty, (1, 2)).tolist() == [0, 0]
        assert xp.amax(empty, (2,)).shape == (2, 0)


def test_a_background_of_nothing_is_refused() -> None:
    with pytest.raises(DistributionError, match="needs rows of data"):
        asc.ExpectedGradients(None)(NET, X)
    with pytest.raises(DistributionError, match="needs rows of data"):
        asc.Background(None)


# Tensors of other kinds and places


@pytest.mark.parametrize("ask", [
    IG, asc.LRP(), asc.KernelShap(16), asc.GradCam(), asc.FullGrad(), asc.cuts_of, lambda m, x: asc.activation(m, x, at="0")],
    ids=["IG", "LRP", "KernelShap", "GradCam", "FullGrad", "cuts_of", "activation"])  # fmt: skip
@pytest.mark.parametrize("make", [
    lambda: torch.nested.nested_tensor([X, X[:1]]), lambda: torch.nested.nested_tensor([X, X[:1]], layout=torch.jagged),
    lambda: torch.quantize_per_tensor(X, 0.1, 0, torch.quint8), lambda: X.to_sparse(), lambda: X.to("meta")],
    ids=["nested", "jagged", "quantised", "sparse", "meta"])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_cannot_be_explained_are_refused(ask: Any, make: Callable[[], torch.Tensor]) -> None:
    with pytest.raises(asc.AscribeError):
        ask(NET, make())


def test_ids_without_numbers_are_refused() -> None:
    """An embedding on the CPU reads what happens to be in memory for them."""
    words = seeded(nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(6, 2))).eval()
    with pytest.raises(InputError, match="inputs on meta") as told:
        IG(words, torch.ones(1, 2, dtype=torch.long, device="meta"))
    assert told.value.code == "E-DEVICE"


@pytest.mark.parametrize("name", [
    "IntegratedGradients", "SmoothGrad", "DeepLift", "LRP", "KernelShap", "FeatureAblation", "Conductance", "FullGradDecomposition", "Lime",
    "FeaturePermutation", "ShapleyExact", "GradCam", "Rise", "AblationCam", "Occlusion"])  # fmt: skip
def test_the_default_device_does_not_matter(name: str) -> None:
    model = seeded(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))).eval()
    x = torch.linspace(-1, 1, 72).reshape(2, 1, 6, 6)
    make: dict[str, Any] = {
        "Rise": lambda: asc.Rise(16),
        "Occlusion": lambda: asc.Occlusion(2),
        "ShapleyExact": lambda: asc.ShapleyExact(features=asc.Grid(2)),
        "KernelShap": lambda: asc.KernelShap(160),
    }
    method = make.get(name, getattr(asc, name))()
    usual = method(model, x, of=1)
    with torch.device("meta"):
        other = method(model, x, of=1)
    for (_, a), (_, b) in zip(usual.arrays(), other.arrays(), strict=True):
        assert torch.equal(a, b)
