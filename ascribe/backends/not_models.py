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
        return BackendError(f"{model.__name__} is a class, not a model", there="the class itself", try_=f"{model.__name__}(...), one of it")
    if type(model).__module__.startswith("transformers.") and hasattr(model, "preprocess"):
        what = f"a {kind} is a model with what goes before and after it"
        fix = 'pipe.model for the model, and **pipe.tokenizer(texts, return_tensors="pt") for its arguments'
        return BackendError(what, there="a pipeline", try_=fix, code="E-BACKEND-PIPELINE")
    if callable(model) or is_model(model) or hasattr(model, "run"):
        return None
    swapped = any(is_model(a) for a in (*call.args, *call.kwargs.values()))
    there = "the model among its arguments" if swapped else ""
    return BackendError(f"a {kind} is not a model", there=there, try_="attribute(model, x, ...): the model first, then its arguments")
