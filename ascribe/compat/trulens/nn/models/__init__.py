"""``trulens.nn.models``: a model with the places in it."""

from __future__ import annotations

from typing import Any

from ..backend import Backend, unsupported
from .base import ModelWrapper

FAMILIES = (("torch", Backend.PYTORCH), ("graph", Backend.TENSORFLOW), ("tensorflow", Backend.TENSORFLOW), ("keras", Backend.KERAS))


def discern_backend(model: Any) -> Backend:
    """The framework of a model, by where its classes come from; UNKNOWN for any other."""
    homes = [f"{cls.__module__}.{cls.__name__}".lower() for cls in type(model).__mro__]
    if any(home.startswith("tensorflow") and "keras" in home for home in homes):
        return Backend.TF_KERAS
    return next((backend for word, backend in FAMILIES if any(word in home for home in homes)), Backend.UNKNOWN)


def get_model_wrapper(
    model: Any,
    *,
    logit_layer: Any = None,
    replace_softmax: bool = False,
    softmax_layer: Any = -1,
    custom_objects: Any = None,
    device: Any = None,
    input_tensors: Any = None,
    output_tensors: Any = None,
    internal_tensor_dict: Any = None,
    default_feed_dict: Any = None,
    session: Any = None,
    backend: str | None = None,
    force_eval: bool = True,
    **kwargs: Any,
) -> ModelWrapper:
    """The wrapper for a model's framework.

    ``logit_layer`` is what ``LogitCut`` means, ``device`` where the model is put; the arguments of other frameworks' wrappers do
    nothing here. Raises BackendError for Keras and TensorFlow, which the facade does not have yet.
    """
    found = discern_backend(model) if backend is None else Backend.from_name(backend)
    if found is Backend.PYTORCH:
        from .pytorch import PytorchModelWrapper

        return PytorchModelWrapper(model, logit_layer=logit_layer, device=device, force_eval=force_eval)
    if found is Backend.UNKNOWN:
        return ModelWrapper(model, logit_layer=logit_layer)
    raise unsupported(f"{found.name.lower()} models")
