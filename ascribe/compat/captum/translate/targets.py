"""Translates captum's ``target`` and ``neuron_selector`` into quantities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ....arrays import Array, as_numpy
from ....cuts import OUTPUT, Cut
from ....errors import QuantityError
from ....quantities import Bound, Custom, Labels, Part, Quantity, Unit
from ....quantities.base import BoundClasses, BoundFunction, all_records

INTEGERS = (int, np.integer, Tensor)


class TargetUnit(Unit):
    """A :class:`~ascribe.Unit` whose indices may count from the end; without indices, the only element of each record."""

    scored = False  # captum explains integer outputs too

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        sizes = tuple(y.shape[1:])
        if not self.position:
            if int(np.prod(sizes, dtype=int)) != 1:
                there = f"an output of shape {tuple(y.shape)}"
                raise QuantityError(
                    "The output has several elements, and no target selects one", found=there, advice="target=0", code="E-TARGET-NONE"
                )
            return BoundFunction(lambda y: y.reshape(len(y)))
        position, rest = self.position, sizes[len(self.position) :]
        position += (0,) * len(rest) if all(n == 1 for n in rest) else ()
        if len(position) == len(sizes):
            position = tuple(count_from_front(p, n) for p, n in zip(position, sizes, strict=True))
        return Unit(*position, on=self.on).bind(y, names, part)


@dataclass(frozen=True)
class TargetPerRecord:
    """A quantity with a target of its own for each record: ``positions`` has one tuple of indices for each."""

    positions: tuple[tuple[int, ...], ...]
    on: Cut = OUTPUT
    chooses = False

    def repeat(self, times: int) -> TargetPerRecord:
        """Returns the quantity for records that are each repeated ``times`` times in a row."""
        return TargetPerRecord(tuple(p for p in self.positions for _ in range(times)), self.on)

    def row(self, i: int) -> TargetUnit:
        """Returns the quantity of record ``i``."""
        return TargetUnit(*self.positions[i], on=self.on)

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        sizes = tuple(y.shape[1:]) or (1,)
        mine = all_records(y, part).of(self.positions, "targets")
        shape = f"a value of shape {tuple(y.shape)}"
        if set(map(len, mine)) != {len(sizes)}:
            there, advice = f"{len(mine[0])} indices for {shape}", f"{len(sizes)} indices for each record"
            raise QuantityError("A target needs one index for each axis after the batch", found=there, advice=advice, code="E-TARGET-SHAPE")
        spots = np.array(mine, dtype=np.int64)
        if spots.min() < 0:
            spots = np.where(spots < 0, spots + sizes, spots)
        if spots.min() < 0 or (spots.max(0) >= sizes).any():
            raise QuantityError("The target is out of range", found=shape, advice=f"indices below {sizes}", code="E-TARGET-RANGE")
        if len(sizes) == 1:
            return BoundClasses(spots[:, 0])
        return BoundClasses(np.asarray(np.ravel_multi_index(tuple(spots.T), sizes)), lambda y: y.reshape(len(y), -1))


def repeat_quantity(of: Quantity, times: int) -> Quantity:
    """Returns a quantity for records that are each repeated ``times`` times; unchanged if it is the same for all records."""
    return of.repeat(times) if isinstance(of, TargetPerRecord) else of


def count_from_front(position: Any, size: int) -> Any:
    """Returns an index counted from the front; one that is out of range is unchanged and refused later."""
    return position + size if isinstance(position, int) and -size <= position < 0 else position


def parse_target(target: Any) -> Quantity:
    """Returns ``target`` as a quantity. Raises QuantityError for anything that captum does not accept."""
    if target is None:
        return TargetUnit()
    if hasattr(target, "bind"):
        own: Quantity = target
        return own
    if isinstance(target, Tensor) and target.numel() == 1:
        target = int(target)
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        return TargetUnit(int(target))
    if isinstance(target, tuple) and all(isinstance(p, (slice, *INTEGERS)) for p in target):
        return TargetUnit(*(p if isinstance(p, slice) else int(p) for p in target))
    if isinstance(target, (list, Tensor)) and len(target):
        if isinstance(target, Tensor) and target.ndim > 1:
            there = f"a tensor of shape {tuple(target.shape)}"
            raise QuantityError(
                "A target tensor must have one element for each record", found=there, advice="target=labels", code="E-TARGET-SHAPE"
            )
        each = as_numpy(target) if isinstance(target, Tensor) else target
        if all(isinstance(t, str) for t in each):
            return Labels(tuple(each))
        if all(isinstance(t, tuple) for t in each):
            return TargetPerRecord(tuple(tuple(map(int, t)) for t in each))
        if all(isinstance(t, INTEGERS) for t in each):
            return TargetPerRecord(tuple((int(t),) for t in each))
    if callable(target):
        return Custom(target)
    advice = "None, an integer, a tuple of integers, or a list with one of those for each record"
    raise QuantityError("The target is not of a form that captum accepts", found=f"target={target!r}", advice=advice)


class LayerInputQuantity(Custom):
    """A function of the input of a layer: it gets the tensor if there is only one, or the tuple of arguments."""

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return BoundFunction(lambda call: self.fn(get_layer_inputs(call)))


def get_layer_inputs(call: Any) -> Any:
    """Returns the arguments of a layer as captum passes them on: one tensor alone, or a tuple."""
    if isinstance(call, Tensor):
        return call
    args, kwargs = call
    args = (*args, *kwargs.values())
    return args[0] if len(args) == 1 else args


def parse_neuron(selector: Any, on: Cut) -> Quantity:
    """Returns ``neuron_selector`` as a quantity at a layer. Raises QuantityError for anything that captum does not accept."""
    if isinstance(selector, (int, np.integer)) and not isinstance(selector, bool):
        return TargetUnit(int(selector), on=on)
    if isinstance(selector, tuple) and selector and all(isinstance(p, (int, slice)) for p in selector):
        return TargetUnit(*selector, on=on)
    if callable(selector):
        return LayerInputQuantity(selector, on) if on.anchor == "in" else Custom(selector, on)
    advice = "an integer, a tuple of integers and slices, or a function of the layer's value"
    raise QuantityError("The neuron selector is not of a form that captum accepts", found=f"neuron_selector={selector!r}", advice=advice)
