"""Infidelity by noise of one size says so of values that hold a distance, whose unit is another one."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeWarning
from ascribe.metrics import Infidelity

X = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


@pytest.mark.parametrize("method", [asc.IntegratedGradients(), asc.ShapleyExact(by=0.0)])
def test_values_that_hold_a_distance_warn(method: object) -> None:
    model = network()
    a = method(model, X, of=1)  # type: ignore[operator]
    with pytest.warns(AscribeWarning, match="hold the distance"):
        Infidelity()(a, model, X, of=1)
    with pytest.warns(AscribeWarning, match="hold the distance"):
        Infidelity()(asc.attribute(model, X, of=1), model, X, of=1)


def test_influences_scales_and_perturbations_of_ones_own_do_not() -> None:
    model = network()
    a = asc.IntegratedGradients()(model, X, of=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Infidelity()(asc.influence(model, X, of=1), model, X, of=1)
        Infidelity()(asc.Saliency()(model, X, of=1), model, X, of=1)
        Infidelity(normalize=True)(a, model, X, of=1)
        Infidelity(lambda arrays, random: ([x * 0 + 0.1 for x in arrays], [x * 0.9 for x in arrays]))(a, model, X, of=1)
        Infidelity()(a.values, model, X, of=1)
