"""Models that answer the same input differently: said by removal and by gradients, and by nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends.torch.session import TorchSession
from tests.support.small_models import chain, rows

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")


class Noisy(nn.Module):
    """Random in evaluation mode: from PyTorch's generator, one of its own, or NumPy's."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.linear, self.source = nn.Linear(4, 3).double(), source
        self.own, self.numbers = torch.Generator().manual_seed(3), np.random.default_rng(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.source == "process":
            x = x + torch.randn_like(x)
        elif self.source == "own":
            x = x + torch.randn(x.shape, generator=self.own, dtype=x.dtype)
        elif self.source == "numpy":
            x = x + torch.as_tensor(self.numbers.standard_normal(tuple(x.shape)))
        else:
            torch.rand(3)  # drawn, and not used
        return self.linear(x)


METHODS: dict[str, Any] = {
    "KernelShap": asc.KernelShap(64),
    "ShapleyExact": asc.ShapleyExact(),
    "FeatureAblation": asc.FeatureAblation(),
    "a gradient": asc.Saliency(),
    "a path": asc.IntegratedGradients(),
    "DeepLift": asc.DeepLift(),
}


def status(found: Any) -> list[str]:
    return [check.status for check in found.checks if check.name == "repeat"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", ["process", "own", "numpy"])
@pytest.mark.parametrize("records", [1, 3])
def test_a_model_that_is_random_in_evaluation_mode_is_said_to_be(method, source, records):
    found = METHODS[method](Noisy(source).eval(), rows(records, 4), of=1)
    (said,) = (check for check in found.checks if check.name == "repeat")
    assert said.status in ("warn", "fail")
    assert "different answers to the same input" in said.detail
    assert not any("depends on the others" in check.detail for check in found.checks)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_is_not_random_is_run_no_more_often(method, monkeypatch):
    net, x, runs = chain(4, 3).eval(), rows(3, 4), []
    METHODS[method](net, x, of=1)
    net.register_forward_hook(lambda *_: runs.append(1))
    counts = []
    for patched in (False, False, True):
        if patched:
            monkeypatch.setattr(TorchSession, "may_vary", lambda _: False)
        runs.clear()
        assert status(METHODS[method](net, x, of=1)) == []
        counts.append(len(runs))
    assert counts[1] == counts[2]
    assert not status(METHODS[method](Noisy("none").eval(), x, of=1))


def test_a_black_box_is_run_once_more_for_one_record():
    generator, calls = np.random.default_rng(0), []

    def noisy(x: np.ndarray) -> np.ndarray:
        calls.append(len(x))
        return x.sum(1) + generator.normal(size=len(x))

    assert status(asc.ShapleyExact(by=0.0)(noisy, rows(2, 3).numpy())) == ["fail"]
    calls.clear()
    assert status(asc.ShapleyExact(by=0.0)(lambda x: (calls.append(len(x)), x.sum(1))[1], rows(2, 3).numpy())) == []
    assert calls.count(1) == 1


def test_rows_that_a_black_box_mixes_are_said_to_be_mixed():
    x = rows(3, 4).numpy()
    found = asc.ShapleyExact(by=0.0)(lambda x: x.sum(1) - x.mean(), x)
    (said,) = (check for check in found.checks if check.name == "repeat")
    assert "depends on the other rows" in said.detail


def test_noise_that_does_not_matter_is_a_warning():
    chance = np.random.default_rng(0)
    found = asc.ShapleyExact(by=0.0)(lambda x: x @ np.arange(4.0) + 1e-3 * chance.choice([-1, 1], len(x)), rows(1, 4).numpy())
    assert status(found) in (["warn"], [])  # both draws may be the same one
