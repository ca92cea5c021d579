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
from ...cuts import Cut, JointCut
from ...quantities import Bound, Part, Quantity, scores
from ...tree import map_leaves, walk
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
        return JointCut.of(self.of.on, self.target.on)

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
        leaves = [leaf for _, leaf in walk(held) if isinstance(leaf, Tensor) and leaf.requires_grad]
        if not (value.requires_grad and leaves):  # a run that only looks
            return one_each(self.of(held)) + value
        through = {id(leaf): leaf * found for leaf, found in zip(leaves, passed_on(value, leaves), strict=True)}
        return one_each(self.of(map_leaves(held, lambda _, leaf: through.get(id(leaf), leaf))))

    def take(self, rows: np.ndarray) -> Held:
        return Held(self.quantity, self.of.take(rows), self.target.take(rows))


def one_each(value: Tensor) -> Tensor:
    """A number for each record, without an axis that holds but one."""
    return value.reshape(len(value)) if value.ndim > 1 and value.numel() == len(value) else value


def passed_on(value: Tensor, held: Sequence[Tensor]) -> list[Tensor]:
    """The derivative of a value at the places that tensors were copied from, their axes moved as those of the copies are.

    The value does not depend on a copy, only on the tensor that was copied; so the derivative is taken where the copy was made.
    """
    places = [source(one) for one in held]
    edges = [edge for edge, _ in places]
    grads = torch.autograd.grad(value.sum(), edges, allow_unused=True)
    found = []
    for one, grad, (_, moves) in zip(held, grads, places, strict=True):
        if grad is None:
            found.append(torch.zeros_like(one))
            continue
        for dims in reversed(moves):
            grad = grad.permute([int(d) % grad.ndim for d in dims])
        found.append(grad)
    return found


def source(held: Tensor) -> tuple[GradientEdge, list[Any]]:
    """Where a tensor was copied from, and how its axes were moved since."""
    node, moves = held.grad_fn, []
    while node is not None and node.name() == "PermuteBackward0":
        moves.append(node._saved_dims)  # type: ignore[attr-defined]
        node = node.next_functions[0][0]
    assert node is not None and node.name() == "CloneBackward0", "what is read at a layer is a copy"
    made, number = node.next_functions[0]
    assert made is not None
    return GradientEdge(made, number), moves
