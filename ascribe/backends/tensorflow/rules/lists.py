"""Lists of tensors in graphs, as lists of Python: what loops read their steps from and collect their results in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Array = Any
Execute = Callable[[str, tuple[Any, ...], int, Sequence[Array]], Sequence[Array]]
"""Executes an operation, and records it: its kind, its attributes, how many results it has, its arguments."""


class TensorList(list[Any]):
    """A list of tensors; None where nothing was written yet."""


def reserved(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListReserve``: (shape, number)."""
    return [TensorList([None] * int(args[1]))]


def empty(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``EmptyTensorList``."""
    return [TensorList()]


def divided(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListFromTensor``: (tensor, shape)."""
    number, kind = args[0].shape[0], args[0].dtype.as_datatype_enum
    return [TensorList(execute("Unpack", ("num", number, "axis", 0, "T", kind), number, args[:1]) if number else [])]


def item(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListGetItem``: (list, place, shape)."""
    held = args[0][int(args[1])]
    return [tf.zeros(shape_of(args[0], args[2]), operation.outputs[0].dtype) if held is None else held]


def replaced(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListSetItem``: (list, place, value)."""
    made, place = TensorList(args[0]), int(args[1])
    made += [None] * (place + 1 - len(made))
    made[place] = args[2]
    return [made]


def pushed(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListPushBack``: (list, value)."""
    return [TensorList([*args[0], args[1]])]


def popped(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListPopBack``: (list, shape)."""
    return [TensorList(args[0][:-1]), args[0][-1]]


def length(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListLength``."""
    return [tf.constant(len(args[0]))]


def stacked(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListStack``: (list, shape)."""
    kind = operation.outputs[0].dtype
    parts = [tf.zeros(shape_of(args[0], args[1]), kind) if a is None else a for a in args[0]]
    if not parts:
        return [tf.zeros([0, *(max(0, n) for n in shape_of(args[0], args[1]))], kind)]
    return execute("Pack", ("N", len(parts), "T", kind.as_datatype_enum, "axis", 0), 1, parts)


def joined(execute: Execute, operation: Any, args: list[Any]) -> Sequence[Any]:
    """``TensorListConcatV2``: (list, shape, lengths)."""
    kind = operation.outputs[0].dtype.as_datatype_enum
    attributes = ("N", len(args[0]), "T", kind, "Tidx", tf.int32.as_datatype_enum)
    lengths = tf.constant([a.shape[0] for a in args[0]], tf.int64)
    return [*execute("ConcatV2", attributes, 1, [*args[0], tf.constant(0)]), lengths]


def shape_of(held: TensorList, given: Array) -> list[int]:
    """The shape of a list's elements."""
    known = next((a for a in held if a is not None), None)
    return [int(n) for n in given] if known is None else list(known.shape)


LISTS: dict[str, Callable[[Execute, Any, list[Any]], Sequence[Any]]] = {
    "TensorListReserve": reserved,
    "EmptyTensorList": empty,
    "TensorListFromTensor": divided,
    "TensorListGetItem": item,
    "TensorListSetItem": replaced,
    "TensorListPushBack": pushed,
    "TensorListPopBack": popped,
    "TensorListLength": length,
    "TensorListStack": stacked,
    "TensorListConcatV2": joined,
}
"""By kind."""
