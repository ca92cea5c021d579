"""What a figure shows of a result: the values of one record, its kind, its caption, and what the colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy, is_array
from ..display.layouts import Kind, resolve_kind
from ..errors import ResultError
from ..result.axes import find_names
from ..result.parts import part_at
from ..result.rows import is_tokens
from ..result.summary import describe_record, format_class, has_single_output
from ..utils.escape import escape_control

if TYPE_CHECKING:
    from ..result.attribution import Attribution

LONG = 20
"""The maximum number of characters of a class name in a legend."""


def select_record(a: Attribution, record: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Returns the values of one record, the record itself, and the standard errors of the values.

    Raises ResultError for several arrays or quantities, and for a record that does not exist.
    """
    arrays = a.arrays()
    if a.quantities is not None:
        raise ResultError("A figure shows one quantity", found=f"{a.quantities} quantities", advice="a.quantity_at(0).plot()")
    if len(arrays) != 1:
        parts = ", ".join(f"a.part({', '.join(map(repr, path))})" for path, _ in arrays)
        raise ResultError("A figure shows one array", found=f"{len(arrays)} arrays", advice=parts)
    if not -len(a) <= record < len(a):
        raise ResultError(f"Record {record} is out of range", found=f"{len(a)} records", advice="a.plot(record=0)")
    path, values = arrays[0]

    def at_same_path(tree: Any) -> np.ndarray | None:
        leaf = part_at(tree, path)
        return as_numpy(leaf[record]) if is_array(leaf) and tuple(leaf.shape[:1]) == (len(a),) else None

    return as_numpy(values[record]), at_same_path(a.record), at_same_path(a.error)


def find_kind(a: Attribution, values: np.ndarray, under: np.ndarray | None, asked: str | None = None) -> Kind:
    """Returns the kind of figure of one record's values: as asked, by the names of the axes, or by the shapes. Raises ResultError."""
    if asked is None and values.ndim == 1 and is_tokens(a):
        return "tokens"
    if asked is None and values.ndim == 2:
        named = {axis: known.kind for axis in (1, 2) if (known := find_names(a.axes, axis)) is not None}
        if named.get(1) == "channel" or named.get(2) == "time":
            return "series"
        if named.get(2) == "channel" or named.get(1) == "time":
            return "series_last"
    return resolve_kind(values.shape, asked, () if under is None else under.shape)


def describe_panel(a: Attribution, record: int) -> str:
    """Returns the caption of a record: its index, class and gap."""
    text = describe_record(a, record)
    return escape_control(f"record {record % len(a)}" + (f": {text}" if text else ""))


def describe_colours(a: Attribution, low: float, high: float, record: int | None = None) -> str:
    """Returns what the colours from ``low`` to ``high`` mean, for the class of one record, or the class that all records have."""
    classes = np.zeros(0, int)
    if a.target is not None and np.ndim(a.target) == 1 and len(a.target) and not has_single_output(a):
        classes = np.unique(np.asarray(a.target) if record is None else np.asarray(a.target)[[record]])
    name = escape_control(format_class(a, int(classes[0]))) if len(classes) == 1 else ""
    score = f"class {name if len(name) <= LONG else name[: LONG - 1] + '…'}" if name else "the score"
    if low < 0 < high:
        return f"against ← {score} → for"
    if high <= 0:
        return f"against {score}"
    return f"importance for {score}" if name else "importance"
