"""Every metric: a value with one call, facts for the table, chunks that change nothing, and controls."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.metrics import METRICS, Metric, Scores

torch.manual_seed(0)
MODEL = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 64, 3)).double().eval()
X = torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(0)).double()
MASK = np.zeros((1, 8, 8), bool)
MASK[:, 2:6, 2:6] = True


def fit(x: Any, y: Any) -> Any:
    weights = np.linalg.lstsq(np.asarray(x).reshape(len(x), -1), np.eye(3)[np.asarray(y)], rcond=None)[0]
    return lambda rows: np.asarray(rows).reshape(len(rows), -1) @ weights


LABELS = np.array([0, 1, 2, 0, 1, 2])
FIELDS: dict[str, dict[str, Any]] = {
    "Roar": {"fit": fit, "x": X, "y": LABELS, "labels": LABELS},
    "Kar": {"fit": fit, "x": X, "y": LABELS, "labels": LABELS},
    "RelativeRepresentationStability": {"at": "1"},
    **{name: {"mask": MASK} for name, cls in METRICS.items() if cls.family == "localisation"},
}
QUICK: dict[str, dict[str, Any]] = {
    "Irof": {"features": asc.Grid(2)},
    "SensitivityN": {"samples": 10},
    "MuFidelity": {"features": asc.Grid(4)},
}
METHOD = asc.Saliency(signed=True)


def made(name: str) -> Metric:
    return METRICS[name](**{**FIELDS.get(name, {}), **QUICK.get(name, {})})


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_a_value_with_facts(name: str) -> None:
    metric, cls = made(name), METRICS[name]
    assert cls.__call__ is Metric.__call__
    assert cls.direction in ("lower", "higher")
    assert all(getattr(cls, fact) for fact in ("family", "formula", "cost", "weakness", "source"))
    assert "*Use it when*" in (cls.__doc__ or "")
    if name not in FIELDS or name == "RelativeRepresentationStability":
        assert repr(pickle.loads(pickle.dumps(metric))) == repr(metric)
        assert repr(eval(repr(metric), {"metrics": asc.metrics, **vars(asc), **vars(asc.features), **vars(asc.removal)})) == repr(metric)


@pytest.mark.parametrize("name", METRICS)
def test_chunks_change_nothing_and_the_seed_decides(name: str) -> None:
    metric = made(name)
    one = metric(METHOD, MODEL, X, seed=3)
    assert isinstance(one, Scores)
    assert one.values.shape == (6,)
    assert one.direction == METRICS[name].direction
    for chunk in (2, 100):
        other = metric(METHOD, MODEL, X, seed=3, chunk=chunk)
        assert np.allclose(one, other, rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", METRICS)
def test_the_model_stays_as_it_was(name: str) -> None:
    before = {key: value.clone() for key, value in MODEL.state_dict().items()}
    made(name)(METHOD, MODEL, X, controls="method" not in METRICS[name].needs)
    assert all(torch.equal(value, before[key]) for key, value in MODEL.state_dict().items())
    assert all(p.requires_grad for p in MODEL.parameters())


@pytest.mark.parametrize("name", [name for name, cls in METRICS.items() if "method" in cls.needs])
def test_a_result_in_place_of_a_method_is_refused(name: str) -> None:
    with pytest.raises(asc.AscribeError, match="needs a method"):
        made(name)(METHOD(MODEL, X), MODEL, X)


@pytest.mark.parametrize("name", [name for name, cls in METRICS.items() if "method" not in cls.needs])
def test_values_that_are_constant_have_a_number_or_a_reason(name: str) -> None:
    scores = made(name)(torch.ones_like(X), MODEL, X)
    assert np.isfinite(scores.values).all() or any(check.name == "undefined" for check in scores.checks)
