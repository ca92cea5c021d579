"""What the figures of tables need of a result: values, names and the records' own values, with one column for each feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import ResultError
from ..features.table import label_places
from ..result.attribution import Attribution
from ..result.rows import table_columns
from ..utils.escape import escape_control

LONGEST = 32
"""The number of characters of a name that a figure shows."""


@dataclass(frozen=True, eq=False)
class TableData:
    """Values ``[records, features]``, their names, the records' values in the same form (None where there are none), and standard errors.

    ``base`` and ``explained`` are the quantity at the baseline and at the record, ``[records]``; None if they are not known.
    """

    values: np.ndarray
    names: list[str]
    data: np.ndarray | None
    error: np.ndarray | None
    base: np.ndarray | None
    explained: np.ndarray | None

    def order(self, top: int) -> np.ndarray:
        """Returns the features with the largest mean absolute values, in descending order."""
        size = np.nan_to_num(np.abs(self.values)).mean(0)
        return np.argsort(-size, kind="stable")[:top]

    def find(self, feature: int | str) -> int:
        """Returns the position of a feature given by name or position. Raises ResultError if there is none."""
        if isinstance(feature, str) and feature in self.names:
            return self.names.index(feature)
        if isinstance(feature, int) and -len(self.names) <= feature < len(self.names):
            return feature % len(self.names)
        shown = ", ".join(map(repr, self.names[:8]))
        raise ResultError(f"There is no feature {feature!r}", found=shown, advice=f"{self.names[0]!r}" if self.names else "another result")


def read_table(a: Attribution) -> TableData:
    """Returns a result as a table. Raises ResultError for results that are no table of one quantity."""
    a = a.padded()
    arrays = a.arrays()
    if len(arrays) != 1 or a.quantities is not None or arrays[0][1].ndim != 2:
        shapes = ", ".join(str(list(array.shape)) for _, array in arrays)
        advice = "a.quantity_at(0), a.part(...), or a.pool(...) to one value for each feature"
        raise ResultError("This figure needs values [records, features]", found=f"values of shape {shapes}", advice=advice)
    raw = as_numpy(arrays[0][1]).astype(np.float64)
    values, names = table_columns(a, raw)
    labels = label_places(names, values.shape[1], "feature")
    record = as_numpy(a.record) if is_array(a.record) else None
    data = record if record is not None and record.shape == values.shape else None
    error = as_numpy(a.error).astype(np.float64) if is_array(a.error) and tuple(a.error.shape) == values.shape else None
    explained = None if a.explained is None or np.ndim(a.explained) != 1 else np.asarray(a.explained, float)
    base = None if a.base_value is None else np.asarray(a.base_value, float)
    return TableData(np.asarray(values, float), labels, data, error, base, explained)


def base_of(table: TableData, what: str) -> np.ndarray:
    """Returns the base values. Raises ResultError for methods whose values do not start from one."""
    if table.base is None:
        advice = "a method with completeness, such as asc.KernelShap(by=...) or asc.IntegratedGradients(), or asc.plots.beeswarm(a)"
        raise ResultError(f"`{what}` starts from a base value", found="a result without base_value", advice=advice)
    return table.base


def as_numbers(column: np.ndarray) -> np.ndarray | None:
    """Returns a column as numbers, NaN where a value is missing; None for texts and other values."""
    try:
        return np.asarray(column, float)
    except (TypeError, ValueError):
        return None


def shorten(name: str, longest: int = LONGEST) -> str:
    """Returns a name of at most ``longest`` characters, its middle left out."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[: longest - 1 - half]}…{name[-half:]}"


def name_with_value(table: TableData, feature: int, record: int, longest: int = LONGEST) -> str:
    """Returns ``age = 54`` for a record; the name alone where the record's value is not known."""
    if table.data is None:
        return shorten(table.names[feature], longest)
    value = table.data[record, feature]
    number = as_numbers(np.asarray([value], object))
    text = "missing" if value is None or (number is not None and np.isnan(number[0])) else format_value(value)
    return f"{shorten(table.names[feature], max(longest - len(text) - 3, 8))} = {text}"


def format_value(value: object) -> str:
    """Returns a value of a record as short text."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return shorten(escape_control(str(value)), 16)
    number = float(value)
    return f"{number:.0f}" if 1000 <= abs(number) < 1e6 or number == int(number) else f"{number:.3g}"
