"""The arguments of one model call: which of them are explained, and which of their axes are batch dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import ArrayLike, as_numpy, is_array
from ..errors import InputError
from ..tree import Path
from ..utils.ragged import Ragged

RecordsLike = int | Mapping[Any, int | None] | ArrayLike | Sequence[int] | None
"""Accepted by ``records=``: their number, the batch dimension of each argument, or the record of each row."""


@dataclass(frozen=True, eq=False, init=False)
class Call:
    """The arguments of one model call, unchanged: ``Call(ids, attention_mask=mask)``.

    *Use it when* only some arguments are explained, when the batch dimension is not the first axis, or when a baseline is another call of
    the model.

    As the call to explain, ``Call(x, weights).only(0)`` explains ``x`` alone; all other arguments are passed through unchanged. As a
    baseline or a background, it means the value at the cut when the model is called with these arguments.

    ``records`` describes the records (samples). By default they are the first axis of the first floating-point array.

    * An integer, ``Call(x, records=1)``, is their number. Arguments whose first axis has that length have one row per record. With 1 the
      whole call is a single record.
    * A dict, ``Call(x, state, records={1: 1})`` or ``{"state": 1}``, gives the batch dimension of an argument; None means that the
      argument has none. Other arguments have their records on axis 0 if its length is the number of records.
    * An integer array, ``Call(nodes, edges, batch, records=batch)``, gives for each row of the arguments the record it belongs to (nodes
      of graphs, tokens of concatenated texts). The model then always receives all records together.

    A model argument that is itself called ``records`` is given with :meth:`of`, or directly to ``attribute``.

    A call raises InputError with the code E-RECORDS if ``records`` does not fit the arguments.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    explained: tuple[int | str, ...] | None
    records: Any

    def __init__(self, *args: Any, records: RecordsLike = None, **kwargs: Any) -> None:
        vars(self).update(args=args, kwargs=kwargs, explained=None, records=records)

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any], records: RecordsLike = None) -> Call:
        """Returns a call with these arguments; ``kwargs`` may have a model argument called ``records``."""
        return cls._made(args, dict(kwargs), None, records)

    @classmethod
    def _made(cls, args: tuple[Any, ...], kwargs: dict[str, Any], explained: tuple[int | str, ...] | None, records: Any) -> Call:
        call = object.__new__(cls)
        vars(call).update(args=args, kwargs=kwargs, explained=explained, records=records)
        return call

    def only(self, *arguments: int | str) -> Call:
        """Returns the same call in which only these arguments are explained: an int for a positional argument, a str for a keyword."""
        return Call._made(self.args, self.kwargs, arguments, self.records)

    def like(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Returns a call with other arguments and the same ``only`` and ``records``."""
        return Call._made(args, dict(kwargs), self.explained, self.records)

    def after(self, other: Call) -> Call:
        """Returns this call, with ``only`` and ``records`` of the other where this one has none."""
        explained = other.explained if self.explained is None else self.explained
        return Call._made(self.args, self.kwargs, explained, other.records if self.records is None else self.records)

    def __repr__(self) -> str:
        text = "" if self.records is None else ", records=..."
        return f"Call(<{len(self.args)} positional>{''.join(f', {name}=...' for name in self.kwargs)}{text})"


@dataclass
class RecordAxes:
    """The number of records of a call, and the batch dimension of each argument that has one.

    ``rows`` maps rows to records if ``records=`` is an array. ``whole`` is True if the whole call is one record.
    """

    count: int
    axes: Mapping[Path, int]
    rows: Ragged | None = None
    whole: bool = False

    @property
    def together(self) -> bool:
        """True if the arguments cannot be split into records, so that the model always receives all of them."""
        return self.whole or self.rows is not None


def locate_records(records: Any, shapes: Mapping[Path, tuple[int, ...]], fallback: tuple[int, Mapping[Path, int]]) -> RecordAxes:
    """Returns the number of records and the batch dimensions, from ``records=`` and the shapes of the arguments.

    ``fallback`` has the number and the axes to use if ``records`` is None. Raises InputError if ``records`` fits no argument.
    """
    if records is None:
        count, axes = fallback
        return RecordAxes(count, {p: axes.get(p, 0) for p, shape in shapes.items() if p in axes or (shape and shape[0] == count)})
    if isinstance(records, Mapping):
        return _by_axes(records, shapes, fallback[0])
    if is_array(records) and np.ndim(as_numpy(records)) == 0:
        records = as_numpy(records)[()]
    if isinstance(records, (int, np.integer)) and not isinstance(records, bool):
        return _by_count(int(records), shapes)
    return _by_rows(records, shapes)


def _by_count(count: int, shapes: Mapping[Path, tuple[int, ...]]) -> RecordAxes:
    axes = {p: 0 for p, shape in shapes.items() if shape and shape[0] == count}
    if count == 1 and len(axes) < sum(bool(shape) for shape in shapes.values()):
        return RecordAxes(1, axes, whole=True)
    if count < 1 or not axes:
        problem = f"`records={count}` fits no argument: no first axis has that length"
        there = ", ".join(f"{argument_name(p)} {shape}" for p, shape in shapes.items())
        raise InputError(problem, found=there, advice="asc.Call(x, records={0: 1}) if axis 1 of x is the batch dimension", code="E-RECORDS")
    return RecordAxes(count, axes)


def _by_axes(records: Mapping[Any, Any], shapes: Mapping[Path, tuple[int, ...]], fallback: int) -> RecordAxes:
    result: dict[Path, int] = {}
    out: set[Path] = set()
    for name, axis in records.items():
        mine = [p for p in shapes if p[1] == name or p[1:] == name]
        whole = axis is None or (isinstance(axis, (int, np.integer)) and not isinstance(axis, bool))
        if not mine or not whole or (axis is not None and any(not -len(shapes[p]) <= axis < len(shapes[p]) for p in mine)):
            there = ", ".join(f"{argument_name(p)} {shape}" for p, shape in shapes.items())
            problem = f"`records={{{name!r}: {axis!r}}}` fits no argument: keys are arguments, values are axes or None"
            raise InputError(problem, found=there, advice="asc.Call(x, records={0: 1})", code="E-RECORDS")
        for path in mine:
            out.add(path)
            if axis is not None:
                result[path] = int(axis) % len(shapes[path])
    lengths = {shapes[p][axis] for p, axis in result.items()} or {fallback}
    if len(lengths) > 1:
        there = ", ".join(f"{argument_name(p)} {shapes[p][axis]}" for p, axis in result.items())
        problem = "The arguments have different numbers of records"
        raise InputError(problem, found=there, advice="asc.Call(..., records={...}) with axes of equal length", code="E-RECORDS")
    count = lengths.pop()
    result |= {p: 0 for p, shape in shapes.items() if p not in out and shape and shape[0] == count}
    return RecordAxes(count, result)


def _by_rows(records: Any, shapes: Mapping[Path, tuple[int, ...]]) -> RecordAxes:
    array = as_numpy(records) if is_array(records) or isinstance(records, (list, tuple)) else np.zeros((), dtype=object)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array) or int(array.min()) < 0:
        problem = "`records=` must be an integer, a dict of axes, or an array of integers >= 0 with the record of each row"
        there = (
            f"records of shape {array.shape} and type {array.dtype}" if is_array(records) else f"an object of type {type(records).__name__}"
        )
        raise InputError(
            problem, found=there, advice="asc.Call(x, records={0: 1}), or asc.Call(nodes, batch, records=batch)", code="E-RECORDS"
        )
    rows = Ragged(array)
    axes = {p: 0 for p, shape in shapes.items() if shape and shape[0] in (len(rows), rows.records)}
    if not any(shapes[p][0] == len(rows) for p in axes):
        there = ", ".join(f"{argument_name(p)} {shape}" for p, shape in shapes.items())
        problem = f"`records=` has {len(rows)} rows, and no argument has as many"
        raise InputError(
            problem, found=there, advice="asc.Call(nodes, batch, records=batch), with one number for each row", code="E-RECORDS"
        )
    return RecordAxes(rows.records, axes, rows)


def argument_name(path: Path) -> str:
    """Returns the name of an argument in messages: its keyword, or ``input 0`` for a position."""
    side, head, *tail = path
    return (f"input {head}" if side == 0 else str(head)) + "".join(f"[{key!r}]" for key in tail)
