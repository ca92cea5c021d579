"""``trulens.nn.backend``: the framework in use, its functions for users' quantities and distributions, batches and memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
FUNCTIONS = {Backend.PYTORCH: "pytorch"}
"""The supported frameworks, each with the module of this package that has its functions."""
LOADED = {"torch": Backend.PYTORCH}


class OutOfMemory(MemoryLimitError, RuntimeError):
    """Out of memory, with the settings that reduce it (a RuntimeError)."""

    def __init__(self, settings: Any = (), **kwargs: Any) -> None:
        self.settings, self.kwargs = list(settings), kwargs
        super().__init__("The call ran out of memory", advice="; ".join(map(str, self.settings)) or "smaller batches, or rebatch_size=")


def get_backend(suppress_warnings: bool = False) -> ModuleType | None:
    """Returns the functions of the framework in ``TRULENS_BACKEND``, or of the loaded one.

    Raises BackendError if there is none; with ``suppress_warnings`` returns None.
    """
    named = os.environ.get("TRULENS_BACKEND")
    chosen = Backend.from_name(named) if named else next((b for name, b in LOADED.items() if sys.modules.get(name)), Backend.UNKNOWN)
    if chosen in FUNCTIONS:
        return import_module(f"{__name__}.{FUNCTIONS[chosen]}")
    if suppress_warnings:
        return None
    raise unsupported(named or "no framework that is loaded")


def unsupported(what: str) -> BackendError:
    """Returns the error for a framework that the facade does not support."""
    known = ", ".join(b.name for b in FUNCTIONS)
    return BackendError(f"The facade of trulens supports {known} only", found=what, advice="a PyTorch model", code="E-COMPAT-BACKEND")


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
