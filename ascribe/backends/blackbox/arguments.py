"""The arguments of a black box: which belong to records, and tables of pandas and polars as arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...arrays import is_table
from ...calls.call import Call, argument_name
from ...calls.not_arrays import error_without_arrays
from ...cuts import INPUT, input_at
from ...errors import CutError, DistributionError, InputError
from ...tree import Path, map_leaves, walk
from ...utils.polars_tables import is_polars, polars_frame, polars_numbers
from ...utils.ragged import Ragged
from ..arguments import Argument, count_records, may_be_explained, may_be_ids, may_be_removed
from ..protocol import RecordAxis


class Inputs:
    """Positional and keyword arguments as one tree; records are counted as for other models."""

    def __init__(self, call: Call) -> None:
        self.frames: dict[Path, Any] = {}
        self.only = call.explained
        self.tree = map_leaves((call.args, call.kwargs), self._array)
        self.leaves: dict[Path, np.ndarray] = {p: leaf for p, leaf in walk(self.tree) if isinstance(leaf, np.ndarray) and leaf.ndim}
        if not self.leaves:
            raise error_without_arrays(call, tensors=False)
        self.counted = count_records(call, {p: Argument(leaf.shape, self._numbers(p)) for p, leaf in self.leaves.items()})
        self.records = self.counted.count
        self.own = [p for p in self.leaves if p in self.counted.axes or self.counted.whole]

    def _array(self, path: Path, leaf: Any) -> Any:
        if isinstance(leaf, np.ma.MaskedArray):
            there = f"a masked array of shape {leaf.shape}"
            raise InputError("Masked arrays are not supported", found=there, advice="x.filled(0)", code="E-INPUT-LAYOUT")
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "V":
            there = f"an array with the columns {', '.join(leaf.dtype.names or ())}"
            raise InputError("Structured arrays are not supported", found=there, advice="pandas.DataFrame(x)", code="E-INPUT-LAYOUT")
        if is_table(leaf):
            if is_polars(leaf):
                self.frames[path] = leaf
                return polars_numbers(leaf)
            if not hasattr(leaf, "iloc"):
                there = f"a {type(leaf).__name__} of {type(leaf).__module__.partition('.')[0]}"
                raise InputError("Only tables of pandas and polars are supported", found=there, advice="x.to_pandas()")
            self.frames[path] = leaf
            numeric = all(getattr(dtype, "kind", "O") in "fiub" for dtype in leaf.dtypes)
            return leaf.to_numpy(np.float64 if numeric else object)
        return leaf

    def _numbers(self, path: Path) -> bool:
        """True if an argument is a table or holds floating numbers."""
        return path in self.frames or self.leaves[path].dtype.kind == "f"

    def explained(self, start: Path) -> list[Path]:
        """The explained arguments under an accessor: those that the call names, or else floating arrays and tables, or else integers.

        Raises CutError where there is none.
        """
        under = [p for p in self.own if p[: len(start)] == start]
        if self.only is not None and not start:
            found = [p for p in under if p[1] in self.only]
        else:
            found = [p for p in under if self._numbers(p) and (start or may_be_explained(p))]
            found = found or [p for p in under if start or may_be_ids(p)]
        if not found:
            problem = f"`{(input_at(start) if start else INPUT)!r}` holds no array with one row per record"
            there = f"the arguments: {', '.join(map(argument_name, self.leaves))}"
            advice = "at=asc.INPUT.at(0), the first argument; or asc.Call(..., records=...), which says where the records are"
            raise CutError(problem, found=there, advice=advice, code="E-CUT-INTEGER")
        return found

    @property
    def discrete(self) -> list[Path]:
        """Arguments of integers or words that belong to records, except those that describe the layout of other arguments."""
        return [p for p in self.own if may_be_removed(p) and p not in self.frames and self.leaves[p].dtype.kind in "iuOUS"]

    def axis(self, path: Path) -> RecordAxis:
        """Where an argument keeps its records: the axis, or the record of each row; what is one record as a whole comes first."""
        rows = self.counted.rows
        return rows if rows is not None and len(self.leaves[path]) == len(rows) else self.counted.axes.get(path, 0)

    def canonical(self, path: Path) -> np.ndarray:
        """An argument with its records first."""
        leaf, axis = self.leaves[path], self.axis(path)
        if isinstance(axis, Ragged):
            return np.asarray(axis.padded(leaf))
        if self.counted.whole and len(leaf) != 1:
            return leaf[None]
        return np.moveaxis(leaf, axis or 0, 0)

    def native(self, path: Path, rows: np.ndarray) -> np.ndarray:
        """The same back in the argument's own layout."""
        axis = self.axis(path)
        if isinstance(axis, Ragged):
            return np.asarray(axis.rows(rows))
        if self.counted.whole and len(self.leaves[path]) != 1:
            return rows[0]
        return np.moveaxis(rows, 0, axis or 0)

    def rows(self, index: np.ndarray, repeat: int, news: Mapping[Path, np.ndarray]) -> tuple[Any, Any]:
        """Arguments for some records, all of them ``repeat`` times, but for those in ``news``; the model may work in place on them."""

        def change(path: Path, leaf: Any) -> Any:
            if path not in self.own:
                return self.frames.get(path, leaf.copy() if isinstance(leaf, np.ndarray) else leaf)
            rows = self.native(path, news[path] if path in news else np.concatenate([self.canonical(path)[index]] * repeat))
            return self._framed(path, rows) if path in self.frames else rows

        args, kwargs = map_leaves(self.tree, change)
        return args, kwargs

    def _framed(self, path: Path, rows: np.ndarray) -> Any:
        """Rows as a table with the columns and types of the one that was given; a column whose type cannot hold them is left as it is.

        Raises DistributionError for what is none of a column's categories.
        """
        frame = self.frames[path]
        if is_polars(frame):
            return polars_frame(frame, rows)
        made = type(frame)(rows)  # with numbers for names: those of the user's may come twice
        kinds = {i: dtype for i, (name, dtype) in enumerate(zip(frame.columns, frame.dtypes, strict=True)) if holds(dtype, made[i], name)}
        gaps = {i: np.float64 for i, dtype in enumerate(frame.dtypes) if i not in kinds and with_gaps(dtype, made[i])}
        try:
            made = made.astype(kinds | gaps)
        except (TypeError, ValueError) as wrong:
            what = "The columns of the table cannot hold the values of the baseline or background"
            there = (str(wrong).splitlines() or [type(wrong).__name__])[0]
            advice = "a baseline or background with columns of the same types"
            raise DistributionError(what, found=there, advice=advice, code="E-BASELINE-TYPE") from wrong
        made.columns = frame.columns
        return made


def holds(dtype: Any, column: Any, name: Any) -> bool:
    """True if a type can hold the values of a column as they are. Raises DistributionError for unknown categories."""
    known = column[column.notna()]
    if hasattr(dtype, "categories"):
        if not known.isin(dtype.categories).all():
            there = ", ".join(map(repr, dtype.categories[:20]))
            what = f"The column {name!r} has no category {known[~known.isin(dtype.categories)].iloc[0]!r}"
            advice = "a baseline or background with the same categories"
            raise DistributionError(what, found=f"the categories {there}", advice=advice, code="E-BASELINE-TYPE")
        return True
    if getattr(dtype, "kind", "O") not in "iub":
        return True
    try:
        numbers = known.to_numpy(np.float64)
    except (TypeError, ValueError):  # words
        return False
    missing = len(known) < len(column) and isinstance(dtype, np.dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype.type).min, np.iinfo(dtype.type).max)
    return not missing and bool(((numbers % 1 == 0) & (numbers >= low) & (numbers <= high)).all())


def with_gaps(dtype: Any, column: Any) -> bool:
    """True if a column of integers now has missing values: it becomes floating, as pandas reads such columns from files."""
    return isinstance(dtype, np.dtype) and dtype.kind in "iu" and column.isna().any() and holds(np.dtype("int64"), column.dropna(), "")
