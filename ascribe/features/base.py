"""The protocol of ``features=``, and the groups of coordinates that it returns."""

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
from ..utils.record_layout import ImageLayout, has_channels_last


@dataclass(frozen=True)
class FeatureContext:
    """The values at the cut that coordinates are grouped in: the argument of :meth:`Features.groups`.

    ``values`` are the arrays of the first record, ``[1, ...]``; ``read_all`` returns those of all records. ``names`` are the user's
    names of the arrays, ``total`` is the number of records, and ``layer`` is True if the cut is inside the model.
    """

    values: Sequence[Array]
    names: Sequence[str]
    total: int
    call: Call
    layer: bool
    read_all: Callable[[], list[Array]]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Returns the shape of one record in each array."""
        return [tuple(v.shape[1:]) for v in self.values]


@dataclass(frozen=True, eq=False)
class Groups:
    """The feature of each coordinate.

    ``cells`` holds integers for each array, ``[1 or all records, ...]``, which broadcast against ``[records, ...]``; -1 marks a
    coordinate that is never removed. A cell is a feature, unless ``membership``, bool ``[cells, features]``, maps a cell to several
    features (overlapping windows). ``names`` are the names of the features; ``tree`` and ``shape`` are their hierarchy and grid (see
    :class:`~ascribe.coalitions.base.Players`). ``description`` is a text for reports, ``is_default`` is True if the package chose the
    features, and ``warning`` is a text on what may be wrong with them.
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
        """Returns the number of cells."""
        return self.count if self.membership is None else len(self.membership)

    def take(self, index: np.ndarray) -> Groups:
        """Returns the groups of some records."""
        return replace(self, cells=tuple(c if len(c) == 1 else c[index] for c in self.cells))

    @cached_property
    def cell_shares(self) -> np.ndarray | None:
        """Returns the share of each feature in a cell, ``[features, cells]``, for the mean of its features. None if cells are features."""
        if self.membership is None:
            return None
        return (self.membership / np.maximum(self.membership.sum(1, keepdims=True), 1)).T

    def presence(self, coalitions: np.ndarray) -> np.ndarray:
        """Returns the presence of each cell, ``[coalitions, cells + 1]``; the last cell, index -1, is always present.

        Coalitions ``[coalitions, records, features]``, each record's own, give ``[coalitions, records, cells + 1]``. A cell of several
        features takes the smallest presence among them.
        """
        if coalitions.ndim == 3:
            flat = self.presence(coalitions.reshape(-1, coalitions.shape[-1]))
            return flat.reshape(*coalitions.shape[:2], -1)
        present = coalitions
        if self.membership is not None and coalitions.dtype == bool:
            present = (~coalitions).astype(np.float32) @ self.membership.T.astype(np.float32) == 0
        elif self.membership is not None:
            present = np.stack([np.where(self.membership, row, 1.0).min(1) for row in coalitions])
        return np.concatenate([present, np.ones((len(present), 1), present.dtype)], 1)

    def scatter(self, values: np.ndarray) -> list[np.ndarray]:
        """Returns values ``[..., records, features]`` at their coordinates, ``[..., records, *cells]`` for each array; 0 at cell -1."""
        cells = values if self.cell_shares is None else values @ self.cell_shares
        padded = np.concatenate([cells, np.zeros((*cells.shape[:-1], 1))], -1)
        return [_gather(padded, c) for c in self.cells]


def _gather(table: np.ndarray, cells: np.ndarray) -> np.ndarray:
    if len(cells) == 1:
        gathered: np.ndarray = table[..., cells[0]]
        return gathered
    lead = table.shape[:-1]
    flat = np.broadcast_to(cells.reshape(len(cells), -1), (*lead, cells[0].size))
    return np.take_along_axis(table, flat, -1).reshape(*lead, *cells.shape[1:])


@runtime_checkable
class Features(Protocol):
    """A way to group coordinates into features: the protocol of ``features=``."""

    def groups(self, context: FeatureContext) -> Groups:
        """Returns the groups for the values at the cut. Raises FeatureError if they do not fit."""


def count_elements(shape: tuple[int, ...]) -> int:
    """Returns the number of elements of an array of this shape."""
    return int(np.prod(shape, dtype=np.int64))


@dataclass(frozen=True)
class ImageAxes:
    """The axes of one array of images: ``shape`` is that of a record with the channels first, ``last`` is True if they come last."""

    shape: tuple[int, ...]
    last: bool

    def arrange(self, cells: np.ndarray, inner: int) -> np.ndarray:
        """Returns ids ``[1 or records, *spatial]`` with axes of length 1 for the other axes of a record, where the record has them."""
        others = [1] * (len(self.shape) - inner)
        if self.last:
            return cells.reshape(len(cells), *others[1:], *cells.shape[1:], 1)
        return cells.reshape(len(cells), *others, *cells.shape[1:])

    @property
    def note(self) -> str:
        """Returns a text for the description of the features: the channels were found on the last axis."""
        return ", channels last" if self.last else ""


def image_axes(context: FeatureContext, axes: int, what: str, layout: ImageLayout | None) -> list[ImageAxes]:
    """Returns the axes of each array, whose last ``axes`` axes are split. At a layer channels come first unless ``layout`` says otherwise.

    Raises FeatureError if an array has fewer axes or no elements, and for an unknown layout.
    """
    check_layout(layout, what)
    known: ImageLayout | None = "NCHW" if layout is None and (context.layer or axes < 2) else layout
    shapes = shapes_with_axes(context, axes, what)
    lasts = [axes < len(shape) and has_channels_last(shape, known) for shape in shapes]  # sizes for all axes are in the user's own order
    return [ImageAxes((s[-1], *s[:-1]) if last else s, last) for s, last in zip(context.shapes, lasts, strict=True)]


def check_layout(layout: object, what: str) -> None:
    """Raises FeatureError unless ``layout`` is None or one of the two layouts."""
    if layout not in (None, "NCHW", "NHWC"):
        advice = "layout='NHWC' for images with channels last, 'NCHW' for channels first, None to find it out"
        raise FeatureError(f"`layout=` of `{what}` must be 'NCHW' or 'NHWC'", found=f"layout={layout!r}", advice=advice)


def shapes_with_axes(context: FeatureContext, axes: int, what: str) -> list[tuple[int, ...]]:
    """Returns the shapes of a record. Raises FeatureError if one has fewer axes or no elements."""
    short = [f"{n} {s}" for n, s in zip(context.names, context.shapes, strict=True) if len(s) < axes]
    if short:
        advice = "features=asc.features.EachElement(), or {'image': asc.Grid(8), 'table': asc.features.EachElement()} by input"
        raise FeatureError(
            f"`{what}` needs records with at least {axes} {'axis' if axes == 1 else 'axes'}", found=", ".join(short), advice=advice
        )
    if empty := [f"{n} {s}" for n, s in zip(context.names, context.shapes, strict=True) if 0 in s]:
        raise FeatureError(f"`{what}` cannot group empty records", found=", ".join(empty), advice="axes of length >= 1")
    return context.shapes


def resolve_axis(axis: Any, shape: tuple[int, ...], what: str) -> int:
    """Returns an axis of the batch as an axis of one record. Raises FeatureError if it does not exist, and for the batch axis."""
    inside = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool) and -len(shape) <= axis <= len(shape)
    resolved = int(axis) % (len(shape) + 1) if inside else 0
    if not resolved:
        there = f"axis={axis!r}, records of shape {shape}"
        raise FeatureError(
            f"The axis of `{what}` must be an axis of the records, not the batch axis",
            found=there,
            advice="axis=1, the first axis after the batch axis",
        )
    return resolved - 1
