"""Features on a grid: cells of images, sliding windows, segments of a series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coalitions.hierarchies import halve_grid
from ..errors import FeatureError
from ..utils.record_layout import ImageLayout, describe_layout_doubt, format_shape, is_time_ambiguous, time_axis
from ..values import Value, is_count
from .base import FeatureContext, Groups, image_axes, resolve_axis, shapes_with_axes


@dataclass(frozen=True, repr=False)
class Grid(Value):
    """Divides an image into rectangles; all channels of a position belong to the same feature.

    *Use it when* records are images and you need a fixed number of features of equal size.

    ``cells`` is the number of rectangles along height and width, or a tuple with one number for each spatial axis (three for volumes and
    videos). Parts have nearly equal size. The features have a hierarchy: the longer side is halved repeatedly. ``layout`` says where the
    channels are: "NCHW" for ``[channels, height, width]``, "NHWC" for ``[height, width, channels]``. None finds it from the lengths, and
    takes channels first where they leave it open; the check ``features`` of the result reports the choice.

    Raises FeatureError if there are more cells than pixels along an axis.
    """

    cells: int | tuple[int, ...] = 8
    layout: ImageLayout | None = None

    def groups(self, context: FeatureContext) -> Groups:
        cells = parse_sizes(self.cells, len(self.cells) if isinstance(self.cells, (tuple, list)) else 2, repr(self))
        arrays, count, images = [], 0, image_axes(context, len(cells), repr(self), self.layout)
        for image in images:
            inner = image.shape[-len(cells) :]
            if any(c > n for c, n in zip(cells, inner, strict=True)):
                there, advice = f"images of {' x '.join(map(str, inner))}", f"features=asc.Grid({tuple(map(min, cells, inner))})"
                raise FeatureError(f"`{self!r}` has more cells than pixels along an axis", found=there, advice=advice)
            ids = np.ravel_multi_index(np.ix_(*(split_evenly(n, c) for n, c in zip(inner, cells, strict=True))), cells) + count
            arrays.append(image.arrange(ids[None], len(inner)))
            count += int(np.prod(cells))
        one = len(arrays) == 1
        tree = halve_grid(cells) if one else None
        text = f"a grid of {' x '.join(map(str, cells))}{images[0].note}"
        return Groups(
            tuple(arrays),
            count,
            text,
            tree=tree,
            shape=cells if one else None,
            warning=describe_layout_doubt([i.shape for i in images if not i.last], [c > 1 for c in cells], self.layout),
        )


@dataclass(frozen=True, repr=False)
class Pixels(Value):
    """Makes each spatial position a feature; all channels of a position belong together.

    *Use it when* coalitions are smooth masks, as in RISE. Removing pixels one by one needs too many evaluations.

    ``layout`` as in :class:`Grid`. If ``least`` is above 1, a record with two axes, one of them shorter than ``least`` or much
    shorter than the other, is a series: each time step is then a feature.

    Raises FeatureError for several arrays.
    """

    least: int = 1
    layout: ImageLayout | None = None

    def groups(self, context: FeatureContext) -> Groups:
        image, *more = image_axes(context, 2, repr(self), self.layout)
        shape = image.shape
        if more:
            raise FeatureError(f"`{self!r}` groups a single array only", found=", ".join(context.names), advice="at=asc.INPUT.at(0)")
        height, width = shape[-2:]
        if len(shape) == 2 and self.least > 1 and (min(shape) < self.least or describe_layout_doubt([shape])):
            time = time_axis(shape)
            steps, text = shape[time], f"each of {shape[time]} steps along axis {time + 1} of {format_shape(shape)}"
            return Groups((np.arange(steps).reshape(1, *(-1 if i == time else 1 for i in range(2))),), steps, text, shape=(steps,))
        ids = image.arrange(np.arange(height * width).reshape(1, height, width), 2)
        text = f"each of {height} x {width} positions{image.note}"
        warning = "" if image.last else describe_layout_doubt([shape], layout=self.layout)
        return Groups((ids,), height * width, text, shape=(height, width), warning=warning)


@dataclass(frozen=True, repr=False)
class Segments(Value):
    """Divides a series into ``count`` segments of nearly equal length; all channels of a segment belong together.

    *Use it when* records are time series or signals.

    ``axis`` is the time axis of the batch: 1 for ``[records, time, channels]``, 2 for ``[records, channels, time]``. None takes the last
    axis, unless the lengths show that it holds the channels; the check ``features`` of the result reports the choice. The features
    have a hierarchy of halves.

    Raises FeatureError if ``count`` is larger than the number of steps.
    """

    count: int = 16
    axis: int | None = None

    def groups(self, context: FeatureContext) -> Groups:
        arrays, text, warning, count = [], list[str](), list[str](), 0
        parse_sizes(self.count, 1, repr(self))
        for shape in shapes_with_axes(context, 1, repr(self)):
            time = time_axis(shape) if self.axis is None else resolve_axis(self.axis, shape, repr(self))
            if self.count > shape[time]:
                there = f"a series of {shape[time]} steps along axis {time + 1} of {format_shape(shape)}"
                advice = f"features=asc.Segments({shape[time]}){self._other(shape, time)}"
                raise FeatureError(f"`{self!r}` has more segments than the series has steps", found=there, advice=advice)
            arrays.append((split_evenly(shape[time], self.count) + count).reshape(1, *(-1 if i == time else 1 for i in range(len(shape)))))
            count += self.count
            text.append(f" along axis {time + 1} of {format_shape(shape)}" if len(shape) > 1 else "")
            if self.axis is None and len(shape) > 1 and (context.layer or is_time_ambiguous(shape)):
                warning.append(f"the time axis is ambiguous{self._other(shape, time)}")
        one = len(arrays) == 1
        said = f"{self.count} segments of a series{' and '.join(dict.fromkeys(text))}"
        tree = halve_grid((count,)) if one else None
        return Groups(tuple(arrays), count, said, tree=tree, shape=(count,) if one else None, warning="; ".join(dict.fromkeys(warning)))

    def _other(self, shape: tuple[int, ...], time: int) -> str:
        """Returns the code that takes the other axis; empty if there is none."""
        other = 1 if time else 2
        return f"; features=asc.Segments({min(self.count, shape[other - 1])}, axis={other}) divides the other" if len(shape) > 1 else ""


@dataclass(frozen=True, repr=False)
class Windows(Value):
    """Makes each position of a sliding window a feature.

    *Use it when* records are images or series and you want occlusion maps with overlapping windows.

    ``size`` is the size of the window along the last axes, one number for each axis (one number alone: two axes); of images with channels
    last, along the axes before the channels. ``layout`` as in :class:`Grid`, for two axes and more. ``stride`` is the step; None takes the
    size, so that windows do not overlap. A coordinate gets the mean value of the windows that cover it. The last window
    along an axis may extend less far: it ends at the border.

    Raises FeatureError for several arrays, a window larger than the record, and a stride larger than the window.
    """

    size: int | tuple[int, ...]
    stride: int | tuple[int, ...] | None = None
    layout: ImageLayout | None = None

    def groups(self, context: FeatureContext) -> Groups:
        size = parse_sizes(self.size, len(self.size) if isinstance(self.size, (tuple, list)) else 2, repr(self))
        step = size if self.stride is None else parse_sizes(self.stride, len(size), repr(self))
        image, *more = image_axes(context, len(size), repr(self), self.layout)
        if more:
            raise FeatureError(
                f"`{self!r}` groups a single array only", found=", ".join(context.names), advice="at=asc.INPUT.at(0), or asc.Grid(8)"
            )
        inner = image.shape[-len(size) :]
        check_windows(size, step, inner)
        sides = [_overlaps(n, w, s) for n, w, s in zip(inner, size, step, strict=True)]
        cells, cover = np.zeros((1,) * len(inner), dtype=np.int64), np.ones((1, 1), dtype=bool)
        for axis, (ids, covered) in enumerate(sides):
            cells = cells * len(covered) + ids.reshape([-1 if i == axis else 1 for i in range(len(inner))])
            cover = np.kron(cover, covered)
        shape = tuple(covered.shape[1] for _, covered in sides)
        text = f"{cover.shape[1]} windows of {' x '.join(map(str, size))}{image.note}"
        apart = bool((cover.sum(1) == 1).all())
        cells = cover.argmax(1)[cells] if apart else cells
        cells = image.arrange(cells[None], len(inner))
        doubtful = [] if image.last else [image.shape]
        warning = describe_layout_doubt(doubtful, [w < n for w, n in zip(size, inner, strict=True)], self.layout)
        return Groups((cells,), cover.shape[1], text, None if apart else cover, shape=shape, warning=warning)


def check_windows(size: tuple[int, ...], step: tuple[int, ...], inner: tuple[int, ...]) -> None:
    """Raises FeatureError if a window is larger than the record, or a stride leaves gaps between windows."""
    for axis, (window, stride, length) in enumerate(zip(size, step, inner, strict=True), -len(size)):
        if window > length:
            there = f"{length} coordinates on axis {axis} of records {' x '.join(map(str, inner))}"
            advice = f"size={tuple(map(min, size, inner))}"
            raise FeatureError(f"A window of size {window} is larger than the record", found=there, advice=advice)
        if stride > window:
            there = f"windows of size {window} on axis {axis}, so that positions between two windows would be in none"
            advice = f"stride={tuple(map(min, step, size))}"
            raise FeatureError(f"A stride of {stride} leaves gaps between windows", found=there, advice=advice)


def parse_sizes(given: Any, axes: int, what: str) -> tuple[int, ...]:
    """Returns one number for each axis. Raises FeatureError unless all are integers >= 1, one alone or one for each axis."""
    numbers = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    if not numbers or len(numbers) != axes or not all(map(is_count, numbers)):
        there = f"{given!r} for {axes} axes" if axes > 1 else repr(given)
        raise FeatureError(
            f"`{what}` needs integers >= 1: a single one, or one for each axis", found=there, advice="8, or (8, 8) for two axes"
        )
    return numbers


def split_evenly(size: int, count: int) -> np.ndarray:
    """Returns the part of each of ``size`` positions, for ``count`` parts of nearly equal length."""
    numbers: np.ndarray = np.arange(size) * count // size
    return numbers


def _overlaps(size: int, window: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cell of each position along one axis, and the windows that cover a cell, ``[cells, windows]``."""
    starts = np.arange(-(-(size - window) // stride) + 1) * stride
    over = (np.arange(size)[:, None] >= starts) & (np.arange(size)[:, None] < starts + window)
    cover, ids = np.unique(over, axis=0, return_inverse=True)
    return ids.reshape(-1), cover
