"""The rows of a background: the same for all records, or for each record its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..arrays import Array, namespace

Leaves = list[Array]


class Rows(Protocol):
    """``count`` rows; ``shared`` says that they are the same for all records."""

    @property
    def count(self) -> int: ...
    @property
    def shared(self) -> bool: ...

    def at(self, numbers: np.ndarray) -> Leaves:
        """Rows by number, ``[numbers, 1 or records, ...]`` for each array."""


class SharedRows:
    """Arrays ``[rows, ...]``."""

    shared = True

    def __init__(self, leaves: Leaves) -> None:
        self.leaves = leaves

    @property
    def count(self) -> int:
        return len(self.leaves[0])

    def at(self, numbers: np.ndarray) -> Leaves:
        return [leaf[numbers][:, None] for leaf in self.leaves]


class OwnRows:
    """Rows made when they are needed: ``make(number)`` gives arrays ``[records, ...]``."""

    shared = False

    def __init__(self, make: Callable[[int], Leaves], count: int) -> None:
        self.make, self.count = make, count

    def at(self, numbers: np.ndarray) -> Leaves:
        made = [self.make(int(number)) for number in numbers]
        return [namespace(arrays[0]).stack(list(arrays), 0) for arrays in zip(*made, strict=True)]
