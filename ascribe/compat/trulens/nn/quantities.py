"""``trulens.nn.quantities``: quantities as functions of the value at a cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from ....arrays import Array, as_numpy, is_array, namespace
from ....errors import QuantityError
from ....quantities import Bound, Part
from ....quantities.base import BoundClasses, BoundFunction, all_records, parse_integer
from ..utils.typing import in_short, om_of_many, parameters
from .backend import get_backend


class QoiCutSupportError(QuantityError):
    """The quantity does not support the value at the cut (a ValueError)."""

    code = "E-QUANTITY-CUT"


class QuantityIndexError(QuantityError, IndexError):
    """A class or channel is out of range."""

    code = "E-TARGET-RANGE"


class QoI(ABC):
    """A quantity. Subclasses define ``__call__`` of a tensor, or of a list if the cut has several.

    The result should be one number per record; further axes are summed. A list is several quantities.
    """

    @abstractmethod
    def __call__(self, y: Any) -> Any: ...

    def __repr__(self) -> str:
        return in_short(self)

    def for_records(self, y: Any, part: Part | None = None) -> Bound:
        """Returns the quantity bound to the records whose value is ``y``."""
        return BoundFunction(self)

    def one_tensor(self, y: Any) -> Array:
        """Returns the only tensor. Raises QoiCutSupportError for several."""
        y = om_of_many(y)
        if not is_array(y):
            held = f"{len(y)} tensors" if isinstance(y, (list, tuple)) else f"a {type(y).__name__}"
            raise QoiCutSupportError(
                f"`{self!r}` needs a single tensor at the cut", found=held, advice="an accessor on the cut, or a quantity of lists"
            )
        return y


class ClassQoI(QoI):
    """The score of a class; the scores of a list of classes are summed."""

    def __init__(self, cl: Any) -> None:
        self.cl = cl

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        found = select_classes(self.cl, y)
        return sum(found[1:], start=found[0])


class ComparativeQoI(QoI):
    """The score of one class minus that of another."""

    def __init__(self, cl1: int, cl2: int) -> None:
        self.cl1, self.cl2 = cl1, cl2

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        return y[:, check_index(self.cl1, y, 1)] - y[:, check_index(self.cl2, y, 1)]


class MaxClassQoI(QoI):
    """The highest score along an axis, after an activation if given (``"softmax"``, ``"sigmoid"``, or a function).

    The class is chosen once, at the record. With ``moving=True`` it is chosen anew at every point, as in trulens, so that the quantity may
    change along a path. Along ``axis=0`` it is the highest score of all records for each class, and belongs to the record that has it.
    """

    def __init__(self, axis: int = 1, activation: Any = None, *, moving: bool = False) -> None:
        self.axis, self.activation, self.moving = axis, activation, moving

    def __call__(self, y: Any) -> Any:
        y = apply_activation(self.one_tensor(y), self.activation)
        return namespace(y).amax(y, (0 if self.among_records(y) else check_axis(self.axis, y),))

    def among_records(self, y: Array) -> bool:
        """Returns True if the maximum is along the batch."""
        return self.axis in (0, -y.ndim)

    def for_records(self, y: Any, part: Part | None = None) -> Bound:
        y = self.one_tensor(y)
        if self.among_records(y):
            return self.for_the_highest(y, part)
        if self.moving:
            return BoundFunction(self)
        scores = as_numpy(apply_activation(y, self.activation))
        return BoundMaxClass(self, scores.argmax(check_axis(self.axis, scores)))

    def for_the_highest(self, y: Array, part: Part | None) -> Bound:
        """Binds along the batch. Raises QoiCutSupportError if not all records are here, or if the choice would move."""
        if self.moving or (part is not None and len(part.index) != part.total):
            there = "moving=True" if self.moving else f"{len(y)} records of {part.total if part else len(y)}"
            raise QoiCutSupportError(
                f"`{self!r}` needs all records in one batch", found=there, advice="moving=False, a larger rebatch_size, or axis=1"
            )
        scores = as_numpy(apply_activation(y, self.activation))
        highest = scores.argmax(0) == np.arange(len(scores)).reshape(-1, *[1] * (scores.ndim - 1))
        return BoundBatchMax(self, highest)


class BoundMaxClass:
    """A :class:`MaxClassQoI` with the class chosen for each record (and each position, if the scores have more axes)."""

    same = False

    def __init__(self, qoi: MaxClassQoI, best: np.ndarray) -> None:
        self.qoi, self.best = qoi, best
        self.classes = best if best.ndim == 1 else None

    def __call__(self, y: Any) -> Any:
        y = apply_activation(self.qoi.one_tensor(y), self.qoi.activation)
        xp = namespace(y)
        last = xp.moveaxis(y, self.qoi.axis, y.ndim - 1)
        found = xp.pick(xp.reshape(last, (-1, last.shape[-1])), self.best.reshape(-1))
        return xp.reshape(found, self.best.shape)

    def take(self, rows: np.ndarray) -> BoundMaxClass:
        return BoundMaxClass(self.qoi, self.best[rows])


class BoundBatchMax:
    """A :class:`MaxClassQoI` along the batch: a record has the scores that are the highest of all records."""

    same = False
    classes = None

    def __init__(self, qoi: MaxClassQoI, highest: np.ndarray) -> None:
        self.qoi, self.highest = qoi, highest

    def __call__(self, y: Any) -> Any:
        y = apply_activation(self.qoi.one_tensor(y), self.qoi.activation)
        return y * namespace(y).asarray(self.highest.astype(np.float64), y)

    def take(self, rows: np.ndarray) -> BoundBatchMax:
        return BoundBatchMax(self.qoi, self.highest[rows])


class InternalChannelQoI(QoI):
    """The values of one channel, or of several, summed; ``agg_fn`` replaces the sum over a channel.

    Channels are on axis 1, or on ``channel_axis``. Raises ValueError for an axis that cannot hold the channels of an image.
    """

    def __init__(self, channel: Any, channel_axis: int | None = None, agg_fn: Callable[[Any], Any] | None = None) -> None:
        self.channel, self.channel_axis, self.agg_fn = channel, channel_axis, agg_fn

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        axis = check_axis(self._axis(y), y)
        if y.ndim == 4 and axis not in (1, 3):
            there = f"channel_axis={axis} for a value of shape {tuple(y.shape)}"
            raise QoiCutSupportError("The channels of images are on axis 1 or 3", found=there, advice="channel_axis=1")
        channels = namespace(y).moveaxis(y, axis, 1)
        found = select_classes(self.channel, channels)
        if y.ndim > 2:
            found = [sum_after_first(c) if self.agg_fn is None else self.agg_fn(c) for c in found]
        return sum(found[1:], start=found[0])

    def _axis(self, y: Array) -> int:
        """Returns the axis of the channels: by default that of images in the framework in use, 1 for other values."""
        if y.ndim == 2:
            return 1
        if self.channel_axis is not None:
            return self.channel_axis
        backend = get_backend(suppress_warnings=True) if y.ndim == 4 else None
        return 1 if backend is None else int(backend.channel_axis)


class LambdaQoI(QoI):
    """A function of the value at the cut. Raises ValueError unless the function has one argument."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if (taken := parameters(function)) is not None and len(taken) != 1:
            raise QuantityError(
                "A quantity is a function of one argument", found=f"{len(taken)} arguments", advice="lambda value: value[:, 0]"
            )
        self.function = function

    def __call__(self, y: Any) -> Any:
        return self.function(y)


class ThresholdQoI(QoI):
    """The sum of values above a threshold minus the sum of those below, per record; ``low_minus_high`` inverts the sign."""

    def __init__(self, threshold: float, low_minus_high: bool = False, activation: Any = None) -> None:
        self.threshold, self.low_minus_high, self.activation = threshold, low_minus_high, activation

    def __call__(self, x: Any) -> Any:
        y = apply_activation(self.one_tensor(x), self.activation)
        signed = namespace(y).sign(y - self.threshold) * y
        summed = sum_after_first(signed)
        return -summed if self.low_minus_high else summed


class ClassSeqQoI(QoI):
    """One class for each record."""

    def __init__(self, seq_labels: Any) -> None:
        self.seq_labels = seq_labels

    def __call__(self, y: Any) -> Any:
        y = self.one_tensor(y)
        return self.for_records(y)(y)

    def for_records(self, y: Any, part: Part | None = None) -> Bound:
        y, labels = self.one_tensor(y), as_numpy(self.seq_labels)
        if labels.ndim != 1:
            raise QuantityError(
                "There must be one label for each record", found=f"labels of shape {labels.shape}", advice="a list, or ClassQoI"
            )
        labels = all_records(y, part).of(labels, "labels")
        return BoundClasses(np.array([check_index(label, y, 1) for label in labels]))


def as_qoi(qoi: Any) -> QoI:
    """Returns a quantity from a QoI, a function, a class, a pair of classes, or ``"max"``. Raises QuantityError for anything else."""
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
    raise QuantityError("`qoi` is not a quantity", found=f"qoi={shown}", advice='a QoI, a function, a class, a pair of classes, or "max"')


def apply_activation(y: Array, activation: Any) -> Array:
    """Returns a value after ``"softmax"`` (over axis 1), ``"sigmoid"`` or a function. Raises QuantityError for other names."""
    if activation is None:
        return y
    if callable(activation):
        return activation(y)
    xp = namespace(y)
    if activation == "sigmoid":
        return 1 / (1 + xp.exp(-y))
    if activation == "softmax":
        e = xp.exp(y - xp.amax(y, (check_axis(1, y),))[:, None])
        return e / xp.sum(e, (1,), True)
    raise QuantityError("The activation is not known", found=f"activation={activation!r}", advice='"softmax", "sigmoid", or a function')


def sum_after_first(y: Array) -> Array:
    """Returns the sum over all axes after the first."""
    return namespace(y).sum(y, tuple(range(1, y.ndim))) if y.ndim > 1 else y


def check_axis(axis: int, y: Array) -> int:
    """Returns an axis after the batch, counted from the front. Raises QoiCutSupportError if there is no such axis."""
    if not -y.ndim < axis < y.ndim or axis == 0:
        raise QoiCutSupportError(
            "The value does not have this axis after the batch axis",
            found=f"axis {axis} of a value of shape {tuple(y.shape)}",
            advice="axis=1",
        )
    return axis % y.ndim


def check_index(index: Any, y: Array, axis: int) -> int:
    """Returns an index on an axis, counted from the front.

    Raises QuantityError unless it is an integer, QuantityIndexError if it is out of range.
    """
    number, size = parse_integer(index), int(y.shape[axis]) if y.ndim > axis else 0
    if not -size <= number < size:
        there = f"class {number} of {size}, in a value of shape {tuple(y.shape)}"
        raise QuantityIndexError(f"Class {number} is out of range", found=there, advice=f"a class below {size}")
    return number % size


def select_classes(classes: Any, y: Array) -> list[Array]:
    """Returns the values of one class on axis 1, or of each of several. Raises QuantityError for no class."""
    listed = as_numpy(classes).reshape(-1)
    if not len(listed):
        raise QuantityError("The quantity needs at least one class", found="an empty list", advice="one class, or a list of classes")
    return [y[:, check_index(c, y, 1)] for c in listed]
