"""Quantities that reduce several elements: a channel, a box, a masked region, the sum of everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..arrays import Array, ArrayLike, as_numpy, namespace
from ..cuts import OUTPUT, Cut
from ..errors import QuantityError
from ..values import Value
from .base import Bound, BoundFunction, Part, Parts, all_records, find_class, sum_rows


@dataclass(frozen=True, repr=False)
class Channel(Value):
    """The sum, mean or maximum of one channel of a value, over all other axes.

    *Use it when* the value has positions and one number per record is needed: a class of a segmentation, a feature map of a layer.

    ``channel`` is the index on ``axis`` (1, counted with the batch dimension): ``[records, channels, ...]``.

    Raises QuantityError if the value has no such axis or channel.
    """

    channel: int
    aggregate: Literal["sum", "mean", "max"] = "sum"
    on: Cut = OUTPUT
    axis: int = 1

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        if self.aggregate not in ("sum", "mean", "max"):
            problem = '`aggregate=` must be "sum", "mean" or "max"'
            raise QuantityError(problem, found=f"aggregate={self.aggregate!r}", advice=f'Channel({self.channel}, "mean")')
        if not -y.ndim < self.axis < y.ndim or self.axis == 0:
            raise QuantityError(
                f"The value has no channel axis {self.axis}, which `{self!r}` reads",
                found=f"a value of shape {tuple(y.shape)}",
                advice=f"Channel({self.channel}, axis={y.ndim - 1})" if y.ndim > 1 else "asc.PredictedClass()",
                code="E-TARGET-SHAPE",
            )
        axis = self.axis % y.ndim
        channel = find_class(self.channel, y.shape[axis], None)

        def read(y: Array) -> Array:
            part = y[(*[slice(None)] * axis, channel)]
            xp = namespace(part)
            reduce = {"sum": xp.sum, "mean": xp.mean, "max": xp.amax}[self.aggregate]
            return reduce(xp.reshape(part, (len(part), -1)), (1,))

        return BoundFunction(read, key=self)


@dataclass(frozen=True, repr=False)
class Total(Value):
    """The sum of all elements of the value of a record.

    *Use it when* no single element matters: the activation of a whole layer, the output of a regression with several outputs.
    """

    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return BoundFunction(sum_rows, key=self)


@dataclass(frozen=True, repr=False)
class Threshold(Value):
    """The sum of all elements above ``threshold`` minus the sum of those below it; ``low_minus_high`` negates it.

    *Use it when* results of TruLens (``ThresholdQoI``) are to be reproduced.
    """

    threshold: float
    low_minus_high: bool = False
    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        side = -1.0 if self.low_minus_high else 1.0

        def read(y: Array) -> Array:
            signed = namespace(y).sign(y - self.threshold) * y * side
            return sum_rows(signed)

        return BoundFunction(read, key=self)


@dataclass(frozen=True, repr=False)
class Box(Value):
    """The mean of one channel inside a box ``(top, left, bottom, right)``; ``bottom`` and ``right`` are exclusive.

    *Use it when* a detector or a segmentation network is explained for a rectangular region.

    The value must be ``[records, channels, height, width]``. Raises QuantityError if it is not, or if the box is empty or not inside it.
    """

    channel: int
    box: tuple[int, int, int, int]
    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        channel = _spatial_channel(self.channel, y, repr(self))
        top, left, bottom, right = self.box
        if not (0 <= top < bottom <= y.shape[2] and 0 <= left < right <= y.shape[3]):
            raise QuantityError(
                f"The box {self.box} is empty or not inside the value",
                found=f"height {y.shape[2]}, width {y.shape[3]}",
                advice=f"Box({self.channel}, (0, 0, {y.shape[2]}, {y.shape[3]})), which is (top, left, bottom, right)",
            )

        def read(y: Array) -> Array:
            xp = namespace(y)
            return xp.mean(xp.reshape(y[:, channel, top:bottom, left:right], (len(y), -1)), (1,))

        return BoundFunction(read, key=self)


@dataclass(frozen=True, eq=False, repr=False)
class Region(Value):
    """The weighted mean of one channel under a mask with weights >= 0.

    *Use it when* a segmentation network is explained for an object: the mask is its predicted or true region.

    The value must be ``[records, channels, height, width]``, the mask ``[height, width]`` for all records or ``[records, height, width]``.

    Raises QuantityError if shapes do not fit, or if a mask is all zero or has negative weights.
    """

    channel: int
    mask: ArrayLike
    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        channel = _spatial_channel(self.channel, y, "Region")
        weights = as_numpy(self.mask).astype(np.float64)
        weights = weights[None] if weights.ndim == 2 else weights
        weights = weights if len(weights) == 1 else all_records(y, part).of(weights, "masks")
        if weights.shape[1:] != tuple(y.shape[2:]) or len(weights) not in (1, len(y)):
            raise QuantityError(
                "The mask does not have the height and width of the value",
                found=f"a mask of shape {weights.shape} for a value of shape {tuple(y.shape)}",
                advice=f"Region({self.channel}, mask) with a mask of shape {tuple(y.shape[2:])}",
            )
        if (weights < 0).any() or (weights.sum((1, 2)) == 0).any():
            problem = "The mask of a region must have weights >= 0 that are not all zero"
            raise QuantityError(problem, found="negative weights or an empty mask", advice=f"Region({self.channel}, mask > 0)")
        return BoundRegion(channel, np.repeat(weights / weights.sum((1, 2), keepdims=True), len(y) if len(weights) == 1 else 1, 0))


@dataclass(frozen=True, eq=False)
class BoundRegion:
    """A bound :class:`Region`: weights that sum to 1 for each record."""

    channel: int
    weights: np.ndarray
    classes: np.ndarray | None = None
    same = False

    def __call__(self, y: Array) -> Array:
        part = y[:, self.channel]
        return sum_rows(part * namespace(part).asarray(self.weights, part))

    def take(self, rows: np.ndarray) -> BoundRegion:
        return BoundRegion(self.channel, self.weights[rows])

    def parts(self) -> Parts:
        return (BoundRegion, self.channel), (self.weights,)

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        return BoundRegion(self.channel, arrays[0])(y)


def _spatial_channel(channel: int, y: Array, what: str) -> int:
    if y.ndim != 4:
        raise QuantityError(
            f"`{what}` needs a value `[records, channels, height, width]`",
            found=f"a value of shape {tuple(y.shape)}",
            advice="asc.Unit(...) or asc.quantities.Channel(c)",
            code="E-TARGET-SHAPE",
        )
    return find_class(channel, y.shape[1], None)
