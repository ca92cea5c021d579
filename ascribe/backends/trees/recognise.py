"""Which models are ensembles of trees that can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import BackendError
from ..blackbox.runners import BlackBox
from .boosters import CatBoost, LightGBM, XGBoost
from .ensemble import Ensemble
from .forests import FORESTS, TREES, Forest, GradientBoosting, HistGradientBoosting
from .library import ADVICE

COLUMNWISE = frozenset(
    {"Binarizer", "MaxAbsScaler", "MinMaxScaler", "OrdinalEncoder", "PowerTransformer", "QuantileTransformer", "RobustScaler"}
    | {"SimpleImputer", "StandardScaler"}
)
"""Steps of scikit-learn that change every column by itself, so that the columns keep their place and meaning."""


def read_ensemble(model: Any) -> Ensemble:
    """Returns a fitted model as an ensemble. Raises BackendError for what is none, or is not fitted."""
    inner = model.model if isinstance(model, BlackBox) and model.method is None else model
    read = reader_of(inner)
    if read is None:
        kind = type(inner).__name__
        there = f"an object of type {kind} of the module {type(inner).__module__.partition('.')[0]}"
        raise BackendError("The model is no ensemble of trees that can be read", found=there, advice=ADVICE, code="E-TREES-MODEL")
    try:
        return read(inner)
    except BackendError:
        raise
    except Exception as wrong:
        first = (str(wrong).splitlines() or [""])[0]
        problem = f"The trees of the model cannot be read: {type(wrong).__name__}: {first}"
        raise BackendError(problem, found=f"a {type(inner).__name__}", advice="model.fit(x, y) first", code="E-TREES-READ") from wrong


def is_ensemble(model: Any) -> bool:
    """Returns whether a model is of a class whose trees can be read; a pipeline is one that ends with such a class."""
    inner = model.model if isinstance(model, BlackBox) and model.method is None else model
    return reader_of(inner.steps[-1][1] if is_pipeline(inner) else inner) is not None


def is_pipeline(model: Any) -> bool:
    """Returns whether a model is a pipeline of scikit-learn."""
    return any(base.__module__ == "sklearn.pipeline" and base.__name__ == "Pipeline" for base in type(model).__mro__)


def steps_before(model: Any) -> Any:
    """Returns the steps of a pipeline before its last. Raises BackendError for a step that mixes, adds or drops columns."""
    for name, step in model.steps[:-1]:
        if step not in (None, "passthrough") and type(step).__name__ not in COLUMNWISE:
            there = f"the step {name!r}, a {type(step).__name__}"
            problem = "A step of the pipeline does not keep the columns, so that the trees see other features than the input has"
            advice = f"asc.TreeShap()(model[-1], model[:-1].transform(x)) for the features of the trees, or {ADVICE}"
            raise BackendError(problem, found=there, advice=advice, code="E-TREES-PIPELINE")
    return model[:-1] if len(model.steps) > 1 else None


def reader_of(model: Any) -> Callable[[Any], Ensemble] | None:
    """Returns the function that reads a model of this class; None for an unknown class."""
    for base in type(model).__mro__:
        package, name = base.__module__.partition(".")[0], base.__name__
        if package == "xgboost" and name in ("Booster", "XGBModel"):
            return XGBoost.read
        if package == "lightgbm" and name in ("Booster", "LGBMModel"):
            return LightGBM.read
        if package == "catboost" and name == "CatBoost":
            return CatBoost
        if package == "sklearn":
            kind = name.removesuffix("Classifier").removesuffix("Regressor")
            if kind == "HistGradientBoosting" and name != kind:
                return HistGradientBoosting.read
            if kind == "GradientBoosting" and name != kind:
                return GradientBoosting.read
            if kind in (*TREES, *FORESTS) and name != kind:
                return Forest.read
    return None
