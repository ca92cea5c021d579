"""One class, a class for each record, the difference of two, and their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy, is_array, namespace
from ..cuts import OUTPUT, Cut
from ..errors import QuantityError
from ..values import Value
from .base import Bound, Label, Part, Parts, Picked, Position, Same, count_classes, find_class, parse_integer, part_of


@dataclass(frozen=True, repr=False)
class PredictedClass(Value):
    """The highest-scoring class, chosen once at each record and kept along every path from it."""

    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = count_classes(y, "PredictedClass()")
        return Picked(as_numpy(y).reshape(len(y), classes).argmax(1))


Positions = Position | str | tuple[Label, ...]
"""A position for all records, a range, or a position for each record."""


def check_position(position: Positions, size: int, names: Sequence[str] | None = None, single: bool = True) -> Positions:
    """Positions on an axis of this size. Raises QuantityError where one is not on it, or a slice takes nothing of it."""
    if isinstance(position, tuple):
        return tuple(find_class(one, size, names, single) for one in position)
    if isinstance(position, slice):
        if not range(size)[position]:
            raise QuantityError(f"{position!r} takes nothing", there=f"{size} positions", try_="a slice within them", code="E-TARGET-RANGE")
        return position
    return find_class(position, size, names, single)


def as_position(given: Any) -> Positions:
    """A position as it is, one for each record as a tuple. Raises QuantityError for arrays of more axes, and for no whole numbers."""
    if isinstance(given, (list, tuple)) or (is_array(given) and len(given.shape)):
        ragged = not is_array(given) and len({np.shape(one) for one in given}) > 1
        items = np.empty(0) if ragged else as_numpy(given)
        if items.ndim != 1 or not len(items):
            there = "lists of several lengths" if ragged else f"positions of shape {items.shape}"
            raise QuantityError("positions for each record", there=there, try_="one number per record on each axis", code="E-TARGET-SHAPE")
        return tuple(str(one) if isinstance(one, str) else parse_integer(one) for one in items)
    position: Position = given
    return position


@dataclass(frozen=True, init=False)
class Unit:
    """One number of the value, by its position behind the record axis: ``Unit(3)``, ``Unit(channel, row, column)``.

    A slice among the positions takes a range, and the range is summed. A list, a tuple or an array gives each record a position of
    its own: ``Unit([4, 2, 7], 0)`` is step 4 of the first record, step 2 of the second, step 7 of the third, each in series 0.

    Raises QuantityError when positions are missing, too many, negative or out of range.
    """

    position: tuple[Positions, ...]
    on: Cut
    chooses = False
    scored = True

    def __init__(self, *position: Any, on: Cut = OUTPUT) -> None:
        object.__setattr__(self, "position", tuple([p if type(p) is int else as_position(p) for p in position]))
        object.__setattr__(self, "on", on)

    def __repr__(self) -> str:
        place = [] if self.on == OUTPUT else [f"on={self.on!r}"]
        return f"Unit({', '.join([*map(repr, self.position), *place])})"

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        sizes = tuple(y.shape[1:]) or (1,)
        if len(self.position) != len(sizes):
            raise QuantityError(
                f"{self!r} gives {len(self.position)} position(s)",
                there=f"a value of shape {tuple(y.shape)}, {len(sizes)} axes behind the records",
                try_="Unit(position, class), such as Unit(5, token_id) of a language model; Channel(c) to sum the rest"
                if len(sizes) == 2
                else f"Unit({', '.join(['0'] * len(sizes))}), or Channel(c) to sum the rest",
                code="E-TARGET-SHAPE",
            )
        spot = tuple(check_position(p, n, names, len(sizes) == 1) for p, n in zip(self.position, sizes, strict=True))
        single = len(sizes) == 1 and not isinstance(spot[0], slice)
        if any(isinstance(p, tuple) for p in spot):
            mine = part_of(y, part)
            return Placed(tuple(mine.of(np.array(p), "positions") if isinstance(p, tuple) else p for p in spot), single)
        classes = np.full(len(y), spot[0]) if single else None

        ranges = tuple([repr(p) if isinstance(p, slice) else None for p in spot])
        return Same(number_at, classes, spot, (number_at, ranges))


def number_at(y: Array, *spot: Any) -> Array:
    """The number at a position behind the record axis, ``[rows]``; the sum over a range."""
    part = (y.reshape(-1, 1) if y.ndim == 1 else y)[(slice(None), *spot)]
    return part if part.ndim == 1 else part.reshape(len(part), -1).sum(-1)


@dataclass(frozen=True, eq=False)
class Placed:
    """A bound quantity that reads a position of its own for each record; ``single`` where that is a class."""

    spot: tuple[Any, ...]
    single: bool
    same = False

    @property
    def classes(self) -> np.ndarray | None:
        return self.spot[0] if self.single else None

    def __call__(self, y: Array) -> Array:
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        if not any(isinstance(p, slice) for p in self.spot):
            return y[(np.arange(len(y)), *(np.array(np.broadcast_to(p, len(y))) for p in self.spot))]
        xp, parts = namespace(y), []
        for i in range(len(y)):
            part = y[i][tuple(int(p[i]) if isinstance(p, np.ndarray) else p for p in self.spot)]
            parts.append(part.sum() if part.ndim else part)
        return xp.stack(parts, 0)

    def take(self, rows: np.ndarray) -> Placed:
        return Placed(tuple(p[rows] if isinstance(p, np.ndarray) else p for p in self.spot), self.single)

    def parts(self) -> Parts:
        ranges = tuple([repr(p) if isinstance(p, slice) else None for p in self.spot])
        return (Placed, ranges), tuple([p for p in self.spot if not isinstance(p, slice)])

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        given = iter(arrays)
        return Placed(tuple([p if isinstance(p, slice) else next(given) for p in self.spot]), self.single)(y)


@dataclass(frozen=True, repr=False)
class Labels(Value):
    """A class of its own for each record: numbers, or names that the model's ``id2label`` knows."""

    labels: tuple[Label, ...]
    on: Cut = OUTPUT
    chooses = False
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = count_classes(y, "a class per record")
        labels = self.labels * len(y) if len(self.labels) == 1 else part_of(y, part).of(self.labels, "labels")
        return Picked(np.array([find_class(label, classes, names) for label in labels], dtype=np.int64))


@dataclass(frozen=True, repr=False)
class Contrast(Value):
    """How much more ``a`` than ``b``: the difference of two classes' scores."""

    a: Label
    b: Label
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = count_classes(y, repr(self))
        a, b = (find_class(label, classes, names) for label in (self.a, self.b))
        return Same(difference, None, (a, b), difference)


def difference(y: Array, a: Any, b: Any) -> Array:
    """One number of a row less another."""
    return y[..., a] - y[..., b]


def log_softmax(y: Array) -> Array:
    """Logarithms of probabilities over the last axis; of one score per record, those of "no" and "yes" (a sigmoid)."""
    xp = namespace(y)
    if y.ndim == 1 or y.shape[1] == 1:
        score = y.reshape(-1)
        y = xp.stack([xp.zeros_like(score), score], 1)
    top = xp.amax(y, (1,))[:, None]
    top = top.detach() if hasattr(top, "detach") else top
    return y - top - xp.log(xp.exp(y - top).sum(-1))[:, None]


def softmax(y: Array) -> Array:
    """Probabilities over the last axis; see :func:`log_softmax`."""
    return namespace(y).exp(log_softmax(y))


@dataclass(frozen=True, repr=False)
class LogProb(Value):
    """The log-probability of a class under a softmax of the scores (of a single score: its sigmoid). None is the likeliest."""

    label: Label | tuple[Label, ...] | None = None
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Picked(_scored_classes(self, y, names, part), log_softmax)


@dataclass(frozen=True, repr=False)
class Prob(Value):
    """The probability of a class under a softmax of the scores (of a single score: its sigmoid). None is the likeliest."""

    label: Label | tuple[Label, ...] | None = None
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Picked(_scored_classes(self, y, names, part), softmax)


def _scored_classes(quantity: LogProb | Prob, y: Array, names: Sequence[str] | None, part: Part | None) -> np.ndarray:
    count_classes(y, repr(quantity))
    table = as_numpy(log_softmax(y))
    if quantity.label is None:
        best: np.ndarray = table.argmax(1)
        return best
    labels = quantity.label if isinstance(quantity.label, tuple) else (quantity.label,)
    bound = Labels(labels).bind(table, names, part)
    assert bound.classes is not None
    return bound.classes
