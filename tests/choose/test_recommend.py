"""Recommendations: a method that applies, measured, with an honest verdict; on models of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import InputError


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3))


X = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))


def test_a_recommended_method_is_ready_to_call_and_has_reasons() -> None:
    model = network()
    r = asc.recommend(model, X, budget=200_000)
    a = r.method(model, X[:2])
    assert a.values.shape == (2, 6)
    assert r.beats_random
    assert r.over_random[1] > 0
    assert r.held_out == 10
    assert r.skipped["GradCam"].startswith("it needs images")
    assert {"Saliency", "RandomValues"} <= set(r.comparison.names)
    assert r.name in r.verdict
    assert r.name in repr(r)
    assert "<table>" in r._repr_html_()
    assert len(r.to_pandas()) == len(r.comparison.methods)
    again = asc.recommend(model, X, budget=200_000)
    assert (again.name, again.lead) == (r.name, r.lead)


def test_a_model_that_ignores_its_input_has_no_winner() -> None:
    r = asc.recommend(lambda x: x[:, :3] * 0 + torch.arange(3.0), X, budget=100_000, of=1)
    assert not r.conclusive
    assert not r.beats_random
    assert "no method is clearly better than random" in r.verdict


def test_a_small_budget_measures_the_cheap_methods_and_says_so() -> None:
    r = asc.recommend(network(), X, budget=600)
    assert any("budget" in why for why in r.skipped.values())
    assert r.name
    with pytest.raises(InputError, match="positive number of seconds"):
        asc.recommend(network(), X, budget=0)


def test_few_records_are_not_held_out() -> None:
    r = asc.recommend(network(), X[:4], budget=50_000)
    assert r.held_out == 0
    assert "too few to hold any out" in repr(r)


def test_models_of_every_kind() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0][:, -1])

    rng = np.random.default_rng(0)
    boxes: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "recurrence": (Recurrent(), (torch.rand(9, 5, 4),)),
        "function": (lambda x: x.sum(1), (torch.rand(9, 3),)),
        "black box": (lambda x: x @ np.arange(4.0), (rng.random((9, 4)),)),
        "two inputs": (lambda a, b: a.flatten(1).sum(1, keepdim=True) * b, (torch.rand(9, 1, 8, 8), torch.rand(9, 3))),
    }
    for name, (model, args) in boxes.items():
        r = asc.recommend(model, *args, budget=20_000)
        assert r.method is not None, name
        assert np.isfinite(r.over_random[0]), name


def test_a_language_model_explains_its_likeliest_next_token() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50)).eval()
    r = asc.recommend(model, input_ids=torch.randint(0, 50, (9, 6)), budget=20_000)
    assert r.skipped["GradCam"]
    assert any("become id 0" in note for note in r.notes)
    assert np.isfinite(r.comparison.score_of(r.name).mean)


def test_labels_and_a_metric_of_ones_own() -> None:
    y = torch.arange(30) % 3
    r = asc.recommend(network(), X, labels=y, budget=30_000, metric=asc.metrics.FaithfulnessCorrelation(by=0.0))
    assert list(r.comparison.metrics) == ["FaithfulnessCorrelation"]
