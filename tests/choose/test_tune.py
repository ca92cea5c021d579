"""Tuning: every tunable changes the attribution, scores are honest, studies go on, failures are rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.choose import Choice, Int, space_of
from ascribe.choose.spaces import suggest_method
from ascribe.errors import InputError, MethodError
from ascribe.methods import Processed

pytest.importorskip("optuna")
X = torch.randn(18, 6, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3))


def cnn() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 64, 3)).eval()


class Ends:
    """A trial that takes one end of every range, and one of the choices."""

    def __init__(self, high: bool, only: str = "") -> None:
        self.high, self.only = high, only

    def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
        return high if self.high and name == self.only else low

    def suggest_float(self, name: str, low: float, high: float, **_: Any) -> float:
        return high if self.high and name == self.only else low

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[-1 if self.high and name == self.only else 0]


TUNED = [
    asc.SmoothGrad(), asc.IntegratedGradients(), asc.LRP(), asc.KernelShap(), asc.FeatureAblation(), asc.Occlusion(), asc.Rise(),
    Processed(asc.Saliency(signed=True), "sum"),
]  # fmt: skip


@pytest.mark.parametrize("method", TUNED, ids=repr)
def test_every_tunable_changes_the_attribution(method: Any) -> None:
    """PnPXAI's search changes settings that its explainers never read (D1)."""
    model, space = cnn(), space_of(method, "image")
    assert space
    before = suggest_method(method, space, Ends(False))
    first = before(model, IMAGES, of=1, seed=0)
    for name in space:
        other = suggest_method(method, space, Ends(True, name))
        assert other != before, name
        second = other(model, IMAGES, of=1, seed=0)
        same = first.values.shape == second.values.shape and torch.equal(torch.as_tensor(first.values), torch.as_tensor(second.values))
        assert not same, f"{name} of {method!r} changes nothing"


def test_a_tuned_method_has_an_honest_score() -> None:
    model = network()
    t = asc.tune(asc.SmoothGrad(), model, X, trials=5, of=1)
    assert isinstance(t.method, asc.SmoothGrad)
    assert t.held_out == 6
    assert len(t.tuned) == len(t.before) == 6
    assert t.gain[0] == pytest.approx(float(np.mean(t.tuned.values - t.before.values)))
    assert len(t.trials) == 5
    assert t.method(model, X[:2], of=1).values.shape == (2, 6)
    assert "on the records of the search" in repr(t)
    assert "<table>" in t._repr_html_()
    assert asc.tune(asc.SmoothGrad(), model, X, trials=5, of=1).method == t.method


def test_a_search_finds_what_is_known_to_be_better() -> None:
    """Ablation with the replacement of the metric predicts what the metric removes; one far away does not."""
    space = {"by": Choice({"near": 0.0, "far": 1000.0})}
    t = asc.tune(asc.FeatureAblation(by=1000.0), network(), X, trials=6, of=1, space=space, metric=asc.metrics.FaithfulnessEstimate(by=0.0))
    assert t.method == asc.FeatureAblation(by=0.0) or t.method.by == 0.0
    assert t.helped
    assert t.tuned.mean == pytest.approx(1.0)


def test_a_study_goes_on(tmp_path: Any) -> None:
    path = tmp_path / "study.log"
    asc.tune(asc.SmoothGrad(), network(), X, trials=3, study=path)
    t = asc.tune(asc.SmoothGrad(), network(), X, trials=5, study=path)
    assert [row["trial"] for row in t.trials] == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="belongs to other metrics"):
        asc.tune(asc.SmoothGrad(), network(), X, trials=5, study=path, metric=asc.metrics.Sensitivity(samples=2))


def test_several_metrics_have_a_front() -> None:
    metrics = [asc.metrics.RelevanceGain(by=0.0), asc.metrics.Sparseness()]
    t = asc.tune(asc.SmoothGrad(), network(), X, trials=6, metric=metrics)
    assert t.front
    assert all(len(values) == 2 for _, values in t.front)


def test_trials_that_fail_are_rows() -> None:
    t = asc.tune(asc.SmoothGrad(), network(), X, trials=8, space={"samples": Choice({"good": 8, "bad": -1})})
    failed = [row for row in t.trials if row["state"] == "failed"]
    assert failed
    assert all(row["error"] for row in failed)
    with pytest.raises(InputError, match="No trial succeeded"):
        asc.tune(asc.SmoothGrad(), network(), X, trials=2, space={"samples": Int(-3, -2)})


def test_what_cannot_be_tuned() -> None:
    with pytest.raises(MethodError, match="nothing to tune"):
        asc.tune(asc.Saliency(), network(), X)
    with pytest.raises(InputError, match="No trial succeeded"):
        asc.tune(asc.SmoothGrad(), network(), X, trials=1, space={"width": Int(1, 2)})


def test_optuna_is_as_it_was() -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    asc.tune(asc.SmoothGrad(), network(), X, trials=2)
    assert optuna.logging.get_verbosity() == before


def test_processed_maps_have_no_nan() -> None:
    zeros = Processed(asc.Saliency(), "l2", normalize="minmax")(
        nn.Sequential(nn.Flatten(), nn.Linear(256, 3)).requires_grad_(False), IMAGES * 0
    )
    assert torch.isfinite(zeros.values).all()
    constant = Processed(asc.metrics.ConstantValues(), "sum", normalize="minmax")(cnn(), IMAGES)
    assert (constant.values == 0).all()
    with pytest.raises(MethodError, match="no such axis"):
        Processed(asc.Saliency(), "sum", axis=2)(network(), X)
    with pytest.raises(MethodError, match="pooling is not known"):
        Processed(asc.Saliency(), "biggest")  # type: ignore[arg-type]
