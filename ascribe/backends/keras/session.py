"""Keras: the session of the framework that Keras runs on."""

from __future__ import annotations

from typing import Any

import keras

from ...calls.call import Call
from ...errors import BackendError
from ..protocol import Session


def open_session(model: Any, call: Call) -> Session:
    """A session of the back end that the loaded Keras uses, which is never set and not read from the environment.

    Raises BackendError for a back end that has no session.
    """
    backend = keras.config.backend()
    if backend == "torch":
        from ..torch.session import TorchSession

        return TorchSession(model, call)
    if backend == "tensorflow":
        from ..tensorflow.session import TensorflowSession

        return TensorflowSession(model, call)
    if backend == "jax":
        from ..jax.session import JaxSession

        return JaxSession(model, call)
    problem = f"Keras models on the back end {backend!r} are not supported"
    raise BackendError(problem, found=f"a {type(model).__name__}", advice='os.environ["KERAS_BACKEND"] = "torch", before Keras is imported')
