"""The mean of a result over its records: the importance of each feature for a model, with its standard error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Array, as_numpy, is_array
from ..errors import ResultError
from ..tree import map_leaves
from ..utils.pooling import convert_like, describe_shapes
from .parts import Check, keep_problems

if TYPE_CHECKING:
    from .attribution import Attribution


def average_records(a: Attribution) -> Attribution:
    """Returns the mean over records as a result with one record; ``error`` is the standard error of that mean.

    Raises ResultError for records whose tokens differ, and for results without records.
    """
    if len(a) == 0 or a.rows is not None or any(leaf.shape[a.records_axis] != len(a) for _, leaf in a.arrays()):
        there = "no records" if len(a) == 0 else f"values {describe_shapes(a.values)} for {len(a)} records"
        raise ResultError("The mean over records needs values for each record", found=there, advice="a.padded().mean()")
    if any(len(one.names) > 1 for one in a.axes):
        advice = "a.to_pandas().groupby('token')['value'].mean()"
        raise ResultError("A mean over records would mix their tokens", found="tokens of each record's own", advice=advice)
    first = a.records_axis

    def mean(array: Array) -> Array:
        return convert_like(as_numpy(array).astype(np.float64).mean(first, keepdims=True), array)

    def spread(array: Array) -> Array:
        wide = as_numpy(array).astype(np.float64)
        return convert_like(wide.std(first, ddof=1, keepdims=True) / np.sqrt(len(a)), array)

    def each(value: Any, change: Any) -> Any:
        return map_leaves(value, lambda _, leaf: None if leaf is None else change(leaf))

    known: dict[str, Any] = {name: getattr(a, name) for name in ("explained", "base_value")}
    known = {name: None if array is None else np.asarray(array).mean(-1, keepdims=True) for name, array in known.items()}
    return replace(
        a,
        values=each(a.values, mean),
        record=None,
        error=each(a.values, spread) if len(a) > 1 else None,
        features=None if a.features is None else a.features.average(first),
        prediction=None,
        target=None,
        gap=None,
        checks=(*keep_whole(keep_problems(a.checks, frozenset())), Check("records", "ok", f"the mean over {len(a)} records")),
        method=f"{a.method or 'values'}.mean()",
        **known,
    )


def keep_whole(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Returns checks without the numbers of their records, which do not exist in a mean."""
    return tuple(replace(check, records=()) for check in checks)


def holds_mean(a: Attribution) -> bool:
    """Returns whether a result is a mean over records."""
    return a.method.endswith(".mean()") and len(a) == 1 and not is_array(a.record)
