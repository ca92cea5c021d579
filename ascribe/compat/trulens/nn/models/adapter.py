"""A trulens quantity as a quantity of ascribe."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .....arrays import is_array, namespace
from .....cuts import OUTPUT, JointCut
from .....cuts import Cut as Place
from .....errors import AscribeWarning, QuantityError
from .....quantities import Bound, Part, Unit, select_scores
from .....tree import walk
from ..quantities import LambdaQoI, MaxClassQoI, QoI, sum_after_first
from ..slices import Cut


@dataclass(frozen=True, eq=False)
class QuantityAdapter:
    """A trulens quantity at a cut: it gets the value as trulens passed it, and its result becomes one number per record."""

    qoi: QoI
    cut: Cut
    on: Place
    whole = True

    @property
    def kind(self) -> Hashable:
        """A key that is equal for quantities that treat rows alike: their code."""
        code = self.qoi.function if isinstance(self.qoi, LambdaQoI) else type(self.qoi).__call__
        return getattr(code, "__code__", None) or id(code)

    def moved(self, on: Place) -> QuantityAdapter:
        """Returns the quantity at another cut."""
        return replace(self, on=on)

    def bind(self, tree: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return BoundQuantityAdapter(self, self.qoi.for_records(self.held(tree), part))

    def held(self, tree: Any) -> Any:
        """Returns the argument of the quantity: the part selected by the cut's accessor, a tensor or a list of tensors.

        Of an output in a container it is ``logits``, or the only array; of a tuple of several the first, with a warning.
        """
        if self.cut.accessor is not None:
            tree = self.cut.access(tree)
        elif self.on == OUTPUT and not is_array(tree):
            try:
                return select_scores(tree, Unit(0))
            except QuantityError:
                if isinstance(tree, (tuple, list)) and is_array(tree[0]):
                    text = f"The model returns {len(tree)} values, and the first is explained. OutputCut(accessor=...) selects another."
                    warnings.warn(text, AscribeWarning, stacklevel=2)
                    return tree[0]
        if is_array(tree):
            return tree
        leaves = [leaf for _, leaf in walk(tree) if is_array(leaf) and namespace(leaf).is_floating(leaf)]
        return leaves[0] if len(leaves) == 1 else leaves


@dataclass(frozen=True, eq=False)
class BoundQuantityAdapter:
    """A bound :class:`QuantityAdapter`."""

    adapter: QuantityAdapter
    inner: Bound

    @property
    def same(self) -> bool:
        return self.inner.same

    @property
    def classes(self) -> np.ndarray | None:
        return self.inner.classes

    def __call__(self, y: Any) -> Any:
        held = self.adapter.held(y)
        found = self.inner(held)
        rows = len(held if is_array(held) else held[0])
        return [sum_per_record(v, rows) for v in found] if isinstance(found, (list, tuple)) else sum_per_record(found, rows)

    def take(self, rows: np.ndarray) -> Bound:
        return BoundQuantityAdapter(self.adapter, self.inner.take(rows))


def sum_per_record(value: Any, rows: int) -> Any:
    """Returns values of any shape summed to one per record; a scalar for the whole batch is divided among its rows.

    Anything but an array is returned unchanged, and refused later.
    """
    if not is_array(value):
        return value
    if not len(value.shape):
        return namespace(value).broadcast_to(value[None] / rows, (rows,))
    return sum_after_first(value)


def adapt_quantity(qoi: QoI, cut: Cut, places: Sequence[Place], here: bool = False) -> QuantityAdapter:
    """Returns a quantity at a cut, which is these places in the model.

    ``here`` is for values that are set inside the model: the highest class is that of the output for them.
    """
    if here and isinstance(qoi, MaxClassQoI) and qoi.axis != 0:
        qoi = MaxClassQoI(qoi.axis, qoi.activation, moving=True)
    return QuantityAdapter(qoi, cut, JointCut.of(*places))
