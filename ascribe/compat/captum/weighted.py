"""What goes through a neuron: its value, each part times what the target makes of it, held fixed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from ...arrays import Array
from ...cuts import Cut, Together
from ...quantities import Bound, Part, Quantity, scores
from .conventions import entering


@dataclass(frozen=True, eq=False)
class Through:
    """A quantity ``of`` the value at a layer, times the derivative of ``target`` there: its gradient is what goes through that neuron.

    One run has both: the derivative is taken in it, from the target back to the layer, before the gradient goes on from there.
    """

    of: Quantity
    target: Quantity
    whole = True
    chooses = False

    @property
    def on(self) -> Cut:
        return Together.of(self.of.on, self.target.on)

    @property
    def kind(self) -> Hashable:
        """Those of the two quantities, where they have some. Raises AttributeError where neither has."""
        found = tuple(q.kind for q in (self.of, self.target) if hasattr(q, "kind"))
        if not found:
            raise AttributeError("kind")
        return found

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        held, output = self.parts(y)
        return Held(self, self.of.bind(held, names, part), self.target.bind(output, names, part))

    def parts(self, y: Any) -> tuple[Tensor, Any]:
        """What the layer holds, and what the target is read from."""
        held, output = y
        whole = getattr(self.of, "whole", False) and self.of.on.anchor == "in"
        return entering(held) if whole else scores(held, self.of), scores(output, self.target)


@dataclass(frozen=True, eq=False)
class Held:
    """A bound :class:`Through`."""

    quantity: Through
    of: Bound
    target: Bound
    classes: np.ndarray | None = None

    @property
    def same(self) -> bool:
        return self.of.same and self.target.same

    def __call__(self, y: Any) -> Array:
        held, output = self.quantity.parts(y)
        value = self.target(output)
        if not (value.requires_grad and held.requires_grad):  # a run that only looks
            return self.of(held) + value
        return self.of(held * passed_on(value, held))

    def take(self, rows: np.ndarray) -> Held:
        return Held(self.quantity, self.of.take(rows), self.target.take(rows))


def passed_on(value: Tensor, held: Tensor) -> Tensor:
    """The derivative of a value at the place that ``held`` was copied from, its axes moved as those of ``held`` are.

    A copy is beside the way from that place to the value, not on it; so the derivative is taken where the copy was made.
    """
    node, moves = held.grad_fn, []
    while node is not None and node.name() == "PermuteBackward0":
        moves.append(node._saved_dims)  # type: ignore[attr-defined]
        node = node.next_functions[0][0]
    assert node is not None and node.name() == "CloneBackward0", "what is read at a layer is a copy"
    source, number = node.next_functions[0]
    assert source is not None
    found = torch.autograd.grad(value.sum(), GradientEdge(source, number), allow_unused=True)[0]
    if found is None:
        return torch.zeros_like(held)
    for dims in reversed(moves):
        found = found.permute([int(d) % found.ndim for d in dims])
    return found
