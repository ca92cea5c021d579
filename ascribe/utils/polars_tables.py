"""Tables of polars as arrays and back. polars itself is not imported: the classes of a user's table make the new one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..errors import DistributionError, InputError


def is_polars(value: Any) -> bool:
    """True for a DataFrame of polars."""
    return type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "get_columns")


def polars_numbers(frame: Any) -> np.ndarray:
    """Returns a table as float64, with NaN for missing values, if all columns are numbers or booleans, else as objects."""
    if all(dtype.is_numeric() or str(dtype) == "Boolean" for dtype in frame.dtypes):
        columns = [np.asarray([np.nan if v is None else v for v in column.to_list()], np.float64) for column in frame.get_columns()]
        return np.stack(columns, 1) if columns else np.zeros((len(frame), 0))
    table = np.empty((len(frame), len(frame.columns)), object)
    for i, column in enumerate(frame.get_columns()):
        table[:, i] = column.to_list()
    return table


def as_pandas(frame: Any) -> Any:
    """Returns a table of polars as one of pandas, which tree libraries read with its names; other tables unchanged.

    Raises InputError where pandas is not installed.
    """
    if not is_polars(frame):
        return frame
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        advice = "pip install pandas, or x.to_numpy()"
        raise InputError("Trees read tables of polars with pandas", found="pandas is not installed", advice=advice) from error
    return pandas.DataFrame({name: column.to_list() for name, column in zip(frame.columns, frame.get_columns(), strict=True)})


def polars_frame(frame: Any, rows: np.ndarray) -> Any:
    """Returns rows as a table with the columns and types of ``frame``; a column of whole numbers that cannot hold them becomes floating.

    Raises DistributionError for values that a column cannot hold.
    """
    series = type(frame.get_columns()[0]) if frame.columns else None
    try:
        return type(frame)([make_column(series, name, dtype, rows[:, i]) for i, (name, dtype) in enumerate(frame.schema.items())])
    except Exception as wrong:  # polars raises errors of its own classes
        what = "The columns of the table cannot hold the values of the baseline or background"
        there = (str(wrong).splitlines() or [type(wrong).__name__])[0]
        advice = "a baseline or background with columns of the same types"
        raise DistributionError(what, found=there, advice=advice, code="E-BASELINE-TYPE") from wrong


def make_column(series: Any, name: str, dtype: Any, values: np.ndarray) -> Any:
    """Returns one column of a table."""
    missing = np.array([v is None or v != v for v in values.tolist()], bool)
    if not (dtype.is_numeric() or str(dtype) == "Boolean"):
        return series(name, [None if gone else v for v, gone in zip(values.tolist(), missing, strict=True)], dtype=dtype)
    numbers = np.where(missing, 0.0, np.where(missing, 0.0, values).astype(np.float64))
    whole = dtype.is_integer() or str(dtype) == "Boolean"
    fits = not whole or bool((numbers % 1 == 0).all())
    column = series(name, [None if gone else float(v) for v, gone in zip(numbers, missing, strict=True)], dtype=None)
    return column.cast(dtype) if fits else column
