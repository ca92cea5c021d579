"""Standard errors of results: cut, scaled, saved, tabled and drawn with the values that they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ascribe.features.table import FeatureTable
from ascribe.reports import cards
from ascribe.reports.page import describe_card
from ascribe.result.attribution import Attribution

VALUES = np.array([[4.0, -2.0, 0.0], [1.0, 1.0, -3.0]])
ERROR = np.array([[0.5, 0.25, np.nan], [0.1, 0.2, 0.3]])


def made(**more: object) -> Attribution:
    return Attribution(VALUES, VALUES, method="m", error=ERROR, features=FeatureTable(VALUES, ERROR, ("a", "b", "c"), "three"), **more)


def test_errors_go_with_their_records_and_scale_with_their_values() -> None:
    one = made().records([1])
    np.testing.assert_array_equal(one.error, ERROR[1:])
    np.testing.assert_array_equal(one.features.values, VALUES[1:])
    for scaled, factor in ((made() * -2, 2.0), (made() / 4, 0.25), (-made(), 1.0)):
        np.testing.assert_allclose(scaled.error, ERROR * factor)
        np.testing.assert_allclose(scaled.features.error, ERROR * factor)
        np.testing.assert_allclose(scaled.features.values, scaled.values)
    for other in (made() + made(), made().abs(), made().normalize()):
        assert other.error is None
        assert other.features.error is None
        np.testing.assert_allclose(other.features.values, other.values)
    assert made().pool(1).features is None


def test_errors_of_several_quantities() -> None:
    both = Attribution(np.stack([VALUES, -VALUES]), explained=np.zeros((2, 2)), error=np.stack([ERROR, 2 * ERROR]),
                       features=FeatureTable(np.stack([VALUES, -VALUES])))  # fmt: skip
    np.testing.assert_array_equal(both.quantity_at(1).error, 2 * ERROR)
    np.testing.assert_array_equal(both.quantity_at(1).features.values, -VALUES)
    np.testing.assert_array_equal(both.records([1]).features.values, np.stack([VALUES, -VALUES])[:, 1:])


def test_errors_and_features_are_saved(tmp_path: Path) -> None:
    for a in (made(), Attribution(VALUES, features=FeatureTable(VALUES)), Attribution(VALUES)):
        a.save(tmp_path / "a.safetensors")
        b = Attribution.load(tmp_path / "a.safetensors")
        assert (a.error is None) == (b.error is None)
        if a.error is not None:
            np.testing.assert_array_equal(b.error, ERROR)
        assert (a.features is None) == (b.features is None)
        if a.features is not None:
            np.testing.assert_array_equal(b.features.values, a.features.values)
            assert b.features.names == a.features.names
            assert b.features.description == a.features.description
            assert (a.features.error is None) == (b.features.error is None)


def test_a_report_has_whiskers_where_errors_are_known() -> None:
    (card,) = cards({"sampled": made(), "exact": Attribution(VALUES, VALUES)}, [0], feature_names=["a", "b", "c"])
    shown = describe_card(card)
    assert [m["error"] for m in shown["maps"]] == ["0.5", None]
    bars = {row["name"]: row["bars"] for row in shown["features"]}
    limit = 4.0 / bars["a"][0]["share"]
    assert bars["a"][0]["error"] == pytest.approx(0.5 / limit, abs=1e-4)
    assert "error" not in bars["c"][0]
    assert all("error" not in row[1] for row in bars.values())


def test_bars_are_drawn_with_errors() -> None:
    pytest.importorskip("matplotlib")
    plain, sampled = Attribution(VALUES, VALUES).plot(record=1), made().plot(record=1)
    lines = [sum(len(c.get_segments()) for c in f.axes[0].collections) for f in (plain, sampled)]
    assert lines == [0, 3]
