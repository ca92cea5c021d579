"""Ragged batches: rows (nodes of graphs, tokens of texts) that belong to records, with different numbers of rows per record."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import Array, namespace


class Ragged:
    """The record of each row of an array, and conversion between ``[rows, ...]`` and the padded form ``[records, longest, ...]``.

    The engine uses the padded form, models the rows. Padding repeats the first row of the record; gradients are padded with 0.
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
        """The number of rows of each record."""
        return np.bincount(self.record, minlength=self.records)

    @cached_property
    def place(self) -> np.ndarray:
        """The index of each row among those of its record."""
        result = np.empty(len(self), dtype=np.int64)
        order = np.argsort(self.record, kind="stable")
        result[order] = np.arange(len(self)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        return result

    @cached_property
    def source(self) -> np.ndarray:
        """The row at each position, ``[records, longest]``; padding is the first row of the record, or row 0 for an empty record."""
        first = np.zeros(self.records, dtype=np.int64)
        at = self.place == 0
        first[self.record[at]] = np.flatnonzero(at)
        result = np.repeat(first[:, None], int(self.counts.max()), 1)
        result[self.record, self.place] = np.arange(len(self))
        return result

    @cached_property
    def there(self) -> np.ndarray:
        """True at positions that are rows, False at padding, ``[records, longest]``."""
        return np.asarray(np.arange(int(self.counts.max())) < self.counts[:, None])

    def padded(self, array: Array, lead: int = 0, zero: bool = False) -> Array:
        """Returns ``[lead..., rows, ...]`` as ``[lead..., records, longest, ...]``; with ``zero``, padding is 0."""
        result = array[(*[slice(None)] * lead, self.source)]
        if not zero or self.there.all():
            return result
        there = self.there.reshape(*self.there.shape, *[1] * (len(result.shape) - lead - 2))
        return result * namespace(array).asarray(there, result)

    def rows(self, array: Array, lead: int = 0) -> Array:
        """Returns ``[lead..., records, longest, ...]`` as ``[lead..., rows, ...]``."""
        return array[(*[slice(None)] * lead, self.record, self.place)]
