"""A trulens quantity as one of ascribe's."""

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
from .....quantities import Bound, Part, Unit, scores
from .....tree import walk
from ..quantities import LambdaQoI, MaxClassQoI, QoI
from ..slices import Cut


@dataclass(frozen=True, eq=False)
class Explained:
    """A quantity of trulens at a place: given what the place holds as trulens gave it, and made into one number per record."""

    qoi: QoI
    cut: Cut
    on: Place
    whole = True

    @property
    def kind(self) -> Hashable:
        """What two quantities share that treat rows alike: their code."""
        code = self.qoi.function if isinstance(self.qoi, LambdaQoI) else type(self.qoi).__call__
        return getattr(code, "__code__", None) or id(code)

    def moved(self, on: Place) -> Explained:
        """The same at another place."""
        return replace(self, on=on)

    def bind(self, tree: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        return Rows(self, self.qoi.for_records(self.held(tree), part))

    def held(self, tree: Any) -> Any:
        """What the quantity is called with: the part that the cut's accessor picks, a tensor or a list of them.

        Of a model's output that is a container it is the ``logits``, or its only array; of a tuple of several the first, which is told.
        """
        if self.cut.accessor is not None:
            tree = self.cut.access(tree)
        elif self.on == OUTPUT and not is_array(tree):
            try:
                return scores(tree, Unit(0))
            except QuantityError:
                if isinstance(tree, (tuple, list)) and is_array(tree[0]):
                    said = f"the model returns {len(tree)} things, and the first of them is explained: OutputCut(accessor=...) chooses"
                    warnings.warn(said, AscribeWarning, stacklevel=2)
                    return tree[0]
        if is_array(tree):
            return tree
        leaves = [leaf for _, leaf in walk(tree) if is_array(leaf) and namespace(leaf).is_floating(leaf)]
        return leaves[0] if len(leaves) == 1 else leaves


@dataclass(frozen=True, eq=False)
class Rows:
    """A bound :class:`Explained`."""

    explained: Explained
    inner: Bound

    @property
    def same(self) -> bool:
        return self.inner.same

    @property
    def classes(self) -> np.ndarray | None:
        return self.inner.classes

    def __call__(self, y: Any) -> Any:
        held = self.explained.held(y)
        found = self.inner(held)
        rows = len(held if is_array(held) else held[0])
        return [one_each(v, rows) for v in found] if isinstance(found, (list, tuple)) else one_each(found, rows)

    def take(self, rows: np.ndarray) -> Bound:
        return Rows(self.explained, self.inner.take(rows))


def one_each(value: Any, rows: int) -> Any:
    """Numbers of any shape summed to one per record; a single number for the whole batch is shared by its rows, and sums up again.

    What is no array is left for ascribe to refuse.
    """
    if not is_array(value):
        return value
    if not len(value.shape):
        return namespace(value).broadcast_to(value[None] / rows, (rows,))
    return value.reshape(len(value), -1).sum(-1) if len(value.shape) > 1 else value


def explained(qoi: QoI, cut: Cut, places: Sequence[Place], here: bool = False) -> Explained:
    """Returns a quantity at a cut, which is these places in the model.

    ``here`` is for values that are written into the model: the highest class is that of the output for them.
    """
    if here and isinstance(qoi, MaxClassQoI) and qoi.axis != 0:
        qoi = MaxClassQoI(qoi.axis, qoi.activation, moving=True)
    return Explained(qoi, cut, JointCut.of(*places))
