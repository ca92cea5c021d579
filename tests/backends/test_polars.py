"""Tables of polars: the same numbers as with the same table of pandas, through black boxes, removal, trees and recommendations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe.errors import DistributionError
from ascribe.utils.polars_tables import polars_frame, polars_numbers

polars = pytest.importorskip("polars")
pandas = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
COLUMNS = {"age": RNG.integers(1, 90, 60), "bmi": RNG.random(60), "smokes": RNG.random(60) > 0.5}
TABLE, SAME = polars.DataFrame(COLUMNS), pandas.DataFrame(COLUMNS)


def model(table: Any) -> np.ndarray:
    """A model that reads columns by name, of whichever library."""
    age, bmi, smokes = (np.asarray(table[name], float) for name in ("age", "bmi", "smokes"))
    return np.stack([age * bmi, bmi + smokes], 1)


@pytest.mark.parametrize("background", [None, "rows", "other order"])
@pytest.mark.parametrize("method", [asc.KernelShap, asc.ShapleyExact, asc.FeatureAblation])
def test_a_black_box_has_the_numbers_and_names_of_pandas(method: Any, background: str | None) -> None:
    def made(table: Any) -> Any:
        rows = table[["smokes", "age", "bmi"]][:7] if background == "other order" else table[:7]
        given = {} if background is None else {"by": asc.Resample(rows)}
        return method(64, **given) if method is asc.KernelShap else method(**given)

    a, b = made(TABLE)(model, TABLE[:4], of=0), made(SAME)(model, SAME[:4], of=0)
    np.testing.assert_allclose(a.values, b.values, rtol=1e-12)
    assert a.features is not None
    assert a.features.names == ("age", "bmi", "smokes")
    assert list(a.to_pandas(wide=True).columns[:3]) == ["age", "bmi", "smokes"]


def test_the_model_is_called_with_polars_of_the_same_types() -> None:
    seen: list[Any] = []

    def watch(table: Any) -> np.ndarray:
        seen.append(table)
        return model(table)

    asc.FeatureAblation(by=asc.Resample(TABLE[:5]))(watch, TABLE[:3], of=1)
    assert all(isinstance(one, polars.DataFrame) for one in seen)
    assert all(one.schema == TABLE.schema for one in seen)


def test_texts_categories_and_missing_values_go_there_and_back() -> None:
    table = polars.DataFrame({"city": ["Oslo", None, "Rome"], "n": [1, None, 3], "x": [0.5, 1.5, None]})
    numbers = polars_numbers(table)
    assert numbers.dtype == object
    assert polars_frame(table, numbers).equals(table)
    kinds = table.with_columns(polars.col("city").cast(polars.Enum(["Oslo", "Rome"])))
    assert polars_frame(kinds, polars_numbers(kinds)).schema == kinds.schema
    wrong = polars_numbers(kinds)
    wrong[0, 0] = "Lima"
    with pytest.raises(DistributionError, match="cannot hold"):
        polars_frame(kinds, wrong)
    halves = polars_numbers(TABLE)
    halves[0, 0] = 0.5
    assert polars_frame(TABLE, halves)["age"].to_list()[0] == 0.5


def test_a_background_without_a_column_is_refused() -> None:
    with pytest.raises(DistributionError, match="does not have the columns"):
        asc.KernelShap(16, by=asc.Resample(TABLE[["age", "bmi"]]))(model, TABLE[:2], of=0)


def test_trees_and_recommendations() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    pytest.importorskip("shap")
    forest = ensemble.RandomForestRegressor(5, max_depth=4, random_state=0).fit(SAME, SAME["age"])
    for a, b in (
        (asc.TreeShap()(forest, TABLE[:5]), asc.TreeShap()(forest, SAME[:5])),
        (asc.TreeShap(background=TABLE[:9])(forest, TABLE[:5]), asc.TreeShap(background=SAME[:9])(forest, SAME[:5])),
    ):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-12)
        assert a.features is not None
        assert a.features.names == ("age", "bmi", "smokes")
    assert asc.recommend(forest, TABLE[:30], budget=2000).method is not None
