"""Columns that are one feature are one row wherever a result is shown, and the rows add up to what is explained."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe.errors import ResultError
from ascribe.features.table import align_rows, split_rows
from ascribe.reports import cards, page
from ascribe.result.attribution import Attribution

pandas = pytest.importorskip("pandas")
pytest.importorskip("matplotlib").use("Agg")

WEIGHTS = np.array([1.0, 2.0, -1.0, 0.5, 3.0])
TABLE = pandas.DataFrame([[1.0, 0.0, 0.0, 2.0, 1.5], [0.0, 1.0, 0.0, -1.0, 0.5]], columns=["red", "green", "blue", "weight", "height"])
COLOUR = {"colour": ["red", "green", "blue"]}


def model(t: Any) -> np.ndarray:
    rows = t.to_numpy(float)
    return rows @ WEIGHTS + rows[:, 0] * rows[:, 3]


def explained(features: Any = None) -> Attribution:
    chosen = asc.features.Columns(COLOUR) if features is None else features
    return asc.attribute(model, TABLE, over=asc.coalitions.Exact(), by=0.0, features=chosen)


def bars_of(ax: Any) -> dict[str, float]:
    """The drawn bars by their labels."""
    return {t.get_text().split(" = ")[0]: bar.get_width() for t, bar in zip(ax.get_yticklabels(), ax.patches, strict=True)}


@pytest.mark.parametrize("record", [0, 1, -1])
def test_bars_and_the_base_add_up_to_the_output(record: int) -> None:
    a = explained()
    drawn = bars_of(a.plot(record=record).axes[0])
    assert set(drawn) == {"colour", "weight", "height"}
    base = model(TABLE * 0)[0]
    assert sum(drawn.values()) + base == pytest.approx(model(TABLE)[record], abs=1e-12)
    few = bars_of(a.plot(record=record, top=1).axes[0])
    assert len(few) == 2
    assert sum(few.values()) + base == pytest.approx(model(TABLE)[record], abs=1e-12)


def test_tables_have_a_row_for_each_feature() -> None:
    a = explained()
    tidy = a.to_pandas()
    assert tidy["feature"].tolist() == ["colour", "weight", "height"] * 2
    np.testing.assert_allclose(tidy.groupby("record")["value"].sum(), model(TABLE), atol=1e-12)
    wide = a.to_pandas(wide=True)
    assert wide.columns[:3].tolist() == ["colour", "weight", "height"]
    np.testing.assert_allclose(wide[["colour", "weight", "height"]].sum(axis=1), model(TABLE), atol=1e-12)
    named = a.to_pandas(features=["c", "w", "h"], wide=True)
    assert named.columns[:3].tolist() == ["c", "w", "h"]
    with pytest.raises(ResultError, match="There are 2 names for"):
        a.to_pandas(features=["c", "w"])


def test_terminal_notebook_and_report_have_a_row_for_each_feature() -> None:
    a = explained()
    file = io.StringIO()
    a.show(file)
    shown = file.getvalue().split("record 1")[0]
    values = [float(v) for v in re.findall(r"^  (?:colour|weight|height) +([+-][\d.]+)", shown, re.MULTILINE)]
    assert len(values) == 3
    assert sum(values) == pytest.approx(model(TABLE)[0], rel=1e-3)
    html = a._repr_html_()
    assert html.count("<bdi>colour</bdi>") == 1
    assert "weight" in html
    (card, _) = cards({"Shapley": a})
    rows = page.describe_card(card)["features"]
    assert {row["name"]: row["value"] for row in rows} == {"colour": "1, 0, 0", "weight": "2", "height": "1.5"}
    assert sum(map(float, card.maps[0].values)) == pytest.approx(model(TABLE)[0], abs=1e-12)


def test_names_of_columns_reach_every_view_where_nothing_is_grouped() -> None:
    a = explained(asc.features.EachElement())
    assert set(bars_of(a.plot().axes[0])) == set(TABLE.columns)
    assert a.to_pandas(wide=True).columns[:5].tolist() == list(TABLE.columns)
    file = io.StringIO()
    a.show(file)
    assert all(name in file.getvalue() and name in a._repr_html_() for name in TABLE.columns)
    assert {row["name"] for row in page.describe_card(cards({"a": a})[0])["features"]} == set(TABLE.columns)


@pytest.mark.parametrize("frame", [False, True])
def test_ids_of_ones_own_are_rows_too(frame: bool) -> None:
    ids = np.array([5, 5, 5, -1, 2])
    given: Any = TABLE if frame else TABLE.to_numpy()
    plain = model if frame else (lambda rows: model(pandas.DataFrame(rows)))
    a = asc.attribute(plain, given, over=asc.coalitions.Exact(), by=0.0, features=ids)
    drawn = bars_of(a.plot().axes[0])
    assert len(drawn) == 2
    kept = TABLE.assign(red=0.0, green=0.0, blue=0.0, height=0.0)
    assert sum(drawn.values()) == pytest.approx(model(TABLE)[0] - model(kept)[0], abs=1e-12)
    assert set(drawn) == ({"red + green + blue", "height"} if frame else {"5", "2"})
    named = bars_of(a.plot(features=list("abcde")).axes[0])
    assert set(named) == ({"red + green + blue", "e"} if frame else {"5", "e"})


def test_a_result_keeps_its_features_through_what_leaves_its_shape(tmp_path: Any) -> None:
    a = explained()
    a.save(tmp_path / "a.safetensors")
    for b in (Attribution.load(tmp_path / "a.safetensors"), a * 2 / 2, (a + a) / 2, -(a * -1), a.records([0, 1])):
        np.testing.assert_allclose(b.to_pandas(wide=True)["colour"], a.to_pandas(wide=True)["colour"])
    np.testing.assert_allclose(a.abs().to_pandas(wide=True)["colour"], a.to_pandas(wide=True)["colour"].abs())
    largest = np.abs(a.features.values).max(1)
    np.testing.assert_allclose(a.normalize().to_pandas(wide=True)["weight"], a.features.values[:, 1] / largest)
    other = explained(asc.features.EachElement())
    assert (a + other).features is None


def test_words_that_differ_from_record_to_record_are_rows() -> None:
    ids = np.array([[3, 4, 5, 6], [7, 8, 9, 9]])

    def score(rows: np.ndarray) -> np.ndarray:
        return rows.sum(1).astype(float)

    words = [[0, 0, 1, None], [0, 1, 1, 2]]
    a = asc.attribute(score, ids, over=asc.coalitions.Exact(), by=asc.MaskToken(0), features=asc.Tokens(words))
    assert sum(bars_of(a.plot(record=0, kind="bars").axes[0]).values()) == pytest.approx(12)
    assert sum(bars_of(a.plot(record=1, kind="bars").axes[0]).values()) == pytest.approx(33)
    texts = [t.get_text() for t in a.plot(record=1, tokens=["un", "play", "##able", "!"]).axes[0].texts if t.get_gid() == "word"]
    assert texts == ["un", "playable", "!"]
    np.testing.assert_allclose(a.to_pandas().groupby("record")["value"].sum(), [12, 33])


def test_several_tables_are_shown_one_by_one() -> None:
    def two(first: Any, second: np.ndarray) -> np.ndarray:
        return model(first) + second.sum(1)

    a = asc.attribute(
        two, TABLE, np.ones((2, 2)), over=asc.coalitions.Exact(), by=0.0, features=(asc.features.Columns(COLOUR), np.array([0, 0]))
    )
    first, second = a.part(0).to_pandas(wide=True), a.part(1).to_pandas(wide=True)
    assert len(first.columns) - len(second.columns) == 2
    whole = a.to_pandas()
    np.testing.assert_allclose(whole.groupby("record")["value"].sum(), two(TABLE, np.ones((2, 2))), atol=1e-12)


def test_several_quantities_are_tabled_feature_by_feature() -> None:
    def both(t: Any) -> np.ndarray:
        return np.stack([model(t), -model(t)], 1)

    a = asc.attribute(
        both, TABLE, of=[asc.Unit(0), asc.Unit(1)], over=asc.coalitions.Exact(), by=0.0, features=asc.features.Columns(COLOUR)
    )
    tidy = a.to_pandas()
    assert len(tidy) == 2 * 2 * 3
    np.testing.assert_allclose(tidy.groupby(["quantity", "record"])["value"].sum(), [*model(TABLE), *-model(TABLE)], atol=1e-12)


def test_a_report_adds_up_columns_that_one_of_its_results_takes_together() -> None:
    grouped, single = explained(), explained(asc.features.EachElement())
    card = cards({"grouped": grouped, "single": single})[0]
    rows = {row["name"]: row for row in page.describe_card(card)["features"]}
    assert set(rows) == {"colour", "weight", "height"}
    for one in card.maps:
        assert one.values.sum() == pytest.approx(model(TABLE)[0], abs=1e-12)
    np.testing.assert_allclose(sorted(card.maps[1].values), sorted([single.values[0, :3].sum(), *single.values[0, 3:]]))


def test_rows_of_two_groupings_are_what_both_are_parts_of() -> None:
    table = np.arange(4.0)
    one = asc.attribute(lambda r: r.sum(1), table[None], over=asc.coalitions.Exact(), by=0.0, features=np.array([0, 0, 1, 2]))
    two = asc.attribute(lambda r: r.sum(1), table[None], over=asc.coalitions.Exact(), by=0.0, features=np.array([0, 1, 1, 2]))
    rows = align_rows([split_rows(a.values[0], None, a.features, 0) for a in (one, two)])
    assert [r.members for r in rows] == [((0, 1, 2), (3,))] * 2
    assert all(np.allclose(r.values, [3, 3], rtol=1e-12) for r in rows)


def test_a_regressor_has_no_classes() -> None:
    a = asc.attribute(lambda rows: rows.sum(1, keepdims=True), np.ones((2, 3)), over=asc.coalitions.Exact(), by=0.0)
    file = io.StringIO()
    a.show(file)
    assert "class" not in file.getvalue()
    assert "class" not in a.plot().axes[0].get_xlabel()
    assert cards({"a": a})[0].prediction == "predicted 3"


def test_bars_of_long_names_small_values_and_nothing_can_be_read() -> None:
    a = Attribution(np.array([[1e-5, -2e-5, 0.0]]))
    ax = a.plot(features=["n" * 200, "b", "c"]).axes[0]
    ax.figure.canvas.draw()
    assert max(len(t.get_text()) for t in ax.get_yticklabels()) == 40
    assert not ax.xaxis.get_offset_text().get_text()
    assert "e-05" in "".join(t.get_text() for t in ax.get_xticklabels())
    assert [t.get_text() for t in Attribution(np.zeros((1, 3))).plot().axes[0].texts] == ["all values are 0"]


def test_interactions_are_tabled_by_the_names_of_both(tmp_path: Any) -> None:
    for features, names in ((None, list(TABLE.columns)), (asc.features.Columns(COLOUR), ["colour", "weight", "height"])):
        a = asc.attribute(model, TABLE, over=asc.coalitions.Interactions(), by=0.0, features=features)
        a.save(tmp_path / "a.safetensors")
        tidy = Attribution.load(tmp_path / "a.safetensors").to_pandas()
        assert list(dict.fromkeys(tidy["axis1"])) == list(dict.fromkeys(tidy["feature"])) == names
        one = tidy[(tidy["record"] == 0) & (tidy["axis1"] == names[0]) & (tidy["feature"] == "weight")]["value"]
        assert one.item() == pytest.approx(1.0)  # red * weight = 2, shared by the two orders of the pair
