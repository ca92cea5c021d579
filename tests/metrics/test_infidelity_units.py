"""Infidelity by noise of one size says so of values that hold a distance, whose unit is another one."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeWarning, InputError
from ascribe.metrics import Infidelity, Squares

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


@pytest.mark.parametrize("shape", [(2, 6, 7), (6, 7, 2), (6, 7)], ids=str)
def test_squares_remove_one_square_of_each_image(shape: tuple[int, ...]) -> None:
    x = 1.0 + torch.rand(50, *shape, generator=torch.Generator().manual_seed(1))
    layout = "NHWC" if shape[-1] == 2 else None
    (moved,), (perturbed,) = Squares(3, 0.5, layout)([x], np.random.default_rng(0))
    torch.testing.assert_close(x - moved, perturbed)
    maps = (moved != 0).movedim(-1, 1) if layout else moved != 0
    maps = maps.all(1) if len(shape) == 3 else maps
    torch.testing.assert_close(perturbed[moved != 0], torch.full_like(perturbed[moved != 0], 0.5))
    places = set()
    for one in maps.numpy():
        rows, columns = np.flatnonzero(one.any(1)), np.flatnonzero(one.any(0))
        assert len(rows) == len(columns) == np.ptp(rows) + 1 == np.ptp(columns) + 1 == 3
        assert one.sum() == 9
        places.add((rows[0], columns[0]))
    assert {r for r, _ in places} == set(range(4))
    assert {c for _, c in places} == set(range(5))


def test_infidelity_of_squares_is_zero_for_a_linear_model() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
    x = torch.rand(4, 1, 6, 6, dtype=torch.float64)
    scores = Infidelity(Squares(2))(asc.Saliency(signed=True), net, x, of=1)
    np.testing.assert_allclose(scores.values, 0, atol=1e-20)


@pytest.mark.parametrize(("squares", "shape", "match"), [(lambda: Squares(9), (6, 6), "fit"), (lambda: Squares(2), (5,), "images")])
def test_squares_of_other_records_are_refused(squares: Callable[[], Squares], shape: tuple[int, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        squares()([torch.ones(2, *shape)], np.random.default_rng(0))
    with pytest.raises(InputError, match="whole number"):
        Squares(0)
