"""XGBoost, LightGBM and CatBoost, which compute exact contributions themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ...errors import BackendError
from .ensemble import Contributions, Output, take_rows
from .library import ADVICE, explain_by_library

SINGLE = float(np.finfo(np.float32).eps)


def names_of_classes(model: Any) -> tuple[str, ...] | None:
    """Returns the names of the classes of a classifier; None of what predicts numbers or has no names."""
    try:
        classes = getattr(model, "classes_", None)
    except Exception:  # not fitted: the library raises an error of its own
        return None
    return None if classes is None or not len(classes) else tuple(map(str, classes))


def split_last(found: np.ndarray, eps: float, pairs: bool) -> Contributions:
    """Returns contributions ``[records, scores, features + 1 (, features + 1)]``, whose last entry is the expected score."""
    wide = np.asarray(found, dtype=np.float64)
    expected = wide[0, ..., -1, -1] if pairs else wide[0, ..., -1]
    kept = wide[..., :-1, :-1] if pairs else wide[..., :-1]
    return Contributions(np.moveaxis(kept, 1, -1), np.atleast_1d(expected), eps)


@dataclass(frozen=True, eq=False)
class XGBoost:
    """A booster of XGBoost, or one of its estimators."""

    model: Any
    booster: Any
    objective: str
    dropout: bool
    links = True

    @classmethod
    def read(cls, model: Any) -> XGBoost:
        """Returns the booster of a model. Raises BackendError for a linear one."""
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        learner = json.loads(booster.save_config())["learner"]
        if learner["gradient_booster"]["name"] == "gblinear":
            raise BackendError("The model has no trees", found="booster='gblinear' of XGBoost", advice=ADVICE, code="E-TREES-READ")
        return cls(model, booster, learner["objective"]["name"], drops_trees(learner["gradient_booster"]))

    @property
    def binary(self) -> bool:
        return self.objective.startswith("binary:")

    @property
    def classifies(self) -> bool:
        return self.objective.startswith(("binary:", "multi:"))

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return names_of_classes(self.model) if self.classifies else None

    def matrix(self, data: Any) -> Any:
        """Returns data in the form of the booster, with the model's own mark of missing values."""
        xgboost, model = import_module("xgboost"), self.model  # it is installed: the model is of it
        wrapped = model is not self.booster
        missing, threads = (model.missing, model.n_jobs) if wrapped else (np.nan, None)
        names = self.booster.feature_names if not hasattr(data, "columns") else None
        return xgboost.DMatrix(data, missing=missing, nthread=threads, enable_categorical=True, feature_names=names)

    def trees_used(self) -> tuple[int, int]:
        """Returns the first and last round that the model predicts with; an estimator that stopped early uses the best ones."""
        best = getattr(self.model, "best_iteration", None) if self.model is not self.booster and stopped_early(self.model) else None
        return (0, 0) if best is None else (0, int(best) + 1)

    def predict(self, data: Any, **how: bool) -> np.ndarray:
        return np.asarray(self.booster.predict(self.matrix(data), iteration_range=self.trees_used(), strict_shape=True, **how))

    def scores(self, data: Any, output: Output) -> np.ndarray:
        found = self.predict(data, output_margin=output == "margin")
        return np.concatenate([1 - found, found], axis=1) if output == "probability" and found.shape[1] == 1 else found

    def explain(self, data: Any, pairs: bool) -> Contributions:
        kind = "pred_interactions" if pairs else "pred_contribs"
        return split_last(self.predict(data, **{kind: True}), SINGLE, pairs)

    def explain_against(self, data: Any, background: Any, output: Output) -> Contributions:
        if self.dropout:
            advice = f"background=None, or {ADVICE}"
            problem = "Trees of a booster with dropout have weights, which shap does not read"
            raise BackendError(problem, found="booster='dart' of XGBoost, and a background", advice=advice, code="E-TREES-READ")
        return explain_by_library(self.model, data, background, output, eps=SINGLE)


def drops_trees(settings: Mapping[str, Any]) -> bool:
    """Returns whether a booster drops trees in training, which then have weights; newer versions call it a gbtree with such settings."""
    dropout = settings.get("dart_train_param", {})
    return settings["name"] == "dart" or float(dropout.get("rate_drop", 0)) > 0 or dropout.get("one_drop", "0") != "0"


def stopped_early(model: Any) -> bool:
    """Returns whether an estimator of XGBoost stopped before its last round."""
    try:
        return model.best_iteration is not None
    except AttributeError:
        return False


@dataclass(frozen=True, eq=False)
class LightGBM:
    """A booster of LightGBM, or one of its estimators."""

    model: Any
    objective: str
    links = True

    @classmethod
    def read(cls, model: Any) -> LightGBM:
        """Returns a model of LightGBM with its objective. Raises BackendError for linear models in the leaves."""
        text: str = getattr(model, "booster_", model).model_to_string(num_iteration=1)
        if "\nis_linear=1" in text:
            problem = "The leaves of the trees hold linear models, which have contributions of their own"
            raise BackendError(problem, found="linear_tree=True of LightGBM", advice=ADVICE, code="E-TREES-READ")
        lines = [line for line in text.splitlines() if line.startswith("objective=")]
        return cls(model, lines[0].partition("=")[2] if lines else "")

    @property
    def binary(self) -> bool:
        return self.objective.startswith("binary")

    @property
    def classifies(self) -> bool:
        return self.objective.startswith(("binary", "multiclass"))

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return names_of_classes(self.model) if self.classifies else None

    def predict(self, data: Any, **how: bool) -> np.ndarray:
        return np.asarray(self.model.predict(data, **how))

    def scores(self, data: Any, output: Output) -> np.ndarray:
        if output == "margin":
            return self.predict(data, raw_score=True)
        found = np.asarray((getattr(self.model, "predict_proba", None) or self.model.predict)(data))
        return np.stack([1 - found, found], axis=1) if found.ndim == 1 else found

    def explain(self, data: Any, pairs: bool) -> Contributions:
        if pairs:
            return explain_by_library(self.model, data, pairs=True)
        found = self.predict(data, pred_contrib=True)
        return split_last(found.reshape(len(found), -1, data.shape[1] + 1), 0.0, False)

    def explain_against(self, data: Any, background: Any, output: Output) -> Contributions:
        return explain_by_library(self.model, data, background, output)


@dataclass(frozen=True, eq=False)
class CatBoost:
    """A model of CatBoost. It explains against a background itself."""

    model: Any
    links = True

    @property
    def binary(self) -> bool:
        return self.classifies and len(self.model.classes_) == 2

    @property
    def classifies(self) -> bool:
        return names_of_classes(self.model) is not None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return names_of_classes(self.model)

    def pool(self, data: Any, labelled: bool = False) -> Any:
        """Returns data in the form of the booster; a background needs labels, of which the contributions do not depend."""
        classes = self.model.classes_ if self.classifies else [0.0, 1.0]
        labels = [classes[i % len(classes)] for i in range(len(data))] if labelled else None
        pool = import_module("catboost").Pool  # it is installed: the model is of it
        return pool(data, label=labels, cat_features=self.model.get_cat_feature_indices())

    def scores(self, data: Any, output: Output) -> np.ndarray:
        kind = "RawFormulaVal" if output == "margin" else "Probability"
        return np.asarray(self.model.predict(self.pool(data), prediction_type=kind))

    def explain(self, data: Any, pairs: bool) -> Contributions:
        kind = "ShapInteractionValues" if pairs else "ShapValues"
        found = np.asarray(self.model.get_feature_importance(self.pool(data), type=kind))
        made = split_last(found if found.ndim == 3 + pairs else found[:, None], 0.0, pairs)
        # among pairs, the expected scores of several classes are 0
        return Contributions(made.values, self.explain(take_rows(data, 0, 1), False).expected, 0.0) if pairs else made

    def explain_against(self, data: Any, background: Any, output: Output) -> Contributions:
        if output == "probability":
            return explain_by_library(self.model, data, background, output)
        if self.model.get_cat_feature_indices():
            there = f"{len(self.model.get_cat_feature_indices())} categorical columns of CatBoost"
            raise BackendError(
                "Categorical columns cannot be replaced by those of a background in trees of CatBoost",
                found=there,
                advice=f"background=None, or {ADVICE}",
                code="E-TREES-READ",
            )
        found = np.asarray(
            self.model.get_feature_importance(self.pool(data, True), type="ShapValues", reference_data=self.pool(background, True))
        )
        return split_last(found if found.ndim == 3 else found[:, None], 0.0, False)
