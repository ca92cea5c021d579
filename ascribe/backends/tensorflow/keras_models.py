"""Keras models among the models of TensorFlow."""

from __future__ import annotations

import sys
from typing import Any

from .runners import Runner


def keras_runner(model: Any) -> Runner | None:
    """The way in which a model of a loaded Keras, or a function around one, is run; None for any other model."""
    if not any(hasattr(sys.modules.get(name), "layers") for name in ("keras", "tf_keras")):
        return None
    from ..keras.names import roots_of
    from ..keras.onto_tensorflow import KerasRunner

    return KerasRunner(model) if roots_of(model) else None
