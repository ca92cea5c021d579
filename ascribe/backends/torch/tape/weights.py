"""LRP's rules for layers with fixed weights, in multiplier form: ``m_x = W'^T (m_y y / z')`` with the rule's weights and sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .entries import Entry, Tensor, Var, aten
from .step import Back, Formula, Step


@dataclass
class Layer:
    """A linear operation of one value with fixed weights and bias."""

    entry: Entry
    x: Var
    weight: Tensor
    bias: Tensor | None

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The operation with other numbers."""
        if self.entry.name == "convolution":
            found: Tensor = aten.convolution(x, weight, bias, *self.entry.args[3:])
            return found
        y = x @ weight
        return y if bias is None else y + bias

    def backward(self, g: Tensor, weight: Tensor) -> Tensor:
        """Its transpose."""
        if self.entry.name == "convolution":
            needs = [True, False, False]
            back: Tensor = aten.convolution_backward(g, self.x.value, weight, None, *self.entry.args[3:], needs)[0]
            return back
        return g @ weight.t()


def layer_of(entry: Entry) -> Layer | None:
    """The operation as a layer; None where weights depend on the record, or there is scaling beside."""
    if entry.kwargs:
        return None
    bias, x, weight = (None, *entry.args[:2]) if entry.name == "mm" else entry.args[:3]
    if entry.name == "convolution":
        x, weight, bias = entry.args[:3]
    if not isinstance(x, Var) or isinstance(weight, Var) or isinstance(bias, Var):
        return None
    return Layer(entry, x, weight, bias)


def stable(z: Tensor, epsilon: float) -> Tensor:
    """``z`` away from zero, in its own direction."""
    return z + torch.where(z >= 0, epsilon, -epsilon).to(z.dtype)


def positive(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.clamp(min=0)


def negative(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.clamp(max=0)


def epsilon(rule: Any, s: Step, layer: Layer) -> Tensor:
    y = s.entry.out().value
    return layer.backward(s.g * y / stable(y, rule.epsilon), layer.weight)


def gamma(rule: Any, s: Step, layer: Layer) -> Tensor:
    weight = layer.weight + rule.gamma * layer.weight.clamp(min=0)
    bias = None if layer.bias is None else layer.bias + rule.gamma * layer.bias.clamp(min=0)
    z = layer.forward(layer.x.value, weight, bias)
    return layer.backward(s.g * s.entry.out().value / stable(z, rule.epsilon), weight)


def alphabeta(rule: Any, s: Step, layer: Layer) -> Tensor:
    """Contributions of either sign apart: those of positive weights and inputs, or of negative ones, are the positive ones."""
    x, relevance = layer.x.value, s.g * s.entry.out().value
    signs = [(x.clamp(min=0), x.clamp(max=0)), (layer.weight.clamp(min=0), layer.weight.clamp(max=0))]
    (up, down), (plus, minus) = signs
    more = layer.forward(up, plus, positive(layer.bias)) + layer.forward(down, minus, None)
    p = rule.alpha * relevance / stable(more, rule.epsilon)
    high, low = layer.backward(p, plus), layer.backward(p, minus)
    if rule.beta:
        less = layer.forward(up, minus, negative(layer.bias)) + layer.forward(down, plus, None)
        n = rule.beta * relevance / (less - rule.epsilon)
        high, low = high - layer.backward(n, minus), low - layer.backward(n, plus)
    return torch.where(x >= 0, high, low)


def layered(rule: Any, one: Callable[[Any, Step, Layer], Tensor], otherwise: Mapping[str, Formula]) -> dict[str, Formula]:
    """Formulas for matrix products and convolutions: the rule's for fixed weights, what there was for products of two values."""

    def made(name: str) -> Formula:
        def formula(s: Step) -> Back | None:
            layer = layer_of(s.entry)
            if layer is None:
                return otherwise[name](s)
            return [(layer.x, one(rule, s, layer))]

        return formula

    return {name: made(name) for name in ("addmm", "mm", "convolution")}
