"""Checks that results have the same shape and the same records before they are added or subtracted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import ResultError
from ..tree import map_leaves, walk
from ..utils.pooling import common_value, describe_shapes
from .parts import SUMS, keep_problems

if TYPE_CHECKING:
    from .attribution import Attribution

ROUNDED = 2.0**-7
"""The relative difference allowed between copies of a record in different data types; bfloat16 has a precision of 8 bits."""


FACTS = ("explained", "prediction", "class_names", "target")


def combine_results(a: Attribution, b: Attribution, sign: str, work: Callable[[Any, Any], Any]) -> Attribution:
    """Returns the sum or the difference of two results of the same records. Raises ResultError if the records differ."""
    check_same_records(a, b, sign)
    theirs = dict(b.arrays())
    values = map_leaves(a.values, lambda path, leaf: None if leaf is None else work(leaf, theirs[path]))
    same: dict[str, Any] = {name: common_value(getattr(a, name), getattr(b, name)) for name in ("record", *FACTS)}
    return replace(
        a,
        values=values,
        cut=a.cut if a.cut == b.cut else f"({a.cut} {sign} {b.cut})",
        quantity=a.quantity if a.quantity == b.quantity else f"({a.quantity} {sign} {b.quantity})",
        method=f"({a.method} {sign} {b.method})",
        gap=None,
        base_value=None,
        checks=keep_problems((*a.checks, *b.checks), SUMS | {"zero"}),
        cost=a.cost + b.cost if a.cost and b.cost else a.cost or b.cost,
        error=None,
        features=None if a.features is None else a.features.combine(b.features, work),
        settings=a.settings if a.settings == b.settings else {"left": a.settings, "right": b.settings},
        **same,
    )


def check_same_records(a: Attribution, b: Attribution, sign: str) -> None:
    """Raises ResultError if two results differ in shape or in their records.

    Inputs are compared element by element, and rows by their records. Values at a layer are not compared, because they differ between
    models for the same records.
    """
    if describe_shapes(a.values, types=False) != describe_shapes(b.values, types=False):
        batches = inner_shapes(a) == inner_shapes(b)
        raise ResultError(
            f"Results of different shapes cannot be combined by {sign!r}",
            found=f"{describe_shapes(a.values)} and {describe_shapes(b.values)}",
            advice=f"{format_concatenation(a)} for batches of records" if batches else "a.pool(...) or a.resize(...) first",
        )
    what = f"Results of different records cannot be combined by {sign!r}"
    if a.rows is not b.rows and common_value(a.rows, b.rows) is None:
        there, aim = "rows of different records (a.rows, b.rows)", f"a.values {sign} b.values if that is intended"
        raise ResultError(what, found=there, advice=aim, code="E-RESULT-RECORDS")
    if a.cut != b.cut or not a.cut.startswith("INPUT") or (first := first_difference(a.record, b.record)) is None:
        return
    aim = f"{format_concatenation(a)} to concatenate batches" if sign == "+" else "a.values - b.values if that is intended"
    raise ResultError(what, found=f"record {first} differs", advice=aim, code="E-RESULT-RECORDS")


def inner_shapes(a: Attribution) -> list[Any]:
    """Returns the paths and the shapes of the arrays without the batch dimension."""
    at = a.records_axis
    return [(path, tuple(leaf.shape[:at]), tuple(leaf.shape[at + 1 :])) for path, leaf in a.arrays()]


def format_concatenation(a: Attribution) -> str:
    """Returns the expression that concatenates the values of two results."""
    torch = any(type(leaf).__module__.startswith("torch") for _, leaf in a.arrays())
    axis = f", {a.records_axis}" if a.records_axis else ""
    return f"torch.cat([a.values, b.values]{axis})" if torch else f"np.concatenate([a.values, b.values]{axis})"


def first_difference(ours: Any, theirs: Any) -> int | None:
    """Returns the index of the first record that differs; None if all are equal or if this is unknown."""
    if ours is None or theirs is None or ours is theirs:
        return None
    mine, yours = dict(walk(ours)), dict(walk(theirs))
    if mine.keys() != yours.keys():
        return None
    result = [first for path, x in mine.items() if (first := _first(x, yours[path])) is not None]
    return min(result, default=None)


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
