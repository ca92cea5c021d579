"""Metrics against literal transcriptions of their papers' formulas, record by record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import nn

import ascribe as asc
from ascribe import metrics
from ascribe.errors import InputError

X = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)).double() + 0.1
VALUES = np.random.default_rng(4).normal(size=(5, 6))
GIVEN = torch.tensor(VALUES)
MAPS = np.random.default_rng(5).normal(size=(4, 3, 6, 5))
REGIONS = np.random.default_rng(6).random((4, 6, 5)) < 0.3


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def score_at(model: nn.Module, row: torch.Tensor, gone: list[int], to: float = 0.0) -> float:
    changed = row.clone()
    changed[gone] = to
    return float(model(changed[None])[0, 1])


def subsets(metric: Any, features: int, sizes: list[int], samples: int, seed: int) -> list[np.ndarray]:
    """The subsets that a metric draws from its seed."""
    random = np.random.default_rng(seed)
    return [random.random((samples, features)).argsort(1).argsort(1) < n for n in sizes]


@pytest.mark.parametrize(("how", "function"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_faithfulness_correlation(how: Any, function: Callable[..., Any]) -> None:
    model = network()
    scores = metrics.FaithfulnessCorrelation(by=0.0, share=0.5, samples=12, how=how)(GIVEN, model, X, of=1, seed=7)
    (drawn,) = subsets(None, 6, [3], 12, 7)
    for n, row in enumerate(X):
        whole = score_at(model, row, [])
        sums = [VALUES[n][one].sum() for one in drawn]
        drops = [whole - score_at(model, row, list(np.flatnonzero(one))) for one in drawn]
        assert scores[n] == pytest.approx(function(sums, drops).statistic, abs=1e-10)


def test_sensitivity_n() -> None:
    model = network()
    scores = metrics.SensitivityN(by=0.0, sizes=3, samples=9)(GIVEN, model, X, of=1, seed=2)
    sizes = [1, 3, 5]
    for n, row in enumerate(X):
        whole, each = score_at(model, row, []), []
        for drawn in subsets(None, 6, sizes, 9, 2):
            sums = [VALUES[n][one].sum() for one in drawn]
            drops = [whole - score_at(model, row, list(np.flatnonzero(one))) for one in drawn]
            each.append(stats.pearsonr(sums, drops).statistic)
        assert scores[n] == pytest.approx(np.mean(each), abs=1e-10)
        assert scores.curves["correlation"].values[:, n] == pytest.approx(each, abs=1e-10)


def test_faithfulness_estimate_and_monotonicity_correlation() -> None:
    model, rows = network(), torch.rand(4, 6, generator=torch.Generator().manual_seed(3)).double()
    estimate = metrics.FaithfulnessEstimate(by=0.0)(GIVEN, model, X, of=1)
    monotone = metrics.MonotonicityCorrelation(by=asc.Resample(rows))(GIVEN, model, X, of=1)
    for n, row in enumerate(X):
        whole = score_at(model, row, [])
        drops = [whole - score_at(model, row, [i]) for i in range(6)]
        squares = [np.mean([(whole - score_at(model, row, [i], float(other[i]))) ** 2 for other in rows]) for i in range(6)]
        assert estimate[n] == pytest.approx(stats.pearsonr(VALUES[n], drops).statistic, abs=1e-10)
        assert monotone[n] == pytest.approx(stats.spearmanr(np.abs(VALUES[n]), squares).statistic, abs=1e-10)


def test_monotonicity() -> None:
    model = network()
    scores = metrics.Monotonicity(by=0.0, steps=None)(GIVEN, model, X, of=1)
    for n, row in enumerate(X):
        order, now = np.argsort(VALUES[n]), [score_at(model, row, list(range(6)))]
        for k in range(1, 7):
            now.append(score_at(model, row, [i for i in range(6) if i not in order[:k]]))
        assert scores[n] == pytest.approx(np.mean(np.diff(now) >= 0))


def test_tokens_of_eraser() -> None:
    model = network()
    scores = metrics.Comprehensiveness(by=0.0, shares=(0.2, 0.5))(GIVEN, model, X, of=1)
    kept = metrics.Sufficiency(by=0.0, shares=(0.2, 0.5))(GIVEN, model, X, of=1)
    for n, row in enumerate(X):
        order, whole = list(np.argsort(-VALUES[n])), score_at(model, row, [])
        assert scores[n] == pytest.approx(np.mean([whole - score_at(model, row, order[:k]) for k in (1, 3)]), abs=1e-10)
        assert kept[n] == pytest.approx(np.mean([whole - score_at(model, row, order[k:]) for k in (1, 3)]), abs=1e-10)


def test_soft_metrics_on_a_linear_model() -> None:
    """With a linear model the expected fall is known: the mean over draws of the parts that were set to zero."""
    weights = np.arange(1.0, 7.0)
    x = X.numpy()
    values = np.abs(VALUES)
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    share = (values - low) / (high - low)
    for cls, stays in ((metrics.SoftComprehensiveness, 1 - share), (metrics.SoftSufficiency, share)):
        found = cls(samples=4000)(values, lambda rows: rows @ weights, x)
        expected = ((1 - stays) * x * weights).sum(1)
        error = np.sqrt((stays * (1 - stays) * (x * weights) ** 2).sum(1) / 4000)
        assert (np.abs(found.values - expected) < 6 * error + 1e-6).all()
        equal = cls(samples=4, retention=0.5)(values, lambda rows: rows @ weights, x)
        assert equal.values.shape == (5,)


def test_retention_sets_the_mean() -> None:
    from ascribe.metrics.subsets import with_mean

    stays = np.random.default_rng(0).random((4, 30))
    assert np.allclose(with_mean(stays, 0.3, np.ones(stays.shape, bool)).mean(1), 0.3, atol=1e-6)
    assert (np.argsort(with_mean(stays, 0.3, np.ones(stays.shape, bool)), 1) == np.argsort(stays, 1)).all()


def test_f_fidelity_removes_few_features_of_each_side() -> None:
    weights = np.array([10.0, 5.0, 1.0, 1.0, 1.0, 1.0])
    x = np.ones((3, 6))
    values = np.tile(weights, (3, 1))
    scores = metrics.FFidelity(by=0.0, share=2 / 6, part=0.5, bound=1 / 6, samples=400)(values, lambda rows: rows @ weights, x)
    assert np.allclose(scores, 7.5 - 1.0, atol=0.6), "one of 10 and 5 at random, less one of the ones; the standard error is 0.13"


def test_road_counts_decisions() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 4)).double()
    x, values = torch.rand(5, 2, 8, 8).double(), np.random.default_rng(1).normal(size=(5, 2, 8, 8))
    scores = metrics.Road(by=0.3, shares=(0.25, 0.5))(torch.tensor(values), model, x)
    for n in range(5):
        predicted, kept = int(model(x[n : n + 1]).argmax()), {True: [], False: []}
        for first in (True, False):
            order = np.argsort(-values[n].sum(0).reshape(-1) * (1 if first else -1))
            for count in (16, 32):
                changed = x[n].clone().reshape(2, -1)
                changed[:, order[:count]] = 0.3
                kept[first].append(int(model(changed.reshape(1, 2, 8, 8)).argmax()) == predicted)
        assert scores[n] == pytest.approx(np.mean(kept[False]) - np.mean(kept[True]))
    with pytest.raises(InputError, match="counts decisions for a class"):
        metrics.Road()(torch.tensor(values), model, x, of=lambda y: y.sum(1))
    with pytest.raises(asc.errors.QuantityError, match="one score for each of several classes"):
        metrics.Road()(torch.tensor(values), lambda a: model(a)[:, 0], x)


def test_stability_ratios() -> None:
    model = network()
    for metric in (metrics.LipschitzEstimate(0.1, 3), metrics.RelativeInputStability(0.1, 3), metrics.RelativeOutputStability(0.1, 3)):
        scores = metric(asc.Saliency(signed=True), model, X, of=1, seed=5)
        random = np.random.default_rng(5)
        noise = [random.uniform(-0.1, 0.1, (5, 6)) for _ in range(3)]
        before = asc.Saliency(signed=True)(model, X, of=1).values.numpy()
        for n in range(5):
            ratios = []
            for draw in noise:
                moved = X + torch.tensor(draw)
                after = asc.Saliency(signed=True)(model, moved, of=1).values.numpy()
                x, a, b = X[n].numpy(), before[n], after[n]
                y, z = model(X[n : n + 1])[0].detach().numpy(), model(moved[n : n + 1])[0].detach().numpy()
                if isinstance(metric, metrics.LipschitzEstimate):
                    ratios.append(np.linalg.norm(b - a) / np.linalg.norm(draw[n]))
                elif y.argmax() == z.argmax():
                    least = 1e-3 * np.abs(a).max()
                    top = np.linalg.norm((b - a) / np.where(np.abs(a) < least, least, a))
                    below = np.linalg.norm(z - y) if isinstance(metric, metrics.RelativeOutputStability) else np.linalg.norm(draw[n] / x)
                    ratios.append(top / max(below, 1e-3))
            assert scores[n] == pytest.approx(max(ratios), rel=1e-9)


def test_sensitivity_joins_copies_without_changing_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    import ascribe.metrics.copies as copies

    model, labels = network(), torch.tensor([0, 1, 2, 0, 1])
    for of in (None, 1, labels, asc.Labels((2, 1, 0, 2, 1))):
        joined = metrics.Sensitivity(0.1, 6)(asc.IntegratedGradients(), model, X, of=of)
        with monkeypatch.context() as patch:
            patch.setattr(copies, "MOST_NUMBERS", 1)
            assert np.allclose(joined, metrics.Sensitivity(0.1, 6)(asc.IntegratedGradients(), model, X, of=of), rtol=1e-9)


def test_complexity() -> None:
    sizes = np.abs(VALUES)
    gini, entropy, count = (
        m(GIVEN, network(), X, of=1) for m in (metrics.Sparseness(), metrics.Entropy(), metrics.EffectiveComplexity(0.5))
    )
    for n, a in enumerate(sizes):
        mean_difference = np.abs(a[:, None] - a[None]).mean()
        assert gini[n] == pytest.approx(mean_difference / (2 * a.mean()), abs=1e-12)
        assert entropy[n] == pytest.approx(stats.entropy(a), abs=1e-12)
        assert count[n] == (a > 0.5 * a.max()).sum()
    zeros = metrics.Sparseness()(torch.zeros_like(X), network(), X, of=1)
    assert np.isnan(zeros.values).all()
    assert "all values are 0" in zeros.checks[0].detail


def test_axioms() -> None:
    model = network()
    assert metrics.Completeness()(asc.DeepLift(), model, X, of=1).values.max() < 1e-12
    assert metrics.Completeness()(asc.Saliency(), model, X, of=1).values.min() > 1e-3
    blind = nn.Sequential(nn.Linear(6, 3)).double()
    blind[0].weight.data[:, 2:4] = 0
    rows = asc.Resample(torch.rand(3, 6).double())
    assert metrics.NonSensitivity(by=rows)(asc.Saliency(), blind, X, of=1).mean == 0
    assert metrics.NonSensitivity(by=rows)(torch.ones_like(X), blind, X, of=1).mean == pytest.approx(2 / 6)
    assert metrics.InputInvariance()(asc.Saliency(), model, X, of=1).values.max() < 1e-12
    assert metrics.InputInvariance()(asc.InputXGradient(), model, X, of=1).values.min() > 0.1


def test_localisation() -> None:
    x, model = torch.rand(4, 3, 6, 5).double(), nn.Sequential(nn.Flatten(), nn.Linear(90, 3)).double()
    flat, inside = MAPS.sum(1).reshape(4, -1), REGIONS.reshape(4, -1)
    given = torch.tensor(MAPS)

    def found(cls: Any, **fields: Any) -> np.ndarray:
        return cls(REGIONS, **fields)(given, model, x, of=1).values

    for n in range(4):
        a, m, k = flat[n], inside[n], inside[n].sum()
        order = np.argsort(-a)
        assert found(metrics.PointingGame)[n] == m[order[0]]
        assert found(metrics.RelevanceMass)[n] == pytest.approx(np.maximum(a, 0)[m].sum() / np.maximum(a, 0).sum())
        assert found(metrics.RelevanceRank)[n] == pytest.approx(m[order[:k]].mean())
        assert found(metrics.TopKIntersection, k=7)[n] == pytest.approx(m[order[:7]].mean())
        assert found(metrics.LocalisationAuc)[n] == pytest.approx(roc_auc_score(m, a))
        assert found(metrics.AttributionLocalisation, weighted=True)[n] == pytest.approx(found(metrics.RelevanceMass)[n] * 30 / k)
    near = found(metrics.PointingGame, tolerance=1)
    rows, columns = np.divmod(flat.argmax(1), 5)
    for n in range(4):
        places = [(rows[n] + d, columns[n] + e) for d, e in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))]
        assert near[n] == any(REGIONS[n, r, c] for r, c in places if 0 <= r < 6 and 0 <= c < 5)
    empty = metrics.RelevanceMass(np.zeros((1, 6, 5), bool))(given, model, x, of=1)
    assert np.isnan(empty.mean)
    assert "the region is empty" in empty.checks[0].detail
    with pytest.raises(InputError, match=r"a mask of shape \(4, 3\)"):
        metrics.RelevanceMass(np.ones((4, 3), bool))(given, model, x, of=1)


def test_random_weights() -> None:
    """A method of gradients changes; a map that does not look at the model does not. Every layer has draws of its own."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 30), nn.Tanh(), nn.Linear(30, 30), nn.Tanh(), nn.Linear(30, 3)).double()
    scores = metrics.ParameterRandomization()(asc.Saliency(signed=True), model, X, of=1)
    assert scores.curves["similarity"].values.shape == (3, 5)
    assert scores.mean < 0.7

    def fixed(model: Any, *args: Any, of: Any = None) -> asc.Attribution:
        return metrics.ConstantValues()(model, *args)

    assert np.isnan(metrics.ParameterRandomization()(fixed, model, X, of=1).mean)
    made = list(metrics.weights.RandomisedModels(model, asc.Call(X), np.random.default_rng(0)).by_layer("top down"))
    changed = [[not torch.equal(m[k].weight, model[k].weight) for k in (0, 2, 4)] for m in made]
    assert changed == [[False, False, True], [False, True, True], [True, True, True]]
    assert torch.equal(made[0][4].weight.sort().values.flatten().sort().values, model[4].weight.flatten().sort().values)
    with pytest.raises(asc.errors.MethodError, match="cannot be permuted"):
        metrics.ParameterRandomization()(asc.FeatureAblation(by=0.0), lambda x: x @ np.ones((6, 3)), X.numpy())


def test_random_logit_and_consistency() -> None:
    model = network()
    assert metrics.RandomLogit()(asc.Saliency(signed=True), model, X).mean < 1
    with pytest.raises(InputError, match="a class among several"):
        metrics.RandomLogit()(asc.Saliency(), lambda x: model(x)[:, 0], X)
    classes = model(X).argmax(1).numpy()
    alike = np.zeros((5, 6))
    alike[:, 0] = 1
    scores = metrics.Consistency(top=1)(torch.tensor(alike), model, X)
    for n in range(5):
        assert scores[n] == pytest.approx(np.mean([classes[k] == classes[n] for k in range(5) if k != n]))
    alone = metrics.Consistency(top=1)(torch.eye(6).double()[:5], model, X)
    assert np.isnan(alone.mean)


def test_random_weights_of_jax() -> None:
    jax = pytest.importorskip("jax")
    linen = pytest.importorskip("flax.linen")
    from functools import partial

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            return linen.Dense(3, name="head")(jax.numpy.tanh(linen.Dense(20, name="first")(x)))

    x = jax.numpy.asarray(X.numpy(), jax.numpy.float32)
    variables = Net().init(jax.random.key(0), x)
    for model in (Net().bind(variables), partial(Net().apply, variables)):
        scores = metrics.ParameterRandomization()(asc.Saliency(signed=True), model, x, of=1)
        assert scores.curves["similarity"].values.shape == (2, 5)
        assert scores.mean < 0.9


class Padded(nn.Module):
    """The mean of the embeddings of the tokens that the mask keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 8), nn.Linear(8, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        kept = attention_mask[..., None].float()
        return self.head(torch.tanh(self.embed(input_ids) * kept).sum(1) / kept.sum(1))


@pytest.mark.parametrize("retention", [None, 0.5])
@pytest.mark.parametrize("kind", [metrics.SoftComprehensiveness, metrics.SoftSufficiency])
def test_values_of_padding_do_not_count(kind, retention):
    model = Padded().eval()
    ids = torch.randint(3, 50, (2, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    values = np.random.default_rng(0).random((2, 8, 8))
    other = values.copy()
    other[1, 5:] *= 100
    first, second = (kind(retention=retention)(v, model, ids, attention_mask=mask, of=asc.Prob(1)).values for v in (values, other))
    np.testing.assert_allclose(first, second)
