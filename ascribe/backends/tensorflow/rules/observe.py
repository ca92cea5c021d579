"""Observation of the operations that TensorFlow executes eagerly in this thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.python.eager import context, execute

LOCK = threading.Lock()
OPEN: list[Any] = []
"""The observers of all threads: as long as there is one, operations are executed in the way that calls them."""
OWN: list[Any] = []
"""The function that executes operations without observers."""


@contextmanager
def observed(observer: Callable[..., None]) -> Iterator[None]:
    """A context in which an observer is called after each operation that this thread executes; other threads are not observed."""
    here = context.context()
    here.ensure_initialized()
    with LOCK:
        if not OPEN:
            OWN[:] = [execute.execute]
            execute.execute = execute.execute_with_callbacks
        OPEN.append(observer)
    try:
        here.add_op_callback(observer)
        try:
            yield
        finally:
            here.remove_op_callback(observer)
    finally:
        with LOCK:
            OPEN.remove(observer)
            if not OPEN:
                execute.execute = OWN[0]
