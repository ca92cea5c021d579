"""Tables of pandas as arguments of black boxes: their columns by name, their types, and what these cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ascribe as asc
from ascribe.errors import DistributionError, FeatureError

pandas = pytest.importorskip("pandas")
X = np.random.default_rng(0).normal(size=(5, 4))


def test_columns_of_words_and_whole_numbers_keep_their_types():
    table = pandas.DataFrame({"n": [1, 2, 3], "w": ["a", "b", "a"], "c": pandas.Categorical(["x", "y", "y"]), "f": [0.5, 1.5, 2.5]})
    kinds: set[tuple[str, ...]] = set()

    def model(t: Any) -> np.ndarray:
        kinds.add(tuple(map(str, t.dtypes)))
        return (t.n * t.f + (t.w == "a") * 10 + (t.c == "x") * t.n).to_numpy(float)

    found = asc.attribute(model, table, over=asc.coalitions.Exact(), by=asc.Resample(table))
    assert kinds == {tuple(map(str, table.dtypes))}
    assert found.features.names == ("n", "w", "c", "f")
    change = model(table) - np.mean(model(table))
    np.testing.assert_allclose(found.values.sum(1), change, atol=1e-6)
    with pytest.raises(FeatureError, match="Resample"):
        asc.attribute(model, table, over=asc.coalitions.Exact())
    with pytest.raises(FeatureError, match="needs numbers, but the input has texts"):
        asc.attribute(model, table, over=asc.coalitions.Exact(), by=asc.removal.Nearest(table, 2))


def gained(t: Any) -> np.ndarray:
    return (t["a"] + 100 * t["b"]).to_numpy(float)


def test_a_background_finds_its_columns_by_name():
    table = pandas.DataFrame({"a": [1, 2], "b": [30, 40]})
    expected = asc.attribute(gained, table, over=asc.coalitions.Exact(), by=asc.Resample(table)).values
    np.testing.assert_allclose(expected, (table - table.mean()) * [1, 100])
    for given in (table[["b", "a"]], table.assign(label=1)[["label", "b", "a"]]):
        np.testing.assert_array_equal(asc.attribute(gained, table, over=asc.coalitions.Exact(), by=asc.Resample(given)).values, expected)
    mean = table.mean()[["b", "a"]]  # a row of its own
    np.testing.assert_allclose(asc.attribute(gained, table, over=asc.coalitions.Exact(), by=asc.Replace(mean)).values, expected)
    with pytest.raises(DistributionError, match="'c'") as caught:
        asc.attribute(gained, table, over=asc.coalitions.Exact(), by=asc.Resample(table.rename(columns={"b": "c"})))
    assert caught.value.code == "E-BASELINE-COLUMNS"


def test_columns_take_only_what_their_types_hold():
    table = pandas.DataFrame({"a": [1, 2], "b": pandas.array([3, None], dtype="Int64"), "c": [True, False], "d": np.int8([4, 5])})
    kinds: list[list[str]] = []

    def model(t: Any) -> np.ndarray:
        kinds.append([str(k) for k in t.dtypes])
        assert t.columns.tolist() == list(table.columns)
        return t.notna().to_numpy().sum(1).astype(float)

    own = [str(k) for k in table.dtypes]
    for row, expected in ({"a": 5, "b": 6, "c": False, "d": 7}, own), ({"a": np.nan, "b": np.nan, "c": 2, "d": 300}, None):
        kinds.clear()
        asc.attribute(model, table, over=asc.coalitions.LeaveOneOut(), by=asc.Resample(pandas.DataFrame([row])), features=np.zeros(4, int))
        assert kinds == [own, expected or ["float64", "Int64", "float64", "float64"], own]  # the first record is run once more
    twice = pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    found = asc.attribute(lambda t: t.to_numpy(float).sum(1), twice, over=asc.coalitions.Exact(), by=asc.Replace(0))
    np.testing.assert_array_equal(found.values, twice)
    colours = pandas.DataFrame({"colour": pandas.Categorical(["red", "blue"])})
    other = pandas.DataFrame({"colour": pandas.Categorical(["red", "green"])})
    with pytest.raises(DistributionError, match="The column 'colour' has no category 'green'"):
        asc.attribute(lambda t: t.colour.cat.codes.to_numpy(float), colours, over=asc.coalitions.Exact(), by=asc.Resample(other))


def test_names_of_columns_are_those_of_the_table_that_is_explained():
    a, b = pandas.DataFrame(X[:, :2], columns=["p", "q"]), pandas.DataFrame(X[:, :3], columns=["r", "s", "t"])

    def model(a: Any, b: Any) -> Any:
        return a.sum(axis=1) + b.sum(axis=1)

    both = asc.attribute(model, a, b, over=asc.coalitions.Exact())
    assert both.features.names == ("p", "q", "r", "s", "t")
    for at, names in ((0, ("p", "q")), (1, ("r", "s", "t"))):
        found = asc.attribute(model, a, b, at=asc.INPUT.at(at), over=asc.coalitions.Exact(), features=asc.Columns())
        assert found.features.names == names


def test_the_columns_of_a_table_are_the_inputs_of_a_session():
    onnxruntime, skl2onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("skl2onnx")
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pandas.DataFrame({"age": [20, 30, 40, 50] * 3, "town": ["Rome", "Oslo", "Bern"] * 4})
    parts = make_column_transformer((OneHotEncoder(), ["town"]), (StandardScaler(), ["age"]))
    model = make_pipeline(parts, LogisticRegression()).fit(table, (table.age > 30) ^ (table.town == "Oslo"))
    kinds = {"age": skl2onnx.common.data_types.Int64TensorType([None, 1]), "town": skl2onnx.common.data_types.StringTensorType([None, 1])}
    made = skl2onnx.to_onnx(model, initial_types=list(kinds.items()), options={"zipmap": False})
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    found, expected = (asc.attribute(m, table[:3], of=1, over=asc.coalitions.Exact(), by=asc.Resample(table)) for m in (session, model))
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    assert found.features.names == ("age", "town")
