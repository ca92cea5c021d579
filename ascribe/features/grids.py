"""Features that lie on a grid: cells of pictures, sliding windows, pieces of a series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coalitions.hierarchies import halve_grid
from ..errors import FeatureError
from ..utils.record_layout import describe_layout_doubt, format_shape, is_time_ambiguous, time_axis
from ..values import Value, is_count
from .base import FeatureContext, Groups, resolve_axis, shapes_with_axes


@dataclass(frozen=True, repr=False)
class Grid(Value):
    """Rectangles of a picture, all channels of a place together: ``cells`` along both sides, or (down, across).

    On the last two axes of every array, in nearly equal parts; on as many of the last axes as ``cells`` has numbers, of volumes and
    films. Their tree is made by halving the longer side.
    """

    cells: int | tuple[int, ...] = 8

    def groups(self, context: FeatureContext) -> Groups:
        cells = parse_sizes(self.cells, len(self.cells) if isinstance(self.cells, (tuple, list)) else 2, repr(self))
        found, count, shapes = [], 0, shapes_with_axes(context, len(cells), repr(self))
        for shape in shapes:
            inner = shape[-len(cells) :]
            if any(c > n for c, n in zip(cells, inner, strict=True)):
                there = f"pictures of {' x '.join(map(str, inner))}"
                raise FeatureError(f"{self!r}", there=there, try_="at most one cell for each pixel")
            ids = np.ravel_multi_index(np.ix_(*(split_evenly(n, c) for n, c in zip(inner, cells, strict=True))), cells) + count
            found.append(ids.reshape(1, *[1] * (len(shape) - len(inner)), *inner))
            count += int(np.prod(cells))
        one = len(found) == 1
        tree = halve_grid(cells) if one else None
        told = f"a grid of {' x '.join(map(str, cells))}"
        return Groups(
            tuple(found),
            count,
            told,
            tree=tree,
            shape=cells if one else None,
            warning=describe_layout_doubt(shapes, [c > 1 for c in cells]),
        )


@dataclass(frozen=True, repr=False)
class Pixels(Value):
    """Every place of a picture is a feature, all channels together: the last two axes. For smooth masks; one by one there are too many.

    With ``least`` above 1, a record of two axes, one of them shorter than ``least`` or far shorter than the other, is a series: there
    every step is a feature, all channels together.
    """

    least: int = 1

    def groups(self, context: FeatureContext) -> Groups:
        (shape, *more) = shapes_with_axes(context, 2, repr(self))
        if more:
            raise FeatureError(f"{self!r} for several arrays", there=", ".join(context.names), try_="at=asc.INPUT.at(0)")
        height, width = shape[-2:]
        if len(shape) == 2 and self.least > 1 and (min(shape) < self.least or describe_layout_doubt([shape])):
            time = time_axis(shape)
            steps, told = shape[time], f"each of {shape[time]} steps along axis {time + 1} of {format_shape(shape)}"
            return Groups((np.arange(steps).reshape(1, *(-1 if i == time else 1 for i in range(2))),), steps, told, shape=(steps,))
        ids = np.arange(height * width).reshape(1, *[1] * (len(shape) - 2), height, width)
        told = f"each of {height} x {width} places"
        return Groups((ids,), height * width, told, shape=(height, width), warning=describe_layout_doubt(context.shapes))


@dataclass(frozen=True, repr=False)
class Segments(Value):
    """Stretches of a series: ``count`` nearly equal parts of time, all channels of a stretch together.

    ``axis`` is that of time, counted with the records' axis: 1 for ``[records, time, channels]``, 2 for ``[records, channels, time]``.
    None takes the last axis, unless the lengths of the axes say that the channels are there; the check ``features`` says which it was.
    """

    count: int = 16
    axis: int | None = None

    def groups(self, context: FeatureContext) -> Groups:
        found, told, warning, count = [], list[str](), list[str](), 0
        parse_sizes(self.count, 1, repr(self))
        for shape in shapes_with_axes(context, 1, repr(self)):
            time = time_axis(shape) if self.axis is None else resolve_axis(self.axis, shape, repr(self))
            if self.count > shape[time]:
                there = f"a series of {shape[time]} steps along axis {time + 1} of {format_shape(shape)}"
                try_ = f"at most one part for each step{self._other(shape, time)}"
                raise FeatureError(f"{self!r}", there=there, try_=try_)
            found.append((split_evenly(shape[time], self.count) + count).reshape(1, *(-1 if i == time else 1 for i in range(len(shape)))))
            count += self.count
            told.append(f" along axis {time + 1} of {format_shape(shape)}" if len(shape) > 1 else "")
            if self.axis is None and len(shape) > 1 and (context.layer or is_time_ambiguous(shape)):
                warning.append(f"which axis is time is open{self._other(shape, time)}")
        one = len(found) == 1
        said = f"{self.count} stretches of a series{' and '.join(dict.fromkeys(told))}"
        tree = halve_grid((count,)) if one else None
        return Groups(tuple(found), count, said, tree=tree, shape=(count,) if one else None, warning="; ".join(dict.fromkeys(warning)))

    def _other(self, shape: tuple[int, ...], time: int) -> str:
        """How to take another axis, where there is one."""
        other = 1 if time else 2
        return f"; features=asc.Segments({min(self.count, shape[other - 1])}, axis={other}) cuts the other" if len(shape) > 1 else ""


@dataclass(frozen=True, repr=False)
class Windows(Value):
    """Windows that slide over the last axes, one axis for each number in ``size``; with steps of ``stride`` (the size itself) they overlap.

    A coordinate gets the mean of the windows over it; the last window of a row ends at the border.
    """

    size: int | tuple[int, ...]
    stride: int | tuple[int, ...] | None = None

    def groups(self, context: FeatureContext) -> Groups:
        size = parse_sizes(self.size, len(self.size) if isinstance(self.size, (tuple, list)) else 2, repr(self))
        step = size if self.stride is None else parse_sizes(self.stride, len(size), repr(self))
        shapes = shapes_with_axes(context, len(size), repr(self))
        if len(shapes) > 1:
            raise FeatureError(f"{self!r} for several arrays", there=", ".join(context.names), try_="at=asc.INPUT.at(0), or grids")
        inner = shapes[0][-len(size) :]
        check_windows(size, step, inner)
        sides = [_overlaps(n, w, s) for n, w, s in zip(inner, size, step, strict=True)]
        cells, cover = np.zeros((1,) * len(inner), dtype=np.int64), np.ones((1, 1), dtype=bool)
        for axis, (ids, covered) in enumerate(sides):
            cells = cells * len(covered) + ids.reshape([-1 if i == axis else 1 for i in range(len(inner))])
            cover = np.kron(cover, covered)
        shape = tuple(covered.shape[1] for _, covered in sides)
        told = f"{cover.shape[1]} windows of {' x '.join(map(str, size))}"
        apart = bool((cover.sum(1) == 1).all())
        cells = cover.argmax(1)[cells] if apart else cells
        cells = cells.reshape(1, *[1] * (len(shapes[0]) - len(inner)), *inner)
        warning = describe_layout_doubt(shapes, [w < n for w, n in zip(size, inner, strict=True)])
        return Groups((cells,), cover.shape[1], told, None if apart else cover, shape=shape, warning=warning)


def check_windows(size: tuple[int, ...], step: tuple[int, ...], inner: tuple[int, ...]) -> None:
    """Raise FeatureError that names the number that does not fit: a window beyond the record, or a stride that leaves gaps."""
    for axis, (window, stride, places) in enumerate(zip(size, step, inner, strict=True), -len(size)):
        if window > places:
            there = f"{places} coordinates on axis {axis} of records {' x '.join(map(str, inner))}"
            raise FeatureError(f"a window of size {window}", there=there, try_=f"size={tuple(map(min, size, inner))}")
        if stride > window:
            there = f"windows of size {window} on axis {axis}, so that places between two windows would be in none"
            raise FeatureError(f"a stride of {stride}", there=there, try_=f"stride={tuple(map(min, step, size))}")


def parse_sizes(given: Any, axes: int, what: str) -> tuple[int, ...]:
    """A number for each axis, one alone for all. Raises FeatureError for what is no whole number from 1 up, and for other axes."""
    found = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    if not found or len(found) != axes or not all(map(is_count, found)):
        raise FeatureError(what, there=f"{axes} axes" if axes > 1 else "", try_="whole numbers from 1 up, one alone or one for each axis")
    return found


def split_evenly(size: int, count: int) -> np.ndarray:
    """The number of the part that each of ``size`` places is in, for nearly equal parts."""
    found: np.ndarray = np.arange(size) * count // size
    return found


def _overlaps(size: int, window: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: which cell a place is in, and which windows cover a cell, ``[cells, windows]``."""
    starts = np.arange(-(-(size - window) // stride) + 1) * stride
    over = (np.arange(size)[:, None] >= starts) & (np.arange(size)[:, None] < starts + window)
    cover, ids = np.unique(over, axis=0, return_inverse=True)
    return ids.reshape(-1), cover
