"""Results in which a record has several rows (ragged): selection of records, and padding to a common length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import is_array
from ..tree import map_leaves
from ..utils.ragged import Ragged


def select_rows(rows: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of the selected records, and for each row the index of its record in the selection."""
    number = np.full(int(rows.max()) + 1 if len(rows) else 0, -1)
    number[place[place < len(number)]] = np.flatnonzero(place < len(number))
    kept = np.flatnonzero(number[rows] >= 0)
    return kept, number[rows[kept]]


def pad_rows(rows: np.ndarray, value: Any, lead: int) -> Any:
    """Returns arrays of rows as ``[records, longest, ...]`` after ``lead`` axes, padded with 0; other arrays unchanged."""
    ragged = Ragged(rows)

    def change(_: Any, leaf: Any) -> Any:
        own = is_array(leaf) and tuple(leaf.shape[lead : lead + 1]) == (len(rows),)
        return ragged.padded(leaf, lead, zero=True) if own else leaf

    return map_leaves(value, change)


def take_rows(rows: np.ndarray, kept: np.ndarray, value: Any, lead: int, otherwise: Callable[[Any], Any]) -> Any:
    """Returns the rows ``kept`` of arrays of rows; applies ``otherwise`` to other arrays."""

    def change(_: Any, leaf: Any) -> Any:
        own = is_array(leaf) and tuple(leaf.shape[lead : lead + 1]) == (len(rows),)
        return leaf[(slice(None),) * lead + (kept,)] if own else otherwise(leaf)

    return map_leaves(value, change)
