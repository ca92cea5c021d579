"""What LRP's rules for layers have in common: relevance shared out by a layer's sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .layers import Layer
from .tape import Tensor

Answer = tuple[Tensor | None, Tensor | None]
"""Multipliers, and relevance that is none of them times the value."""

LayerFormula = Callable[[Any, Layer, Tensor, Tensor], Answer]
"""What a rule makes of a layer, given the layer's result and its relevance."""


def stable(z: Tensor, epsilon: float) -> Tensor:
    """``z`` away from zero, in its own direction."""
    return torch.copysign(z.new_tensor(epsilon), z).add_(z)


def shared(relevance: Tensor, z: Tensor, epsilon: float) -> Tensor:
    """``R / z``; nothing to share where the sum is nothing and no epsilon holds it up."""
    if epsilon:
        held = stable(z, epsilon)
        return torch.div(relevance, held, out=held) if relevance.shape == held.shape and relevance.dtype is held.dtype else relevance / held
    return torch.where(z == 0, 0.0, relevance / z)


def has_negative(x: Tensor) -> bool:
    return bool((x < 0).any())


def signed(layer: Layer, both: bool, high: Tensor, low: Tensor, bias: Tensor | None) -> Tensor:
    """The layer with one set of weights for what is positive in ``x`` and another for what is negative; ``both`` if any is."""
    x = layer.x.value
    if not both:
        return layer.forward(x, high, bias)
    return layer.forward(x.clamp(min=0), high, bias) + layer.product(x.clamp(max=0), low)
