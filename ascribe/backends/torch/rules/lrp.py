"""LRP's rules for layers with fixed weights, in multiplier form: ``m_x = W'^T (R / z')`` with the rule's weights and sums.

What a rule gives back need not be a multiple of the value: where ``x`` is zero, the rules for first layers still send relevance
there. So a rule answers with multipliers and, beside them, with relevance itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ....errors import RuleError
from . import rap
from .layers import BATCH_NORMS, WEIGHTED, Layer, layer_of
from .stabilise import Answer, LayerFormula, has_negative, shared, signed
from .step import Back, Formula, Step
from .tape import Tensor


def bias_of(rule: Any, layer: Layer) -> Tensor | None:
    """The bias, unless the rule gives it no share."""
    return layer.bias if getattr(rule, "bias", True) else None


def without(y: Tensor, rule: Any, layer: Layer) -> Tensor:
    """The layer's result, without the bias where that takes no share."""
    return y if layer.bias is None or bias_of(rule, layer) is not None else y - layer.bias


def up(t: Tensor | None, by: float = 1.0, rest: float = 0.0) -> Tensor | None:
    """``rest t + by t+``."""
    return None if t is None else t.clamp(min=0) * by + t * rest if rest else t.clamp(min=0)


def down(t: Tensor | None, by: float = 1.0, rest: float = 0.0) -> Tensor | None:
    """``rest t + by t-``."""
    return None if t is None else t.clamp(max=0) * by + t * rest if rest else t.clamp(max=0)


def epsilon(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    p = shared(relevance, without(y, rule, layer), rule.epsilon)
    return layer.backward(p, layer.weight, bias_of(rule, layer)), None


def gamma(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    """The plain one strengthens positive weights."""
    x, bias = layer.x.value, bias_of(rule, layer)
    more, more_bias = layer.weight + rule.gamma * layer.weight.clamp(min=0), up(bias, rule.gamma, 1.0)
    if not rule.generalised:
        z = layer.forward(x, more, more_bias)
        return layer.backward(shared(relevance, z, rule.epsilon), more, more_bias), None
    less, less_bias = layer.weight + rule.gamma * layer.weight.clamp(max=0), down(bias, rule.gamma, 1.0)
    positive, both = without(y, rule, layer) >= 0, has_negative(x)
    p = shared(relevance * positive, signed(layer, both, more, less, more_bias), rule.epsilon)
    n = shared(relevance * ~positive, signed(layer, both, less, more, less_bias), rule.epsilon)
    high = layer.backward(p, more, more_bias) + layer.backward(n, less, less_bias)
    return (torch.where(x >= 0, high, layer.transpose(p, less) + layer.transpose(n, more)) if both else high), None


def alphabeta(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    """Contributions of either sign apart: those of positive weights and inputs, or of negative ones, are the positive ones."""
    x, bias = layer.x.value, bias_of(rule, layer)
    plus, minus = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    both = has_negative(x)
    p = rule.alpha * shared(relevance, signed(layer, both, plus, minus, up(bias)), rule.epsilon)
    high = layer.backward(p, plus, up(bias))
    low = layer.transpose(p, minus) if both else high
    if rule.beta:
        less = signed(layer, both, minus, plus, down(bias))
        n = -rule.beta * torch.where(less == 0, 0.0, relevance / (less - rule.epsilon))
        high = high + layer.backward(n, minus, down(bias))
        low = low + layer.transpose(n, plus) if both else high
    return torch.where(x >= 0, high, low) if both else high, None


def zbox(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    x, weight = layer.x.value, layer.weight
    low, high = (bound(b, x) for b in (rule.low, rule.high))
    plus, minus = weight.clamp(min=0), weight.clamp(max=0)
    z = layer.product(x, weight) - layer.product(low, plus) - layer.product(high, minus)
    p = shared(relevance, z, rule.epsilon)
    return layer.transpose(p, weight), -low * layer.transpose(p, plus) - high * layer.transpose(p, minus)


def bound(b: Any, x: Tensor) -> Tensor:
    """A bound for every number of ``x``: from one number, one for each channel, or one for each number of a record.

    Raises RuleError where it does not fit.
    """
    t = torch.as_tensor(b, dtype=x.dtype, device=x.device)
    if t.dim() == 1 and x.dim() > 2:
        t = t.reshape(-1, *[1] * (x.dim() - 2))
    try:
        return t.expand(x.shape)
    except RuntimeError:
        there = f"inputs of shape {tuple(x.shape)}"
        raise RuleError(f"a bound of shape {tuple(t.shape)}", there=there, try_="a number, or one for each channel") from None


def evenly(layer: Layer, weight: Tensor, bias: Tensor | None, relevance: Tensor, epsilon: float) -> Answer:
    """Shares of weights that do not look at the inputs."""
    p = shared(relevance, layer.forward(torch.ones_like(layer.x.value), weight, bias), epsilon)
    return None, layer.backward(p, weight, bias)


def wsquare(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    bias = bias_of(rule, layer)
    return evenly(layer, layer.weight.square(), None if bias is None else bias.square(), relevance, rule.epsilon)


def flat(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    return evenly(layer, torch.ones_like(layer.weight), None, relevance, rule.epsilon)


def passed(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    """Raises RuleError where shapes differ."""
    if relevance.shape != layer.x.shape:
        shapes = f"{layer.entry.name} from {tuple(layer.x.shape)} to {tuple(y.shape)} in {layer.entry.place or 'the model'}"
        raise RuleError(f"{rule!r} for a layer that changes the shape", there=shapes, try_="asc.rules.Epsilon() there")
    return None, relevance


def changed(rule: Any, layer: Layer, y: Tensor, relevance: Tensor) -> Answer:
    """Shares of contributions by weights that the rule itself makes of the layer's; the bias is as it was."""
    weight, bias = rule.change(layer.weight), bias_of(rule, layer)
    z = layer.forward(layer.x.value, weight, bias)
    return layer.backward(shared(relevance, z, rule.epsilon), weight, bias), None


WEIGHTS: Mapping[str, LayerFormula] = {
    "epsilon": epsilon,
    "gamma": gamma,
    "alphabeta": alphabeta,
    "zbox": zbox,
    "wsquare": wsquare,
    "flat": flat,
    "pass": passed,
    "absolute": rap.absolute,
    "relative": rap.relative,
    "changed": changed,
}


def layered(rule: Any, one: LayerFormula, otherwise: Mapping[str, Formula]) -> dict[str, Formula]:
    """Formulas for layers: the rule's for fixed weights, what there was for products of two values and other norms."""

    def made(name: str) -> Formula:
        def formula(s: Step) -> Back | None:
            layer = s.layer or layer_of(s.entry)
            if layer is None:
                return otherwise[name](s) if name in otherwise else None
            return through(rule, one, s, layer)

        return formula

    return {name: made(name) for name in WEIGHTED | BATCH_NORMS}


def through(rule: Any, one: LayerFormula, s: Step, layer: Layer) -> Back:
    """A layer under its rule. What it was added to is treated like a residual: the multiplier goes on to both."""
    y, relevance = layer.out.value, s.relevance
    back: Back = []
    if layer.rest is not None:
        g = s.multiplier
        back += s.to((layer.rest, lambda: g))
        part = y - layer.rest.value
        y, relevance = part, g * part
    layer.absorbed, layer.records = s.absorbed, s.records
    m, direct = one(rule, layer, y, relevance)
    if not any(v.kept for v in layer.between):
        s.direct += [] if direct is None else [layer.sent(direct)]
        return back + ([] if m is None else [layer.sent(m)])
    parts = [t for t in (None if m is None else m * layer.x.value, direct) if t is not None]
    s.direct.append((layer.into, sum(parts[1:], parts[0])))
    return back


def averaged(rule: Any, otherwise: Formula) -> Formula:
    """A mean or a sum, each number by its share, held away from zero."""

    def formula(s: Step) -> Back | None:
        y = s.entry.out().value
        return otherwise(replace(s, back=[shared(s.relevance, y, rule.epsilon), *s.back[1:]]))

    return formula


def whole(s: Step) -> Back | None:
    """What comes back goes on as it is, where shapes are the same."""
    v = s.entry.ins[0]
    if v.shape != s.entry.out().shape or len(set(s.entry.ins)) > 1:
        return None
    s.direct.append((v, s.relevance))
    return []
