"""Metrics: one signature, a typed result, and a metric from outside in a few lines."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import InputError
from ascribe.metrics import Evaluation, Infidelity, Metric, Scores, Sensitivity

X = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
METRICS = (Infidelity(), Infidelity(0.1, normalize=True), Sensitivity(), Sensitivity(0.1, reduce="mean"))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


@dataclasses.dataclass(frozen=True, repr=False)
class LargestShare(Metric):
    """The share of the largest value of a record in the sum of absolute values."""

    direction = "higher"

    def score(self, evaluation: Evaluation) -> np.ndarray:
        sizes = np.abs(evaluation.flat_values())
        return sizes.max(1) / sizes.sum(1)


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_metrics_are_values_with_one_call(metric: Metric) -> None:
    assert pickle.loads(pickle.dumps(metric)) == metric
    assert eval(repr(metric), {"metrics": asc.metrics}) == metric
    assert type(metric).__call__ is Metric.__call__
    assert list(inspect.signature(metric).parameters) == ["explained", "model", "args", "of", "seed", "chunk", "controls", "kwargs"]


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_scores_say_what_they_are(metric: Metric) -> None:
    model = network()
    scores = metric(asc.Saliency(), model, X, of=1, seed=2)
    assert isinstance(scores, Scores)
    assert scores.values.shape == (len(X),) == (len(scores),)
    assert scores.mean == pytest.approx(float(np.mean(scores.values)))
    assert list(scores) == scores.values.tolist()
    assert (scores.direction, scores.metric) == ("lower", repr(metric))
    rows = len(X) * 12
    assert scores.evaluations == rows, "the explanation, the records, and each of ten samples"
    assert "lower is better" in repr(scores)
    assert np.array_equal(scores, metric(asc.Saliency(), model, asc.Call(X), of=1, seed=2))


def test_a_method_and_its_result_are_judged_alike() -> None:
    model = network()
    given = asc.Saliency(signed=True)(model, X, of=1)
    by_method, by_result = (Infidelity()(explained, model, X, of=1) for explained in (asc.Saliency(signed=True), given))
    assert np.array_equal(by_method, by_result)
    assert by_method.evaluations == by_result.evaluations + len(X)
    with pytest.raises(InputError, match="needs a method"):
        Sensitivity()(given, model, X, of=1)


def test_a_warning_is_a_check_of_the_scores() -> None:
    model = network()
    with pytest.warns(asc.AscribeWarning, match="hold the distance"):
        scores = Infidelity()(asc.IntegratedGradients(), model, X, of=1)
    assert [(check.name, check.status) for check in scores.checks] == [("units", "warn")]
    assert "units: warn" in repr(scores)


def test_a_metric_from_outside() -> None:
    scores = LargestShare()(asc.Saliency(), network(), X, of=1)
    assert ((scores.values > 0.25) & (scores.values <= 1)).all()
    assert (scores.direction, scores.metric, scores.evaluations) == ("higher", "LargestShare()", len(X))
    assert np.array_equal(scores, LargestShare()(asc.Saliency()(network(), X, of=1), network(), X, of=1))


def test_records_are_opened_for_a_call() -> None:
    model, x = nn.Linear(3, 2), torch.ones(2, 3)
    with pytest.raises(InputError, match=r"Found: Tensor\. Try: asc\.Call\(x\)"), asc.metrics.open_records(model, x, 1):  # type: ignore[arg-type]
        pass
