"""More than one number of a value: a channel, a box, a region under a mask, everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..cuts import OUTPUT, Cut
from ..errors import QuantityError
from ..values import Value
from .base import Bound, Part, Parts, Same, find_class, part_of


@dataclass(frozen=True, repr=False)
class Channel(Value):
    """All of one channel, a single number per record: its ``"sum"``, ``"mean"`` or ``"max"`` over the other axes."""

    channel: int
    aggregate: Literal["sum", "mean", "max"] = "sum"
    on: Cut = OUTPUT
    axis: int = 1

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        if self.aggregate not in ("sum", "mean", "max"):
            raise QuantityError(f"aggregate={self.aggregate!r}", there="sum, mean, max")
        if not -y.ndim < self.axis < y.ndim or self.axis == 0:
            raise QuantityError(f"{self!r} has no channel axis", there=f"a value of shape {tuple(y.shape)}", code="E-TARGET-SHAPE")
        axis = self.axis % y.ndim
        channel = find_class(self.channel, y.shape[axis], None)

        def read(y: Array) -> Array:
            part = y[(*[slice(None)] * axis, channel)]
            flat = part.reshape(len(part), -1)
            return namespace(flat).amax(flat, (1,)) if self.aggregate == "max" else getattr(flat, self.aggregate)(-1)

        return Same(read, key=self)


@dataclass(frozen=True, repr=False)
class Total(Value):
    """The sum of everything the value holds for the record."""

    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Same(lambda y: y.reshape(len(y), -1).sum(-1), key=self)


@dataclass(frozen=True, repr=False)
class Threshold(Value):
    """Everything above ``threshold`` less everything below it; ``low_minus_high`` turns the sign."""

    threshold: float
    low_minus_high: bool = False
    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        side = -1.0 if self.low_minus_high else 1.0

        def read(y: Array) -> Array:
            signed = namespace(y).sign(y - self.threshold) * y * side
            return signed.reshape(len(y), -1).sum(-1)

        return Same(read, key=self)


@dataclass(frozen=True, repr=False)
class Box(Value):
    """The mean of one channel inside a box ``(top, left, bottom, right)``; the lower right edge is outside."""

    channel: int
    box: tuple[int, int, int, int]
    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        channel = _spatial_channel(self.channel, y, repr(self))
        top, left, bottom, right = self.box
        if not (0 <= top < bottom <= y.shape[2] and 0 <= left < right <= y.shape[3]):
            raise QuantityError(
                f"box {self.box} is not inside the value",
                there=f"height {y.shape[2]}, width {y.shape[3]}",
                try_="(top, left, bottom, right) with top < bottom and left < right",
            )
        return Same(lambda y: y[:, channel, top:bottom, left:right].reshape(len(y), -1).mean(-1), key=self)


@dataclass(frozen=True, eq=False, repr=False)
class Region(Value):
    """The mean of one channel under a mask: ``[height, width]`` for all records or ``[records, height, width]``, weights >= 0."""

    channel: int
    mask: Array
    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        channel = _spatial_channel(self.channel, y, "Region")
        weights = as_numpy(self.mask).astype(np.float64)
        weights = weights[None] if weights.ndim == 2 else weights
        weights = weights if len(weights) == 1 else part_of(y, part).of(weights, "masks")
        if weights.shape[1:] != tuple(y.shape[2:]) or len(weights) not in (1, len(y)):
            raise QuantityError(
                f"a mask of shape {weights.shape}",
                there=f"a value of shape {tuple(y.shape)}",
                try_=f"a mask of shape {tuple(y.shape[2:])}",
            )
        if (weights < 0).any() or (weights.sum((1, 2)) == 0).any():
            raise QuantityError("a mask that is empty or has negative weights", try_="a mask with something in it")
        return Masked(channel, np.repeat(weights / weights.sum((1, 2), keepdims=True), len(y) if len(weights) == 1 else 1, 0))


@dataclass(frozen=True, eq=False)
class Masked:
    """A bound :class:`Region`: weights that sum to 1 for each record."""

    channel: int
    weights: np.ndarray
    classes: np.ndarray | None = None
    same = False

    def __call__(self, y: Array) -> Array:
        part = y[:, self.channel]
        return (part * namespace(part).asarray(self.weights, part)).reshape(len(y), -1).sum(-1)

    def take(self, rows: np.ndarray) -> Masked:
        return Masked(self.channel, self.weights[rows])

    def parts(self) -> Parts:
        return (Masked, self.channel), (self.weights,)

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        return Masked(self.channel, arrays[0])(y)


def _spatial_channel(channel: int, y: Array, what: str) -> int:
    if y.ndim != 4:
        raise QuantityError(
            f"{what} needs a value [records, channels, height, width]", there=f"shape {tuple(y.shape)}", code="E-TARGET-SHAPE"
        )
    return find_class(channel, y.shape[1], None)
