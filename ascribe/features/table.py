"""Values of features: the table in :attr:`Attribution.features`, and the rows that displays show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ResultError
from ..utils.escape import escape_control

MEMBERS = 4
"""The number of columns of a feature that are listed by name."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One value for each feature: float64 ``[records, features]``, or ``[quantities, records, features]``.

    Interactions are ``[..., features, features]``. ``error`` holds standard errors, None if values are exact. ``names`` are the names of
    the features, if they have any; ``description`` is a text on how they were made. ``places`` has an item for each array at the cut:
    for a table ``[records, columns]`` the feature of each column, ``[1 or records, columns]``, -1 for none; None for other arrays.
    """

    values: np.ndarray
    error: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    description: str = ""
    places: tuple[np.ndarray | None, ...] = ()

    def _each(self, change: Any) -> FeatureTable:
        return replace(self, values=change(self.values), error=None if self.error is None else change(self.error))

    def records(self, place: np.ndarray, axis: int) -> FeatureTable:
        """Returns the table of some records."""
        kept = tuple(p[place] if p is not None and len(p) > 1 else p for p in self.places)
        return replace(self._each(lambda a: np.take(a, place, axis)), places=kept)

    def average(self, axis: int) -> FeatureTable | None:
        """Returns the mean over records with its standard error; None where columns belong to other features in other records."""
        if any(p is not None and len(p) > 1 and (p != p[0]).any() for p in self.places):
            return None
        count = self.values.shape[axis]
        error = self.values.std(axis, ddof=1, keepdims=True) / np.sqrt(count) if count > 1 else None
        places = tuple(None if p is None else p[:1] for p in self.places)
        return replace(self, values=self.values.mean(axis, keepdims=True), error=error, places=places)

    def quantity_at(self, k: int) -> FeatureTable:
        """Returns the table of one of several quantities."""
        return self._each(lambda a: a[k])

    def scale(self, factor: float) -> FeatureTable:
        """Returns the table multiplied by a number."""
        error = None if self.error is None else self.error * abs(factor)
        return replace(self, values=self.values * factor, error=error)

    def with_values(self, change: Callable[[np.ndarray], np.ndarray]) -> FeatureTable:
        """Returns the table with changed values, which have no standard errors."""
        return replace(self, values=change(self.values), error=None)

    def combine(self, other: FeatureTable | None, work: Callable[[Any, Any], Any]) -> FeatureTable | None:
        """Returns the combined values of two results with the same features; None if the features differ."""
        if other is None or self.values.shape != other.values.shape or self.names != other.names:
            return None
        same = len(self.places) == len(other.places) and all(map(are_equal, self.places, other.places))
        return self.with_values(lambda values: work(values, other.values)) if same else None

    def part(self, k: int) -> FeatureTable | None:
        """Returns the features in one of several arrays; None if the array is no table."""
        places = self.places[k] if k < len(self.places) else None
        if places is None:
            return None
        kept = np.unique(places[places >= 0])
        table = self._each(lambda a: a[..., kept])
        names = None if self.names is None else tuple(self.names[i] for i in kept)
        return replace(table, names=names, places=(np.where(places < 0, -1, np.searchsorted(kept, places)),))

    def column_features(self, columns: int) -> np.ndarray | None:
        """Returns the feature of each column of a single table; None if the values are no table with this number of columns."""
        (places, *more) = self.places or (None,)
        return None if more or places is None or places.shape[-1] != columns else places


@dataclass(frozen=True, eq=False)
class Rows:
    """One record of a table as rows for display: a row for each feature, or for each column that is a feature.

    ``members`` are the columns of each row; ``columns`` is the total number of columns. ``names`` is None if the rows have no names.
    """

    values: np.ndarray
    error: np.ndarray | None
    columns: int
    members: tuple[tuple[int, ...], ...]
    names: tuple[str | None, ...] | None = None

    @property
    def grouped(self) -> bool:
        """True if a row has several columns."""
        return any(len(m) > 1 for m in self.members)

    def labels(self, given: Sequence[object] | None, what: str) -> list[str]:
        """Returns a label for each row: a given name, the row's own name, or the positions of its columns.

        Raises ResultError if the number of names is neither that of the rows nor that of the columns.
        """
        if given is not None and self.grouped and len(given) != len(self.values):
            columns = label_places(given, self.columns, what)
            own = [escape_control(name) if name is not None and len(m) != 1 else None for m, name in self._named()]
            return [join_names([columns[i] for i in m], what) if name is None else name for m, name in zip(self.members, own, strict=True)]
        if given is not None or (not self.grouped and self.names is None):
            return label_places(given, len(self.values), what)
        return [self._numbered(m, what) if name is None else escape_control(name) for m, name in self._named()]

    def _named(self) -> list[tuple[tuple[int, ...], str | None]]:
        return list(zip(self.members, self.names or [None] * len(self.members), strict=True))

    @staticmethod
    def _numbered(members: Sequence[int], what: str) -> str:
        listed = ", ".join(map(str, members[:MEMBERS])) + (", …" if len(members) > MEMBERS else "")
        return f"{what}{'s' if len(members) > 1 else ''} {listed}" if members else f"{what} that is not here"

    def record_values(self, record: np.ndarray | None) -> list[Any] | None:
        """Returns the record's value in each row: one value, or a list if the row has several columns."""
        if record is None or record.ndim != 1:
            return None
        return [record[m[0]] if len(m) == 1 else [record[i] for i in m] for m in self.members]


def count_names(names: Sequence[object]) -> str:
    """Returns the beginning of an error about names: ``There are 3 names``."""
    return "There is 1 name" if len(names) == 1 else f"There are {len(names)} names"


def label_places(names: Sequence[object] | None, count: int, what: str) -> list[str]:
    """Returns a label for each of ``count`` positions: the given names, or their indices."""
    if names is None:
        return [f"{what} {i}" for i in range(count)]
    if len(names) != count:
        problem = f"{count_names(names)} for {count} {what if count == 1 else what + 's'}"
        raise ResultError(
            problem, found=f"names={list(names[:8])!r}" + (" and others" if len(names) > 8 else ""), advice=f"one name for each {what}"
        )
    return [escape_control(str(name)) for name in names]


def join_names(names: Sequence[str], what: str = "feature") -> str:
    """Returns the names of a feature's members as one name: columns with a plus between them, word pieces joined to a word."""
    if what == "token":
        return "".join(name.removeprefix("##") if i and name.startswith("##") else f" {name}" for i, name in enumerate(names)).strip()
    return " + ".join(names[:MEMBERS]) + (f" + {len(names) - MEMBERS} more" if len(names) > MEMBERS else "")


def split_rows(values: np.ndarray, error: np.ndarray | None, table: FeatureTable | None, record: int) -> Rows:
    """Returns one record's values ``[columns]`` as rows; ``table`` belongs to the whole result."""
    places = None if table is None else table.column_features(len(values))
    columns = len(values)
    each = tuple((i,) for i in range(columns))
    if table is None or places is None or table.values.ndim != 2:
        return Rows(values, error, columns, each)
    mine = places[record if len(places) > 1 else 0]
    if not has_shared_columns(places):
        names = None if table.names is None else tuple(table.names[k] if k >= 0 else None for k in mine)
        return Rows(values, error, columns, each, names)
    members = [(k, tuple(np.flatnonzero(mine == k).tolist())) for k in range(table.values.shape[-1])]
    here = [(k, m) for k, m in members if m or table.values[record, k]]  # a record with fewer features than others has empty ones
    shown = [k for k, _ in here]
    names = None if table.names is None else tuple(table.names[k] for k in shown)
    error = None if table.error is None else table.error[record, shown]
    return Rows(table.values[record, shown], error, columns, tuple(m for _, m in here), names)


def group_columns(values: np.ndarray, table: FeatureTable | None) -> tuple[np.ndarray, list[str] | None]:
    """Returns a table ``[..., records, columns]`` with one column for each feature, and the column names; None for unnamed columns."""
    places = None if table is None or table.values.ndim != values.ndim else table.column_features(values.shape[-1])
    if table is None or places is None:
        return values, None
    if has_shared_columns(places):
        count = table.values.shape[-1]
        members = [np.flatnonzero(places[0] == k) if len(places) == 1 else [k] for k in range(count)]
        return table.values, list(table.names or [", ".join(map(str, m)) for m in members])
    owners = places.max(0)
    if table.names is None or ((places != owners) & (places >= 0)).any():
        return values, None
    return values, [table.names[k] if k >= 0 else str(i) for i, k in enumerate(owners)]


def has_shared_columns(places: np.ndarray) -> bool:
    """True if columns of a record share a feature."""
    return any(np.bincount(row[row >= 0], minlength=1).max() > 1 for row in places)


def are_equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """True if columns belong to the same features."""
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def align_rows(several: Sequence[Rows]) -> list[Rows]:
    """Returns the same rows for all results of a record: columns that one result groups become one row, and are summed in the others."""
    first = several[0]
    if all(rows.members == first.members for rows in several):
        return list(several)
    columns = {i for rows in several for m in rows.members for i in m}
    owner = {i: i for i in columns}
    for m in (m for rows in several for m in rows.members if m):
        roots = {owner[i] for i in m}
        for i in columns:
            owner[i] = min(roots) if owner[i] in roots else owner[i]
    whole = tuple(tuple(sorted(i for i in columns if owner[i] == root)) for root in sorted(set(owner.values())))
    return [_merge_rows(rows, whole) for rows in several]


def _merge_rows(rows: Rows, whole: tuple[tuple[int, ...], ...]) -> Rows:
    """Returns rows summed to larger rows; the standard error is known only if a larger row contains a single row."""
    values, errors, names = np.zeros(len(whole)), np.full(len(whole), np.nan), list[str | None]()
    for at, members in enumerate(whole):
        inside = [k for k, m in enumerate(rows.members) if m and set(m) <= set(members)]
        values[at] = sum(float(rows.values[k]) for k in inside)
        single = len(inside) == 1
        if single and rows.error is not None:
            errors[at] = rows.error[inside[0]]
        names.append(rows.names[inside[0]] if single and rows.names is not None else None)
    return Rows(values, None if rows.error is None else errors, rows.columns, whole, tuple(names) if any(names) else None)
