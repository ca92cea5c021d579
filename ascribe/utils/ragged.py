"""Rows that belong to records, some records having more of them than others: nodes of graphs, words of texts in one list."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import Array, namespace


class Ragged:
    """Which record each row of an array belongs to.

    Between models and the engine such an array has a row per record, as long as the longest: ``[records, longest, ...]``. The places
    that a shorter record has too many hold its first row again, and zero where they are gradients.
    """

    def __init__(self, record: Any) -> None:
        self.record = np.asarray(record, dtype=np.int64)
        self.records = int(self.record.max()) + 1

    def __len__(self) -> int:
        return len(self.record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ragged) and np.array_equal(self.record, other.record)

    def __hash__(self) -> int:
        return hash(self.record.tobytes())

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows of {self.records} records)"

    @cached_property
    def counts(self) -> np.ndarray:
        """How many rows each record has."""
        return np.bincount(self.record, minlength=self.records)

    @cached_property
    def place(self) -> np.ndarray:
        """The number of each row among those of its record."""
        found = np.empty(len(self), dtype=np.int64)
        order = np.argsort(self.record, kind="stable")
        found[order] = np.arange(len(self)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        return found

    @cached_property
    def source(self) -> np.ndarray:
        """The row at each place, ``[records, longest]``: a record's first where it has no more, the first of all where it has none."""
        first = np.zeros(self.records, dtype=np.int64)
        at = self.place == 0
        first[self.record[at]] = np.flatnonzero(at)
        found = np.repeat(first[:, None], int(self.counts.max()), 1)
        found[self.record, self.place] = np.arange(len(self))
        return found

    @cached_property
    def there(self) -> np.ndarray:
        """Which places are rows of the array, ``[records, longest]``."""
        return np.asarray(np.arange(int(self.counts.max())) < self.counts[:, None])

    def padded(self, array: Array, lead: int = 0, zero: bool = False) -> Array:
        """``[lead..., rows, ...]`` as ``[lead..., records, longest, ...]``; with ``zero`` nothing in places that are no rows."""
        found = array[(*[slice(None)] * lead, self.source)]
        if not zero or self.there.all():
            return found
        there = self.there.reshape(*self.there.shape, *[1] * (len(found.shape) - lead - 2))
        return found * namespace(array).asarray(there, found)

    def rows(self, array: Array, lead: int = 0) -> Array:
        """``[lead..., records, longest, ...]`` as ``[lead..., rows, ...]``."""
        return array[(*[slice(None)] * lead, self.record, self.place)]
