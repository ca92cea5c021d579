"""Comparisons: scores of each pair, ranks with ties, controls, failures, batches, units, and what a user sees."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import InputError, ResultError
from ascribe.metrics import Infidelity, LipschitzEstimate, RelevanceGain, Sensitivity

X = torch.randn(24, 6, generator=torch.Generator().manual_seed(0)).double()
METHODS = [asc.Saliency(), asc.IntegratedGradients(), asc.DeepLift()]


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3)).double()


def test_scores_are_those_of_the_metrics_alone() -> None:
    model, metrics = network(), [RelevanceGain(by=0.0), Sensitivity()]
    c = asc.compare(model, X, methods=METHODS, metrics=metrics, of=1)
    for method in METHODS:
        for metric in metrics:
            alone = metric(method, model, X, of=1)
            assert np.allclose(c.score_of(repr(method), repr(metric).removeprefix("metrics.")), alone, rtol=0, atol=1e-12)
    assert c.records == len(X)
    assert {row.name for row in c.methods if row.control} == {"RandomValues", "ConstantValues"}


def test_ranks_say_tied_and_controls_come_last() -> None:
    c = asc.compare(network(), X, methods=METHODS, metrics=RelevanceGain(by=0.0), of=1)
    ranks = c.ranks()
    assert ranks["IntegratedGradients()"] == ranks["DeepLift()"] == 1
    assert ranks["RandomValues"] > 1
    assert c.best() in ("IntegratedGradients()", "DeepLift()")
    gain, low, high = c.difference("IntegratedGradients()", "RandomValues")
    assert 0 < low < gain < high
    assert "1 tied" in repr(c)


def test_agreement_of_methods() -> None:
    c = asc.compare(
        network(), X, methods={"one": asc.IntegratedGradients(), "same": asc.IntegratedGradients(), "other": asc.Saliency()}, of=1
    )
    assert c.agreement is not None
    assert c.agreement[0, 1] == pytest.approx(1.0)
    assert c.agreement[0, 2] < 0.99
    assert "one and same agree most: rank correlation 1.00" in c.remarks()


def test_a_method_that_fails_is_a_row_with_its_error() -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("out of ideas")

    c = asc.compare(network(), X, methods={"broken": broken, "cam": asc.GradCam(), "good": asc.Saliency()}, metrics=RelevanceGain(by=0.0))
    rows = {row.name: row for row in c.methods}
    assert rows["broken"].error == "ValueError: out of ideas"
    assert "MethodError" in rows["cam"].error or "CutError" in rows["cam"].error
    assert c.best() == "good"
    with pytest.raises(ResultError, match=r"'broken' has no scores.*out of ideas"):
        c.score_of("broken")
    nothing = asc.compare(network(), X, methods={"broken": broken}, metrics=RelevanceGain(by=0.0))
    with pytest.raises(ResultError, match="No method has a score"):
        nothing.best()


@pytest.mark.parametrize("batches", [list, iter, tuple], ids=["list", "iterator", "loader"])
def test_batches_give_the_scores_of_one_call(batches: Any) -> None:
    model = network()
    whole = asc.compare(model, X, methods=METHODS, metrics=RelevanceGain(by=0.0), of=1, controls=False)
    parts = [X[:10], X[10:20], X[20:]]
    if batches is tuple:
        data = torch.utils.data.TensorDataset(X, torch.arange(24) % 3)
        given: Any = torch.utils.data.DataLoader(data, batch_size=10)
    else:
        given = batches(parts)
    c = asc.compare(model, given, methods=METHODS, metrics=RelevanceGain(by=0.0), of=1, controls=False)
    assert c.records == 24
    for method in METHODS:
        assert np.allclose(c.score_of(repr(method)), whole.score_of(repr(method)), rtol=0, atol=1e-9)


def test_labels_of_batches() -> None:
    model, y = network(), torch.arange(24) % 3
    c = asc.compare(model, [(X[:12], y[:12]), (X[12:], y[12:])], methods=[asc.Saliency()], metrics=RelevanceGain(by=0.0), of="labels")
    assert np.allclose(c.score_of("Saliency()"), RelevanceGain(by=0.0)(asc.Saliency(), model, X, of=y), rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="needs batches with labels"):
        asc.compare(model, X, methods=[asc.Saliency()], of="labels")
    with pytest.raises(InputError, match="no records to judge"):
        asc.compare(model, iter([]), methods=[asc.Saliency()])


def test_an_interrupt_keeps_what_was_measured() -> None:
    def batches() -> Any:
        yield X[:8]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        asc.compare(network(), batches(), methods=[asc.Saliency()], metrics=RelevanceGain(by=0.0), of=1)
    assert caught.value.partial.records == 8  # type: ignore[attr-defined]
    assert len(caught.value.partial.score_of("Saliency()")) == 8  # type: ignore[attr-defined]


def test_values_of_several_units_are_scaled_or_not_ranked() -> None:
    """By its unit alone, infidelity ranks SmoothGrad far above integrated gradients."""
    methods = [asc.SmoothGrad(), asc.IntegratedGradients()]
    c = asc.compare(network(), X, methods=methods, metrics={"infidelity": Infidelity(), "lipschitz": LipschitzEstimate()}, of=1)
    assert c.metrics["infidelity"] == Infidelity(normalize=True)
    assert any("scaled by the factor" in note for note in c.notes)
    assert c.ranks("infidelity")
    assert c.ranks("lipschitz") == {}
    same = asc.compare(network(), X, methods=[asc.IntegratedGradients(), asc.DeepLift()], metrics=Infidelity(), of=1)
    assert not same.notes


def test_maps_of_layers_are_compared_with_maps_of_pixels() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    c = asc.compare(model, torch.rand(4, 1, 8, 8), methods=[asc.GradCam(), asc.Saliency()], metrics=RelevanceGain(by=0.0))
    assert not any(row.error for row in c.methods)
    assert np.isfinite(c.score_of("GradCam()").mean)


@pytest.mark.parametrize(
    ("methods", "said"),
    [([], "is empty"), ([asc.Saliency], "has a class, not a value"), ([asc.Saliency(), asc.Saliency()], "has a name twice")],
)
def test_methods_that_cannot_be_compared(methods: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        asc.compare(network(), X, methods=methods)


def test_what_a_user_sees(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m"
    c = asc.compare(network(), X, methods={hostile: asc.Saliency(), "ig": asc.IntegratedGradients()}, metrics=RelevanceGain(by=0.0), of=1)
    c.show()
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "<script>alert" not in c._repr_html_()
    table = c.to_pandas()
    assert list(table["metric"].unique()) == ["RelevanceGain(0.0)"]
    page = c.write_report(tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert len(c.plot().axes) == 2
    assert c.plot_maps().axes
    with pytest.raises(ResultError, match="no metric 'x'"):
        c.ranks("x")


class Failing:
    """Saliency, until a call raises the error."""

    def __init__(self, call: int, error: type[BaseException]) -> None:
        self.left, self.error = call, error

    def __call__(self, *args: Any, **kwargs: Any) -> asc.Attribution:
        self.left -= 1
        if not self.left:
            raise self.error("stop")
        return asc.Saliency()(*args, **kwargs)


def test_a_method_that_fails_on_a_later_batch_has_no_scores() -> None:
    methods = {"late": Failing(2, ValueError), "good": asc.Saliency()}
    c = asc.compare(network(), [X[:10], X[10:]], methods=methods, metrics=RelevanceGain(by=0.0), of=1)
    assert "ValueError: stop" in repr(c)
    assert "late" not in c.ranks()
    assert len(c.score_of("good")) == 24
    with pytest.raises(ResultError, match="ValueError: stop"):
        c.score_of("late")


def test_an_interrupt_between_two_methods_keeps_both() -> None:
    """The second metric is interrupted on its third result: what the others measured stays, and the rest has no score."""
    calls = iter(range(100))

    class Interrupted(Sensitivity):
        needs = ()

        def score(self, evaluation: Any) -> Any:
            if next(calls) == 2:
                raise KeyboardInterrupt
            return np.ones(12)

    methods = {"one": asc.Saliency(), "two": asc.IntegratedGradients()}
    with pytest.raises(KeyboardInterrupt) as caught:
        asc.compare(network(), [X[:12], X[12:]], methods=methods, metrics={"x": Interrupted()}, of=1, controls=False)
    c = caught.value.partial  # type: ignore[attr-defined]
    assert c.records == 24
    for name in methods:
        assert np.isnan(c.score_of(name).values).tolist() == [False] * 12 + [True] * 12
    assert "12 of 24 records have no score" in repr(c)
    assert "<table>" in c._repr_html_()


def test_an_interrupt_within_one_call_keeps_the_methods_before() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        asc.compare(network(), X, methods={"one": asc.Saliency(), "stop": Failing(1, KeyboardInterrupt)}, of=1)
    rows = {row.name: row for row in caught.value.partial.methods}  # type: ignore[attr-defined]
    assert rows["one"].evaluations > 0
    assert rows["stop"].evaluations == 0


def test_the_winner_is_scored_on_records_that_did_not_choose_it() -> None:
    """On a third of the records "lucky" is far ahead, and there alone."""
    c = asc.compare(network(), X, methods={"lucky": asc.Saliency(), "good": asc.IntegratedGradients()}, metrics=RelevanceGain(by=0.0), of=1)
    metric = next(iter(c.metrics))
    others = np.random.default_rng(5).permutation(24)[:8]
    values = {"lucky": np.zeros(24), "good": np.linspace(1, 2, 24)}
    values["lucky"][others] = 100
    made = {(name, metric): dataclasses.replace(c.score_of(name), values=values[name]) for name in values}
    c = dataclasses.replace(c, scores={**c.scores, **made})
    assert c.best() == "lucky"
    found = c.held_out(seed=5)
    assert (found.name, found.records) == ("good", 8)
    assert found.mean == pytest.approx(values["good"][others].mean())
    assert found.low < found.mean < found.high
    assert "is best without 8 records" in repr(c)
    with pytest.raises(ResultError, match="No records are left on one side"):
        c.held_out(share=1.0)


def test_a_comparison_of_controls_has_no_winner_held_out() -> None:
    c = asc.compare(network(), X, methods={"bad": Failing(1, ValueError)}, metrics=RelevanceGain(by=0.0), of=1)
    with pytest.raises(ResultError, match="No method has a score"):
        c.held_out()


def test_tied_methods_are_listed_with_the_better_mean_first() -> None:
    methods = [asc.Saliency(), asc.IntegratedGradients(), asc.InputXGradient(), asc.SmoothGrad()]
    c = asc.compare(network(), X, methods=methods, metrics=Sensitivity(samples=3), of=1)
    rows = [row for row in c.text_rows() if row[4]]
    means = {row["method"]: row["mean"] for row in c.table()}
    for first, second in pairwise(rows):
        if first[4] == second[4]:
            assert means[first[0]] <= means[second[0]]
    assert [int(row[4].split()[0]) for row in rows] == sorted(int(row[4].split()[0]) for row in rows)
