"""One class, a class for each record, the difference of two, and their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..cuts import OUTPUT, Cut
from ..errors import QuantityError
from ..values import Value
from .base import Bound, Label, Part, Picked, Position, Same, class_index, one_table, part_of


@dataclass(frozen=True, repr=False)
class Max(Value):
    """The highest-scoring class, chosen once at each record and kept along every path from it."""

    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = one_table(y, "Max()")
        return Picked(as_numpy(y).reshape(len(y), classes).argmax(1))


def within(position: Position, size: int) -> Position:
    """A position on an axis of this size. Raises QuantityError where it is not on it, or a slice takes nothing of it."""
    if isinstance(position, slice):
        if not range(size)[position]:
            raise QuantityError(f"{position!r} takes nothing", there=f"{size} positions", try_="a slice within them", code="E-TARGET-RANGE")
        return position
    return class_index(position, size, None)


@dataclass(frozen=True, init=False)
class Unit:
    """One number of the value, by its position behind the record axis: ``Unit(3)``, ``Unit(channel, row, column)``.

    A slice among the positions takes a range, and the range is summed. Raises QuantityError when positions are missing,
    too many, negative or out of range.
    """

    position: tuple[Position, ...]
    on: Cut
    chooses = False
    scored = True

    def __init__(self, *position: Position, on: Cut = OUTPUT) -> None:
        object.__setattr__(self, "position", position)
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
                try_=f"Unit({', '.join(['0'] * len(sizes))}), or Channel(c) to sum the rest",
                code="E-TARGET-SHAPE",
            )
        spot = tuple(within(p, n) for p, n in zip(self.position, sizes, strict=True))
        single = len(sizes) == 1 and not isinstance(spot[0], slice)
        classes = np.full(len(y), spot[0]) if single else None

        def read(y: Array) -> Array:
            part = (y.reshape(-1, 1) if y.ndim == 1 else y)[(slice(None), *spot)]
            return part if part.ndim == 1 else part.reshape(len(part), -1).sum(-1)

        return Same(read, classes)


@dataclass(frozen=True, repr=False)
class Labels(Value):
    """A class of its own for each record: numbers, or names that the model's ``id2label`` knows."""

    labels: tuple[Label, ...]
    on: Cut = OUTPUT
    chooses = False
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = one_table(y, "a class per record")
        labels = self.labels * len(y) if len(self.labels) == 1 else part_of(y, part).of(self.labels, "labels")
        return Picked(np.array([class_index(label, classes, names) for label in labels], dtype=np.int64))


@dataclass(frozen=True, repr=False)
class Contrast(Value):
    """How much more ``a`` than ``b``: the difference of two classes' scores."""

    a: Label
    b: Label
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = one_table(y, repr(self))
        a, b = (class_index(label, classes, names) for label in (self.a, self.b))
        return Same(lambda y: y[..., a] - y[..., b])


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
    one_table(y, repr(quantity))
    table = as_numpy(log_softmax(y))
    if quantity.label is None:
        best: np.ndarray = table.argmax(1)
        return best
    labels = quantity.label if isinstance(quantity.label, tuple) else (quantity.label,)
    bound = Labels(labels).bind(table, names, part)
    assert bound.classes is not None
    return bound.classes
