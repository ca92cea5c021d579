"""Frameworks: each is imported only when a model of it arrives."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from ..calls.call import Call
from .blackbox.runners import is_estimator, is_onnx
from .not_models import no_model
from .protocol import Session
from .recognise import framework, framework_of_models

SESSIONS = {  # a module that is imported when a model of its framework arrives, and the session
    "torch": "ascribe.backends.torch.session:TorchSession",
    "tensorflow": "ascribe.backends.tensorflow.session:TensorflowSession",
    "keras": "ascribe.backends.keras.session:open_session",
    "jax": "ascribe.backends.jax.session:JaxSession",
    "numpy": "ascribe.backends.numpy.session:NumpySession",
    "blackbox": "ascribe.backends.blackbox.session:BlackBoxSession",
}


def open_session(model: Any, call: Call) -> Session:
    """A session for a model and one call of it, of the framework that the model or its arguments belong to.

    Raises BackendError for what cannot be called.
    """
    kind: Any = type(model)
    if (family := framework_of_models(kind)) is not None:
        return cast(Session, session_class(family)(model, call))
    if (wrong := no_model(model, call)) is not None and not (is_estimator(model) or is_onnx(model)):
        raise wrong
    family = framework(model, call)
    session: Session = session_class(family)(model, call)
    return session


class SessionGuard:
    """A context that closes a session once more, because an interrupt can prevent the first time.

    ``with guard_session(model, call) as guarded, guarded as session``: an interrupt at the first line of the one exit is met by the other.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def __enter__(self) -> Session:
        return self.session

    def __exit__(self, *exc: object) -> None:
        self.session.close()


def guard_session(model: Any, call: Call) -> SessionGuard:
    """A session behind a :class:`SessionGuard`. Raises BackendError for what cannot be called."""
    return SessionGuard(open_session(model, call))


@lru_cache
def session_class(family: str) -> Any:
    """The class of a framework's sessions, which this imports."""
    module, _, name = SESSIONS[family].partition(":")
    return getattr(import_module(module), name)
