"""``trulens.nn.models``: wrappers of models with their cuts."""

from __future__ import annotations

from typing import Any

from .....errors import BackendError
from ..backend import NAMES, Backend, unsupported
from .base import ModelWrapper

FAMILIES = {"torch": Backend.PYTORCH, "tf_keras": Backend.TF_KERAS, "tensorflow": Backend.TENSORFLOW, "keras": Backend.KERAS}


def discern_backend(model: Any) -> Backend:
    """Returns the framework of a model, by the packages of its classes; UNKNOWN for any other."""
    homes = [cls.__module__ for cls in type(model).__mro__]
    if any(home.startswith("tensorflow.") and "keras" in home for home in homes):
        return Backend.TF_KERAS
    roots = {home.partition(".")[0] for home in homes}
    return next((backend for root, backend in FAMILIES.items() if root in roots), Backend.UNKNOWN)


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
    input_shape: Any = None,
    input_dtype: Any = None,
) -> ModelWrapper:
    """Returns the wrapper for a model's framework.

    ``logit_layer`` is the layer of ``LogitCut``, ``device`` the device that the model is moved to. The arguments of other frameworks'
    wrappers have no effect. Raises BackendError for Keras and TensorFlow, which are not supported, and for an unknown ``backend``.
    """
    found = discern_backend(model) if backend is None else Backend.from_name(backend)
    if found is Backend.UNKNOWN and backend is not None:
        advice = f"one of {', '.join(NAMES)}"
        raise BackendError("The backend is not known", found=f"backend={backend!r}", advice=advice, code="E-COMPAT-BACKEND")
    if found is Backend.PYTORCH:
        from .pytorch import PytorchModelWrapper

        return PytorchModelWrapper(model, logit_layer=logit_layer, device=device, force_eval=force_eval)
    if found is Backend.UNKNOWN:
        return ModelWrapper(model, logit_layer=logit_layer)
    raise unsupported(f"{found.name.lower()} models")
