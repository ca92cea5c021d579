"""Features by number or name: every scalar, ids of the user's own, channels, tokens, columns, and trees of those."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..arrays import ArrayLike, as_numpy, is_array, is_table
from ..calls.not_arrays import WORDS, holds_texts
from ..coalitions.base import Tree
from ..errors import FeatureError
from ..tree import walk
from ..values import Value, format_value
from .base import FeatureContext, Features, Groups, count_elements, resolve_axis, shapes_with_axes
from .table import join_names


@dataclass(frozen=True, repr=False)
class EachElement(Value):
    """Every number is a feature of its own; those of several arrays are counted on."""

    def groups(self, context: FeatureContext) -> Groups:
        cells, count = [], 0
        for shape in context.shapes:
            cells.append(np.arange(count, count + count_elements(shape)).reshape(1, *shape))
            count += count_elements(shape)
        check_not_empty(context)
        names = column_names(context)
        warning = f"a whole text is one feature; {WORDS}" if any(map(holds_texts, context.values)) else ""
        return Groups(tuple(cells), count, f"each of {count} numbers", names=names, warning=warning)


@dataclass(frozen=True, repr=False)
class Channels(Value):
    """Each channel is a feature: one number of ``axis``, counted with the records' axis, with everything behind and before it."""

    axis: int = 1

    def groups(self, context: FeatureContext) -> Groups:
        cells, count = [], 0
        for shape in shapes_with_axes(context, 1, repr(self)):
            axis = resolve_axis(self.axis, shape, repr(self)) + 1
            size = shape[axis - 1]
            cells.append((np.arange(size) + count).reshape([1, *(size if i == axis else 1 for i in range(1, len(shape) + 1))]))
            count += size
        return Groups(tuple(cells), count, f"{count} channels")


@dataclass(frozen=True, eq=False, repr=False)
class Masks(Value):
    """Features given as whole numbers: an array of ids for each array at the cut, in a tuple or a dict where there are several.

    An array of ids fits the records' axes from behind, as in NumPy; with an axis for the records its length is 1 or their number.
    The same number in several arrays is the same feature. Numbers below 0 are never removed. Numbers need not be consecutive.
    """

    ids: Any

    def groups(self, context: FeatureContext) -> Groups:
        check_not_empty(context)
        given = match_arrays(self.ids, context)
        found = [parse_ids(m, s, context.total, n) for m, s, n in zip(given, context.shapes, context.names, strict=True)]
        groups, columns = number_groups(found, "given by masks"), column_names(context)
        if columns is None or any(len(cells) > 1 for cells in groups.cells):
            return groups
        owners = np.concatenate([np.broadcast_to(c[0], s) for c, s in zip(groups.cells, context.shapes, strict=True)])
        names = [join_names([columns[i] for i in np.flatnonzero(owners == k)]) for k in range(groups.count)]
        return replace(groups, names=tuple(names))


@dataclass(frozen=True, eq=False, repr=False)
class Tokens(Value):
    """Each token is a feature, or each word: the first axis behind the records. Padding (``attention_mask`` 0) is none.

    ``words`` says which tokens belong together: a number for each token (below 0: never removed), a list of those for each
    record, or a function of a record's number that gives one, such as a tokenizer's ``encoding.word_ids``; None is below 0.
    """

    words: Sequence[Any] | Callable[[int], Sequence[int | None]] | None = None

    def groups(self, context: FeatureContext) -> Groups:
        shapes = shapes_with_axes(context, 1, repr(self))
        if len({s[0] for s in shapes}) > 1:
            raise FeatureError("token features for arrays of several lengths", there=f"{shapes}", try_="at= one of them")
        length = shapes[0][0]
        ids = self._ids(context.total, length)
        padding = next((as_numpy(leaf) for p, leaf in walk(context.call.kwargs) if p[-1] == "attention_mask" and is_array(leaf)), None)
        if padding is not None and padding.shape == (context.total, length):
            ids = np.where(padding > 0, ids, -1)
        ids = ids[:1] if (ids == ids[:1]).all() else ids
        kind = "that are tokens" if self.words is None else "that are words"
        return number_groups([ids.reshape(*ids.shape, *[1] * (len(s) - 1)) for s in shapes], kind)

    def _ids(self, total: int, length: int) -> np.ndarray:
        if self.words is None:
            return np.arange(length)[None]
        try:
            given = to_list([self.words(i) for i in range(total)] if callable(self.words) else self.words)
            rows: list[list[Any]] = [to_list(row) for row in given] if given and isinstance(given[0], Sized) else [given]
        except Exception as wrong:
            said = f"words={format_value(self.words)} raised {type(wrong).__name__}: {(str(wrong).splitlines() or [''])[0]}"
            raise FeatureError(said, try_="a number for each token", code="E-FEATURES-RAISED") from wrong
        if len(rows) not in (1, total) or any(len(row) != length for row in rows):
            there = f"{total} records of {length} tokens"
            raise FeatureError(f"word numbers for {[len(row) for row in rows]} tokens", there=there, try_="a number for each token")
        if odd := [i for row in rows for i in row if not (i is None or isinstance(i, (int, np.integer)))]:
            raise FeatureError(f"word numbers such as {odd[0]!r}", try_="whole numbers, or None", code="E-FEATURES-TYPE")
        return np.array([[-1 if i is None else int(i) for i in row] for row in rows])


@dataclass(frozen=True, eq=False, repr=False)
class Columns(Value):
    """Columns of a table, some of them together: ``Columns({"address": ["street", "town"]})``; all others stand alone.

    Columns are given by number, or by name where a pandas table or ``names`` has them.
    """

    groups_: Mapping[str, Sequence[int | str]] | None = None
    names: tuple[str, ...] | None = None

    def groups(self, context: FeatureContext) -> Groups:
        (shape, *more) = shapes_with_axes(context, 1, repr(self))
        if more or len(shape) != 1:
            raise FeatureError("columns", there=f"records of shapes {context.shapes}", try_="a single table [records, columns]")
        known = self.names or column_names(context) or tuple(map(str, range(shape[0])))
        ids, names = np.full(shape[0], -1), list[str]()
        for name, members in (self.groups_ or {}).items():
            for at in (self._column_index(m, known) for m in members):
                if ids[at] >= 0:
                    raise FeatureError(f"column {known[at]!r} is in two groups", there=f"{names[ids[at]]!r} and {name!r}")
                ids[at] = len(names)
            names.append(name)
        for at in np.flatnonzero(ids < 0).tolist():
            ids[at] = len(names)
            names.append(known[at])
        return Groups((ids[None],), len(names), f"{len(names)} columns or groups of them", names=tuple(names))

    @staticmethod
    def _column_index(member: int | str, known: Sequence[str]) -> int:
        if isinstance(member, str) and member in known:
            return list(known).index(member)
        if isinstance(member, str) or not 0 <= member < len(known):
            raise FeatureError(f"no column {member!r}", there=", ".join(known[:20]), try_="a name or a number of these")
        return int(member)


@dataclass(frozen=True, eq=False, repr=False)
class Hierarchy(Value):
    """Features with a tree of groups over them: ``Hierarchy(((0, 1), (2, (3, 4))))``. A number is a feature of ``of``."""

    tree: Tree
    of: Any = None

    def groups(self, context: FeatureContext) -> Groups:
        found = as_features(self.of).groups(context) if self.of is not None else EachElement().groups(context)
        there = sorted(leaf for _, leaf in walk(self.tree))
        if there != list(range(found.count)):
            raise FeatureError(f"a tree over {len(there)} features", there=f"{found.count} of them", try_="each number once, from 0 up")
        return replace(found, tree=self.tree)


@dataclass(frozen=True, eq=False, repr=False)
class PerArray(Value):
    """Features of each of several arrays by themselves, in a tuple or by name; ids among them are the array's own too."""

    by_array: Any

    def groups(self, context: FeatureContext) -> Groups:
        given = match_arrays(self.by_array, context)
        cells, count, told, names, named, warnings = [], 0, list[str](), list[str](), False, list[str]()
        for i, one in enumerate(given):
            alone = replace(context, values=[context.values[i]], names=[context.names[i]], read_all=partial(_only, context, i))
            found = as_features(one).groups(alone)
            if found.membership is not None:
                raise FeatureError(f"{one!r} for one of several arrays", try_="at=asc.INPUT.at(...) for windows that overlap")
            cells.append(np.where(found.cells[0] >= 0, found.cells[0] + count, -1))
            count += found.count
            told.append(f"{context.names[i]}: {found.description}")
            warnings += [f"{context.names[i]}: {found.warning}"] if found.warning else []
            named = named or found.names is not None
            names += found.names or [f"{context.names[i]}[{k}]" for k in range(found.count)]
        return Groups(tuple(cells), count, "; ".join(told), names=tuple(names) if named else None, warning="; ".join(warnings))


def _only(context: FeatureContext, i: int) -> list[Any]:
    return [context.read_all()[i]]


FeaturesLike = Features | ArrayLike | Sequence[Features | ArrayLike] | Mapping[str, Features | ArrayLike] | None
"""What ``features=`` accepts: see :func:`as_features`; None leaves the choice to the package."""


def as_features(given: Any) -> Features:
    """``features=`` as a value: arrays are ids, a tuple or a dict has one for each input.

    Raises FeatureError for anything that groups nothing.
    """
    if isinstance(given, Features) and not isinstance(given, type):
        return given
    if is_array(given):
        return Masks(given)
    parts = list(given.values()) if isinstance(given, Mapping) else list(given) if isinstance(given, (tuple, list)) else []
    if parts and all(is_array(p) for p in parts):
        return Masks(given)
    if parts and all(is_array(p) or isinstance(p, Features) for p in parts):
        return PerArray(given)
    raise FeatureError(f"features={given!r}", try_="asc.Grid(8), an array of ids, or a tuple or dict with one for each input")


def to_list(given: Any) -> list[Any]:
    """An array, or anything that can be gone through, as a list."""
    found: list[Any] = as_numpy(given).tolist() if is_array(given) else list(given)
    return found


def number_groups(ids: Sequence[np.ndarray], kind: str) -> Groups:
    """Groups by ids from the user, counted from 0 on; below 0 is none, and names are the ids where they had gaps.

    Raises FeatureError where there is none at all.
    """
    known = np.unique(np.concatenate([i[i >= 0].reshape(-1) for i in ids]))
    if not len(known):
        raise FeatureError("masks without a feature", there="only numbers below 0", try_="ids from 0 up")
    cells = tuple(np.where(i >= 0, np.searchsorted(known, i), -1) for i in ids)
    names = None if np.array_equal(known, np.arange(len(known))) else tuple(map(str, known))
    return Groups(cells, len(known), f"{len(known)} features {kind}", names=names)


def match_arrays(given: Any, context: FeatureContext) -> list[Any]:
    """One for each array. Raises FeatureError where there are more or fewer."""
    names = list(context.names)
    if isinstance(given, Mapping):
        keys = [name if name in given else i for i, name in enumerate(names)]
        wrong = [repr(k) for k in given if k not in keys] + [f"none for {n}" for n, k in zip(names, keys, strict=True) if k not in given]
        if wrong:
            raise FeatureError(f"features for {', '.join(wrong)}", there=", ".join(names), try_="one for each", code="E-FEATURES-COUNT")
        return [given[key] for key in keys]
    items = list(given) if isinstance(given, (tuple, list)) else [given]
    if len(items) != len(names):
        raise FeatureError(f"features for {len(items)} arrays", there=", ".join(names), try_="one for each", code="E-FEATURES-COUNT")
    return items


def parse_ids(given: Any, shape: tuple[int, ...], total: int, name: str) -> np.ndarray:
    """Ids as ``[1 or all records, ...]``. Raises FeatureError where they are no whole numbers, or do not fit."""
    ids = as_numpy(given)
    if ids.dtype.kind not in "iub" and not (ids.dtype.kind == "f" and (ids == np.floor(ids)).all()):
        raise FeatureError(f"ids of type {ids.dtype} for {name}", try_="whole numbers", code="E-FEATURES-TYPE")
    full = ids.reshape((1,) * (len(shape) + 1 - ids.ndim) + ids.shape) if ids.ndim <= len(shape) else ids
    fits = full.ndim == len(shape) + 1 and all(s in (1, t) for s, t in zip(full.shape[1:], shape, strict=True))
    if not fits or len(full) not in (1, total):
        there = f"{name} of shape {(total, *shape)}"
        try_ = f"{shape}, or 1 or {total} records of it; any axis may be 1"
        raise FeatureError(f"ids of shape {ids.shape}", there=there, try_=try_, code="E-FEATURES-SHAPE")
    return full.astype(np.int64)


def check_not_empty(context: FeatureContext) -> None:
    """Raise FeatureError where there is nothing to remove at all."""
    if not any(map(count_elements, context.shapes)):
        raise FeatureError("records without a number", there=f"records of shapes {context.shapes}", try_="axes of at least one")


def column_names(context: FeatureContext) -> tuple[str, ...] | None:
    """The names that tables among the arguments give the columns of what is explained; None where it is not clear which do."""
    tables = [leaf.columns for _, leaf in walk((context.call.args, context.call.kwargs)) if is_table(leaf) and len(leaf) == context.total]
    widths = [shape[0] if len(shape) == 1 else None for shape in context.shapes]
    if len(widths) == 1:
        tables = [names for names in tables if len(names) == widths[0]]
    if context.layer or [len(names) for names in tables] != widths:
        return None
    return tuple(" / ".join(map(str, name)) if isinstance(name, tuple) else str(name) for names in tables for name in names)
