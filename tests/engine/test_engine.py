"""The engine as a whole: partial results, the extension point, and the route of a call."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.engine.request import make_request
from ascribe.engine.run import explain
from ascribe.errors import AscribeError
from benchmarks.route import METHODS, network, trace
from tests.support.odd_models import rows, seeded

CALLS = {"Saliency": 320, "IntegratedGradients": 540, "KernelShap": 680, "DeepLift": 1300, "LRP": 1200}
"""Functions of ascribe that a later call of a kind may go through."""


class Stops(nn.Module):
    """A linear model that raises at a forward pass of a given number."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.linear, self.error = nn.Linear(4, 3), error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(PASSES) == LIMIT[0]:
            raise self.error("stopped")
        PASSES.append(1)
        return self.linear(x)


PASSES: list[int] = []
LIMIT = [-1]


@pytest.fixture(autouse=True)
def no_limit():
    PASSES.clear()
    LIMIT[0] = -1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_gradient_call_that_stops_keeps_the_records_that_are_done(error: type[BaseException]) -> None:
    model, x = seeded(Stops(error)).eval(), rows(6, 4)
    whole = asc.attribute(model, x, of=1, chunk=2)
    LIMIT[0] = len(PASSES) - 1  # the limit is part of what the model can see: the next call, too, is the first of its kind
    PASSES.clear()
    with pytest.raises((error, AscribeError)) as stopped:
        asc.attribute(model, x, of=1, chunk=2)
    partial = vars(stopped.value)["partial"]
    assert partial.values.shape == (4, 4)
    assert torch.allclose(partial.values, whole.values[:4])
    assert [check.status for check in partial.checks if check.name == "finite"] == ["fail"]


def test_a_method_of_ones_own_reaches_what_the_verbs_do_not_show() -> None:
    model, x = seeded(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))).eval(), rows(3, 4)
    noise = asc.Gaussian(0.1, samples=8)
    request = make_request(1, asc.INPUT, noise, None, multiply=False, reduce="variance", seed=3, title="OwnVarGrad()")
    result = explain(model, asc.Call(x), request)
    assert result.method == "OwnVarGrad()(model, *inputs, of=Unit(1), seed=3)"
    theirs = asc.VarGrad(samples=8, scale=0.1, relative=False)(model, x, of=1, seed=3)
    assert torch.allclose(result.values, theirs.values)


@pytest.mark.parametrize("name", CALLS)
def test_the_route_of_a_call_is_short(name: str) -> None:
    model, x = network()
    method = METHODS[name]()
    for _ in range(3):
        method(model, x, of=1)
    route = trace(lambda: method(model, x, of=1))
    assert route.changes() <= 5
    assert len(route.steps) <= CALLS[name]


def test_the_family_of_a_request_is_settled_at_the_door() -> None:
    families = {
        "point": make_request(1, asc.INPUT, None, None),
        "path": make_request(1, asc.INPUT, asc.Line(steps=4), None),
        "reference": make_request(1, asc.INPUT, None, asc.rules.Rescale()),
        "coalition": make_request(1, asc.INPUT, asc.coalitions.Exact(), None),
    }
    assert {name: request.family for name, request in families.items()} == {name: name for name in families}
    assert all(np.isscalar(request.seed) for request in families.values())
