"""The tree explainer of the shap library, for models and backgrounds that no booster explains itself."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ...arrays import is_table
from ...errors import BackendError, FeatureError
from .ensemble import Contributions, Output

ADVICE = "asc.KernelShap(by=asc.Resample(rows)), which calls the model as a function"


def library() -> Any:
    """Returns the shap library. Raises BackendError if it is not installed."""
    try:
        import shap
    except ImportError as missing:
        problem = "Trees of this model, or with this background, are explained by the `shap` library"
        raise BackendError(
            problem, found="no module named 'shap'", advice="pip install 'ascribe[trees]'", code="E-TREES-LIBRARY"
        ) from missing
    return shap


def explain_by_library(
    trees: Any, data: Any, background: Any = None, output: Output = "margin", pairs: bool = False, eps: float = 0.0
) -> Contributions:
    """Returns the contributions to a model that shap reads. Raises BackendError for one that it does not."""
    shap, rows = library(), numbers_of(data, trees)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if background is None:
                explainer = shap.TreeExplainer(trees, feature_perturbation="tree_path_dependent")
                found = explainer.shap_interaction_values(rows) if pairs else explainer.shap_values(rows, check_additivity=False)
                eps = max(eps, float(np.finfo(np.float32).eps) if pairs else 0.0)
            else:
                others = numbers_of(background, trees)
                masker = shap.maskers.Independent(others, max_samples=len(others))  # by default it draws 100 of the rows
                link = "raw" if output == "margin" else "probability"
                explainer = shap.TreeExplainer(trees, masker, feature_perturbation="interventional", model_output=link)
                found = explainer.shap_values(rows, check_additivity=False)
                eps = max(eps, float(np.finfo(np.float32).eps))
    except MemoryError:
        raise
    except Exception as wrong:
        first = (str(wrong).splitlines() or [""])[0]
        problem = f"The tree explainer of shap cannot explain this model: {type(wrong).__name__}: {first}"
        raise BackendError(problem, found=f"a {type(trees).__name__}", advice=ADVICE, code="E-TREES-READ") from wrong
    axes = 3 if pairs else 2
    values = np.asarray(found, dtype=np.float64)
    values = values[..., None] if values.ndim == axes else values
    return Contributions(values, np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64)), eps)


def numbers_of(data: Any, model: Any) -> np.ndarray:
    """Returns a table or an array as numbers. Raises FeatureError for columns of words or categories."""
    try:
        if is_table(data) and any(hasattr(dtype, "categories") for dtype in data.dtypes):
            raise TypeError("categories")
        return np.asarray(data.to_numpy(np.float64, na_value=np.nan) if is_table(data) else data, dtype=np.float64)
    except (TypeError, ValueError) as wrong:
        kinds = ", ".join(sorted({str(dtype) for dtype in data.dtypes})) if is_table(data) else str(np.asarray(data).dtype)
        what = f"The tree explainer of shap reads columns of numbers only, and `{type(model).__name__}` has others"
        there = f"columns of the types {kinds}"
        raise FeatureError(what, found=there, advice=f"background=None with a booster, or {ADVICE}", code="E-TREES-READ") from wrong
