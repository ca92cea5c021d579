"""``trulens.nn.backend``: the framework in use, its functions for users' quantities and distributions, batches and memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from .....arrays import is_array, namespace
from .....errors import BackendError, MemoryLimitError
from ...utils.typing import TensorAKs


class Backend(Enum):
    """The frameworks of trulens."""

    PYTORCH = 1
    TENSORFLOW = 2
    KERAS = 3
    TF_KERAS = 4
    UNKNOWN = 5

    @classmethod
    def from_name(cls, name: str) -> Backend:
        """Returns a framework by its name; UNKNOWN for any other name."""
        return NAMES.get(name.lower(), cls.UNKNOWN)

    def is_keras_derivative(self) -> bool:
        return self in (Backend.KERAS, Backend.TF_KERAS)


NAMES = {
    "pytorch": Backend.PYTORCH,
    "torch": Backend.PYTORCH,
    "tensorflow": Backend.TENSORFLOW,
    "tf": Backend.TENSORFLOW,
    "keras": Backend.KERAS,
    "tf.keras": Backend.TF_KERAS,
    "tf_keras": Backend.TF_KERAS,
}
FUNCTIONS = {Backend.PYTORCH: "pytorch", Backend.TENSORFLOW: "tensorflow", Backend.KERAS: "keras", Backend.TF_KERAS: "tf_keras"}
"""The supported frameworks, each with the module of this package that has its functions."""
LOADED = {"torch": Backend.PYTORCH, "tf_keras": Backend.TENSORFLOW, "tensorflow": Backend.TENSORFLOW, "keras": Backend.KERAS}
"""The frameworks by the package that is loaded, in the order in which they are looked for."""
VARIABLE = "TRULENS_BACKEND"
"""The environment variable that chooses the framework. It is read and never set."""


class Choice:
    """The framework of the model that was wrapped or explained last, until ``TRULENS_BACKEND`` is changed."""

    running: ContextVar[Backend | None] = ContextVar("ascribe_trulens_backend", default=None)
    """The framework of the model that is being explained in this context."""

    def __init__(self) -> None:
        self.last: Backend | None = None
        self.variable: str | None = None

    def make(self, backend: Backend) -> None:
        """Makes a framework the one in use."""
        self.last, self.variable = backend, os.environ.get(VARIABLE) or None

    def current(self) -> Backend:
        """Returns the framework in use; UNKNOWN if there is none."""
        if (running := self.running.get()) is not None:
            return running
        named = os.environ.get(VARIABLE) or None
        if named != self.variable:
            self.last, self.variable = None, named
        if self.last is not None:
            return self.last
        if named is not None and named.lower() != Backend.UNKNOWN.name.lower():
            return Backend.from_name(named)
        return next((backend for name, backend in LOADED.items() if sys.modules.get(name)), Backend.UNKNOWN)


CHOICE = Choice()


@contextmanager
def kept_on_failure() -> Iterator[None]:
    """Leaves the framework in use as it was if its block fails."""
    before = CHOICE.last, CHOICE.variable
    try:
        yield
    except BaseException:
        CHOICE.last, CHOICE.variable = before
        raise


@contextmanager
def use_backend(backend: Backend) -> Iterator[None]:
    """Makes a framework the one in use, in its block also for other models; UNKNOWN changes nothing, nor does a block that fails."""
    if backend is Backend.UNKNOWN:
        yield
        return
    with kept_on_failure():
        CHOICE.make(backend)
        token = Choice.running.set(backend)
        try:
            yield
        finally:
            Choice.running.reset(token)


class OutOfMemory(MemoryLimitError, RuntimeError):
    """Out of memory, with the settings that reduce it (a RuntimeError)."""

    def __init__(self, settings: Any = (), **kwargs: Any) -> None:
        self.settings, self.kwargs = list(settings), kwargs
        super().__init__("The call ran out of memory", advice="; ".join(map(str, self.settings)) or "smaller batches, or rebatch_size=")


def get_backend(suppress_warnings: bool = False) -> ModuleType | None:
    """Returns the functions of the framework in use.

    That is the framework of the model that is being explained; otherwise the one of the model that was wrapped or explained last, or the
    one in ``TRULENS_BACKEND`` if that was changed since; otherwise a loaded one. Raises BackendError if there is none; with
    ``suppress_warnings`` returns None.
    """
    chosen = CHOICE.current()
    try:
        if chosen in FUNCTIONS:
            return import_module(f"{__name__}.{FUNCTIONS[chosen]}")
    except ImportError:
        pass
    if suppress_warnings:
        return None
    raise unsupported(os.environ.get(VARIABLE) or "no framework that is loaded")


def unsupported(what: str) -> BackendError:
    """Returns the error for a framework that the facade does not support."""
    problem = f"The facade of trulens supports {', '.join(b.name for b in FUNCTIONS)} only, as far as they are installed"
    return BackendError(problem, found=what, advice="a model of PyTorch, Keras or TensorFlow 2", code="E-COMPAT-BACKEND")


@contextmanager
def memory_suggestions(*settings: Any, call_before: Any = None, call_after: Any = None, **kwargs: Any) -> Iterator[Any]:
    """Raises out-of-memory errors of its block as :class:`OutOfMemory`, with settings that reduce memory."""
    state = call_before() if call_before is not None else None
    try:
        yield state
    except OutOfMemory as found:
        raise OutOfMemory([*found.settings, *settings], **found.kwargs) from found
    except (MemoryError, RuntimeError) as found:
        if isinstance(found, MemoryError) or "out of memory" in str(found):
            raise OutOfMemory(settings, **kwargs) from found
        raise
    finally:
        if call_after is not None:
            call_after(state)


def rebatch(vals: TensorAKs, *extra_vals: TensorAKs, batch_size: int | None = None) -> Iterator[tuple[TensorAKs, ...]]:
    """Yields the arguments in batches of ``batch_size`` rows; arguments with another number of rows are passed whole."""
    rows = vals.first_batchable().shape[0]
    size = batch_size or rows
    for first in range(0, rows, size):
        take = partial(_some, part=slice(first, first + size), rows=rows)
        yield tuple(some.map(take) for some in (vals, *extra_vals))


def tile(what: TensorAKs, onto: TensorAKs) -> TensorAKs:
    """Returns the arguments repeated to the number of rows of ``onto``; only those with as many rows as the first."""
    rows = what.first_batchable().shape[0]
    times = onto.first_batchable().shape[0] // rows
    return what.map(lambda v: repeated(v, times) if _rows(v) == rows else v)


def repeated(v: Any, times: int) -> Any:
    """Returns an array repeated ``times`` times along its rows."""
    return np.concatenate([v] * times) if isinstance(v, np.ndarray) else namespace(v).concat([v] * times, 0)


def _some(value: Any, part: slice, rows: int) -> Any:
    return value[part] if _rows(value) == rows else value


def _rows(value: Any) -> int | None:
    return int(value.shape[0]) if is_array(value) and len(value.shape) else None
