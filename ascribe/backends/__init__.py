"""Frameworks: each is imported only when a model of it arrives."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from ..calls.call import Call
from ..tree import walk
from .blackbox.runners import is_estimator, is_onnx
from .not_models import no_model
from .protocol import Session

SESSIONS = {
    "torch": "ascribe.backends.torch.session:TorchSession",
    "numpy": "ascribe.backends.numpy.session:NumpySession",
    "blackbox": "ascribe.backends.blackbox.session:BlackBoxSession",
}
OUT_OF_TORCH = frozenset({"numpy", "tolist"})
"""What a function calls that makes arrays of a module's tensors: ``net(torch.tensor(x)).detach().numpy()``."""


def open_session(model: Any, call: Call) -> Session:
    """A session for a model and one call of it; the framework is told by the model's class, or else by the arguments'.

    Raises BackendError for what cannot be called.
    """
    if (wrong := no_model(model, call)) is not None and not (is_estimator(model) or is_onnx(model)):
        raise wrong
    family = framework(model, call)
    session: Session = session_class(family)(model, call)
    return session


class Door:
    """A context that closes a session a second time, because an interrupt can prevent the first.

    ``with opened(model, call) as door, door as session``: an interrupt at the first line of the one exit is met by the other.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def __enter__(self) -> Session:
        return self.session

    def __exit__(self, *exc: object) -> None:
        self.session.close()


def opened(model: Any, call: Call) -> Door:
    """A session behind a :class:`Door`. Raises BackendError for what cannot be called."""
    return Door(open_session(model, call))


@lru_cache
def session_class(family: str) -> Any:
    """What opens sessions in a framework, which this imports."""
    module, _, name = SESSIONS[family].partition(":")
    return getattr(import_module(module), name)


def framework(model: Any, call: Call) -> str:
    """``"torch"`` for modules, and for functions of tensors or around a module; ``"blackbox"`` for what nothing is known of, and for
    functions around a module that are given arrays and make arrays of what it returns.
    """
    if is_onnx(model):
        return "blackbox"
    for obj in (model, getattr(model, "__self__", None), getattr(model, "func", None)):
        if of_torch(obj):
            return "torch"
        if (named := getattr(type(obj), "ascribe_backend", None)) is not None:
            return str(named)
    leaves = [leaf for _, leaf in walk((call.args, call.kwargs))]
    cells = [getattr(c, "cell_contents", None) for c in getattr(model, "__closure__", None) or ()]
    names = getattr(getattr(model, "__code__", None), "co_names", ())
    if not any(map(of_torch, leaves)) and not OUT_OF_TORCH.isdisjoint(names):
        return "blackbox"
    used = [model.__globals__[name] for name in names if name in model.__globals__]
    for obj in (*leaves, *cells, *used):
        if of_torch(obj):
            return "torch"
    return "blackbox"


def of_torch(obj: Any) -> bool:
    """Whether an object's class is one of PyTorch's, or made from one."""
    return any(cls.__module__.partition(".")[0] == "torch" for cls in type(obj).__mro__)
