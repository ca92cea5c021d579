"""What only a GPU can show: results stay on their device and agree with the CPU's."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import ascribe as asc  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(8 * 64, 5)
    ).double()


METHODS = [
    asc.Saliency(),
    asc.IntegratedGradients(steps=16),
    asc.SmoothGrad(8),
    asc.ExpectedGradients(torch.zeros(4, 3, 16, 16, dtype=torch.float64), 8),
    asc.Conductance(steps=8),
    asc.DeepLift(),
    asc.LRP(asc.rules.EPSILON_PLUS_FLAT),
    asc.RAP(),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("at", ["INPUT", "1"])
def test_results_agree_with_the_cpu_and_stay_on_the_device(method: asc.Saliency, at: str) -> None:
    model, x = net(), torch.randn(4, 3, 16, 16, dtype=torch.float64)
    here = method(model, x, of=1, at=at)
    there = method(model.cuda(), x.cuda(), of=1, at=at)
    assert there.values.is_cuda
    torch.testing.assert_close(there.values.cpu(), here.values, rtol=1e-8, atol=1e-10)


def test_recurrent_layers_in_evaluation_mode() -> None:
    model = torch.nn.Sequential(torch.nn.LSTM(4, 6, batch_first=True)).cuda().eval()
    found = asc.attribute(model, torch.randn(3, 5, 4, device="cuda"), of=lambda out: out[0][:, -1, 0])
    assert found.values.shape == (3, 5, 4)


def test_one_model_on_two_devices() -> None:
    class Split(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(4, 6), torch.nn.Linear(6, 3).cuda()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.tanh(self.first(x)).cuda())

    found = asc.attribute(Split(), torch.randn(3, 4), of=1, over=asc.Line(0.0, steps=32))
    assert not found.values.is_cuda
    assert found.gap is not None
    assert (found.gap.relative < 1e-3).all()
