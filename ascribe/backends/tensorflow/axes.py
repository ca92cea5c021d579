"""The axis of a value that runs over the records, and how the value is brought into canonical form and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Array, namespace
from ...errors import CutError
from ...utils.ragged import Ragged
from ..protocol import RecordAxis

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """The axis that runs over the records; None where none does, because the value is the same for all of them.

    ``fold`` rows belong to each record (one after the other, or ``strided``: the first of each record, then the second of each).
    ``rows`` gives the record of each row, where the call says so; with ``whole`` the value belongs to the only record there is.
    """

    at: int | None = 0
    fold: int = 1
    strided: bool = False
    rows: Ragged | None = None
    whole: bool = False

    @property
    def canonical_axis(self) -> RecordAxis:
        """The record axis in canonical form."""
        return self.rows if self.rows is not None else 0 if self.whole or self.fold > 1 else self.at

    def first(self, array: Array) -> Array:
        """The value with its rows of records on the first axis."""
        if self.whole:
            return array[None]
        if self.at is None:
            return array
        xp, shape = namespace(array), tuple(array.shape)
        if self.fold > 1:
            parts = (self.fold, -1) if self.strided else (-1, self.fold)
            array = xp.reshape(array, (*shape[: self.at], *parts, *shape[self.at + 1 :]))
            return xp.moveaxis(array, self.at + self.strided, 0)
        return xp.moveaxis(array, self.at, 0) if self.at else array

    def canonical(self, array: np.ndarray, points: int, records: int, zero: bool = False) -> np.ndarray:
        """``[points, records, ...]`` of a value in its own layout; ``zero`` for gradients. Raises CutError for other rows than records."""
        if self.rows is not None:
            return np.asarray(self.rows.padded(array, 0, zero))[None]
        if self.at is None:
            return array[None, None] if not array.shape or array.shape[0] != points else array[:, None, None]
        rows = self.first(array)
        if len(rows) not in (records, points * records):
            what, there = "The value at the cut cannot be divided into records", f"shape {array.shape}, and {records} records"
            advice = "a layer around it whose value has one row per record"
            raise CutError(what, found=there, advice=advice, code="E-CUT-FOLDED")
        return rows.reshape(len(rows) // records, records, *rows.shape[1:])

    def native(self, array: np.ndarray) -> np.ndarray:
        """``[points, records, ...]`` in the value's own layout. Raises CutError for several points of a value that has room for one."""
        rows = array.reshape(-1, *array.shape[2:])
        if self.whole:
            if len(rows) != 1:
                what, there = "A value without a batch dimension can hold a single point only", f"{len(rows)} points"
                raise CutError(what, found=there, advice="chunk=1", code="E-RECORDS")
            return rows[0]
        if self.rows is not None:
            return np.asarray(self.rows.rows(rows))
        if self.at is None:
            return rows[0]
        if self.fold > 1:
            rows = np.moveaxis(rows, 0, self.at + self.strided)
            shape = rows.shape
            return rows.reshape(*shape[: self.at], shape[self.at] * shape[self.at + 1], *shape[self.at + 2 :])
        return np.moveaxis(rows, 0, self.at)


FIRST, WHOLE, SHARED = Axis(), Axis(whole=True), Axis(None)


def axis_between(few: Shape, m: int, many: Shape, n: int) -> Axis:
    """The axis that runs over the records, from the shapes of one value for ``m`` records and for ``n``, more than that."""
    grown = [i for i, (a, b) in enumerate(zip(few, many, strict=False)) if a != b]
    exact = [i for i in grown if (few[i], many[i]) == (m, n)] or grown
    if not exact or len(few) != len(many):
        return SHARED
    at = exact[0]
    folded = few[at] * n == many[at] * m and few[at] % m == 0
    return Axis(at, few[at] // m if folded else 1)


def ordered(axis: Axis, one: Array, two: Array) -> Axis:
    """Folded rows with their order, from the value for a record and for the same record with another one."""
    if axis.fold == 1 or axis.at is None:
        return axis
    together, apart = (np.moveaxis(np.asarray(t, dtype=np.float64), axis.at, 0) for t in (two, one))
    block, strided = together[: axis.fold], together[::2]
    size = 1e-3 * float(np.abs(apart).max(initial=0.0))
    close = [part.shape == apart.shape and np.allclose(part, apart, rtol=0, atol=size) for part in (block, strided)]
    return Axis(axis.at, axis.fold, strided=close[1] and not close[0])


def axis_by_length(shape: Shape, rows: Ragged) -> Axis:
    """The axis of a value in a call whose rows are given to records by an array, from its length; none for any other."""
    if shape and shape[0] == len(rows):
        return Axis(rows=rows)
    if shape and shape[0] == rows.records:
        return FIRST
    return SHARED


def size_of(shapes: Any) -> int:
    """How many numbers arrays of some shapes have."""
    return sum(math.prod(shape) for shape in shapes)
