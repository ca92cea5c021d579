"""What displays show of one record: its values as named rows, from the feature table or from the names of the axes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..features.table import Rows, group_columns, split_rows
from ..tree import Path
from ..utils.escape import escape_control
from .axes import AxisNames, find_names

if TYPE_CHECKING:
    from .attribution import Attribution


def record_rows(a: Attribution, values: np.ndarray, error: np.ndarray | None, record: int) -> Rows:
    """Returns one record's values ``[positions]`` as rows with the names that the result has for them."""
    rows = split_rows(values, error, a.features, record)
    known = find_names(a.axes, 1)
    if known is None or rows.grouped:
        return rows
    names = pad_names(known, record, len(values))
    return replace(rows, names=names) if len(names) == len(rows.values) else rows


def pad_names(known: AxisNames, record: int, count: int) -> tuple[str, ...]:
    """Returns the names of one record for ``count`` positions; positions after its last name have none."""
    names = known.of_record(record)
    return (*names, *[""] * (count - len(names)))


def axis_labels(a: Attribution, axis: int, record: int, count: int, path: Path = ()) -> list[str] | None:
    """Returns the escaped names of ``count`` positions on an axis for one record; None if the axis has no names."""
    known = find_names(a.axes, axis, path)
    return None if known is None else [escape_control(name) for name in pad_names(known, record, count)]


def table_columns(a: Attribution, values: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
    """Returns a table ``[..., records, columns]`` with one column for each feature, and the names that all records share."""
    table, names = group_columns(values, a.features)
    known = find_names(a.axes, 1)
    if names is None and known is not None and len(known.names) == 1 and table.shape[-1] == len(known.names[0]):
        return table, list(known.names[0])
    return table, names


def is_tokens(a: Attribution) -> bool:
    """True if the positions of each record are tokens with names."""
    known = find_names(a.axes, 1)
    return known is not None and known.kind == "token"
