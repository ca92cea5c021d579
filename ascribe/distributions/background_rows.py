"""The rows of a background: shared by all records, or different for each record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..arrays import Array, namespace

Leaves = list[Array]


class Rows(Protocol):
    """The rows of a background: their number, and ``shared``, True if they are the same for all records."""

    @property
    def count(self) -> int: ...
    @property
    def shared(self) -> bool: ...

    def at(self, numbers: np.ndarray) -> Leaves:
        """Returns rows by index, ``[indices, 1 or records, ...]`` for each array."""


class SharedRows:
    """Rows that are the same for all records: arrays ``[rows, ...]``."""

    shared = True

    def __init__(self, leaves: Leaves) -> None:
        self.leaves = leaves

    @property
    def count(self) -> int:
        return len(self.leaves[0])

    def at(self, numbers: np.ndarray) -> Leaves:
        return [leaf[numbers][:, None] for leaf in self.leaves]


class OwnRows:
    """Rows that differ between records, created on demand: ``make(index)`` returns arrays ``[records, ...]``."""

    shared = False

    def __init__(self, make: Callable[[int], Leaves], count: int) -> None:
        self.make, self.count = make, count

    def at(self, numbers: np.ndarray) -> Leaves:
        made = [self.make(int(number)) for number in numbers]
        return [namespace(arrays[0]).stack(list(arrays), 0) for arrays in zip(*made, strict=True)]
