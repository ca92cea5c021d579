"""Which results can be added to or subtracted from each other: those of one shape, and of the same records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import ResultError
from ..tree import walk
from ..utils.pooling import common_value, describe_shapes

if TYPE_CHECKING:
    from .attribution import Attribution

ROUNDED = 2.0**-7
"""How far two copies of one record may be apart that were made in other types, as a share of the value: bfloat16 keeps 8 bits."""


def check_same_records(a: Attribution, b: Attribution, sign: str) -> None:
    """Raise ResultError where ``a + b`` would add up what does not belong together.

    Inputs are compared number by number, and rows by their records. Inside a model the same records have other values in another model,
    so that their values are not compared.
    """
    if describe_shapes(a.values, types=False) != describe_shapes(b.values, types=False):
        batches = inner_shapes(a) == inner_shapes(b)
        raise ResultError(
            f"results of different shapes cannot be joined by {sign!r}",
            there=f"{describe_shapes(a.values)} and {describe_shapes(b.values)}",
            try_=f"{format_concatenation(a)} for batches of records" if batches else "pool or resize one of them first",
        )
    what = f"results of different records cannot be joined by {sign!r}"
    if a.rows is not b.rows and common_value(a.rows, b.rows) is None:
        there, aim = "rows that belong to other records (a.rows, b.rows)", f"a.values {sign} b.values, if that is what is meant"
        raise ResultError(what, there=there, try_=aim, code="E-RESULT-RECORDS")
    if a.cut != b.cut or not a.cut.startswith("INPUT") or (first := first_difference(a.record, b.record)) is None:
        return
    aim = f"{format_concatenation(a)} puts batches one behind the other" if sign == "+" else "a.values - b.values, if that is what is meant"
    raise ResultError(what, there=f"record {first} is another one", try_=aim, code="E-RESULT-RECORDS")


def inner_shapes(a: Attribution) -> list[Any]:
    """Paths and shapes without the axis of the records."""
    at = a.records_axis
    return [(path, tuple(leaf.shape[:at]), tuple(leaf.shape[at + 1 :])) for path, leaf in a.arrays()]


def format_concatenation(a: Attribution) -> str:
    """The expression that concatenates two results' values."""
    torch = any(type(leaf).__module__.startswith("torch") for _, leaf in a.arrays())
    axis = f", {a.records_axis}" if a.records_axis else ""
    return f"torch.cat([a.values, b.values]{axis})" if torch else f"np.concatenate([a.values, b.values]{axis})"


def first_difference(ours: Any, theirs: Any) -> int | None:
    """The first record that is another one; None where all are the same, or where that is not known."""
    if ours is None or theirs is None or ours is theirs:
        return None
    mine, yours = dict(walk(ours)), dict(walk(theirs))
    if mine.keys() != yours.keys():
        return None
    found = [first for path, x in mine.items() if (first := _first(x, yours[path])) is not None]
    return min(found, default=None)


def _first(x: Any, y: Any) -> int | None:
    if x is y or not is_array(x) or not is_array(y):
        return None
    if tuple(x.shape) != tuple(y.shape):
        return 0
    p, q = as_numpy(x), as_numpy(y)
    if p.dtype.kind not in "fiub" or q.dtype.kind not in "fiub":
        other = np.array([repr(v) != repr(w) for v, w in zip(p.ravel(), q.ravel(), strict=True)], bool).reshape(p.shape)
    elif str(x.dtype) == str(y.dtype):
        other = (p != q) & ~(np.isnan(p) & np.isnan(q)) if p.dtype.kind == "f" else p != q
    else:
        other = ~np.isclose(p, q, rtol=ROUNDED, atol=ROUNDED * float(np.abs(np.nan_to_num(p)).max(initial=0.0)), equal_nan=True)
    rows = other.reshape(len(other), -1).any(1) if other.ndim else other.reshape(1)
    return int(np.flatnonzero(rows)[0]) if rows.any() else None
