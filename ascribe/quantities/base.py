"""The protocol of quantities: bound once to the records, then a pure function of arrays."""

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
    """The records of a batch, by index among the ``total`` records of the call. Selects entries of arguments given per record."""

    index: np.ndarray
    total: int

    def of(self, items: Any, what: str) -> Any:
        """Returns the entries of ``items`` (one per record of the call) for the records of the batch.

        Raises QuantityError if ``items`` has another number of entries.
        """
        if len(items) != self.total:
            raise QuantityError(
                f"The number of {what} must be the number of records",
                found=f"{len(items)} {what} for {self.total} records",
                advice=f"{self.total} {what}, or a single one for all records",
                code="E-TARGET-COUNT",
            )
        if len(self.index) == self.total:
            return items
        return [items[i] for i in self.index] if isinstance(items, (tuple, list)) else items[self.index]


def all_records(y: Array, part: Part | None) -> Part:
    """Returns ``part``, or by default all records of ``y``."""
    return Part(np.arange(len(y)), len(y)) if part is None else part


class Quantity(Protocol):
    """One number per record, computed from the value at the cut ``on``.

    A class may set ``chooses = False`` if ``bind`` depends on shapes only, not on the values of the records, and ``scored = True`` if it
    reads class scores.
    """

    @property
    def on(self) -> Cut: ...

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        """Returns the quantity bound to records whose value at the cut is ``y``, ``[records, ...]``.

        ``names`` are the class names of the model, ``part`` the records of the batch. Raises QuantityError if it does not fit ``y``.
        """


class Bound(Protocol):
    """A quantity that is bound to its records."""

    @property
    def classes(self) -> np.ndarray | None:
        """The explained class of each record, ``[records]``; None if the quantity is no class."""

    @property
    def same(self) -> bool:
        """True if it is the same function for every record."""

    def __call__(self, y: Array) -> Array:
        """Returns the quantity of each row: ``[rows, ...] -> [rows]``."""

    def take(self, rows: np.ndarray) -> Bound:
        """Returns the quantity for other rows; ``rows[i]`` is the record of row i."""


Parts = tuple[Hashable, tuple[Any, ...]]
"""The key and the arrays of a bound quantity. Quantities with equal keys differ in their arrays only."""


class Separable(Protocol):
    """A bound quantity that a backend compiles once for all quantities with the same key."""

    def parts(self) -> Parts:
        """Returns the key (None for custom functions), and the arrays that depend on records or classes."""

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        """Returns the quantity of each row, ``[rows, ...] -> [rows]``, with these arrays instead of its own."""


def sum_rows(y: Array) -> Array:
    """Returns the sum of the elements of each row, ``[rows, ...] -> [rows]``."""
    xp = namespace(y)
    return xp.sum(xp.reshape(y, (len(y), -1)), (1,))


def parts_of(bound: Bound) -> Parts:
    """Returns the parts of a bound quantity. Without a key, the quantity cannot be part of a compiled program."""
    parts: Callable[[], Parts] | None = getattr(bound, "parts", None)
    return (None, ()) if parts is None else parts()


@dataclass(frozen=True)
class BoundFunction:
    """A bound quantity that is the same function for every record: ``fn(y, *arrays)``.

    ``key`` distinguishes functions that are created for a quantity: it is the quantity itself.
    """

    fn: Callable[..., Array]
    classes: np.ndarray | None = None
    arrays: tuple[Any, ...] = ()
    key: Hashable = None
    same = True

    def __call__(self, y: Array) -> Array:
        return self.fn(y, *self.arrays)

    def take(self, rows: np.ndarray) -> BoundFunction:
        return self

    def parts(self) -> Parts:
        return self.key, self.arrays

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        return self.fn(y, *arrays)


@dataclass(frozen=True, eq=False)
class BoundClasses:
    """A bound quantity that reads one class per record, after applying ``score`` to the output if given."""

    classes: np.ndarray
    score: Callable[[Array], Array] | None = None
    same = False

    def __call__(self, y: Array) -> Array:
        y = y[:, None] if y.ndim == 1 else y
        return namespace(y).pick(y if self.score is None else self.score(y), self.classes)

    def take(self, rows: np.ndarray) -> BoundClasses:
        return BoundClasses(self.classes[rows], self.score)

    def parts(self) -> Parts:
        return (BoundClasses, self.score), (self.classes,)

    def apply(self, arrays: Sequence[Any], y: Array) -> Array:
        return BoundClasses(arrays[0], self.score)(y)

    def every(self, y: Array) -> Array:
        """The number of every record for every row, whichever record that belongs to: ``[rows, ...] -> [records, rows]``."""
        y = y[:, None] if y.ndim == 1 else y
        y = y if self.score is None else self.score(y)
        xp = namespace(y)
        return xp.moveaxis(xp.take(y, xp.asarray(self.classes, y), 1), 1, 0)


def parse_integer(label: Any) -> int:
    """Returns a class index as an int. Raises QuantityError for values that are not integers."""
    number = as_numpy(label)
    if number.size == 1 and number.dtype.kind in "iuf" and float(number.reshape(())).is_integer():
        return int(number.reshape(()))
    raise QuantityError(
        f"Class {label!r} is not an integer", found=f"type {number.dtype}", advice="of=1, or integer labels", code="E-TARGET-TYPE"
    )


def find_class(label: Any, classes: int, names: Sequence[str] | None, one_axis: bool = True) -> int:
    """Returns the index of a class given by index or name. On an axis that is not the only one, names apply if their number is its length.

    Raises QuantityError for an unknown name and for an index that is negative, out of range, or not an integer.
    """
    if isinstance(label, str):
        other = names is not None and (len(names) > classes if one_axis else len(names) != classes)
        if names is None or label not in names or other:
            known = ", ".join(map(repr, names[:20])) if names else "no class names in the model's config (id2label)"
            if names and other:
                known = f"{len(names)} class names for an axis of {classes} numbers: {known}"
            raise QuantityError(f"Class {label!r} is not known", found=known, advice="the index of the class, of=0", code="E-TARGET-NAME")
        return list(names).index(label)
    index = parse_integer(label)
    if not 0 <= index < classes:
        one, many = ("Class", "classes") if one_axis else ("Position", "positions on this axis")
        fix = f"{classes + index}, counted from 0" if -classes <= index < 0 else f"a {one.lower()} from 0 to {classes - 1}"
        raise QuantityError(f"{one} {index} is out of range", found=f"{classes} {many}", advice=fix, code="E-TARGET-RANGE")
    return index


def find_classes(labels: Sequence[Any], classes: int, names: Sequence[str] | None) -> np.ndarray:
    """Returns the indices of the classes of all records, each as by :func:`find_class`; plain integers are looked at together."""
    if labels and all(type(label) is int for label in labels) and 0 <= min(labels) and max(labels) < classes:
        return np.array(labels, dtype=np.int64)
    return np.array([find_class(label, classes, names) for label in labels], dtype=np.int64)


def count_classes(y: Array, what: str) -> int:
    """Returns the number of classes of an output with one row of scores per record, ``[records]`` or ``[records, classes]``.

    Raises QuantityError for outputs with more axes, with advice how to select one of their elements.
    """
    if y.ndim > 2:
        raise QuantityError(
            f"`{what}` needs one row of scores per record",
            found=f"a value of shape {tuple(y.shape)}",
            advice=f"of=asc.Unit({y.shape[1] - 1}, token_id) for one position, or of=asc.quantities.Channel(c) for the sum over positions"
            if y.ndim == 3
            else f"of=asc.Unit{tuple([0] * (y.ndim - 1))} for one element, or Channel(c), Box(c, ...), Region(c, ...) of asc.quantities",
            code="E-TARGET-SHAPE",
        )
    return 1 if y.ndim == 1 else int(y.shape[1])


def check_scores(y: Any, integers: bool, quantity: Quantity) -> None:
    """Raises QuantityError if a quantity reads class scores and the model returns one integer per record, such as the predicted class.

    ``integers`` is True if the output was of an integer type before a conversion. A custom function may explain such an output.
    """
    if not getattr(quantity, "scored", False) or not is_array(y) or y.ndim > 2 or (y.ndim == 2 and y.shape[1] != 1):
        return
    if integers or not namespace(y).is_floating(y):
        what = f"`{quantity!r}` needs class scores, but the model returns one integer per record, such as a class index"
        there = f"an output of shape {tuple(y.shape)}"
        advice = "model.predict_proba (or logits without argmax), or of=lambda y: y * 1.0 to explain the integer itself"
        raise QuantityError(what, found=there, advice=advice, code="E-QUANTITY-INTEGER")


def select_scores(tree: Any, quantity: Quantity) -> Any:
    """Returns the array that a quantity reads: the value itself, or the ``logits`` or the only floating-point array of a container.

    A custom function receives the container unchanged. Raises QuantityError if several arrays are possible.
    """
    if is_array(tree) or getattr(quantity, "whole", False):
        return tree
    if isinstance(tree, Mapping) and "logits" in tree:
        return tree["logits"]
    if is_array(result := getattr(tree, "logits", None)):
        return result
    leaves = [(path, leaf) for path, leaf in walk(tree) if is_array(leaf) and namespace(leaf).is_floating(leaf)]
    if len(leaves) == 1:
        return leaves[0][1]
    there = (
        ", ".join(f"{'.'.join(map(str, path))}: {tuple(leaf.shape)}" for path, leaf in leaves) or f"an output of type {type(tree).__name__}"
    )
    first = leaves[0][0] if leaves else ("logits",)
    raise QuantityError(
        "The output has several arrays, and the quantity does not say which" if leaves else "The output has no floating-point array",
        found=there,
        advice=f"on=OUTPUT.at({first[0] if len(first) == 1 else first!r})",
        code="E-TARGET-WHICH",
    )
