"""Curves of removal, against a transcription of the papers' formulas and against models whose curves are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.metrics import ConstantValues, Deletion, Insertion, RandomValues, RelevanceGain

X = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)).double() + 0.1


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def area(model: nn.Module, values: np.ndarray, largest_first: bool) -> np.ndarray:
    """The area of a curve, one feature after the other, record by record."""
    areas = []
    for n, row in enumerate(X):
        order = np.argsort(-values[n] if largest_first else values[n])
        now, heights = row.clone(), [model(row[None])[0, 1].item()]
        for feature in order:
            now[feature] = 0.25
            heights.append(model(now[None])[0, 1].item())
        areas.append(sum((a + b) / 2 for a, b in zip(heights[1:], heights[:-1], strict=True)) / 5)
    return np.array(areas)


def test_areas_are_those_of_a_loop() -> None:
    model, values = network(), np.random.default_rng(0).normal(size=(6, 5))
    given = torch.tensor(values)
    fields = {"by": 0.25, "steps": None}
    deletion, insertion, gain = (kind(**fields)(given, model, X, of=1) for kind in (Deletion, Insertion, RelevanceGain))  # type: ignore[arg-type]
    morf, lerf = area(model, values, True), area(model, values, False)
    assert np.allclose(deletion, morf, rtol=0, atol=1e-12)
    assert np.allclose(insertion, lerf, rtol=0, atol=1e-12)
    assert np.allclose(gain, lerf - morf, rtol=0, atol=1e-12)
    assert (deletion.direction, insertion.direction, gain.direction) == ("lower", "higher", "higher")
    assert set(gain.curves) == {"most relevant first", "least relevant first"}


def test_several_replacements_are_averaged_and_kept() -> None:
    model, values = network(), torch.tensor(np.random.default_rng(0).normal(size=(6, 5)))
    several = Deletion(by=[0.0, 0.25])(values, model, X, of=1)
    alone = [Deletion(by=by)(values, model, X, of=1) for by in (0.0, 0.25)]
    assert np.allclose(several, np.mean([a.values for a in alone], 0), rtol=0, atol=1e-12)
    assert list(several.parts) == ["0.0", "0.25"]
    assert np.allclose(several.parts["0.25"], alone[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_change_nothing(chunk: int) -> None:
    model, values = network(), torch.ones(6, 5)
    one, other = (RelevanceGain(by=0.0)(values, model, X, of=1, chunk=c, seed=3) for c in (chunk, None))
    assert np.allclose(one, other, rtol=0, atol=1e-12)


def test_units_signs_and_orders_of_features() -> None:
    """Only the order counts; values with the opposite sign have the opposite gain; features may be in any order."""
    model, values = network(), torch.tensor(np.random.default_rng(0).normal(size=(6, 5)))
    metric = RelevanceGain(by=0.0, steps=None)
    gain = metric(values, model, X, of=1).values
    assert np.allclose(metric(values * 7, model, X, of=1), gain, rtol=0, atol=1e-12)
    assert np.allclose(metric(-values, model, X, of=1), -gain, rtol=0, atol=1e-12)
    order = torch.tensor([3, 1, 4, 0, 2])
    back = torch.argsort(order)
    permuted = metric(values[:, order], lambda x: model(x[:, back]), X[:, order], of=1)
    assert np.allclose(permuted, gain, rtol=0, atol=1e-12)


def test_controls_are_named_where_they_do_as_well() -> None:
    weights = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5]).double()
    model = lambda x: (x * weights).sum(1)  # noqa: E731
    x = torch.rand(40, 5, generator=torch.Generator().manual_seed(2)).double()
    good = RelevanceGain(by=0.0, steps=None)(asc.FeatureAblation(by=0.0), model, x, controls=True)
    assert [(c.name, c.status) for c in good.checks] == [("controls", "ok")]
    for control in (RandomValues(), ConstantValues()):
        bad = RelevanceGain(by=0.0, steps=None)(control, model, x, controls=True)
        assert [(c.name, c.status) for c in bad.checks] == [("controls", "warn")]


def test_intervals_hold_the_mean() -> None:
    model, values = network(), torch.tensor(np.random.default_rng(0).normal(size=(6, 5)))
    scores = Deletion(by=0.0)(values, model, X, of=1)
    low, high = scores.interval()
    assert low < scores.mean < high
    assert scores.interval() == (low, high)
    assert np.isnan(Deletion(by=0.0)(values[:1], model, X[:1], of=1).interval()[0])


def test_values_that_are_not_finite_are_refused() -> None:
    values = torch.ones(6, 5)
    values[2, 1] = float("nan")
    with pytest.raises(asc.errors.InputError, match=r"not finite. Found: NaN or infinity in records \[2\]"):
        Deletion(by=0.0)(values, network(), X, of=1)
