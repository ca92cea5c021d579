"""Small models of every library of trees, fitted to the same table, and their margins by their own calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import ensemble, tree

lightgbm = pytest.importorskip("lightgbm")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(160, 5))
NUMBER = X[:, 0] + X[:, 1] * X[:, 2] + np.abs(X[:, 3])
TWO = (NUMBER > 0.8).astype(int)
THREE = np.digitize(NUMBER, [0.2, 1.4])
ROWS, RECORDS = X[100:112], X[:4]


def lgbm(kind: str, **more: Any) -> Any:
    return getattr(lightgbm, kind)(n_estimators=12, num_leaves=7, min_child_samples=3, verbose=-1, n_jobs=1, **more)


def xgb(kind: str, **more: Any) -> Any:
    return getattr(pytest.importorskip("xgboost"), kind)(n_estimators=12, max_depth=3, n_jobs=1, **more)


def cat(kind: str, **more: Any) -> Any:
    catboost = pytest.importorskip("catboost")
    return getattr(catboost, kind)(iterations=12, depth=3, verbose=0, allow_writing_files=False, thread_count=1, **more)


MODELS: dict[str, Any] = {
    "tree": lambda: tree.DecisionTreeRegressor(max_depth=4, random_state=0).fit(X, NUMBER),
    "tree of classes": lambda: tree.DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, THREE),
    "random tree": lambda: tree.ExtraTreeRegressor(max_depth=4, random_state=0).fit(X, NUMBER),
    "forest": lambda: ensemble.RandomForestRegressor(6, max_depth=4, random_state=0).fit(X, NUMBER),
    "forest of two classes": lambda: ensemble.RandomForestClassifier(6, max_depth=4, random_state=0).fit(X, TWO),
    "forest of classes": lambda: ensemble.RandomForestClassifier(6, max_depth=4, random_state=0).fit(X, THREE),
    "extra trees": lambda: ensemble.ExtraTreesClassifier(6, max_depth=4, random_state=0).fit(X, THREE),
    "extra trees of numbers": lambda: ensemble.ExtraTreesRegressor(6, max_depth=4, random_state=0).fit(X, NUMBER),
    "boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0).fit(X, NUMBER),
    "boosting of two classes": lambda: ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0).fit(X, TWO),
    "boosting of classes": lambda: ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0).fit(X, THREE),
    "histogram": lambda: ensemble.HistGradientBoostingRegressor(max_iter=8, min_samples_leaf=5).fit(X, NUMBER),
    "histogram of counts": lambda: ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=8).fit(X, THREE),
    "histogram of two classes": lambda: ensemble.HistGradientBoostingClassifier(max_iter=8).fit(X, TWO),
    "histogram of classes": lambda: ensemble.HistGradientBoostingClassifier(max_iter=8).fit(X, THREE),
    "LightGBM": lambda: lgbm("LGBMRegressor").fit(X, NUMBER),
    "LightGBM of two classes": lambda: lgbm("LGBMClassifier").fit(X, TWO),
    "LightGBM of classes": lambda: lgbm("LGBMClassifier").fit(X, THREE),
    "LightGBM booster": lambda: lgbm("LGBMClassifier").fit(X, TWO).booster_,
    "XGBoost": lambda: xgb("XGBRegressor").fit(X, NUMBER),
    "XGBoost of two classes": lambda: xgb("XGBClassifier").fit(X, TWO),
    "XGBoost of classes": lambda: xgb("XGBClassifier").fit(X, THREE),
    "XGBoost booster": lambda: xgb("XGBClassifier").fit(X, TWO).get_booster(),
    "CatBoost": lambda: cat("CatBoostRegressor").fit(X, NUMBER),
    "CatBoost of two classes": lambda: cat("CatBoostClassifier").fit(X, TWO),
    "CatBoost of classes": lambda: cat("CatBoostClassifier").fit(X, THREE),
}


def margin_of(model: Any) -> Any:
    """The margin of a model as a function of arrays, by the model's own call, with two columns for two classes."""
    kind, count = type(model).__name__, len(getattr(model, "classes_", []))

    def call(x: np.ndarray) -> np.ndarray:
        if kind == "Booster" and type(model).__module__.startswith("xgboost"):
            found = model.predict(__import__("xgboost").DMatrix(x), output_margin=True)
        elif kind.startswith("XGB"):
            found = model.predict(x, output_margin=True)
        elif kind.startswith(("LGBM", "Booster")):
            found = model.predict(x, raw_score=True)
        elif kind.startswith("CatBoost"):
            found = model.predict(x, prediction_type="RawFormulaVal")
        elif hasattr(model, "decision_function"):
            found = model.decision_function(x)
        elif hasattr(model, "predict_proba"):
            found = model.predict_proba(x)
        else:
            found = np.log(model.predict(x)) if getattr(model, "loss", "") == "poisson" else model.predict(x)
        found = np.asarray(found, dtype=np.float64)
        return np.stack([-found, found], 1) if found.ndim == 1 and (count == 2 or kind == "Booster") else found

    return call


def some_class(model: Any) -> int:
    return 1 if len(getattr(model, "classes_", [])) or type(model).__name__ == "Booster" else 0
