"""Features by index or name: single elements, channels, masks, tokens, columns, and hierarchies of features."""

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
    """Makes each element a feature. Elements of several arrays are numbered one after another.

    *Use it when* records are tables, or have few elements. The number of evaluations grows with the number of elements.

    Raises FeatureError for records without elements.
    """

    def groups(self, context: FeatureContext) -> Groups:
        cells, count = [], 0
        for shape in context.shapes:
            cells.append(np.arange(count, count + count_elements(shape)).reshape(1, *shape))
            count += count_elements(shape)
        check_not_empty(context)
        names = column_names(context)
        warning = f"a whole text is one feature; {WORDS}" if any(map(holds_texts, context.values)) else ""
        return Groups(tuple(cells), count, f"each of {count} elements", names=names, warning=warning)


@dataclass(frozen=True, repr=False)
class Channels(Value):
    """Makes each channel a feature: one index of ``axis``, with all positions.

    *Use it when* you explain a layer, or an input whose channels have a meaning. ``axis`` is an axis of the batch (1 for
    ``[records, channels, ...]``). Raises FeatureError if a record has no such axis.
    """

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
    """Uses your own features: an array of integers that gives the feature of each coordinate.

    *Use it when* you have a segmentation, or know which coordinates belong together.

    ``ids`` is an integer array in the shape of a record, aligned at the last axis as in NumPy; axes of length 1 are broadcast. With a batch
    axis, its length is 1 or the number of records. For several arrays at the cut, give a tuple or a dict of such arrays; the same number
    in several arrays is the same feature. Coordinates with a negative number are never removed. Numbers need not be consecutive.

    Raises FeatureError for non-integers, for shapes that do not fit, and if all numbers are negative.
    """

    ids: Any

    def groups(self, context: FeatureContext) -> Groups:
        check_not_empty(context)
        given = match_arrays(self.ids, context)
        ids = [parse_ids(m, s, context.total, n) for m, s, n in zip(given, context.shapes, context.names, strict=True)]
        groups, columns = number_groups(ids, "given by masks"), column_names(context)
        if columns is None or any(len(cells) > 1 for cells in groups.cells):
            return groups
        owners = np.concatenate([np.broadcast_to(c[0], s) for c, s in zip(groups.cells, context.shapes, strict=True)])
        names = [join_names([columns[i] for i in np.flatnonzero(owners == k)]) for k in range(groups.count)]
        return replace(groups, names=tuple(names))


@dataclass(frozen=True, eq=False, repr=False)
class Tokens(Value):
    """Makes each token a feature, or each word. Tokens are the first axis of a record; padding (``attention_mask`` 0) is no feature.

    *Use it when* records are token ids or token embeddings.

    ``words`` groups the tokens: a sequence with an integer for each token, a list of such sequences with one for each record, or a
    function that returns the sequence for the index of a record, such as the ``word_ids`` of a tokenizer's encoding. None, or a negative
    number, marks a token that is never removed.

    Raises FeatureError if ``words`` does not have one integer for each token.
    """

    words: Sequence[Any] | Callable[[int], Sequence[int | None]] | None = None

    def groups(self, context: FeatureContext) -> Groups:
        shapes = shapes_with_axes(context, 1, repr(self))
        if len({s[0] for s in shapes}) > 1:
            raise FeatureError(
                "`asc.features.Tokens` needs arrays with the same number of tokens",
                found=f"records of shapes {shapes}",
                advice="at=asc.INPUT.at(0)",
            )
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
            there = f"{type(wrong).__name__}: {(str(wrong).splitlines() or [''])[0]}"
            said = f"The function `words={format_value(self.words)}` raised an error"
            raise FeatureError(said, found=there, advice=WORD_IDS, code="E-FEATURES-RAISED") from wrong
        if len(rows) not in (1, total) or any(len(row) != length for row in rows):
            there = f"numbers for {[len(row) for row in rows]} tokens, {total} records of {length} tokens"
            said = "`words=` must have one integer or None for each token of each record"
            raise FeatureError(said, found=there, advice=WORD_IDS)
        if odd := [i for row in rows for i in row if not (i is None or isinstance(i, (int, np.integer)))]:
            said = "`words=` must contain integers or None"
            raise FeatureError(said, found=f"{odd[0]!r}", advice="words=[0, 0, 1, None]", code="E-FEATURES-TYPE")
        return np.array([[-1 if i is None else int(i) for i in row] for row in rows])


WORD_IDS = "words=encoding.word_ids, a function that returns an integer or None for each token of a record"
"""Advice for ``words=``."""


@dataclass(frozen=True, eq=False, repr=False)
class Columns(Value):
    """Groups columns of a table: ``Columns({"address": ["street", "town"]})``. Each other column is a feature of its own.

    *Use it when* columns describe the same thing, such as a one-hot encoding.

    Columns are given by position, or by name if the call has a pandas table or ``names`` is given.

    Raises FeatureError if a column does not exist or is in two groups, and for inputs that are not a single table.
    """

    groups_: Mapping[str, Sequence[int | str]] | None = None
    names: tuple[str, ...] | None = None

    def groups(self, context: FeatureContext) -> Groups:
        (shape, *more) = shapes_with_axes(context, 1, repr(self))
        if more or len(shape) != 1:
            there = f"records of shapes {context.shapes}"
            raise FeatureError(
                "`asc.features.Columns` groups the columns of a single table",
                found=there,
                advice="at=asc.INPUT.at(0), a table [records, columns]",
            )
        known = self.names or column_names(context) or tuple(map(str, range(shape[0])))
        ids, names = np.full(shape[0], -1), list[str]()
        for name, members in (self.groups_ or {}).items():
            for at in (self._column_index(m, known) for m in members):
                if ids[at] >= 0:
                    there = f"{names[ids[at]]!r} and {name!r}"
                    raise FeatureError(f"Column {known[at]!r} is in two groups", found=there, advice="each column in one group")
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
            raise FeatureError(
                f"The table has no column {member!r}", found=", ".join(known[:20]), advice="one of these names, or a position"
            )
        return int(member)


@dataclass(frozen=True, eq=False, repr=False)
class Hierarchy(Value):
    """Adds a hierarchy of groups to other features: ``Hierarchy(((0, 1), (2, (3, 4))))``.

    *Use it when* you compute :class:`~ascribe.coalitions.Owen` values, and know which features belong together.

    ``tree`` is a nested tuple; an integer is a feature of ``of``, which is any value of ``features=`` (None: each element).

    Raises FeatureError if the tree does not contain each feature exactly once.
    """

    tree: Tree
    of: Any = None

    def groups(self, context: FeatureContext) -> Groups:
        groups = as_features(self.of).groups(context) if self.of is not None else EachElement().groups(context)
        leaves = sorted(leaf for _, leaf in walk(self.tree))
        if leaves != list(range(groups.count)):
            there, advice = f"a tree over {len(leaves)} features, for {groups.count} of them", f"each of 0 ... {groups.count - 1} once"
            raise FeatureError("`tree=` must contain each feature exactly once", found=there, advice=advice)
        return replace(groups, tree=self.tree)


@dataclass(frozen=True, eq=False, repr=False)
class PerArray(Value):
    """Groups each of several arrays with its own features: a tuple in the order of the arrays, or a dict by name.

    A plain tuple or dict of features is converted to this class; arrays in it are ids, as in :class:`Masks`.
    """

    by_array: Any

    def groups(self, context: FeatureContext) -> Groups:
        given = match_arrays(self.by_array, context)
        cells, count, texts, names, named, warnings = [], 0, list[str](), list[str](), False, list[str]()
        for i, one in enumerate(given):
            alone = replace(context, values=[context.values[i]], names=[context.names[i]], read_all=partial(_only, context, i))
            own = as_features(one).groups(alone)
            if own.membership is not None:
                there = f"{one!r} for one of several arrays"
                raise FeatureError("Features that overlap can group a single array only", found=there, advice="at=asc.INPUT.at(0)")
            cells.append(np.where(own.cells[0] >= 0, own.cells[0] + count, -1))
            count += own.count
            texts.append(f"{context.names[i]}: {own.description}")
            warnings += [f"{context.names[i]}: {own.warning}"] if own.warning else []
            named = named or own.names is not None
            names += own.names or [f"{context.names[i]}[{k}]" for k in range(own.count)]
        return Groups(tuple(cells), count, "; ".join(texts), names=tuple(names) if named else None, warning="; ".join(warnings))


def _only(context: FeatureContext, i: int) -> list[Any]:
    return [context.read_all()[i]]


FeaturesLike = Features | ArrayLike | Sequence[Features | ArrayLike] | Mapping[str, Features | ArrayLike] | None
"""The type of ``features=``: see :func:`as_features`. None takes :class:`~ascribe.features.Automatic`."""


def as_features(given: Any) -> Features:
    """Returns ``features=`` as a value: an array becomes :class:`Masks`, a tuple or dict of features becomes :class:`PerArray`.

    Raises FeatureError for any other type.
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
    classes = [one.__name__ for one in (given, *parts) if isinstance(one, type)]
    if classes:
        there, advice = f"the class {classes[0]}", f"features={classes[0]}(...)"
        raise FeatureError("`features=` has a class in place of a value of that class", found=there, advice=advice)
    advice = "features=asc.Grid(8), an array of ids, or a tuple or dict with one of these for each input"
    raise FeatureError("`features=` must be a value of `asc.features` or an array of ids", found=f"features={given!r}", advice=advice)


def to_list(given: Any) -> list[Any]:
    """Returns an array or another iterable as a list."""
    items: list[Any] = as_numpy(given).tolist() if is_array(given) else list(given)
    return items


def number_groups(ids: Sequence[np.ndarray], kind: str) -> Groups:
    """Returns groups for the user's ids, renumbered from 0; negative ids are no feature. If ids have gaps, they become the names.

    Raises FeatureError if all ids are negative.
    """
    known = np.unique(np.concatenate([i[i >= 0].reshape(-1) for i in ids]))
    if not len(known):
        advice = "ids >= 0 for coordinates that are removed"
        raise FeatureError(
            "The ids contain no feature, because negative ids mark coordinates that are never removed",
            found="only ids below 0",
            advice=advice,
        )
    cells = tuple(np.where(i >= 0, np.searchsorted(known, i), -1) for i in ids)
    names = None if np.array_equal(known, np.arange(len(known))) else tuple(map(str, known))
    return Groups(cells, len(known), f"{len(known)} features {kind}", names=names)


def match_arrays(given: Any, context: FeatureContext) -> list[Any]:
    """Returns one item of ``features=`` for each array. Raises FeatureError if their number differs."""
    names = list(context.names)
    if isinstance(given, Mapping):
        keys = [name if name in given else i for i, name in enumerate(names)]
        wrong = [repr(k) for k in given if k not in keys] + [f"none for {n}" for n, k in zip(names, keys, strict=True) if k not in given]
        if wrong:
            said = "`features=` must have one entry for each input"
            there, advice = f"{', '.join(wrong)}; the inputs are {', '.join(names)}", f"features={{{names[0]!r}: asc.Grid(8), ...}}"
            raise FeatureError(said, found=there, advice=advice, code="E-FEATURES-COUNT")
        return [given[key] for key in keys]
    items = list(given) if isinstance(given, (tuple, list)) else [given]
    if len(items) != len(names):
        said = "`features=` must have one item for each input"
        there = f"{len(items)} items for the inputs {', '.join(names)}"
        raise FeatureError(said, found=there, advice="features=(asc.Grid(8), ids), one item for each input", code="E-FEATURES-COUNT")
    return items


def parse_ids(given: Any, shape: tuple[int, ...], total: int, name: str) -> np.ndarray:
    """Returns ids as ``[1 or all records, ...]``. Raises FeatureError if they are not integers, or do not fit the records."""
    ids = as_numpy(given)
    if ids.dtype.kind not in "iub" and not (ids.dtype.kind == "f" and (ids == np.floor(ids)).all()):
        raise FeatureError(
            f"The ids of `features=` for {name} must be integers",
            found=f"type {ids.dtype}",
            advice="ids.astype(int)",
            code="E-FEATURES-TYPE",
        )
    full = ids.reshape((1,) * (len(shape) + 1 - ids.ndim) + ids.shape) if ids.ndim <= len(shape) else ids
    fits = full.ndim == len(shape) + 1 and all(s in (1, t) for s, t in zip(full.shape[1:], shape, strict=True))
    if not fits or len(full) not in (1, total):
        there = f"ids of shape {ids.shape} for {name} of shape {(total, *shape)}"
        advice = f"ids of shape {shape}, or {(total, *shape)} for ids of each record; any axis may be 1"
        raise FeatureError(
            "The shape of the ids of `features=` does not fit the records", found=there, advice=advice, code="E-FEATURES-SHAPE"
        )
    return full.astype(np.int64)


def check_not_empty(context: FeatureContext) -> None:
    """Raises FeatureError if the records have no elements."""
    if not any(map(count_elements, context.shapes)):
        there = f"records of shapes {context.shapes}"
        raise FeatureError("Empty records have no features", found=there, advice="axes of length >= 1")


def column_names(context: FeatureContext) -> tuple[str, ...] | None:
    """Returns the column names of pandas tables among the arguments; None if it is ambiguous which table is explained."""
    tables = [leaf.columns for _, leaf in walk((context.call.args, context.call.kwargs)) if is_table(leaf) and len(leaf) == context.total]
    widths = [shape[0] if len(shape) == 1 else None for shape in context.shapes]
    if len(widths) == 1:
        tables = [names for names in tables if len(names) == widths[0]]
    if context.layer or [len(names) for names in tables] != widths:
        return None
    return tuple(" / ".join(map(str, name)) if isinstance(name, tuple) else str(name) for names in tables for name in names)
