"""TreeShap against enumeration, against the definition of path-dependent values, and against the models' own outputs."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

import ascribe as asc
from ascribe.errors import AscribeError, BackendError, FeatureError, InputError, MethodError, QuantityError
from tests.oracles.tree_recursion import shapley_pairs, shapley_values, tree_value
from tests.support.tree_models import MODELS, NUMBER, RECORDS, ROWS, THREE, TWO, X, lgbm, margin_of, some_class, xgb

lightgbm = pytest.importorskip("lightgbm")
pd = pytest.importorskip("pandas")
pytest.importorskip("shap")

pytestmark = pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")

SINGLE = 1e-5
"""Boosters add up leaves in single precision; relative to values near 1."""


@pytest.mark.parametrize("name", MODELS)
def test_values_against_a_background_are_those_of_all_coalitions(name: str) -> None:
    model = MODELS[name]()
    truth = asc.ShapleyExact(by=asc.Resample(ROWS))(margin_of(model), RECORDS, of=some_class(model))
    found = asc.TreeShap(ROWS)(model, RECORDS, of=some_class(model))
    np.testing.assert_allclose(found.values, truth.values, atol=1e-6)
    np.testing.assert_allclose(found.explained, truth.explained, atol=1e-6)
    assert found.ok
    assert np.abs(found.gap.absolute).max() < 1e-5


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [None, ROWS], ids=["path", "background"])
def test_values_add_up_to_the_models_own_margin(name: str, rows: Any) -> None:
    model = MODELS[name]()
    margin = margin_of(model)(RECORDS).reshape(len(RECORDS), -1)
    for k in range(margin.shape[1]):
        found = asc.TreeShap(rows)(model, RECORDS, of=k)
        np.testing.assert_allclose(found.explained, margin[:, k], rtol=1e-6)
        expected = found.settings["expected"][k]
        np.testing.assert_allclose(found.values.sum(1) + expected, margin[:, k], atol=SINGLE)
        np.testing.assert_allclose(found.base_value, expected, atol=1e-9)
        assert found.ok
        assert found.target.tolist() == [k] * len(RECORDS)


@pytest.mark.parametrize("name", ["tree", "tree of classes", "random tree", "forest", "forest of classes", "extra trees"])
def test_path_dependent_values_are_their_definition(name: str) -> None:
    model = MODELS[name]()
    trees = [one.tree_ for one in getattr(model, "estimators_", [model])]
    for score in range(len(getattr(model, "classes_", [0]))):
        found = asc.TreeShap()(model, RECORDS, of=score).values
        pairs = asc.TreeShap(interactions=True)(model, RECORDS, of=score).values
        for record, row, matrix in zip(RECORDS, found, pairs, strict=True):

            def value(kept: frozenset[int], record: np.ndarray = record, score: int = score) -> float:
                return float(np.mean([tree_value(one, record, kept, score) for one in trees]))

            np.testing.assert_allclose(row, shapley_values(value, 5), atol=1e-9)
            np.testing.assert_allclose(matrix, shapley_pairs(value, 5), atol=1e-6)  # shap computes pairs in single precision


def test_path_dependent_values_of_boosting_are_their_definition() -> None:
    model = MODELS["boosting of classes"]()
    for k in range(3):
        found = asc.TreeShap()(model, RECORDS[:2], of=k)
        trees = [one.tree_ for one in model.estimators_[:, k]]
        for record, row in zip(RECORDS, found.values, strict=False):
            truth = shapley_values(lambda kept: 0.1 * sum(tree_value(t, record, kept, 0) for t in trees), 5)  # noqa: B023
            np.testing.assert_allclose(row, truth, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in MODELS if n.startswith(("LightGBM", "XGBoost", "CatBoost"))])
def test_values_of_a_booster_without_a_background_are_its_own(name: str) -> None:
    model, k = MODELS[name](), some_class(MODELS[name]())
    if name.startswith("LightGBM"):
        own = model.predict(RECORDS, pred_contrib=True).reshape(4, -1, 6)
    elif name.startswith("XGBoost"):
        import xgboost

        booster = getattr(model, "get_booster", lambda: model)()
        own = booster.predict(xgboost.DMatrix(RECORDS), pred_contribs=True, strict_shape=True)
    else:
        import catboost

        own = model.get_feature_importance(catboost.Pool(RECORDS), type="ShapValues").reshape(4, -1, 6)
    found = asc.TreeShap()(model, RECORDS, of=k)
    np.testing.assert_allclose(found.values, own[:, min(k, own.shape[1] - 1), :-1], rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_pairs_add_up_to_the_values_of_features(name: str) -> None:
    model = MODELS[name]()
    pairs, plain = (asc.TreeShap(interactions=two)(model, RECORDS, of=some_class(model)) for two in (True, False))
    assert pairs.values.shape == (4, 5, 5)
    np.testing.assert_allclose(pairs.values.sum(2), plain.values, atol=SINGLE)
    np.testing.assert_allclose(pairs.values, pairs.values.swapaxes(1, 2), atol=SINGLE)
    assert pairs.ok


@pytest.mark.parametrize("name", [n for n in MODELS if "classes" in n or "extra trees" == n])
def test_labels_classes_and_differences(name: str) -> None:
    model = MODELS[name]()
    each = [asc.TreeShap()(model, RECORDS, of=k) for k in range(len(model.classes_))]
    labels = [0, 1, 1, 0]
    found = asc.TreeShap()(model, RECORDS, of=labels)
    np.testing.assert_array_equal(found.values, [each[k].values[i] for i, k in enumerate(labels)])
    predicted = asc.TreeShap()(model, RECORDS)
    assert predicted.target.tolist() == np.asarray(model.predict(RECORDS)).reshape(-1).astype(int).tolist()
    named = asc.TreeShap()(model, RECORDS, of="1")
    np.testing.assert_array_equal(named.values, each[1].values)
    contrast = asc.TreeShap()(model, RECORDS, of=asc.Contrast(1, 0))
    np.testing.assert_allclose(contrast.values, each[1].values - each[0].values, atol=1e-12)
    assert contrast.ok
    several = asc.TreeShap()(model, RECORDS, of=[asc.Unit(0), asc.Unit(1)])
    assert several.values.shape == (2, 4, 5)
    np.testing.assert_array_equal(several.quantity_at(1).values, each[1].values)


@pytest.mark.parametrize("name", [n for n in MODELS if "two classes" in n])
def test_probabilities_add_up(name: str) -> None:
    model = MODELS[name]()
    chances = model.predict_proba(RECORDS)
    for k in range(2):
        found = asc.TreeShap(ROWS, "probability")(model, RECORDS, of=k)
        np.testing.assert_allclose(found.explained, chances[:, k], atol=1e-6)
        base = model.predict_proba(ROWS)[:, k].mean()
        np.testing.assert_allclose(found.values.sum(1), chances[:, k] - base, atol=1e-5)
        assert found.ok


def test_probabilities_of_boosting_are_rescaled_row_by_row() -> None:
    """Each background row's values of the margin, times the change of the probability divided by that of the margin."""
    model = MODELS["LightGBM of two classes"]()
    found = asc.TreeShap(ROWS, "probability")(model, RECORDS, of=1).values
    truth = np.zeros_like(found)
    margin, chance = margin_of(model), lambda x: model.predict_proba(x)[:, 1]
    for row in ROWS:
        plain = asc.ShapleyExact(by=asc.Resample(row[None]))(margin, RECORDS, of=1).values
        change = margin(RECORDS)[:, 1] - margin(row[None])[0, 1]
        moved = np.abs(change) > 1e-12
        scale = np.where(moved, (chance(RECORDS) - chance(row[None])) / np.where(moved, change, 1.0), 0.0)
        truth += plain * scale[:, None] / len(ROWS)
    np.testing.assert_allclose(found, truth, atol=1e-6)


def test_a_forest_explains_probabilities_without_a_background() -> None:
    model = MODELS["forest of classes"]()
    found, plain = (asc.TreeShap(output=output)(model, RECORDS, of=2).values for output in ("probability", "margin"))
    np.testing.assert_array_equal(found, plain)


def test_a_background_of_more_than_a_hundred_rows_is_used_whole() -> None:
    model = MODELS["forest"]()
    truth = asc.ShapleyExact(by=asc.Resample(X))(model, RECORDS[:2])
    np.testing.assert_allclose(asc.TreeShap(X)(model, RECORDS[:2]).values, truth.values, atol=1e-6)


def test_tables_show_their_columns() -> None:
    frame = pd.DataFrame(X, columns=["age", "income", "height", "debt", "score"])
    for model in (lgbm("LGBMClassifier"), ensemble.RandomForestClassifier(5, max_depth=3, random_state=0)):
        model.fit(frame, TWO)
        found = asc.TreeShap()(model, frame[:4], of=1)
        assert found.features.names == tuple(frame.columns)
        assert set(frame.columns) <= set(found.to_pandas(wide=True).columns)
        by_rows = asc.TreeShap(frame[100:112])(model, frame[:4], of=1)
        truth = asc.ShapleyExact(by=asc.Resample(frame[100:112].to_numpy()))(margin_of(model), frame[:4].to_numpy(), of=1)
        np.testing.assert_allclose(by_rows.values, truth.values, atol=1e-6)


def test_names_of_columns_are_escaped() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c\x1b[31m", "d", "e"])
    found = asc.TreeShap()(ensemble.RandomForestRegressor(3, max_depth=3).fit(frame, NUMBER), frame[:2])
    assert "\x1b" not in "".join(found.features.names)
    assert "\x1b" not in found._repr_html_()


def test_categories_and_missing_values_of_a_booster() -> None:
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["b"] = pd.Categorical(np.where(X[:, 1] > 0, "high", "low"))
    frame.loc[::7, "a"] = np.nan
    model = lgbm("LGBMClassifier").fit(frame, TWO)
    found = asc.TreeShap()(model, frame[:8], of=1)
    np.testing.assert_allclose(found.explained, model.predict(frame[:8], raw_score=True), rtol=1e-9)
    assert found.values.shape == (8, 5)
    assert found.ok
    with pytest.raises(FeatureError, match="columns of numbers only"):
        asc.TreeShap(frame[10:20])(model, frame[:8], of=1)


@pytest.mark.parametrize("name", [n for n in MODELS if n.endswith(" of classes") and not n.startswith("boosting")])
def test_missing_values_follow_the_model(name: str) -> None:
    holes = X.copy()
    holes[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    model = MODELS[name]().fit(holes, THREE)
    assert np.abs(asc.TreeShap()(model, holes[:20], of=1).gap.absolute).max() < SINGLE
    truth = asc.ShapleyExact(by=asc.Resample(holes[100:112]))(margin_of(model), holes[:6], of=1)
    np.testing.assert_allclose(asc.TreeShap(holes[100:112])(model, holes[:6], of=1).values, truth.values, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("LGBMClassifier", {"boosting_type": "dart"}),
        ("LGBMClassifier", {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}),
    ],
)
def test_dropout_and_averages_of_lightgbm(kind: str, more: dict[str, Any]) -> None:
    model = lgbm(kind, **more).fit(X, TWO)
    truth = asc.ShapleyExact(by=asc.Resample(ROWS))(margin_of(model), RECORDS, of=1)
    np.testing.assert_allclose(asc.TreeShap(ROWS)(model, RECORDS, of=1).values, truth.values, atol=1e-6)
    assert asc.TreeShap()(model, RECORDS, of=1).ok


def test_dropout_of_xgboost_has_no_background() -> None:
    model = xgb("XGBClassifier", booster="dart", rate_drop=0.3).fit(X, TWO)
    assert asc.TreeShap()(model, RECORDS, of=1).ok
    with pytest.raises(BackendError, match="dart"):
        asc.TreeShap(ROWS)(model, RECORDS, of=1)


def test_a_table_may_have_any_index_and_its_columns_any_order_in_the_background() -> None:
    frame = pd.DataFrame(X, columns=list("abcde"), index=np.linspace(0, 1, len(X)))
    model = ensemble.GradientBoostingClassifier(n_estimators=4, random_state=0).fit(frame, THREE)
    rows = frame.iloc[100:112]
    truth = asc.TreeShap(ROWS)(MODELS["boosting of classes"]().set_params(n_estimators=4).fit(X, THREE), RECORDS, of=1)
    found = asc.TreeShap(rows[list("ecbad")])(model, frame.iloc[:4], of=1, chunk=2)
    np.testing.assert_allclose(found.values, truth.values, atol=1e-9)


def test_a_single_record_and_chunks() -> None:
    model = MODELS["LightGBM of classes"]()
    for rows in (None, ROWS):
        whole = asc.TreeShap(rows)(model, RECORDS, of=1)
        np.testing.assert_allclose(asc.TreeShap(rows)(model, RECORDS[1:2], of=1).values[0], whole.values[1], atol=1e-12)
        np.testing.assert_allclose(asc.TreeShap(rows)(model, RECORDS, of=1, chunk=3).values, whole.values, atol=1e-12)
    assert whole.cost.forward == 2
    assert asc.TreeShap()(model, RECORDS.astype(np.float32), of=1).values.dtype == np.float32


@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
@pytest.mark.parametrize("name", ["LightGBM", "XGBoost"])
def test_early_stopping_uses_the_rounds_of_the_prediction(name: str) -> None:
    if name == "LightGBM":
        model = lightgbm.LGBMClassifier(n_estimators=200, verbose=-1, n_jobs=1)
        model.fit(X[:100], TWO[:100], eval_set=[(X[100:], TWO[100:])], callbacks=[lightgbm.early_stopping(3, verbose=False)])
    else:
        model = pytest.importorskip("xgboost").XGBClassifier(n_estimators=200, early_stopping_rounds=3, n_jobs=1)
        model.fit(X[:100], TWO[:100], eval_set=[(X[100:], TWO[100:])], verbose=False)
    truth = asc.ShapleyExact(by=asc.Resample(ROWS))(margin_of(model), RECORDS, of=1)
    np.testing.assert_allclose(asc.TreeShap()(model, RECORDS, of=1).explained, truth.explained, rtol=1e-5)
    assert asc.TreeShap()(model, RECORDS, of=1).ok
    np.testing.assert_allclose(asc.TreeShap(ROWS)(model, RECORDS, of=1).values, truth.values, atol=1e-5)


def test_pipelines_whose_steps_keep_the_columns() -> None:
    holes = X.copy()
    holes[::9, 1] = np.nan
    model = make_pipeline(SimpleImputer(), StandardScaler(), ensemble.RandomForestClassifier(5, max_depth=3, random_state=0)).fit(
        holes, TWO
    )
    found = asc.TreeShap(ROWS)(model, RECORDS, of=1)
    truth = asc.ShapleyExact(by=asc.Resample(ROWS))(model, RECORDS, of=1)
    np.testing.assert_allclose(found.values, truth.values, atol=1e-6)
    np.testing.assert_array_equal(found.record, RECORDS)
    for step in (PCA(3), Normalizer()):
        mixing = make_pipeline(step, ensemble.RandomForestClassifier(5, random_state=0)).fit(X, TWO)
        with pytest.raises(BackendError, match="does not keep the columns") as caught:
            asc.TreeShap()(mixing, RECORDS)
        assert type(step).__name__ in str(caught.value)


def test_results_travel(tmp_path: Any) -> None:
    model = MODELS["LightGBM of classes"]()
    for method in (asc.TreeShap(), asc.TreeShap(interactions=True)):
        found = method(model, RECORDS, of=1)
        found.save(tmp_path / "a.safetensors")
        back = asc.Attribution.load(tmp_path / "a.safetensors")
        np.testing.assert_array_equal(back.values, found.values)
        assert back.method == found.method
        pasted = eval(found.method, {**vars(asc), "model": model, "inputs": (RECORDS,)})
        np.testing.assert_array_equal(pasted.values, found.values)
        assert repr(found).startswith("<Attribution TreeShap(")
    for method in (asc.TreeShap(), asc.TreeShap(output="probability"), asc.TreeShap(interactions=True)):
        assert eval(repr(method), vars(asc)) == method
        assert copy.deepcopy(method) == pickle.loads(pickle.dumps(method)) == method
        assert hash(copy.copy(method)) == hash(method)
    assert asc.TreeShap() != asc.TreeShap(output="probability")
    assert "array>" in repr(asc.TreeShap(ROWS))


def test_records_and_model_are_unchanged() -> None:
    model, x = MODELS["forest"](), RECORDS.copy()
    before = model.predict(X)
    asc.TreeShap(ROWS)(model, x)
    np.testing.assert_array_equal(x, RECORDS)
    np.testing.assert_array_equal(model.predict(X), before)


def linear_booster() -> Any:
    return pytest.importorskip("xgboost").XGBRegressor(booster="gblinear", n_estimators=3).fit(X, NUMBER)


def of_linear_leaves() -> Any:
    return lgbm("LGBMRegressor", linear_tree=True).fit(X, NUMBER)


def with_another_start() -> Any:
    return ensemble.GradientBoostingRegressor(init=LinearRegression(), n_estimators=3).fit(X, NUMBER)


def with_categories() -> Any:
    return ensemble.HistGradientBoostingRegressor(max_iter=3, categorical_features=[0]).fit(np.abs(X).round(), NUMBER)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: LinearRegression().fit(X, NUMBER), "LinearRegression"),
        (lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, TWO), "LogisticRegression"),
        (lambda: lambda x: x[:, 0], "function"),
        (lambda: ensemble.RandomForestClassifier(), "RandomForestClassifier"),
        (lambda: ensemble.RandomForestClassifier(3).fit(X, np.stack([TWO, THREE], 1)), "2 outputs"),
        (with_categories, "categorical_features"),
        (linear_booster, "gblinear"),
        (of_linear_leaves, "linear_tree"),
        (with_another_start, "LinearRegression"),
    ],
)
def test_models_that_cannot_be_read_are_named(model: Any, said: str) -> None:
    with pytest.raises(AscribeError, match=said) as caught:
        asc.TreeShap()(model(), RECORDS)
    assert caught.value.advice


def test_another_model_is_advised_kernel_shap() -> None:
    with pytest.raises(BackendError, match=r"asc\.KernelShap\(by=asc\.Resample\(rows\)\)") as caught:
        asc.TreeShap()(LinearRegression().fit(X, NUMBER), RECORDS)
    assert caught.value.code == "E-TREES-MODEL"


def test_boosters_need_no_library_without_a_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    assert asc.TreeShap()(MODELS["LightGBM of classes"](), RECORDS, of=1).ok
    with pytest.raises(BackendError, match=r"ascribe\[trees\]"):
        asc.TreeShap(ROWS)(MODELS["LightGBM of classes"](), RECORDS, of=1)
    with pytest.raises(BackendError, match=r"ascribe\[trees\]"):
        asc.TreeShap()(MODELS["forest"](), RECORDS)


def test_what_has_no_exact_values_is_refused() -> None:
    forest, booster, three = (MODELS[n]() for n in ("forest", "LightGBM of two classes", "LightGBM of classes"))
    with pytest.raises(MethodError, match="against a background only"):
        asc.TreeShap(output="probability")(booster, RECORDS)
    with pytest.raises(MethodError, match="two classes only"):
        asc.TreeShap(ROWS, "probability")(three, RECORDS)
    with pytest.raises(MethodError, match="no probabilities"):
        asc.TreeShap(ROWS, "probability")(forest, RECORDS)
    with pytest.raises(MethodError, match="without a background only"):
        asc.TreeShap(ROWS, interactions=True)(forest, RECORDS)
    with pytest.raises(MethodError, match="not known"):
        asc.TreeShap(output="log odds")  # type: ignore[arg-type]
    with pytest.raises(MethodError, match="input only"):
        asc.TreeShap()(forest, RECORDS, at="layer")
    for of in (asc.LogProb(1), asc.Prob(1), lambda y: y[:, 1] ** 2):
        with pytest.raises(QuantityError, match="difference of two"):
            asc.TreeShap()(booster, RECORDS, of=of)
    with pytest.raises(QuantityError, match="out of range"):
        asc.TreeShap()(booster, RECORDS, of=2)
    with pytest.raises(InputError, match=r"background must be rows"):
        asc.TreeShap(ROWS[:, :3])(forest, RECORDS)
    with pytest.raises(InputError, match=r"\[records, features\]"):
        asc.TreeShap()(forest, RECORDS[0])
    with pytest.raises(InputError, match="one table"):
        asc.TreeShap()(forest, RECORDS, RECORDS)


def test_a_model_that_predicts_otherwise_than_its_trees_fails_its_check() -> None:
    class Shifted(ensemble.RandomForestRegressor):
        def predict(self, x: Any) -> Any:
            return super().predict(x) ** 2 + 1

    with pytest.warns(asc.AscribeWarning, match="not read as the model predicts"):
        found = asc.TreeShap()(Shifted(5, max_depth=3, random_state=0).fit(X, NUMBER), RECORDS)
    assert not found.ok
