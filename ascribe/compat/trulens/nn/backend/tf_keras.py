"""``trulens.nn.backend.keras_backend.keras`` for the Keras of TensorFlow (``tf.keras``): the functions of TensorFlow."""

from __future__ import annotations

from typing import Any

from . import Backend
from . import tensorflow as functions

backend = Backend.TF_KERAS


def __getattr__(name: str) -> Any:
    return getattr(functions, name)
