"""What is explained: one number per record, read at a cut.

A quantity is a value (frozen, comparable, with a repr that can be pasted back). It is *bound* once to what the model gives
for the records: there ``Max`` chooses its class, names become positions, and every position is checked. The bound quantity
is then a pure function of arrays, evaluated at every point. ``take`` restricts it to some records, so that each keeps its
own label wherever its rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from .arrays import Array, as_numpy, is_array, namespace
from .cuts import OUTPUT, Cut
from .errors import QuantityError
from .tree import walk
from .values import Value

Label = int | str
Position = int | slice


class Part(NamedTuple):
    """Which records a block holds, of how many in the call: what is given per record is cut to them."""

    index: np.ndarray
    total: int

    def of(self, items: Any, what: str) -> Any:
        """The block's share of something that has one entry per record.

        Raises QuantityError when it has another number of entries.
        """
        if len(items) != self.total:
            raise QuantityError(
                f"{len(items)} {what}",
                there=f"{self.total} records",
                try_="one per record, or a single one",
                code="E-TARGET-COUNT",
            )
        return [items[i] for i in self.index] if isinstance(items, (tuple, list)) else items[self.index]


def part_of(y: Array, part: Part | None) -> Part:
    """The given part, or all the records that ``y`` has."""
    return Part(np.arange(len(y)), len(y)) if part is None else part


class Quantity(Protocol):
    """One number per record, from the value at the cut ``on``."""

    @property
    def on(self) -> Cut: ...

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        """Fix everything that depends on the records, whose value at the cut is ``y``, and check it."""


class Bound(Protocol):
    """A quantity that knows its records."""

    @property
    def classes(self) -> np.ndarray | None:
        """The class explained for each record, where the quantity is one."""

    @property
    def same(self) -> bool:
        """Whether it is the same function for every record."""

    def __call__(self, y: Array) -> Array:
        """``[rows, ...] -> [rows]``."""

    def take(self, rows: np.ndarray) -> Bound:
        """The same quantity for other rows: ``rows[i]`` is the record that row i belongs to."""


@dataclass(frozen=True)
class Same:
    """A bound quantity that is the same function for every record."""

    fn: Callable[[Array], Array]
    classes: np.ndarray | None = None
    same = True

    def __call__(self, y: Array) -> Array:
        return self.fn(y)

    def take(self, rows: np.ndarray) -> Same:
        return self


@dataclass(frozen=True, eq=False)
class Picked:
    """A bound quantity that reads one class per record, after ``score`` where there is one."""

    classes: np.ndarray
    score: Callable[[Array], Array] | None = None
    same = False

    def __call__(self, y: Array) -> Array:
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        return namespace(y).pick(y if self.score is None else self.score(y), self.classes)

    def take(self, rows: np.ndarray) -> Picked:
        return Picked(self.classes[rows], self.score)


def class_index(label: Any, classes: int, names: Sequence[str] | None) -> int:
    """The position of a class given by number or by name.

    Raises QuantityError for a name that is not there, a number out of range, a negative one, or one that is no whole number.
    """
    if isinstance(label, str):
        if names is None or label not in names:
            known = ", ".join(map(repr, names[:20])) if names else "no class names in the model's config (id2label)"
            raise QuantityError(
                f"class {label!r} is not known", there=known, try_="the class by its number", code="E-TARGET-NAME"
            )
        return list(names).index(label)
    number = as_numpy(label)
    if number.size != 1 or number.dtype.kind not in "iuf" or float(number.reshape(())) != int(number.reshape(())):
        raise QuantityError(f"class {label!r} is not a whole number", try_="an int per record", code="E-TARGET-TYPE")
    index = int(number.reshape(()))
    if not 0 <= index < classes:
        fix = f"{classes + index}, counted from the front" if -classes <= index < 0 else f"a class from 0 to {classes - 1}"
        raise QuantityError(f"class {index} is out of range", there=f"{classes} classes", try_=fix, code="E-TARGET-RANGE")
    return index


def one_table(y: Array, what: str) -> int:
    """The number of classes of an output that has one row of scores per record.

    Raises QuantityError for outputs with more axes, and says how to ask for one of their numbers.
    """
    if y.ndim > 2:
        raise QuantityError(
            f"{what} needs one row of scores per record",
            there=f"a value of shape {tuple(y.shape)}",
            try_=f"Unit{tuple([0] * (y.ndim - 1))} for one position, Channel(c), Box(c, ...) or Mask(c, ...) for a region",
            code="E-TARGET-SHAPE",
        )
    return 1 if y.ndim == 1 else int(y.shape[1])


@dataclass(frozen=True, repr=False)
class Max(Value):
    """The highest-scoring class, chosen once at each record and kept along every path from it."""

    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = one_table(y, "Max()")
        return Picked(as_numpy(y).reshape(len(y), classes).argmax(1))


@dataclass(frozen=True, init=False)
class Unit:
    """One number of the value, by its position behind the record axis: ``Unit(3)``, ``Unit(channel, row, column)``.

    A slice among the positions takes a range, and the range is summed. Raises QuantityError when positions are missing,
    too many, negative or out of range.
    """

    position: tuple[Position, ...]
    on: Cut

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
        spot = tuple(p if isinstance(p, slice) else class_index(p, n, None) for p, n in zip(self.position, sizes, strict=True))
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

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        classes = one_table(y, repr(self))
        a, b = (class_index(label, classes, names) for label in (self.a, self.b))
        return Same(lambda y: y[..., a] - y[..., b])


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
            raise QuantityError(
                f"{self!r} has no channel axis", there=f"a value of shape {tuple(y.shape)}", code="E-TARGET-SHAPE"
            )
        axis = self.axis % y.ndim
        channel = class_index(self.channel, y.shape[axis], None)

        def read(y: Array) -> Array:
            part = y[(*[slice(None)] * axis, channel)]
            flat = part.reshape(len(part), -1)
            return namespace(flat).amax(flat, (1,)) if self.aggregate == "max" else getattr(flat, self.aggregate)(-1)

        return Same(read)


@dataclass(frozen=True, repr=False)
class Total(Value):
    """The sum of everything the value holds for the record."""

    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Same(lambda y: y.reshape(len(y), -1).sum(-1))


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

        return Same(read)


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

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Picked(_scored_classes(self, y, names, part), log_softmax)


@dataclass(frozen=True, repr=False)
class Prob(Value):
    """The probability of a class under a softmax of the scores (of a single score: its sigmoid). None is the likeliest."""

    label: Label | tuple[Label, ...] | None = None
    on: Cut = OUTPUT

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
        return Same(lambda y: y[:, channel, top:bottom, left:right].reshape(len(y), -1).mean(-1))


@dataclass(frozen=True, eq=False, repr=False)
class Mask(Value):
    """The mean of one channel under a mask: ``[height, width]`` for all records or ``[records, height, width]``, weights >= 0."""

    channel: int
    mask: Array
    on: Cut = OUTPUT

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        channel = _spatial_channel(self.channel, y, "Mask")
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
    """A bound :class:`Mask`: weights that sum to 1 for each record."""

    channel: int
    weights: np.ndarray
    classes: np.ndarray | None = None
    same = False

    def __call__(self, y: Array) -> Array:
        part = y[:, self.channel]
        return (part * namespace(part).asarray(self.weights, part)).reshape(len(y), -1).sum(-1)

    def take(self, rows: np.ndarray) -> Masked:
        return Masked(self.channel, self.weights[rows])


def _spatial_channel(channel: int, y: Array, what: str) -> int:
    if y.ndim != 4:
        raise QuantityError(
            f"{what} needs a value [records, channels, height, width]", there=f"shape {tuple(y.shape)}", code="E-TARGET-SHAPE"
        )
    return class_index(channel, y.shape[1], None)


@dataclass(frozen=True)
class Custom:
    """Any function of the value at the cut (of the whole output, when that is a container) that gives one number per record."""

    fn: Callable[[Any], Array]
    on: Cut = OUTPUT
    whole = True

    def __repr__(self) -> str:
        place = "" if self.on == OUTPUT else f", on={self.on!r}"
        return f"Custom({getattr(self.fn, '__qualname__', repr(self.fn))}{place})"

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Same(self.fn)


def scores(tree: Any, quantity: Quantity) -> Any:
    """What a quantity is read from: an array itself; of a container its ``logits``, or the one floating array it holds.

    A function of the user's gets the container as it is. Raises QuantityError when several arrays could be meant.
    """
    if is_array(tree) or getattr(quantity, "whole", False):
        return tree
    if isinstance(tree, Mapping) and "logits" in tree:
        return tree["logits"]
    if is_array(found := getattr(tree, "logits", None)):
        return found
    leaves = [(path, leaf) for path, leaf in walk(tree) if is_array(leaf) and namespace(leaf).is_floating(leaf)]
    if len(leaves) == 1:
        return leaves[0][1]
    there = ", ".join(f"{'.'.join(map(str, path))}: {tuple(leaf.shape)}" for path, leaf in leaves) or "no floating array"
    first = leaves[0][0] if leaves else ("logits",)
    raise QuantityError(
        "the output holds several arrays that could be explained" if leaves else "the output holds nothing to explain",
        there=there,
        try_=f"on=OUTPUT.at({first[0] if len(first) == 1 else first!r})",
        code="E-TARGET-WHICH",
    )


def as_quantities(of: Any) -> tuple[tuple[Quantity, ...], bool]:
    """``of=`` as quantities, and whether several were asked for.

    None is ``Max()``, an int one class for all, a tuple of ints one position, a list or an array of ints or names one class
    per record, a list of quantities several explanations in one call, anything callable a quantity of your own.

    Raises QuantityError for anything else.
    """
    if isinstance(of, (list, tuple)) and of and all(hasattr(q, "bind") for q in of):
        return tuple(of), True
    return (_as_quantity(of),), False


def _as_quantity(of: Any) -> Quantity:
    if of is None:
        return Max()
    if hasattr(of, "bind") and hasattr(of, "on") and not isinstance(of, type):
        quantity: Quantity = of
        return quantity
    if isinstance(of, (bool, np.bool_)):
        raise QuantityError(f"of={of!r} is not a class", try_="of=0 or of=1", code="E-TARGET-TYPE")
    if isinstance(of, str):
        return Labels((of,))
    if isinstance(of, tuple) and of and all(isinstance(p, (int, slice)) for p in of):
        return Unit(*of)
    if isinstance(of, (int, float, np.number)) or (is_array(of) and not of.shape):
        return Unit(_whole(of))
    if isinstance(of, (list, tuple)) or is_array(of):
        return _per_record(of)
    if callable(of) and not isinstance(of, type):
        return Custom(of)
    raise QuantityError(f"of={of!r} is not something to explain", try_="a class, a list of classes, a quantity, or a function")


def _per_record(of: Any) -> Labels:
    items = as_numpy(of) if is_array(of) else of
    if is_array(of) and items.ndim != 1:
        raise QuantityError(
            f"labels of shape {items.shape}",
            there="one label per record expected",
            try_="a 1-d array or list",
            code="E-TARGET-SHAPE",
        )
    if not len(items):
        raise QuantityError("an empty list of labels", try_="one label per record", code="E-TARGET-COUNT")
    return Labels(tuple(str(i) if isinstance(i, str) else _whole(i) for i in items))


def _whole(value: Any) -> int:
    number = as_numpy(value)
    if number.size == 1 and number.dtype.kind in "iuf" and float(number.reshape(())).is_integer():
        return int(number.reshape(()))
    raise QuantityError(
        f"class {value!r} is not a whole number", there=f"type {number.dtype}", try_="integer labels", code="E-TARGET-TYPE"
    )
