"""A neuron's value with each of its parts weighted: what is passed on from there, held fixed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ...arrays import Array
from ...cuts import Cut
from ...quantities import Bound, Part, Quantity
from ...quantities.base import part_of
from .conventions import entering


@dataclass(frozen=True, eq=False)
class Weighted:
    """A quantity of the value at its cut times ``weights``, which each record has of its own: ``[records, ...]``."""

    of: Quantity
    weights: Tensor
    chooses = False

    @property
    def on(self) -> Cut:
        return self.of.on

    @property
    def whole(self) -> bool:
        """Whether it looks at the value as the layer has it, whatever that is made of."""
        return bool(getattr(self.of, "whole", False))

    @property
    def kind(self) -> Hashable:
        """That of the quantity, where it has one."""
        found: Hashable = self.of.kind  # type: ignore[attr-defined]
        return found

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        y = entering(y) if self.whole and self.on.anchor == "in" else y
        return Held(self, self.of.bind(y * 1, names, part), self.weights[part_of(y, part).index])


@dataclass(frozen=True, eq=False)
class Held:
    """A bound :class:`Weighted`: the weights of the records that are here."""

    quantity: Weighted
    bound: Bound
    weights: Tensor
    classes: np.ndarray | None = None
    same = False

    def __call__(self, y: Array) -> Array:
        y = entering(y) if self.quantity.whole and self.quantity.on.anchor == "in" else y
        return self.bound(y * self.weights)

    def take(self, rows: np.ndarray) -> Held:
        return Held(self.quantity, self.bound.take(rows), self.weights[rows])
