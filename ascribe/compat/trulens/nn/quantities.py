"""``trulens.nn.quantities``: what is explained, as functions of the value at a cut that can also be called by themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from ....arrays import Array, as_numpy, is_array, namespace
from ....errors import QuantityError
from ....quantities import Bound, Part
from ....quantities.base import Picked, Same, parse_integer, part_of
from ..utils.typing import in_short, om_of_many, parameters


class QoiCutSupportError(QuantityError):
    """The quantity is not for the value that is at the cut (a ValueError)."""

    code = "E-QUANTITY-CUT"


class QuantityIndexError(QuantityError, IndexError):
    """There is no such class or channel."""

    code = "E-TARGET-RANGE"


class QoI(ABC):
    """What is explained. Subclasses say what it is in ``__call__``: of a tensor, or of a list where the cut holds several.

    A number for each record is wanted; whatever has more axes is summed for each record. A list are several quantities.
    """

    @abstractmethod
    def __call__(self, y: Any) -> Any: ...

    def __repr__(self) -> str:
        return in_short(self)

    def for_records(self, y: Any, part: Part | None = None) -> Bound:
        """The same quantity with everything fixed that depends on the records, whose value is ``y``."""
        return Same(self)

    def one_tensor(self, y: Any) -> Array:
        """The only tensor there is. Raises QoiCutSupportError for several."""
        y = om_of_many(y)
        if not is_array(y):
            held = f"{len(y)} tensors" if isinstance(y, (list, tuple)) else f"a {type(y).__name__}"
            raise QoiCutSupportError(f"{self!r} is of one tensor", there=held, try_="an accessor on the cut, or a quantity of lists")
        return y


class ClassQoI(QoI):
    """One class's score; a list of classes are summed."""

    def __init__(self, cl: Any) -> None:
        self.cl = cl

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        found = of_classes(self.cl, y)
        return sum(found[1:], start=found[0])


class ComparativeQoI(QoI):
    """How much more one class's score is than another's."""

    def __init__(self, cl1: int, cl2: int) -> None:
        self.cl1, self.cl2 = cl1, cl2

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        return y[:, within(self.cl1, y, 1)] - y[:, within(self.cl2, y, 1)]


class MaxClassQoI(QoI):
    """The highest score along an axis, after an activation where one is given (``"softmax"``, ``"sigmoid"``, or a function).

    Which class that is, is decided once, at the record. With ``moving=True`` it is decided anew at every point, as trulens did: what
    is explained may then change on the way from a baseline. Along ``axis=0`` it is the highest score of all records for each class,
    which counts for the record that has it.
    """

    def __init__(self, axis: int = 1, activation: Any = None, *, moving: bool = False) -> None:
        self.axis, self.activation, self.moving = axis, activation, moving

    def __call__(self, y: Any) -> Any:
        y = activated(self.one_tensor(y), self.activation)
        return namespace(y).amax(y, (0 if self.among_records(y) else inner_axis(self.axis, y),))

    def among_records(self, y: Array) -> bool:
        """Whether the highest score is looked for along the axis of the records."""
        return self.axis in (0, -y.ndim)

    def for_records(self, y: Any, part: Part | None = None) -> Bound:
        y = self.one_tensor(y)
        if self.among_records(y):
            return self.for_the_highest(y, part)
        if self.moving:
            return Same(self)
        scores = as_numpy(activated(y, self.activation))
        return Chosen(self, scores.argmax(inner_axis(self.axis, scores)))

    def for_the_highest(self, y: Array, part: Part | None) -> Bound:
        """Along the records. Raises QoiCutSupportError where they are not all here, or the choice would move."""
        if self.moving or (part is not None and len(part.index) != part.total):
            there = "a choice that moves" if self.moving else f"{len(y)} records of {part.total if part else len(y)}"
            raise QoiCutSupportError(f"{self!r} compares all records", there=there, try_="moving=False, a larger rebatch_size, axis=1")
        scores = as_numpy(activated(y, self.activation))
        highest = scores.argmax(0) == np.arange(len(scores)).reshape(-1, *[1] * (scores.ndim - 1))
        return Highest(self, highest)


class Chosen:
    """A :class:`MaxClassQoI` that has chosen, for each record (and each place, where the scores have more axes)."""

    same = False

    def __init__(self, qoi: MaxClassQoI, best: np.ndarray) -> None:
        self.qoi, self.best = qoi, best
        self.classes = best if best.ndim == 1 else None

    def __call__(self, y: Any) -> Any:
        y = activated(self.qoi.one_tensor(y), self.qoi.activation)
        xp = namespace(y)
        last = xp.moveaxis(y, self.qoi.axis, y.ndim - 1)
        return xp.pick(last.reshape(-1, last.shape[-1]), self.best.reshape(-1)).reshape(self.best.shape)

    def take(self, rows: np.ndarray) -> Chosen:
        return Chosen(self.qoi, self.best[rows])


class Highest:
    """A :class:`MaxClassQoI` along the records that has chosen: each record counts where its score is the highest of all."""

    same = False
    classes = None

    def __init__(self, qoi: MaxClassQoI, highest: np.ndarray) -> None:
        self.qoi, self.highest = qoi, highest

    def __call__(self, y: Any) -> Any:
        y = activated(self.qoi.one_tensor(y), self.qoi.activation)
        return y * namespace(y).asarray(self.highest.astype(np.float64), y)

    def take(self, rows: np.ndarray) -> Highest:
        return Highest(self.qoi, self.highest[rows])


class InternalChannelQoI(QoI):
    """A channel's values, or several channels', summed; ``agg_fn`` says what else to make of a channel with more than one value.

    The channels are on axis 1 unless ``channel_axis`` says otherwise. Raises ValueError for axes that no picture has its channels on.
    """

    def __init__(self, channel: Any, channel_axis: int | None = None, agg_fn: Callable[[Any], Any] | None = None) -> None:
        self.channel, self.channel_axis, self.agg_fn = channel, channel_axis, agg_fn

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        axis = inner_axis(1 if self.channel_axis is None or y.ndim == 2 else self.channel_axis, y)
        if y.ndim == 4 and axis not in (1, 3):
            raise QoiCutSupportError(f"channel_axis={axis}", there=f"a value of shape {tuple(y.shape)}", try_="1 or 3")
        channels = namespace(y).moveaxis(y, axis, 1)
        found = of_classes(self.channel, channels)
        if y.ndim > 2:
            found = [c.reshape(len(c), -1).sum(-1) if self.agg_fn is None else self.agg_fn(c) for c in found]
        return sum(found[1:], start=found[0])


class LambdaQoI(QoI):
    """A function of the value at the cut. Raises ValueError for a function of more or fewer arguments than one."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if (taken := parameters(function)) is not None and len(taken) != 1:
            raise QuantityError(f"a function of {len(taken)} arguments", there="a function of the value at the cut")
        self.function = function

    def __call__(self, y: Any) -> Any:
        return self.function(y)


class ThresholdQoI(QoI):
    """What is above a threshold less what is below it, each record's values summed; ``low_minus_high`` turns the sign."""

    def __init__(self, threshold: float, low_minus_high: bool = False, activation: Any = None) -> None:
        self.threshold, self.low_minus_high, self.activation = threshold, low_minus_high, activation

    def __call__(self, x: Any) -> Any:
        y = activated(self.one_tensor(x), self.activation)
        signed = namespace(y).sign(y - self.threshold) * y
        summed = signed.reshape(len(signed), -1).sum(-1)
        return -summed if self.low_minus_high else summed


class ClassSeqQoI(QoI):
    """A class of its own for each record."""

    def __init__(self, seq_labels: Any) -> None:
        self.seq_labels = seq_labels

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        return self.for_records(y)(y)

    def for_records(self, y: Any, part: Part | None = None) -> Bound:
        y, labels = self.one_tensor(y), as_numpy(self.seq_labels)
        if labels.ndim != 1:
            raise QuantityError(f"labels of shape {labels.shape}", there="a class for each record", try_="a list, or ClassQoI")
        labels = part_of(y, part).of(labels, "labels")
        return Picked(np.array([within(label, y, 1) for label in labels]))


def as_qoi(qoi: Any) -> QoI:
    """A quantity: one already, a function, a class's number, a pair of classes, or ``"max"``. Raises QuantityError else."""
    if isinstance(qoi, QoI):
        return qoi
    if callable(qoi):
        return LambdaQoI(qoi)
    if isinstance(qoi, (int, np.integer)) and not isinstance(qoi, bool):
        return InternalChannelQoI(int(qoi))
    if isinstance(qoi, (list, tuple)) and len(qoi) == 2:
        return ComparativeQoI(*qoi)
    if qoi == "max" and isinstance(qoi, str):
        return MaxClassQoI()
    shown = repr(qoi) if isinstance(qoi, str | bool) else f"a {type(qoi).__name__}"
    raise QuantityError(f"qoi={shown}", try_='a QoI, a function of the value, a class, a pair of classes, or "max"')


def activated(y: Array, activation: Any) -> Array:
    """A value after ``"softmax"`` (over axis 1), ``"sigmoid"`` or a function; None leaves it. Raises QuantityError for other names."""
    if activation is None:
        return y
    if callable(activation):
        return activation(y)
    xp = namespace(y)
    if activation == "sigmoid":
        return 1 / (1 + xp.exp(-y))
    if activation == "softmax":
        e = xp.exp(y - xp.amax(y, (inner_axis(1, y),))[:, None])
        return e / e.sum(1)[:, None]
    raise QuantityError(f"activation={activation!r}", there='"softmax", "sigmoid", or a function')


def inner_axis(axis: int, y: Array) -> int:
    """An axis of a value behind that of the records, counted from the front. Raises QoiCutSupportError where there is none such."""
    if not -y.ndim < axis < y.ndim or axis == 0:
        raise QoiCutSupportError(f"axis {axis}", there=f"a value of shape {tuple(y.shape)}, its records first")
    return axis % y.ndim


def within(index: Any, y: Array, axis: int) -> int:
    """A position on an axis, counted from the front or the end.

    Raises QuantityError for what is no whole number, QuantityIndexError where there is none such.
    """
    number, size = parse_integer(index), int(y.shape[axis]) if y.ndim > axis else 0
    if not -size <= number < size:
        raise QuantityIndexError(f"class {number} is out of range", there=f"{size} classes in a value of shape {tuple(y.shape)}")
    return number % size


def of_classes(classes: Any, y: Array) -> list[Array]:
    """What a value holds of one class on its second axis, or of each of several. Raises QuantityError for none."""
    listed = as_numpy(classes).reshape(-1)
    if not len(listed):
        raise QuantityError("no class at all", there=f"a value of shape {tuple(y.shape)}", try_="one class, or a list of some")
    return [y[:, within(c, y, 1)] for c in listed]
