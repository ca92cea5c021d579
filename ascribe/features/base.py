"""Which coordinates belong together: what ``features=`` can be, and the groups that come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..arrays import Array
from ..calls.call import Call
from ..coalitions.base import Players, Tree
from ..errors import FeatureError
from ..utils.record_layout import is_channels_last


@dataclass(frozen=True)
class FeatureContext:
    """What features are found in: the arrays at the cut of the first record, ``[1, ...]``, and how to read those of all.

    ``names`` is what the user calls the arrays, ``total`` how many records the call has, ``layer`` whether the cut is inside the model.
    """

    values: Sequence[Array]
    names: Sequence[str]
    total: int
    call: Call
    layer: bool
    read_all: Callable[[], list[Array]]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of one record in each array."""
        return [tuple(v.shape[1:]) for v in self.values]


@dataclass(frozen=True, eq=False)
class Groups:
    """Which feature every coordinate belongs to.

    ``cells`` are whole numbers for each array, ``[1 or all records, ...]``, to be broadcast against ``[records, ...]``; -1 is a
    coordinate that is never removed. A cell is a feature; or ``cover``, ``[cells, features]``, says which features a cell lies in
    (windows that overlap). ``names`` are the features', ``tree`` and ``shape`` how they lie (see
    :class:`~ascribe.coalitions.base.Players`), ``told`` how they came about, ``chosen`` whether they are a default, ``warning``
    what may be wrong about them.
    """

    cells: tuple[np.ndarray, ...]
    count: int
    description: str
    membership: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    tree: Tree = None
    shape: tuple[int, ...] | None = None
    is_default: bool = False
    warning: str = ""

    @property
    def players(self) -> Players:
        return Players(self.count, self.tree, self.shape)

    @property
    def cell_count(self) -> int:
        """How many cells there are."""
        return self.count if self.membership is None else len(self.membership)

    def take(self, index: np.ndarray) -> Groups:
        """Those of some records."""
        return replace(self, cells=tuple(c if len(c) == 1 else c[index] for c in self.cells))

    @cached_property
    def cell_shares(self) -> np.ndarray | None:
        """What each feature gives to a cell, ``[features, cells]``: a cell in several gets their mean. None where cells are features."""
        if self.membership is None:
            return None
        return (self.membership / np.maximum(self.membership.sum(1, keepdims=True), 1)).T

    def presence(self, coalitions: np.ndarray) -> np.ndarray:
        """How much of each cell is there, ``[coalitions, cells + 1]``; the last one, number -1, always is.

        A cell in several features is there as much as the one that is there least.
        """
        there = coalitions
        if self.membership is not None and coalitions.dtype == bool:
            there = (~coalitions).astype(np.float32) @ self.membership.T.astype(np.float32) == 0
        elif self.membership is not None:
            there = np.stack([np.where(self.membership, row, 1.0).min(1) for row in coalitions])
        return np.concatenate([there, np.ones((len(there), 1), there.dtype)], 1)

    def scatter(self, values: np.ndarray) -> list[np.ndarray]:
        """Features' values ``[..., records, features]`` at their coordinates: ``[..., records, *cells]`` for each array; 0 at cells -1."""
        cells = values if self.cell_shares is None else values @ self.cell_shares
        padded = np.concatenate([cells, np.zeros((*cells.shape[:-1], 1))], -1)
        return [_gather(padded, c) for c in self.cells]


def _gather(table: np.ndarray, cells: np.ndarray) -> np.ndarray:
    if len(cells) == 1:
        found: np.ndarray = table[..., cells[0]]
        return found
    lead = table.shape[:-1]
    flat = np.broadcast_to(cells.reshape(len(cells), -1), (*lead, cells[0].size))
    return np.take_along_axis(table, flat, -1).reshape(*lead, *cells.shape[1:])


@runtime_checkable
class Features(Protocol):
    """A way to group coordinates: ``features=`` of the removal engine."""

    def groups(self, context: FeatureContext) -> Groups:
        """The groups for what is explained. Raises FeatureError where they do not fit it."""


def count_elements(shape: tuple[int, ...]) -> int:
    """How many numbers an array of this shape holds."""
    return int(np.prod(shape, dtype=np.int64))


def shapes_with_axes(context: FeatureContext, axes: int, what: str) -> list[tuple[int, ...]]:
    """The shapes at the context, each with at least this many axes. Raises FeatureError otherwise, and for channels in their place."""
    short = [f"{n} {s}" for n, s in zip(context.names, context.shapes, strict=True) if len(s) < axes]
    if short:
        try_ = "features= for each input, by its name: {'image': asc.Grid(8), 'table': asc.features.EachElement()}"
        raise FeatureError(f"{what} needs {axes} axes in a record", there=", ".join(short), try_=try_)
    if empty := [f"{n} {s}" for n, s in zip(context.names, context.shapes, strict=True) if 0 in s]:
        raise FeatureError(f"{what} of records without a number", there=", ".join(empty), try_="axes of at least one")
    if axes > 1 and not context.layer:
        check_layout(context.shapes, what)
    return context.shapes


def check_layout(shapes: Sequence[tuple[int, ...]], what: str) -> None:
    """Raise FeatureError for pictures that can only be [height, width, channels]: their channels would be taken for places."""
    for shape in shapes:
        if is_channels_last(shape):
            try_ = "np.moveaxis(x, -1, 1), with a function that moves them back for the model; or ids of your own, by=asc.Replace(...)"
            raise FeatureError(f"{what} for pictures with their channels last", there=f"{shape}", try_=try_, code="E-FEATURES-LAYOUT")


def resolve_axis(axis: Any, shape: tuple[int, ...], what: str) -> int:
    """An axis counted with that of the records, as one of the record. Raises FeatureError for others, and for the records' own."""
    inside = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool) and -len(shape) <= axis <= len(shape)
    found = int(axis) % (len(shape) + 1) if inside else 0
    if not found:
        raise FeatureError(what, there=f"records of shape {shape}", try_="an axis behind that of the records")
    return found - 1
