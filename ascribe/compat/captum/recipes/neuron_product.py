"""The product of a neuron and the derivative of the target with respect to it, for the conductance of neurons."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from ....arrays import Array
from ....cuts import Cut, JointCut
from ....quantities import Bound, Part, Quantity, select_scores
from ....tree import map_leaves, walk
from ..translate.targets import get_layer_inputs


@dataclass(frozen=True, eq=False)
class NeuronTimesTarget:
    """The value ``of`` a layer times the derivative of ``target`` with respect to it, which is held fixed.

    The gradient of this quantity is the part of the target's gradient that passes through the neuron. One run computes both derivatives.
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
        """The keys of the two quantities. Raises AttributeError if neither has one."""
        found = tuple(q.kind for q in (self.of, self.target) if hasattr(q, "kind"))
        if not found:
            raise AttributeError("kind")
        return found

    def bind(self, y: Any, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        held, output = self.parts(y)
        return BoundNeuronTimesTarget(self, self.of.bind(held, names, part), self.target.bind(output, names, part))

    def parts(self, y: Any) -> tuple[Tensor, Any]:
        """Returns the layer's value and the value that the target is read from."""
        held, output = y
        whole = getattr(self.of, "whole", False) and self.of.on.anchor == "in"
        return get_layer_inputs(held) if whole else select_scores(held, self.of), select_scores(output, self.target)


@dataclass(frozen=True, eq=False)
class BoundNeuronTimesTarget:
    """A bound :class:`NeuronTimesTarget`."""

    quantity: NeuronTimesTarget
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
            return drop_unit_axis(self.of(held)) + value
        through = {id(leaf): leaf * found for leaf, found in zip(leaves, differentiate_at_layer(value, leaves), strict=True)}
        return drop_unit_axis(self.of(map_leaves(held, lambda _, leaf: through.get(id(leaf), leaf))))

    def take(self, rows: np.ndarray) -> BoundNeuronTimesTarget:
        return BoundNeuronTimesTarget(self.quantity, self.of.take(rows), self.target.take(rows))


def drop_unit_axis(value: Tensor) -> Tensor:
    """Returns one element for each record, without an axis of size 1."""
    return value.reshape(len(value)) if value.ndim > 1 and value.numel() == len(value) else value


def differentiate_at_layer(value: Tensor, held: Sequence[Tensor]) -> list[Tensor]:
    """Returns the derivative of ``value`` at the tensors that ``held`` were copied from, with axes permuted as those of the copies.

    The value depends on the tensor that was copied, not on the copy; the derivative is therefore taken at the copy's origin.
    """
    places = [find_source(one) for one in held]
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


def find_source(held: Tensor) -> tuple[GradientEdge, list[Any]]:
    """Returns the autograd edge that a tensor was copied from, and the permutations of its axes since."""
    node, moves = held.grad_fn, []
    while node is not None and node.name() == "PermuteBackward0":
        moves.append(node._saved_dims)  # type: ignore[attr-defined]
        node = node.next_functions[0][0]
    assert node is not None and node.name() == "CloneBackward0", "what is read at a layer is a copy"
    made, number = node.next_functions[0]
    assert made is not None
    return GradientEdge(made, number), moves
