"""Keras: the session of the framework that Keras runs on."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import keras

from ...calls.call import Call
from ...errors import ArgumentError, BackendError
from ...utils.hints import unexpected_hint
from ..protocol import Session
from .paths import named_layers

IGNORING = ("keras.src.models.functional", "keras.src.models.sequential")
"""Modules of models whose ``call`` accepts every keyword."""


def open_session(model: Any, call: Call) -> Session:
    """A session of the back end that the loaded Keras uses, which is never set and not read from the environment.

    Raises BackendError for a back end that has no session.
    """
    check_keywords(model, call)
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


def check_keywords(model: Any, call: Call) -> None:
    """Raises ArgumentError for a keyword that a functional or sequential model would ignore without an error."""
    kind: Any = type(model)
    if getattr(getattr(kind, "call", None), "__module__", None) not in IGNORING:
        return
    known = {"inputs", "training", "mask"}
    for name in call.kwargs.keys() - known:
        known = known.union(*(getattr(layer, "_call_context_args", ()) for _, layer in named_layers(model)))
        if name not in known:
            near = get_close_matches(name, sorted(known), 1)
            advice = f"{near[0]}=..." if near else unexpected_hint(f"unexpected keyword argument '{name}'", call.kwargs)
            what = f"The model does not take the keyword {name!r}, and would ignore it"
            raise ArgumentError(
                what, found=f"a {kind.__name__} model, which takes {', '.join(sorted(known))}", advice=advice or "no keywords"
            )
