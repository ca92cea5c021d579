"""What one call costs beside the model's own work, in function calls, which no other process on the machine disturbs."""

from __future__ import annotations

import cProfile
import inspect
import pstats
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.arrays import namespace
from ascribe.compat.captum.attr import IntegratedGradients, LayerActivation, LayerGradCam, Saliency
from tests.support.odd_models import rows, seeded


def calls(run: Callable[[], Any]) -> int:
    """How many functions a run calls once it has been run before."""
    for _ in range(3):
        run()
    profile = cProfile.Profile()
    profile.runcall(run)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def chain(layers: int) -> nn.Sequential:
    return seeded(nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))).eval()  # type: ignore[return-value]


ASKED: dict[str, tuple[Callable[[nn.Sequential, torch.Tensor], Any], int, int]] = {
    "influence": (lambda m, x: asc.influence(m, x, of=1), 1280, 45),
    "activation": (lambda m, x: asc.activation(m, x, at="0"), 860, 40),
    "saliency": (lambda m, x: Saliency(m).attribute(x, target=1), 1450, 45),
    "a layer's map": (lambda m, x: LayerGradCam(m, m[0]).attribute(x, target=1), 1710, 50),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_call_is_cheap_and_a_layer_more_is_cheaper(name: str) -> None:
    ask, most, more = ASKED[name]
    x, (small, large) = rows(3, 4), [chain(n) for n in (2, 42)]
    few, many = (calls(lambda m=m: ask(m, x)) for m in (small, large))
    assert few < most
    assert (many - few) / 40 < more


def test_a_sum_too_large_for_its_type_is_no_nan() -> None:
    x = torch.full((2, 4), 3e38)
    assert np.isfinite(namespace(x).sizes(x[None], 2)).all()
    fine = asc.influence(nn.Linear(4, 3), x, of=1)
    assert [check.status for check in fine.checks if check.name == "finite"] == ["ok"]
    x[1, 2] = torch.nan
    with pytest.warns(asc.AscribeWarning, match=r"NaN in input 0\[1, 2\]"):
        asc.influence(nn.Linear(4, 3), x, of=1)


def test_a_layer_that_moved_is_found_where_it_is_now() -> None:
    first, second, x = nn.Linear(4, 4), nn.Linear(4, 4), rows(3, 4)
    model = nn.Sequential(first, second).eval()
    method = LayerActivation(model, first)
    assert torch.allclose(method.attribute(x), first(x))
    model[0], model[1] = second, first
    assert torch.allclose(method.attribute(x), first(second(x)))
    model[1] = nn.Identity()
    model.append(first)
    assert torch.allclose(method.attribute(x), first(second(x)))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3, 4, 5, 6, 7, 8, 9), {}), ((1,), {"inputs": 2}), ((1,), {"nothing": 2}), ((), {"target": 1})],
)
def test_arguments_that_do_not_fit_are_refused_as_by_any_function(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    method = IntegratedGradients(chain(1))
    with pytest.raises(TypeError) as truth:
        inspect.signature(method.attribute).bind(*args, **kwargs)
    with pytest.raises(TypeError, match=str(truth.value)):
        method.attribute(*args, **kwargs)
