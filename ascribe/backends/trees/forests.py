"""Trees of scikit-learn: single trees, forests, gradient boosting, histogram gradient boosting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BackendError
from .boosters import names_of_classes
from .ensemble import Contributions, Output, take_rows
from .library import ADVICE, explain_by_library

TREES = ("DecisionTree", "ExtraTree")
FORESTS = ("RandomForest", "ExtraTrees")
LOGARITHMIC = ("poisson", "gamma")
"""Losses of histogram gradient boosting whose trees add up to the logarithm of the prediction."""


@dataclass(frozen=True, eq=False)
class Forest:
    """A tree or a forest, whose trees average predictions or probabilities."""

    model: Any
    binary = False
    links = False

    @classmethod
    def read(cls, model: Any) -> Forest:
        """Returns a model with its trees. Raises BackendError for a classifier of several outputs."""
        if hasattr(model, "classes_") and getattr(model, "n_outputs_", 1) > 1:
            there = f"a {type(model).__name__} of {model.n_outputs_} outputs"
            raise BackendError("A classifier of several outputs is not explained", found=there, advice=ADVICE, code="E-TREES-READ")
        return cls(model)

    @property
    def classifies(self) -> bool:
        return hasattr(self.model, "classes_")

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return names_of_classes(self.model)

    def scores(self, data: Any, output: Output) -> np.ndarray:
        return np.asarray(self.model.predict_proba(data) if self.classifies else self.model.predict(data))

    def explain(self, data: Any, pairs: bool) -> Contributions:
        return explain_by_library(self.model, data, pairs=pairs)

    def explain_against(self, data: Any, background: Any, output: Output) -> Contributions:
        return explain_by_library(self.model, data, background)


@dataclass(frozen=True, eq=False)
class GradientBoosting:
    """Gradient boosting: the first prediction and the trees of each class, times the learning rate.

    The trees of each class are given to the library by themselves, which does not read models of more than two classes.
    """

    model: Any
    links = True

    @classmethod
    def read(cls, model: Any) -> GradientBoosting:
        """Returns the model. Raises BackendError for a first prediction by another model, which has contributions of its own."""
        start = type(getattr(model, "init_", "zero")).__name__
        if start not in ("str", "DummyClassifier", "DummyRegressor"):
            problem = "The trees start from the predictions of another model, which are not explained"
            raise BackendError(problem, found=f"init_={start}(...) of a {type(model).__name__}", advice=ADVICE, code="E-TREES-READ")
        return cls(model)

    @property
    def classifies(self) -> bool:
        return hasattr(self.model, "classes_")

    @property
    def binary(self) -> bool:
        return self.classifies and len(self.model.classes_) == 2

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return names_of_classes(self.model)

    def scores(self, data: Any, output: Output) -> np.ndarray:
        if output == "probability":
            return np.asarray(self.model.predict_proba(data))
        return np.asarray(self.model.decision_function(data) if self.classifies else self.model.predict(data))

    def explain(self, data: Any, pairs: bool) -> Contributions:
        return self._join(data, [explain_by_library(trees, data, pairs=pairs) for trees in self._trees()])

    def explain_against(self, data: Any, background: Any, output: Output) -> Contributions:
        if output == "probability":
            return explain_by_library(self.model, data, background, output)
        return self._join(data, [explain_by_library(trees, data, background) for trees in self._trees()])

    def _trees(self) -> list[dict[str, Any]]:
        more = {"base_offset": 0.0, "tree_output": "raw_value", "objective": "squared_error", "input_dtype": np.float32}
        return [{"trees": [one.tree_ for one in column], "internal_dtype": np.float64, **more} for column in self.model.estimators_.T]

    def _join(self, data: Any, parts: list[Contributions]) -> Contributions:
        """Returns the contributions of all classes; where the trees start from is the score less the trees' predictions of a record."""
        first, rate = take_rows(data, 0, 1), self.model.learning_rate
        plain = np.asarray(first, dtype=np.float32)
        sums = np.array([sum(float(one.tree_.predict(plain)[0, 0]) for one in column) for column in self.model.estimators_.T])
        start = self.scores(first, "margin").reshape(-1) - rate * sums
        expected = start + rate * np.concatenate([part.expected for part in parts])
        return Contributions(rate * np.concatenate([part.values for part in parts], -1), expected, max(part.eps for part in parts))


@dataclass(frozen=True, eq=False)
class HistGradientBoosting:
    """Histogram gradient boosting without categorical columns."""

    model: Any
    links = True

    @classmethod
    def read(cls, model: Any) -> HistGradientBoosting:
        """Returns the model. Raises BackendError for categorical columns, which the library would read as numbers."""
        if getattr(model, "is_categorical_", None) is not None:
            there = f"a {type(model).__name__} with categorical_features={model.categorical_features!r}"
            raise BackendError("Categorical columns of this model cannot be read", found=there, advice=ADVICE, code="E-TREES-READ")
        return cls(model)

    @property
    def classifies(self) -> bool:
        return hasattr(self.model, "classes_")

    @property
    def binary(self) -> bool:
        return self.classifies and len(self.model.classes_) == 2

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return names_of_classes(self.model)

    def scores(self, data: Any, output: Output) -> np.ndarray:
        if self.classifies:
            return np.asarray(self.model.predict_proba(data) if output == "probability" else self.model.decision_function(data))
        found = np.asarray(self.model.predict(data))
        return np.log(found) if self.model.loss in LOGARITHMIC else found

    def explain(self, data: Any, pairs: bool) -> Contributions:
        return explain_by_library(self.model, data, pairs=pairs)

    def explain_against(self, data: Any, background: Any, output: Output) -> Contributions:
        return explain_by_library(self.model, data, background, output)
