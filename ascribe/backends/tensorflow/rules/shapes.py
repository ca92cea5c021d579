"""Values in another shape, and with their axes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ....tape import Var
from . import operations as ops
from .record import Recorder

Array = Any


def permute(recorder: Recorder, a: Any, order: Sequence[int], values: Sequence[Array] | None = None) -> Any:
    """A value with its axes in another order."""
    order = tuple(order)
    if order == tuple(range(len(order))):
        return a
    return recorder.add(ops.PERMUTE, "Transpose", (a, order), values)[0] if isinstance(a, Var) else tf.transpose(a, order)


def reshape(recorder: Recorder, a: Any, shape: Sequence[int], values: Sequence[Array] | None = None) -> Any:
    """A value in another shape."""
    shape = tuple(shape)
    if tuple(a.shape) == shape:
        return a
    return recorder.add(ops.RESHAPE, "Reshape", (a, shape), values)[0] if isinstance(a, Var) else tf.reshape(a, shape)
