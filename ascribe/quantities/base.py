"""What a quantity is: bound once to the records, then a pure function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..arrays import Array, as_numpy, is_array, namespace
from ..cuts import Cut
from ..errors import QuantityError
from ..tree import walk

Label = int | str
Position = int | slice


@dataclass(frozen=True, eq=False)
class Part:
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
        if len(self.index) == self.total:
            return items
        return [items[i] for i in self.index] if isinstance(items, (tuple, list)) else items[self.index]


def part_of(y: Array, part: Part | None) -> Part:
    """The given part, or all the records that ``y`` has."""
    return Part(np.arange(len(y)), len(y)) if part is None else part


class Quantity(Protocol):
    """One number per record, from the value at the cut ``on``.

    ``chooses = False`` says that ``bind`` looks at shapes alone: no value of the records decides what is explained. ``scored = True``
    says that it reads scores of classes.
    """

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


Parts = tuple[Hashable, tuple[Any, ...]]
"""A bound quantity in two: a key, which two quantities share if they differ in their arrays only, and the arrays."""


class Separable(Protocol):
    """A bound quantity that a backend can compile once for all quantities of one key."""

    def parts(self) -> Parts:
        """The key, None for functions that a user wrote; and everything that depends on records or names a class."""

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        """``[rows, ...] -> [rows]``, with these arrays in place of its own."""


def parts_of(bound: Bound) -> Parts:
    """The parts of a bound quantity; without a key if it cannot be taken apart, so that it has to stay outside a compiled program."""
    parts: Callable[[], Parts] | None = getattr(bound, "parts", None)
    return (None, ()) if parts is None else parts()


@dataclass(frozen=True)
class Same:
    """A bound quantity that is the same function for every record: ``fn(y, *arrays)``.

    ``key`` tells functions apart that are no module's own, such as one made for a quantity: the quantity itself.
    """

    fn: Callable[..., Array]
    classes: np.ndarray | None = None
    arrays: tuple[Any, ...] = ()
    key: Hashable = None
    same = True

    def __call__(self, y: Array) -> Array:
        return self.fn(y, *self.arrays)

    def take(self, rows: np.ndarray) -> Same:
        return self

    def parts(self) -> Parts:
        return self.key, self.arrays

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        return self.fn(y, *arrays)


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

    def parts(self) -> Parts:
        return (Picked, self.score), (self.classes,)

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        return Picked(arrays[0], self.score)(y)

    def every(self, y: Array) -> Array:
        """The number of every record for every row, whichever record that belongs to: ``[rows, ...] -> [records, rows]``."""
        y = y.reshape(-1, 1) if y.ndim == 1 else y
        y = y if self.score is None else self.score(y)
        return namespace(y).moveaxis(y[:, self.classes], 1, 0)


def parse_integer(label: Any) -> int:
    """A class by its number. Raises QuantityError for what is no whole number."""
    number = as_numpy(label)
    if number.size == 1 and number.dtype.kind in "iuf" and float(number.reshape(())).is_integer():
        return int(number.reshape(()))
    raise QuantityError(f"class {label!r} is not a whole number", there=f"type {number.dtype}", try_="integer labels", code="E-TARGET-TYPE")


def find_class(label: Any, classes: int, names: Sequence[str] | None, one_axis: bool = True) -> int:
    """The position of a class given by number or by name; of one among several axes, names are taken where they are as many.

    Raises QuantityError for a name that is not there, a number out of range, a negative one, or one that is no whole number.
    """
    if isinstance(label, str):
        other = names is not None and (len(names) > classes if one_axis else len(names) != classes)
        if names is None or label not in names or other:
            known = ", ".join(map(repr, names[:20])) if names else "no class names in the model's config (id2label)"
            if names and other:
                known = f"{len(names)} class names for an axis of {classes} numbers: {known}"
            raise QuantityError(f"class {label!r} is not known", there=known, try_="the class by its number", code="E-TARGET-NAME")
        return list(names).index(label)
    index = parse_integer(label)
    if not 0 <= index < classes:
        one, many = ("class", "classes") if one_axis else ("position", "positions on this axis")
        fix = f"{classes + index}, counted from the front" if -classes <= index < 0 else f"a {one} from 0 to {classes - 1}"
        raise QuantityError(f"{one} {index} is out of range", there=f"{classes} {many}", try_=fix, code="E-TARGET-RANGE")
    return index


def count_classes(y: Array, what: str) -> int:
    """The number of classes of an output that has one row of scores per record.

    Raises QuantityError for outputs with more axes, and says how to ask for one of their numbers.
    """
    if y.ndim > 2:
        raise QuantityError(
            f"{what} needs one row of scores per record",
            there=f"a value of shape {tuple(y.shape)}",
            try_=f"Unit(position, class) for one number, such as Unit({y.shape[1] - 1}, token_id) of a language model; "
            "Channel(c) for all positions"
            if y.ndim == 3
            else f"Unit{tuple([0] * (y.ndim - 1))} for one position, Channel(c), Box(c, ...) or Region(c, ...) for a region",
            code="E-TARGET-SHAPE",
        )
    return 1 if y.ndim == 1 else int(y.shape[1])


def check_scores(y: Any, integers: bool, quantity: Quantity) -> None:
    """Raise QuantityError for a class of what holds no scores but one whole number for each record, such as the predicted class.

    ``integers`` says that these were whole numbers, whatever they are now. A function of the user's may explain them.
    """
    if not getattr(quantity, "scored", False) or not is_array(y) or y.ndim > 2 or (y.ndim == 2 and y.shape[1] != 1):
        return
    if integers or not namespace(y).is_floating(y):
        what = f"{quantity!r} of a model that returns one whole number for each record, such as a class id"
        there = "no scores of classes"
        try_ = "a model that returns scores (predict_proba, logits without argmax), or of=lambda y: y * 1.0 for the number itself"
        raise QuantityError(what, there=there, try_=try_, code="E-QUANTITY-INTEGER")


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
