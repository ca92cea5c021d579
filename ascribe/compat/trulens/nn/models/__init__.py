"""``trulens.nn.models``: wrappers of models with their cuts."""

from __future__ import annotations

from typing import Any

from .....errors import BackendError
from ..backend import NAMES, Backend, kept_on_failure
from .base import ModelWrapper
from .keras import KerasModelWrapper
from .keras_layers import keras_package, roots_of
from .others import TensorflowModelWrapper
from .tensorflow import Tensorflow2ModelWrapper, TensorflowModuleWrapper

FAMILIES = {
    "torch": Backend.PYTORCH,
    "tf_keras": Backend.TENSORFLOW,
    "tensorflow": Backend.TENSORFLOW,
    "keras": Backend.KERAS,
}
"""The frameworks by the package of a model's classes."""


def discern_backend(model: Any) -> Backend:
    """Returns the framework of a model, by the package of the first of its classes that belongs to one; UNKNOWN if none does.

    Models of Keras 3 are KERAS on each of its back ends, those of the legacy Keras (``tf_keras``) and of TensorFlow are TENSORFLOW.
    """
    return next((FAMILIES[root] for root in roots_of(model) if root in FAMILIES), Backend.UNKNOWN)


def is_tensorflow(model: Any) -> bool:
    """Returns True for models of TensorFlow, and for functions, which may be functions of its tensors."""
    found = discern_backend(model)
    return found is Backend.TENSORFLOW or (found is Backend.UNKNOWN and callable(model))


@kept_on_failure()
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

    ``logit_layer`` is the layer of ``LogitCut``, ``device`` the device that a PyTorch model is moved to, ``replace_softmax`` and
    ``softmax_layer`` are for Keras models. ``backend`` names the framework where it should not be recognised; it is the one of
    ``get_backend()`` from then on. The arguments of other frameworks' wrappers have no effect. Raises ValueError for a model of another
    package than ``backend``, BackendError for graphs of TensorFlow 1 and for an unknown ``backend``.
    """
    named = None if backend is None or backend.lower() == Backend.UNKNOWN.name.lower() else Backend.from_name(backend)
    if named is Backend.UNKNOWN:
        advice = f"one of {', '.join(NAMES)}"
        raise BackendError("The backend is not known", found=f"backend={backend!r}", advice=advice, code="E-COMPAT-BACKEND")
    found = discern_backend(model) if named is None else named
    if found is Backend.UNKNOWN:
        return ModelWrapper(model, logit_layer=logit_layer)
    if found is Backend.PYTORCH:
        from .pytorch import PytorchModelWrapper

        return PytorchModelWrapper(model, logit_layer=logit_layer, device=device, force_eval=force_eval)
    if input_tensors is not None or output_tensors is not None or type(model).__name__ == "Graph":
        return TensorflowModelWrapper(model)
    if found is Backend.TENSORFLOW and keras_package(model) is None and is_tensorflow(model):
        return TensorflowModuleWrapper(model, logit_layer=logit_layer)
    wrapper = Tensorflow2ModelWrapper if found is Backend.TENSORFLOW else KerasModelWrapper
    scores = {"logit_layer": logit_layer, "replace_softmax": replace_softmax, "softmax_layer": softmax_layer}
    return wrapper(model, **scores, custom_objects=custom_objects, backend=found)
