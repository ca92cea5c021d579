"""Where an array keeps its records, and how it is brought into canonical form and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ....errors import CutError
from ....utils.ragged import Ragged
from ...protocol import RecordAxis

Tensor = torch.Tensor


@dataclass(frozen=True)
class Axis:
    """The axis that runs over the records; None where none does, because the value is the same for all of them.

    ``fold`` rows belong to each record (one after the other, or ``strided``: the first of each record, then the second of
    each). ``rank`` is that of the value of several records, where the model squeezes the axis of a single one away. ``rows`` gives
    the record of each row, where the call says so; with ``whole`` the value belongs to the only record there is, as it is.
    """

    at: int | None = 0
    fold: int = 1
    strided: bool = False
    rank: int | None = None
    rows: Ragged | None = None
    whole: bool = False
    plain: bool = field(init=False, compare=False, repr=False, default=False)
    """True if the records are on the first axis, a row for each, as nearly everywhere."""
    canonical_axis: RecordAxis = field(init=False, compare=False, repr=False, default=0)
    """The record axis in canonical form: there, folded rows and whole values have their records first."""

    def __post_init__(self) -> None:
        other = self.at != 0 or self.fold > 1 or self.rank is not None or self.rows is not None or self.whole
        canonical_axis = self.rows if self.rows is not None else 0 if self.whole or self.fold > 1 else self.at
        vars(self).update(plain=not other, canonical_axis=canonical_axis)

    def canonical(self, array: Tensor, lead: int, points: int, records: int, zero: bool = False) -> Tensor:
        """``[lead..., the value's own layout]`` as ``[lead..., points, records, ...]``; ``zero`` for what is no value: gradients."""
        if self.whole:
            return array.unsqueeze(lead).unsqueeze(lead)
        if self.rows is not None:
            padded: Tensor = self.rows.padded(array, lead, zero)
            return padded.unsqueeze(lead)
        if self.at is None:  # nothing here runs over the records: the same for all of them
            points = points if array.ndim > lead and array.shape[lead] == points else 1
            own = array.shape[lead] // points if array.ndim > lead else 1
            return array.reshape(*array.shape[:lead], points, 1, own, *array.shape[lead + 1 :])
        array = self._opened(array, lead)
        array = array.movedim(self.at + lead, lead) if self.at else array
        if array.shape[lead] == records:
            return array.unsqueeze(lead)
        records = records if array.shape[lead] % records == 0 else array.shape[lead]
        return array.reshape(*array.shape[:lead], array.shape[lead] // max(1, records), records, *array.shape[lead + 1 :])

    def count(self, array: Tensor, lead: int = 0) -> int | None:
        """How many rows of records an array has; None where it has no such axis."""
        if self.whole or self.rows is not None or self.at is None:
            return None
        array = array[(0,) * lead] if lead else array
        if self.rank is not None and array.ndim == self.rank - 1:
            return 1
        if array.ndim <= self.at or array.shape[self.at] % self.fold:
            return 0
        return array.shape[self.at] // self.fold

    def as_of_several(self, array: Tensor) -> Tensor:
        """A value in its own layout, with the axis that a single record lacks."""
        return array.unsqueeze(self.at or 0) if self.rank is not None and array.ndim == self.rank - 1 else array

    def _opened(self, array: Tensor, lead: int) -> Tensor:
        """With an axis of its own for the records, where the value has squeezed it away or folds other rows into it."""
        assert self.at is not None
        place = self.at + lead
        if self.rank is not None and array.ndim - lead == self.rank - 1:
            return array.unsqueeze(place)
        if self.fold == 1:
            return array
        if self.strided:
            return array.unflatten(place, (self.fold, -1)).transpose(place, place + 1)
        return array.unflatten(place, (-1, self.fold))

    def native(self, array: Tensor, lead: int = 0) -> Tensor:
        """``[lead..., records, ...]`` in the value's own layout. Raises CutError for several rows of a value that has room for one."""
        if self.whole:
            if array.shape[lead] != 1:
                problem, there = "A value without a batch dimension can hold a single point only", f"{array.shape[lead]} points"
                raise CutError(problem, found=there, advice="chunk=1", code="E-RECORDS")
            return array.squeeze(lead)
        if self.rows is not None:
            found: Tensor = self.rows.rows(array, lead)
            return found
        if self.at is None:  # no record axis of its own: a leading 1 takes the points, or there is but one
            return array.reshape(*array.shape[:lead], -1, *array.shape[lead + 2 :])
        array = array.movedim(lead, self.at + lead) if self.at else array
        place = self.at + lead
        if self.rank is not None and array.shape[place] == 1:
            return array.squeeze(place)
        if self.fold == 1:
            return array
        return (array.transpose(place, place + 1) if self.strided else array).flatten(place, place + 1)


FIRST = Axis()
WHOLE = Axis(whole=True)
SHARED = Axis(None)


def ones(shape: tuple[int, ...]) -> list[int]:
    """The axes of length 1."""
    return [i for i, size in enumerate(shape) if size == 1]


def alone(once: tuple[int, ...], twice: tuple[int, ...] | None) -> Axis:
    """The axis of a call's only record, seen in one row, and in two where they run: what does not grow is all its own."""
    found = SHARED if twice is None else axis_between(once, 1, twice, 2)
    if found.at is None:
        return Axis(ones(once)[0]) if ones(once) else WHOLE
    return found


def axis_between(few: tuple[int, ...], m: int, many: tuple[int, ...], n: int) -> Axis:
    """The axis that runs over the records, from the shapes of one value for ``m`` of them and for ``n``, more than that."""
    if len(many) == len(few) + 1 and m == 1:
        gone = [i for i in range(len(many)) if many[i] == n and many[:i] + many[i + 1 :] == few]
        return Axis(gone[0], rank=len(many)) if gone else SHARED
    grown = [i for i, (a, b) in enumerate(zip(few, many, strict=False)) if a != b]
    exact = [i for i in grown if (few[i], many[i]) == (m, n)] or grown
    if not exact or len(few) != len(many):
        return SHARED
    at = exact[0]
    folded = few[at] * n == many[at] * m and few[at] % m == 0
    return Axis(at, few[at] // m if folded else 1)


def is_ambiguous(many: tuple[int, ...], few: tuple[int, ...], n: int) -> bool:
    """True if more than one axis could be the one that a single record has no more."""
    return len(many) == len(few) + 1 and sum(many[i] == n and many[:i] + many[i + 1 :] == few for i in range(len(many))) > 1


def axis_by_length(shape: tuple[int, ...], rows: Ragged, output: bool = False) -> Axis:
    """The axis of a value in a call whose rows are given to records by an array, from its length; none for any other.

    Where there are as many rows as records, an ``output`` has a row for each record.
    """
    if output and shape and shape[0] == rows.records:
        return FIRST
    if rows.records == 1 and (not shape or shape[0] != len(rows)):
        return Axis(0) if shape and shape[0] == 1 else WHOLE
    if shape and shape[0] == len(rows):
        return Axis(rows=rows)
    if shape and shape[0] == rows.records:
        return FIRST
    return SHARED
