"""Quantities of classes: one class, a class per record, the difference of two classes, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, ArrayLike, as_numpy, is_array, namespace
from ..cuts import OUTPUT, Cut, CutLike
from ..errors import QuantityError
from ..values import Value
from .base import (
    Bound,
    BoundClasses,
    BoundFunction,
    Label,
    Part,
    Parts,
    Position,
    all_records,
    count_classes,
    find_class,
    find_classes,
    parse_integer,
    sum_rows,
)


@dataclass(frozen=True, repr=False)
class PredictedClass(Value):
    """The score of the predicted class of each record. It is the default of ``of=``.

    *Use it when* the question is why the model made its prediction.

    The output must be ``[records, classes]`` or ``[records]``. The class is selected once, at the
    record, and is the same at all points of a path.

    Raises QuantityError if the output has more axes.
    """

    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = count_classes(y, "PredictedClass()")
        return BoundClasses(as_numpy(y).reshape(len(y), classes).argmax(1))


PositionLike = int | slice | str | Sequence[int | str] | ArrayLike
"""Accepted by :class:`Unit` for each axis: an index, a slice, a class name, or one index per record."""
Positions = Position | str | tuple[Label, ...]
"""An index for all records, a slice, or an index for each record."""


def check_position(position: Positions, size: int, names: Sequence[str] | None = None, single: bool = True) -> Positions:
    """Returns positions as indices of an axis of this size. Raises QuantityError if one is out of range or a slice is empty."""
    if isinstance(position, tuple):
        return tuple(find_class(one, size, names, single) for one in position)
    if isinstance(position, slice):
        if not range(size)[position]:
            raise QuantityError(
                f"The position {position!r} selects no element",
                found=f"an axis of length {size}",
                advice=f"slice(0, {size})",
                code="E-TARGET-RANGE",
            )
        return position
    return find_class(position, size, names, single)


def as_position(given: Any) -> Positions:
    """Returns an int, a str or a slice unchanged, and positions per record as a tuple.

    Raises QuantityError for arrays that are not one-dimensional and for values that are not integers.
    """
    if isinstance(given, (list, tuple)) or (is_array(given) and len(given.shape)):
        ragged = not is_array(given) and len({np.shape(one) for one in given}) > 1
        items = np.empty(0) if ragged else as_numpy(given)
        if items.ndim != 1 or not len(items):
            there = "lists of several lengths" if ragged else f"positions of shape {items.shape}"
            problem = "Positions given per record must have one axis, `[records]`"
            raise QuantityError(
                problem, found=there, advice="of=asc.Unit([4, 2, 7], 0), one index per record for each axis", code="E-TARGET-SHAPE"
            )
        return tuple(str(one) if isinstance(one, str) else parse_integer(one) for one in items)
    position: Position = given
    return position


@dataclass(frozen=True, init=False)
class Unit:
    """One element of the output (or of a layer) per record: ``Unit(3)``, ``Unit(channel, row, column)``.

    *Use it when* the value has more axes than ``[records, classes]``, such as the logits of a language model,
    ``Unit(position, token_id)``, or to explain a neuron of a layer: ``Unit(3, on="layer4")``.

    There is one position for each axis after the batch dimension. A slice selects a range, whose elements are summed. A list, a tuple or
    an array has one index per record: ``Unit([4, 2, 7], 0)`` reads step 4 of record 0, step 2 of record 1, step 7 of record 2.

    Raises QuantityError if positions are missing, too many, negative or out of range.
    """

    position: tuple[Positions, ...]
    on: Cut
    chooses = False
    scored = True

    def __init__(self, *position: PositionLike, on: CutLike = OUTPUT) -> None:
        object.__setattr__(self, "position", tuple([p if type(p) is int else as_position(p) for p in position]))
        object.__setattr__(self, "on", on)

    def __repr__(self) -> str:
        place = [] if self.on == OUTPUT else [f"on={self.on!r}"]
        return f"Unit({', '.join([*map(repr, self.position), *place])})"

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        sizes = tuple(y.shape[1:]) or (1,)
        if len(self.position) != len(sizes):
            raise QuantityError(
                f"`{self!r}` needs one position for each axis after the batch dimension",
                found=f"{len(self.position)} position(s) for a value of shape {tuple(y.shape)}",
                advice="of=asc.Unit(5, token_id) for one position, or of=asc.quantities.Channel(c) for the sum over positions"
                if len(sizes) == 2
                else f"of=asc.Unit({', '.join(['0'] * len(sizes))}), or of=asc.quantities.Channel(c) for the sum over the other axes",
                code="E-TARGET-SHAPE",
            )
        spot = tuple(check_position(p, n, names, len(sizes) == 1) for p, n in zip(self.position, sizes, strict=True))
        single = len(sizes) == 1 and not isinstance(spot[0], slice)
        if any(isinstance(p, tuple) for p in spot):
            mine = all_records(y, part)
            return BoundPositions(tuple(mine.of(np.array(p), "positions") if isinstance(p, tuple) else p for p in spot), single)
        classes = np.full(len(y), spot[0]) if single else None

        ranges = tuple([repr(p) if isinstance(p, slice) else None for p in spot])
        return BoundFunction(number_at, classes, spot, (number_at, ranges))


def number_at(y: Array, *spot: Any) -> Array:
    """Returns the element at a position after the batch dimension, ``[rows]``; a slice is summed."""
    part = (y[:, None] if y.ndim == 1 else y)[(slice(None), *spot)]
    return part if part.ndim == 1 else sum_rows(part)


@dataclass(frozen=True, eq=False)
class BoundPositions:
    """A bound quantity that reads another position for each record; ``single`` is True if the position is a class."""

    spot: tuple[Any, ...]
    single: bool
    same = False

    @property
    def classes(self) -> np.ndarray | None:
        return self.spot[0] if self.single else None

    def __call__(self, y: Array) -> Array:
        y = y[:, None] if y.ndim == 1 else y
        if not any(isinstance(p, slice) for p in self.spot):
            return select_elements(y, [np.broadcast_to(p, len(y)) for p in self.spot])
        xp, parts = namespace(y), []
        for i in range(len(y)):
            part = y[i][tuple(int(p[i]) if isinstance(p, np.ndarray) else p for p in self.spot)]
            parts.append(xp.sum(part) if part.ndim else part)
        return xp.stack(parts, 0)

    def take(self, rows: np.ndarray) -> BoundPositions:
        return BoundPositions(tuple(p[rows] if isinstance(p, np.ndarray) else p for p in self.spot), self.single)

    def parts(self) -> Parts:
        ranges = tuple([repr(p) if isinstance(p, slice) else None for p in self.spot])
        return (BoundPositions, ranges), tuple([p for p in self.spot if not isinstance(p, slice)])

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        given = iter(arrays)
        return BoundPositions(tuple([p if isinstance(p, slice) else next(given) for p in self.spot]), self.single)(y)


@dataclass(frozen=True, repr=False)
class Labels(Value):
    """The score of a given class per record, such as the true labels.

    *Use it when* each record has its own class: ``of=y``, a list or an array of labels, is the same.

    ``labels`` has one entry per record, or a single one for all: an index, or a name from the model's ``id2label``. The output must be
    ``[records, classes]`` or ``[records]``.

    Raises QuantityError for another number of labels, an unknown name or a class out of range.
    """

    labels: tuple[Label, ...]
    on: Cut = OUTPUT
    chooses = False
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = count_classes(y, "of=labels")
        labels = self.labels * len(y) if len(self.labels) == 1 else all_records(y, part).of(self.labels, "labels")
        return BoundClasses(find_classes(labels, classes, names))


@dataclass(frozen=True, repr=False)
class Contrast(Value):
    """The difference of two class scores, ``y[:, a] - y[:, b]``: evidence for class ``a`` against class ``b``.

    *Use it when* the question is why the model prefers one class to another. Of logits it is the log odds of the two classes.

    ``a`` and ``b`` are indices or names from the model's ``id2label``. The output must be ``[records, classes]``.

    Raises QuantityError for an unknown name or a class out of range.
    """

    a: Label
    b: Label
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = count_classes(y, repr(self))
        a, b = (find_class(label, classes, names) for label in (self.a, self.b))
        return BoundFunction(difference, None, (a, b), difference)


def select_elements(y: Array, spot: Sequence[np.ndarray]) -> Array:
    """Returns one element of each row, ``[rows]``, at indices that are given for every axis but the first."""
    xp, shape = namespace(y), tuple(y.shape)
    if len(spot) < len(shape) - 1:  # whole parts of a row: the check of the shape reports them
        return y[(np.arange(len(y)), *map(np.array, spot))]
    places = np.ravel_multi_index((np.arange(len(y)), *(p % n for p, n in zip(spot, shape[1:], strict=True))), shape)
    return xp.take(xp.reshape(y, (-1,)), xp.asarray(places, y), 0)


def difference(y: Array, a: Any, b: Any) -> Array:
    """Returns the difference of two elements of each row, ``[rows]``."""
    return y[..., a] - y[..., b]


def log_softmax(y: Array) -> Array:
    """Returns log-probabilities ``[records, classes]`` of scores; a single score per record becomes two classes by a sigmoid."""
    xp = namespace(y)
    if y.ndim == 1 or y.shape[1] == 1:
        score = xp.reshape(y, (-1,))
        y = xp.stack([xp.zeros_like(score), score], 1)
    top = xp.amax(y, (1,))[:, None]
    top = xp.stop(top)
    return y - top - xp.log(xp.sum(xp.exp(y - top), (1,)))[:, None]


def softmax(y: Array) -> Array:
    """Returns probabilities ``[records, classes]`` of scores; see :func:`log_softmax`."""
    return namespace(y).exp(log_softmax(y))


@dataclass(frozen=True, repr=False)
class LogProb(Value):
    """The log-probability of a class: the log-softmax of the scores, or the log-sigmoid of a single score.

    *Use it when* the model returns logits, and the explanation should depend on how they compare with those of the other classes.

    ``label`` is an index, a name, or a tuple of one per record; None is the most probable class. The output must be
    ``[records, classes]`` or ``[records]``.

    Raises QuantityError for an unknown name or a class out of range.
    """

    label: Label | tuple[Label, ...] | None = None
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return BoundClasses(_scored_classes(self, y, names, part), log_softmax)


@dataclass(frozen=True, repr=False)
class Prob(Value):
    """The probability of a class: the softmax of the scores, or the sigmoid of a single score.

    *Use it when* the model returns logits, and the values should add up to a change of the probability. Gradients vanish where the
    probability is near 0 or 1; those of :class:`LogProb` vanish near 1 only.

    ``label`` is an index, a name, or a tuple of one per record; None is the most probable class. The output must be
    ``[records, classes]`` or ``[records]``.

    Raises QuantityError for an unknown name or a class out of range.
    """

    label: Label | tuple[Label, ...] | None = None
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return BoundClasses(_scored_classes(self, y, names, part), softmax)


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
