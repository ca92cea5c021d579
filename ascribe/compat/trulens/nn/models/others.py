"""Wrappers of frameworks that the facade does not support: their names can be imported, and using them raises one clear error."""

from __future__ import annotations

from typing import Any

from ..backend import unsupported
from .base import ModelWrapper


class KerasModelWrapper(ModelWrapper):
    """A Keras model. Raises BackendError."""

    framework = "Keras"

    def __init__(self, model: Any, **kwargs: Any) -> None:
        raise unsupported(f"{self.framework} models")


class Tensorflow2ModelWrapper(KerasModelWrapper):
    """A TensorFlow 2 model. Raises BackendError."""

    framework = "TensorFlow 2"


class TensorflowModelWrapper(KerasModelWrapper):
    """A TensorFlow 1 graph. Raises BackendError."""

    framework = "TensorFlow 1"
