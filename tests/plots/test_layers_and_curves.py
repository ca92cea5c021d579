"""Figures of layers, heads, removal curves and rules: the numbers that are drawn; nothing clipped at two sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from ascribe.engine.rule_table import RuleTable
from ascribe.errors import ResultError
from ascribe.metrics.scores import Curve, Scores
from ascribe.plots import curves, depth, heads, rules
from ascribe.plots.names import shorten_names
from ascribe.result.attribution import Attribution
from ascribe.rules import Epsilon
from ascribe.rules.trace import AppliedRule
from ascribe.utils.intervals import interval_of_mean
from tests.plots.gallery import check_picture

RNG = np.random.default_rng(0)


def labels(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def layers(records: int = 12) -> dict[str, Attribution]:
    rng = np.random.default_rng(1)
    return {f"layer{k}": Attribution(rng.normal(size=(records, 8, 2 + k, 4)) * (k + 1)) for k in range(6)}


def test_the_depth_profile_has_the_share_of_each_layer_with_its_interval() -> None:
    figure = check_picture(lambda ax: depth(layers(), ax), "depth")
    sizes = np.stack([np.abs(a.values).reshape(12, -1).sum(1) for a in layers().values()], 1)
    shares = sizes / sizes.sum(1, keepdims=True)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(widths, shares.mean(0))
    assert sum(widths) == pytest.approx(1)
    for line, column in zip(figure.axes[0].lines, shares.T, strict=True):
        np.testing.assert_allclose(line.get_xdata(), interval_of_mean(column))
    assert labels(figure) == list(layers())
    assert "12 records" in figure.axes[0].get_xlabel()


def test_depth_counts_values_of_one_sign_and_leaves_out_records_without() -> None:
    known = {name: a.values.copy() for name, a in layers().items()}
    for values in known.values():
        values[3] = -1.0
    figure = depth({name: Attribution(values) for name, values in known.items()}, sign="positive")
    sizes = np.stack([np.maximum(values, 0).reshape(12, -1).sum(1) for values in known.values()], 1)
    kept = np.delete(sizes, 3, 0)
    np.testing.assert_allclose([b.get_width() for b in figure.axes[0].patches], (kept / kept.sum(1, keepdims=True)).mean(0))
    assert "1 without values" in figure.axes[0].get_xlabel().replace("\n", " ")
    one = check_picture(lambda ax: depth(layers(1), ax, title="one record"), "depth-one")
    assert len(one.axes[0].lines) == 0


def test_depth_needs_the_same_records() -> None:
    for wrong in ({}, {"a": layers()["layer0"], "b": layers(3)["layer1"]}):
        with pytest.raises(ResultError, match="same records"):
            depth(wrong)


def test_heads_are_a_matrix() -> None:
    table = RNG.normal(size=(5, 8))
    figure = check_picture(lambda ax: heads(table, ax), "heads")
    np.testing.assert_allclose(np.asarray(figure.axes[0].images[0].get_array()), table)
    low, high = figure.axes[0].images[0].get_clim()
    assert -low == high == np.abs(table).max()
    records = RNG.normal(size=(3, 5, 8))
    for given, expected in ((heads(records), records.mean(0)), (heads(Attribution(records), record=2), records[2])):
        np.testing.assert_allclose(np.asarray(given.axes[0].images[0].get_array()), expected)


def test_attention_weights_of_layers_are_summed_for_each_head() -> None:
    weights = {f"encoder.layer.{k}.attention.self.softmax": Attribution(RNG.random((3, 4, 6, 6))) for k in range(11)}
    figure = check_picture(lambda ax: heads(weights, ax, title="heads"), "heads-layers")
    expected = np.stack([a.values.sum((2, 3)).mean(0) for a in weights.values()])
    np.testing.assert_allclose(np.asarray(figure.axes[0].images[0].get_array()), expected)
    assert len(set(labels(figure))) == 11
    with pytest.raises(ResultError, match="same number of heads"):
        heads({"a": np.ones(3), "b": np.ones(4)})
    with pytest.raises(ResultError, match=r"\[layers, heads\]"):
        heads(np.ones(3))
    with pytest.raises(ResultError, match="2 names, 3 layers"):
        heads(np.ones((3, 4)), layers=["a", "b"])


def scores(records: int = 20, *orders: str) -> Scores:
    removed = np.linspace(0, 1, 11)
    made = {}
    for k, order in enumerate(orders or ("most relevant first",)):
        made[order] = Curve(removed, (1 - removed[:, None]) ** (1 + 2 * k) + 0.1 * RNG.normal(size=(11, records)))
    return Scores(np.mean([curve.area for curve in made.values()], 0), "lower", "Deletion()", curves=made)


def test_curves_are_means_with_their_area() -> None:
    known = scores()
    figure = check_picture(lambda ax: curves(known, ax, title="Deletion"), "curves-one")
    (line,) = figure.axes[0].lines
    (curve,) = known.curves.values()
    np.testing.assert_allclose(line.get_xydata(), np.stack([curve.removed, curve.values.mean(1)], 1))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [f"area {curve.area.mean():.3g}"]
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    half = 1.96 * curve.values[5].std(ddof=1) / np.sqrt(20)
    at = band[np.isclose(band[:, 0], 0.5), 1]
    np.testing.assert_allclose([at.min(), at.max()], curve.values[5].mean() + half * np.array([-1, 1]), atol=0.35 * half)


def test_methods_differ_by_colour_and_marker_and_orders_by_line() -> None:
    both = ("most relevant first", "least relevant first")
    named = {f"A method with a name that is long {k}": scores(20, *both) for k in range(4)}
    figure = check_picture(lambda ax: curves(named, ax, title="Relevance gain"), "curves-four")
    lines = figure.axes[0].lines
    assert [line.get_linestyle() for line in lines] == ["-", "--"] * 4
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 4
    assert "dashed: least relevant first" in figure.axes[0].get_xlabel().replace("\n", " ")


def test_one_record_has_no_interval_and_nothing_has_no_curves() -> None:
    assert not curves(scores(1)).axes[0].collections
    for wrong in (Scores(np.ones(3), "lower"), {}, {"a": scores(), "b": Scores(np.ones(3), "lower")}):
        with pytest.raises(ResultError, match="have curves"):
            curves(wrong)


TABLE = RuleTable(
    Epsilon(),
    (
        AppliedRule("addmm", "dense", "0", "rules.Epsilon()", 12),
        AppliedRule("addmm", "dense", "1", "rules.Epsilon()", 3),
        AppliedRule("convolution", "convolution", "1", "rules.Gamma(gamma=0.25, a_setting_with_a_long_name=1e-06)", 20),
        AppliedRule("scaled_dot_product_attention", "attention", "2", "gradient", 4, False),
        AppliedRule("erf", "activation", "2", "gradient", 1, False),
        AppliedRule("add", "sum", "", "passed on", 30),
    ),
)


def test_rules_have_their_share_of_the_operations() -> None:
    figure = check_picture(lambda ax: rules(TABLE, ax, title="BERT"), "rules")
    bars = figure.axes[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], np.array([5, 30, 20, 15]) / 70)
    assert [bool(bar.get_hatch()) for bar in bars] == [True, False, False, False]
    assert labels(figure)[0].startswith("none: gradient\nerf, scaled")
    assert figure.axes[0].get_xlabel().replace("\n", " ") == "share of 70 operations; hatched: without a formula (5)"
    whole = check_picture(lambda ax: rules(RuleTable(Epsilon(), TABLE.rows[:1]), ax), "rules-one")
    assert whole.axes[0].get_xlabel() == "share of 12 operations"
    with pytest.raises(ResultError, match="no operations"):
        rules(RuleTable(Epsilon(), ()))


@pytest.mark.parametrize("most", [8, 12, 20])
def test_shortened_names_differ(most: int) -> None:
    for names in (
        [f"encoder.layer.{k}.attention.self" for k in range(12)], ["a", "b" * 50], [f"{'x' * 40}{k}" for k in range(5)],
        [f"{k}{'x' * 40}" for k in range(5)],
    ):  # fmt: skip
        short = shorten_names(names, most)
        assert len(set(short)) == len(names)
        assert max(map(len, short)) <= most
