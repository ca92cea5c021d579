"""The arguments of one model call, and what is said about them: which are explained, and where the records are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import InputError
from ..tree import Path
from ..utils.ragged import Ragged


@dataclass(frozen=True, eq=False, init=False)
class Call:
    """The arguments of a model call, kept as they are: ``Call(ids, attention_mask=mask)``.

    As a baseline it stands for whatever the cut holds when the model is called like this. As the call to be explained,
    ``Call(x, weights).only(0)`` says that ``x`` alone is: what is not named rides along, floating or not.

    ``records`` says where the records are, if the first axis of the first floating tensor does not count them:

    * a number, ``Call(x, records=1)``: how many there are. Arguments whose first axis has that length belong to them, row by row.
      With 1 the whole call is one record, whatever the shapes.
    * an axis for an argument, ``Call(x, state, records={1: 1})`` or ``{"state": 1}``: that argument has its records on this axis;
      None says that it does not belong to the records. Other arguments belong to them where their first axis has the same length.
    * an array, ``Call(nodes, edges, batch, records=batch)``: for each row of the arguments the number of its record (nodes of graphs,
      words of texts in one list). The model is then always called with all records together.

    A model's own argument of the name ``records`` is given by :meth:`of`, or to ``attribute`` directly.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    explained: tuple[int | str, ...] | None
    records: Any

    def __init__(self, *args: Any, records: Any = None, **kwargs: Any) -> None:
        vars(self).update(args=args, kwargs=kwargs, explained=None, records=records)

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any], records: Any = None) -> Call:
        """A call with these arguments, also with one that is called ``records``."""
        return cls._made(args, dict(kwargs), None, records)

    @classmethod
    def _made(cls, args: tuple[Any, ...], kwargs: dict[str, Any], explained: tuple[int | str, ...] | None, records: Any) -> Call:
        call = object.__new__(cls)
        vars(call).update(args=args, kwargs=kwargs, explained=explained, records=records)
        return call

    def only(self, *arguments: int | str) -> Call:
        """The same call, explained at these arguments: positional ones by number, others by name."""
        return Call._made(self.args, self.kwargs, arguments, self.records)

    def like(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Other arguments, of which the same is said."""
        return Call._made(args, dict(kwargs), self.explained, self.records)

    def after(self, other: Call) -> Call:
        """This call, with what only the other one says about its arguments."""
        explained = other.explained if self.explained is None else self.explained
        return Call._made(self.args, self.kwargs, explained, other.records if self.records is None else self.records)

    def __repr__(self) -> str:
        said = "" if self.records is None else ", records=..."
        return f"Call(<{len(self.args)} positional>{''.join(f', {name}=...' for name in self.kwargs)}{said})"


@dataclass
class RecordAxes:
    """Where the records of a call are: how many, and the axis of each argument that belongs to them.

    ``rows`` is the record of each row where rows are given to records by an array, ``whole`` says that everything is one record.
    """

    count: int
    axes: Mapping[Path, int]
    rows: Ragged | None = None
    whole: bool = False

    @property
    def together(self) -> bool:
        """Whether the arguments cannot be cut into records, so that the model always sees all of them."""
        return self.whole or self.rows is not None


def locate_records(records: Any, shapes: Mapping[Path, tuple[int, ...]], fallback: tuple[int, Mapping[Path, int]]) -> RecordAxes:
    """What a call's ``records`` says, for arguments of these shapes; ``fallback`` is the count, and axes found, where it says nothing.

    Raises InputError for what fits no argument.
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
        there = ", ".join(f"{argument_name(p)} {shape}" for p, shape in shapes.items())
        try_ = "the length of an argument's first axis, an axis by argument ({0: 1}), or an array with the record of each row"
        raise InputError(f"records={count} fits no argument", there=there, try_=try_, code="E-RECORDS")
    return RecordAxes(count, axes)


def _by_axes(records: Mapping[Any, Any], shapes: Mapping[Path, tuple[int, ...]], fallback: int) -> RecordAxes:
    found: dict[Path, int] = {}
    out: set[Path] = set()
    for name, axis in records.items():
        mine = [p for p in shapes if p[1] == name or p[1:] == name]
        whole = axis is None or (isinstance(axis, (int, np.integer)) and not isinstance(axis, bool))
        if not mine or not whole or (axis is not None and any(not -len(shapes[p]) <= axis < len(shapes[p]) for p in mine)):
            there = ", ".join(f"{argument_name(p)} {shape}" for p, shape in shapes.items())
            try_ = "an argument's number or name with one of its axes, or None"
            raise InputError(f"records={{{name!r}: {axis!r}}} fits no argument", there=there, try_=try_, code="E-RECORDS")
        for path in mine:
            out.add(path)
            if axis is not None:
                found[path] = int(axis) % len(shapes[path])
    lengths = {shapes[p][axis] for p, axis in found.items()} or {fallback}
    if len(lengths) > 1:
        there = ", ".join(f"{argument_name(p)} {shapes[p][axis]}" for p, axis in found.items())
        raise InputError("the arguments have different numbers of records", there=there, try_="axes of one length", code="E-RECORDS")
    count = lengths.pop()
    found |= {p: 0 for p, shape in shapes.items() if p not in out and shape and shape[0] == count}
    return RecordAxes(count, found)


def _by_rows(records: Any, shapes: Mapping[Path, tuple[int, ...]]) -> RecordAxes:
    array = as_numpy(records) if is_array(records) or isinstance(records, (list, tuple)) else np.zeros((), dtype=object)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array) or int(array.min()) < 0:
        what = f"records of shape {array.shape} and type {array.dtype}" if is_array(records) else f"records={type(records).__name__}"
        try_ = "a number, an axis by argument ({0: 1}), or whole numbers from 0 up: the record of each row"
        raise InputError(what, there="where the records of a call are", try_=try_, code="E-RECORDS")
    rows = Ragged(array)
    axes = {p: 0 for p, shape in shapes.items() if shape and shape[0] in (len(rows), rows.records)}
    if not any(shapes[p][0] == len(rows) for p in axes):
        there = ", ".join(f"{argument_name(p)} {shape}" for p, shape in shapes.items())
        raise InputError(f"records= for {len(rows)} rows", there=there, try_="a number for each row of an argument", code="E-RECORDS")
    return RecordAxes(rows.records, axes, rows)


def argument_name(path: Path) -> str:
    """What the user calls an argument: its keyword, or its position."""
    side, head, *tail = path
    return (f"input {head}" if side == 0 else str(head)) + "".join(f"[{key!r}]" for key in tail)
