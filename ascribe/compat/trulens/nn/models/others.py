"""Wrappers of frameworks that the facade does not support: their names can be imported, and using them raises one clear error."""

from __future__ import annotations

from typing import Any

from ..backend import unsupported
from .base import ModelWrapper


class TensorflowModelWrapper(ModelWrapper):
    """A TensorFlow 1 graph. Raises BackendError."""

    def __init__(self, model: Any, **kwargs: Any) -> None:
        raise unsupported("a graph of TensorFlow 1")
