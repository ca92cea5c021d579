"""Figures of tables: the numbers that are drawn, names, missing values, texts, many and long names; nothing clipped at two sizes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from ascribe.errors import ResultError
from ascribe.features.table import FeatureTable
from ascribe.plots import beeswarm, decisions, dependence, heatmap, importance, interactions, waterfall
from ascribe.result.attribution import Attribution
from tests.plots.gallery import check_picture

RNG = np.random.default_rng(0)
NAMES = ["age", "blood pressure", "a name that goes on for far longer than any figure has room", "bmi"]


def result(records: int = 40, features: int = 4, **more: Any) -> Attribution:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(records, features)) * 3
    values = x * np.linspace(2, 0.1, features)
    base = np.full(records, 1.5)
    known: dict[str, Any] = {"record": x, "base_value": base, "explained": base + values.sum(1), "method": "KernelShap()"} | more
    a = Attribution(values, **known)
    return a.with_names(features=NAMES) if features == 4 else a


def bars(figure: Any) -> list[tuple[float, float]]:
    """The start and the length of each bar."""
    return [(patch.get_x(), patch.get_width()) for patch in figure.axes[0].patches]


def labels(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def test_a_waterfall_leads_from_the_base_value_to_the_score() -> None:
    a = result()
    figure = check_picture(lambda ax: waterfall(a, 3, ax=ax), "waterfall")
    drawn = bars(figure)
    order = np.argsort(-np.abs(a.values[3]), kind="stable")
    np.testing.assert_allclose([width for _, width in drawn], a.values[3][order])
    np.testing.assert_allclose([start for start, _ in drawn], 1.5 + np.concatenate([[0], np.cumsum(a.values[3][order])[:-1]]))
    assert a.explained is not None
    assert figure.axes[0].get_xlabel().replace("−", "-").endswith(f"score {a.explained[3]:.4g}")
    assert labels(figure)[list(order).index(0)].startswith("age = ")
    assert all(len(label) < 50 for label in labels(figure))


def test_the_other_features_are_one_bar() -> None:
    a = result(features=30)
    figure = check_picture(lambda ax: waterfall(a, 0, top=5, ax=ax), "waterfall-others")
    assert len(bars(figure)) == 6
    assert labels(figure)[-1] == "25 others together"
    np.testing.assert_allclose(sum(width for _, width in bars(figure)), a.values[0].sum())


def test_importance_is_the_mean_size_with_its_interval() -> None:
    a = result()
    figure = check_picture(lambda ax: importance(a, ax=ax), "importance")
    sizes = np.abs(a.values).mean(0)
    order = np.argsort(-sizes)
    np.testing.assert_allclose([width for _, width in bars(figure)], sizes[order])
    (line,) = figure.axes[0].collections
    spread = np.abs(a.values).std(0, ddof=1) / np.sqrt(40)
    ends = np.array([segment[:, 0] for segment in line.get_segments()])
    np.testing.assert_allclose(ends, np.stack([sizes - 1.96 * spread, sizes + 1.96 * spread], 1)[order], rtol=1e-12)


def test_several_results_are_side_by_side() -> None:
    figure = check_picture(lambda ax: importance({"one": result(), "two": result() * 0.5}, ax=ax), "importance-two")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["one", "two"]
    assert len(bars(figure)) == 8
    with pytest.raises(ResultError, match="same features"):
        importance({"one": result(), "two": result(features=3)})
    with pytest.raises(ResultError, match="same features"):
        importance({})


def test_a_beeswarm_has_a_point_for_each_record_and_grey_ones_for_missing_values() -> None:
    x = result().record.copy()
    x[:5, 0] = np.nan
    figure = check_picture(lambda ax: beeswarm(result(record=x), ax=ax), "beeswarm")
    grey, coloured = figure.axes[0].collections[:2]
    assert (len(grey.get_offsets()), len(coloured.get_offsets())) == (5, 35)
    np.testing.assert_allclose(np.sort(coloured.get_offsets()[:, 0]), np.sort(result().values[5:, 0]))
    ranks = coloured.get_array()
    assert (float(ranks.min()), float(ranks.max())) == (-1.0, 1.0)
    assert ranks[np.argmax(x[5:, 0])] == 1.0
    assert [text.get_text() for text in figure.axes[1].get_yticklabels()] == ["low", "high"]


def test_dependence_shows_values_against_attributions_and_finds_the_partner() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    values = np.stack([x[:, 0] * (1 + np.sign(x[:, 2])), x[:, 1], np.zeros(200)], 1)
    a = Attribution(values, x).with_names(features=["dose", "age", "sex"])
    figure = check_picture(lambda ax: dependence(a, "dose", ax=ax), "dependence")
    points = np.concatenate([one.get_offsets() for one in figure.axes[0].collections[:2]])
    np.testing.assert_allclose(points[np.argsort(points[:, 0])], np.stack([x[:, 0], values[:, 0]], 1)[np.argsort(x[:, 0])])
    assert figure.axes[1].get_ylabel() == "sex"
    check_picture(lambda ax: dependence(a, 1, None, ax=ax), "dependence-plain")
    with pytest.raises(ResultError, match="no feature 'weight'"):
        dependence(a, "weight")
    with pytest.raises(ResultError, match="needs the values"):
        dependence(Attribution(values), 0)


def test_texts_are_categories() -> None:
    x = np.array([["red", 1.0], ["blue", 2.0], ["red", np.nan], [None, 4.0]], object)
    a = Attribution(np.arange(8.0).reshape(4, 2), x, base_value=np.zeros(4), explained=np.ones(4)).with_names(features=["colour", "size"])
    figure = check_picture(lambda ax: dependence(a, "colour", None, ax=ax), "dependence-texts")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["None", "blue", "red"]
    check_picture(lambda ax: beeswarm(a, ax=ax), "beeswarm-texts")
    assert labels(waterfall(a, 0)) == ["size = 1", "colour = red"]
    assert "size = missing" in labels(waterfall(a, 2))


def test_a_heat_map_is_in_the_order_of_the_scores() -> None:
    a = result()
    figure = check_picture(lambda ax: heatmap(a, ax=ax), "heatmap")
    shown = figure.axes[0].images[0].get_array()
    assert a.explained is not None
    np.testing.assert_allclose(shown, a.values[np.argsort(a.explained, kind="stable")][:, np.argsort(-np.abs(a.values).mean(0))].T)
    check_picture(lambda ax: heatmap(result(features=100), ax=ax), "heatmap-many")


def test_decisions_end_at_the_scores() -> None:
    a = result(features=30)
    figure = check_picture(lambda ax: decisions(a, top=6, ax=ax), "decisions")
    paths = [line.get_xdata() for line in figure.axes[0].lines[:40]]
    assert a.explained is not None
    np.testing.assert_allclose([path[0] for path in paths], np.full(40, 1.5))
    np.testing.assert_allclose([path[-1] for path in paths], a.explained)
    assert all(len(path) == 8 for path in paths)


def test_interactions_as_a_matrix_and_as_a_network() -> None:
    values = RNG.normal(size=(3, 6, 6))
    a = Attribution(values + values.swapaxes(1, 2))
    a = replace(a, features=FeatureTable(a.values, names=("worst concave points", "age", "b", "worst fractal dimension", "c", "dose")))
    figure = check_picture(lambda ax: interactions(a, 1, ax=ax), "interactions")
    shown = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(np.sort(shown[~np.eye(6, dtype=bool)]), np.sort(a.values[1][~np.eye(6, dtype=bool)]))
    assert (np.diag(shown) == 0).all()
    check_picture(lambda ax: interactions(a, ax=ax), "interactions-mean")
    network = check_picture(lambda ax: interactions(a, 1, network=True, ax=ax), "interactions-network")
    assert len(network.axes[0].lines) <= 15
    with pytest.raises(ResultError, match="needs interactions"):
        interactions(result())


@pytest.mark.parametrize("features", [1, 2, 100])
def test_any_number_of_features(features: int) -> None:
    a = result(features=features)
    for draw in (waterfall, importance, beeswarm, decisions, heatmap):
        check_picture(lambda ax, draw=draw: draw(a, ax=ax), f"{draw.__name__}-{features}")


def test_one_record_and_constant_values() -> None:
    one = result(records=1)
    constant = Attribution(np.zeros((5, 3)), np.ones((5, 3)), base_value=np.ones(5), explained=np.ones(5))
    for a in (one, constant):
        for draw in (waterfall, importance, beeswarm, decisions):
            check_picture(lambda ax, a=a, draw=draw: draw(a, ax=ax), f"{draw.__name__}-edge")


def test_hostile_names_are_drawn_as_text() -> None:
    a = result(features=3).with_names(features=["$\\frac{", "a\x1b[31m", "\u202ereversed"])
    figure = check_picture(lambda ax: waterfall(a, ax=ax), "hostile")
    assert not any("\x1b" in label or "\u202e" in label for label in labels(figure))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ResultError, match="starts from a base value"):
        waterfall(result(base_value=None))
    with pytest.raises(ResultError, match="starts from a base value"):
        decisions(result(base_value=None))
    with pytest.raises(ResultError, match="records, features"):
        beeswarm(Attribution(np.zeros((2, 3, 4))))
    with pytest.raises(ResultError, match="records, features"):
        importance(Attribution((np.zeros((2, 3)), np.zeros((2, 3)))))


def test_given_axes_are_drawn_on() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert waterfall(result(), ax=ax, title="mine") is figure
    assert ax.get_title(loc="left") == "mine"
