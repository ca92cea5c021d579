"""Results feature by feature: what :attr:`Attribution.features` holds, and the rows that a table is shown with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ResultError
from ..utils.escape import escape_control

MEMBERS = 4
"""Columns of a feature that are named one by one."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One value for each feature: float64 ``[records, features]``, or ``[quantities, records, features]``.

    Interactions have ``[..., features, features]``. ``error`` are standard errors, None where values are exact; ``names`` are the
    features' if they have any, and ``told`` says what they are. ``places`` say, for each array of the values that is a table
    ``[records, columns]``, which feature a column belongs to, ``[1 or records, columns]``, -1 for none; None for other arrays.
    """

    values: np.ndarray
    error: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    description: str = ""
    places: tuple[np.ndarray | None, ...] = ()

    def _each(self, change: Any) -> FeatureTable:
        return replace(self, values=change(self.values), error=None if self.error is None else change(self.error))

    def records(self, place: np.ndarray, axis: int) -> FeatureTable:
        """Those of some records."""
        kept = tuple(p[place] if p is not None and len(p) > 1 else p for p in self.places)
        return replace(self._each(lambda a: np.take(a, place, axis)), places=kept)

    def quantity_at(self, k: int) -> FeatureTable:
        """Those of one of several quantities."""
        return self._each(lambda a: a[k])

    def scale(self, factor: float) -> FeatureTable:
        """Times a number."""
        error = None if self.error is None else self.error * abs(factor)
        return replace(self, values=self.values * factor, error=error)

    def with_values(self, change: Callable[[np.ndarray], np.ndarray]) -> FeatureTable:
        """With other values, which have no standard errors."""
        return replace(self, values=change(self.values), error=None)

    def combine(self, other: FeatureTable | None, work: Callable[[Any, Any], Any]) -> FeatureTable | None:
        """The values of two results of the same features put together; None where they are of others."""
        if other is None or self.values.shape != other.values.shape or self.names != other.names:
            return None
        same = len(self.places) == len(other.places) and all(map(are_equal, self.places, other.places))
        return self.with_values(lambda values: work(values, other.values)) if same else None

    def part(self, k: int) -> FeatureTable | None:
        """The features in one of several arrays; None where that is no table."""
        places = self.places[k] if k < len(self.places) else None
        if places is None:
            return None
        kept = np.unique(places[places >= 0])
        table = self._each(lambda a: a[..., kept])
        names = None if self.names is None else tuple(self.names[i] for i in kept)
        return replace(table, names=names, places=(np.where(places < 0, -1, np.searchsorted(kept, places)),))

    def column_features(self, columns: int) -> np.ndarray | None:
        """Which feature each column of a single table belongs to; None where the values are no table of so many columns."""
        (places, *more) = self.places or (None,)
        return None if more or places is None or places.shape[-1] != columns else places


@dataclass(frozen=True, eq=False)
class Rows:
    """One record of a table as rows that add up: a row for each feature with all its columns, or for each column where it is its own.

    ``members`` are the columns of each row, of ``columns`` in all. ``names`` are None where the rows have none.
    """

    values: np.ndarray
    error: np.ndarray | None
    columns: int
    members: tuple[tuple[int, ...], ...]
    names: tuple[str | None, ...] | None = None

    @property
    def grouped(self) -> bool:
        """Whether some row is of several columns."""
        return any(len(m) > 1 for m in self.members)

    def labels(self, given: Sequence[object] | None, what: str) -> list[str]:
        """A name for each row: those given for the rows or for the columns, the rows' own, or the numbers of their columns.

        Raises ResultError where a name for each was not given.
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

    def held(self, record: np.ndarray | None) -> list[Any] | None:
        """What the record holds in each row: the one thing there, or a list of several."""
        if record is None or record.ndim != 1:
            return None
        return [record[m[0]] if len(m) == 1 else [record[i] for i in m] for m in self.members]


def label_places(names: Sequence[object] | None, count: int, what: str) -> list[str]:
    """A name for each of ``count`` places: the given ones, or their numbers."""
    if names is None:
        return [f"{what} {i}" for i in range(count)]
    if len(names) != count:
        raise ResultError(f"{len(names)} names do not fit", there=f"{count} places", try_=f"a name for each {what}")
    return [escape_control(str(name)) for name in names]


def join_names(names: Sequence[str], what: str = "feature") -> str:
    """The names of a feature's members as one: columns with a plus between them, the pieces of a word as the word."""
    if what == "token":
        return "".join(name.removeprefix("##") if i and name.startswith("##") else f" {name}" for i, name in enumerate(names)).strip()
    return " + ".join(names[:MEMBERS]) + (f" + {len(names) - MEMBERS} more" if len(names) > MEMBERS else "")


def split_rows(values: np.ndarray, error: np.ndarray | None, table: FeatureTable | None, record: int) -> Rows:
    """One record's values ``[columns]`` as rows; ``table`` is that of the whole result."""
    places = None if table is None else table.column_features(len(values))
    columns = len(values)
    each = tuple((i,) for i in range(columns))
    if table is None or places is None or table.values.ndim != 2:
        return Rows(values, error, columns, each)
    mine = places[record if len(places) > 1 else 0]
    if not has_shared_columns(places):
        names = None if table.names is None else tuple(table.names[k] if k >= 0 else None for k in mine)
        return Rows(values, error, columns, each, names)
    found = [(k, tuple(np.flatnonzero(mine == k).tolist())) for k in range(table.values.shape[-1])]
    here = [(k, m) for k, m in found if m or table.values[record, k]]  # a record with fewer features than others has some for nothing
    shown = [k for k, _ in here]
    names = None if table.names is None else tuple(table.names[k] for k in shown)
    error = None if table.error is None else table.error[record, shown]
    return Rows(table.values[record, shown], error, columns, tuple(m for _, m in here), names)


def group_columns(values: np.ndarray, table: FeatureTable | None) -> tuple[np.ndarray, list[str] | None]:
    """All records of a table ``[..., records, columns]`` with a column for each feature, and the columns' names; None for their numbers."""
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
    """Whether columns of some record share a feature."""
    return any(np.bincount(row[row >= 0], minlength=1).max() > 1 for row in places)


def are_equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Whether columns belong to the same features."""
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def align_rows(several: Sequence[Rows]) -> list[Rows]:
    """The same rows for all results of a record: columns that one of them takes together are one row, and are added up in the others."""
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
    """Rows added up to larger ones; errors where a row is one of them alone."""
    values, errors, names = np.zeros(len(whole)), np.full(len(whole), np.nan), list[str | None]()
    for at, members in enumerate(whole):
        inside = [k for k, m in enumerate(rows.members) if m and set(m) <= set(members)]
        values[at] = sum(float(rows.values[k]) for k in inside)
        single = len(inside) == 1
        if single and rows.error is not None:
            errors[at] = rows.error[inside[0]]
        names.append(rows.names[inside[0]] if single and rows.names is not None else None)
    return Rows(values, None if rows.error is None else errors, rows.columns, whole, tuple(names) if any(names) else None)
