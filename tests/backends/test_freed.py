"""What a call held is free when the call is over, without the collector: memory of a GPU waits for nothing else."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from tests.support.odd_models import rows

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")


class Pictured(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.conv(x)).mean((2, 3)))


ASKED: dict[str, Callable[[Any, Tensor], Any]] = {
    "gradient": lambda m, x: asc.influence(m, x, of=1),
    "line": lambda m, x: asc.attribute(m, x, of=1, over=asc.Line(0.0, steps=3)),
    "conductance": lambda m, x: asc.attribute(m, x, of=1, at="act", over=asc.Line(0.0, steps=3)),
    "a layer's line": lambda m, x: asc.influence(m, x, of=1, at="act", over=asc.Line(0.0, steps=3, at=asc.Cut("act"))),
    "inside and internal": lambda m, x: asc.influence(m, x, of=1, at="conv", over=asc.Line(0.0, steps=3)),
    "noise": lambda m, x: asc.influence(m, x, of=1, over=asc.Gaussian(0.1, 3)),
    "DeepLIFT": lambda m, x: asc.DeepLift()(m, x, of=1),
    "DeepLIFT-SHAP": lambda m, x: asc.DeepLiftShap(x * 0.5)(m, x, of=1),
    "LRP": lambda m, x: asc.influence(m, x, of=1, by=asc.rules.Epsilon()),
    "corrected": lambda m, x: asc.AttnLRP()(m, x, of=1),
    "guided": lambda m, x: asc.GuidedBackprop()(m, x, of=1),
    "removal": lambda m, x: asc.attribute(m, x, of=1, over=asc.coalitions.LeaveOneOut(), features=asc.features.Grid(2)),
    "Shapley": lambda m, x: asc.KernelShap(16, features=asc.features.Grid(2))(m, x, of=1),
    "Grad-CAM": lambda m, x: asc.GradCam("act")(m, x, of=1),
    "Eigen-CAM": lambda m, x: asc.EigenCam("act")(m, x, of=1),
    "Score-CAM": lambda m, x: asc.ScoreCam("act")(m, x, of=1),
    "Ablation-CAM": lambda m, x: asc.AblationCam("act")(m, x, of=1),
    "FullGrad": lambda m, x: asc.FullGrad()(m, x, of=1),
    "activation": lambda m, x: asc.activation(m, x, at="act"),
    "places": lambda m, x: asc.cuts_of(m, x),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_model_goes_with_its_last_reference(name: str) -> None:
    ask, kept = ASKED[name], []
    for _ in range(2):  # the first call of a kind may be the one that finds things out
        model, x = Pictured(), rows(2, 3, 8, 8)
        gc.collect()
        gc.disable()
        try:
            found = ask(model, x)
            held = [weakref.ref(t) for t in (model, model.conv.weight, model.act)]
            del model
            kept.append([ref() is None for ref in held])
            del found
        finally:
            gc.enable()
    assert kept == [[True] * 3] * 2


@pytest.mark.parametrize("name", ["conductance", "a layer's line", "inside and internal", "line"])
def test_no_graph_outlives_a_call(name: str) -> None:
    """An operation that keeps its own output, counted by a hook that kept it too, was a cycle that no collector sees."""
    freed: list[int] = []

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.token = Token()
            weakref.finalize(ctx.token, freed.append, 1)
            made.append(1)
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
            return g

    class Token:
        pass

    class Kept(Pictured):
        def forward(self, x: Tensor) -> Tensor:
            h = torch.tanh(Counted.apply(self.conv(x))) if torch.is_grad_enabled() else torch.tanh(self.conv(x))
            return self.fc(self.act(h).mean((2, 3)))

    made: list[int] = []
    model, x = Kept(), rows(2, 3, 8, 8)
    ASKED[name](model, x)
    gc.collect()
    assert made
    assert len(freed) == len(made)
