"""Errors for objects that are no model, with where the model is."""

from __future__ import annotations

from typing import Any

from ..calls.call import Call
from ..errors import BackendError
from ..utils.hints import is_model


def no_model(model: Any, call: Call) -> BackendError | None:
    """Why something cannot be explained as a model; None where it may be one."""
    kind = type(model).__name__
    if isinstance(model, type):
        there, advice = f"the class {model.__name__}", f"{model.__name__}(...), an instance of the class"
        return BackendError("The first argument is a class, not a model", found=there, advice=advice)
    if type(model).__module__.startswith("transformers.") and hasattr(model, "preprocess"):
        what = "The first argument is a pipeline: a model with its preprocessing and postprocessing"
        fix = 'pipe.model for the model, and **pipe.tokenizer(texts, return_tensors="pt") for its arguments'
        return BackendError(what, found=f"a {kind}", advice=fix, code="E-BACKEND-PIPELINE")
    if callable(model) or is_model(model) or hasattr(model, "run"):
        return None
    swapped = any(is_model(a) for a in (*call.args, *call.kwargs.values()))
    there = f"an object of type {kind}{', and the model among the other arguments' if swapped else ''}"
    advice = "asc.attribute(model, x, ...): the model first, then its arguments"
    return BackendError("The first argument is not a model", found=there, advice=advice)
