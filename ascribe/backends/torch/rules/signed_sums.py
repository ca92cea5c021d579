"""Sums, with their weights of either sign apart: what parts contributions by sign needs to know of an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from .step import Back, Step
from .tape import Entry, Tensor, Var, again, aten, fold

Map = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]
"""A linear map and its transpose."""

POOLED = frozenset({"sum", "mean", "cumsum", "avg_pool1d", "avg_pool2d", "avg_pool3d"}) | {
    f"{prefix}adaptive_avg_pool{axes}d" for prefix in ("", "_") for axes in (1, 2, 3)
}
"""Sums over numbers of one value, with no negative weight."""


LAYERS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1, "convolution": 0}
"""Products with what may be fixed weights, and the position of the first factor."""


class Term(NamedTuple):
    """One value in a sum: what its positive and its negative weights make of it; None where there are none."""

    var: Var
    plus: Map | None
    minus: Map | None


def terms(entry: Entry, answer: Callable[[Step], Back], refer: Callable[[Var], Tensor]) -> list[Term] | None:
    """The terms of a sum; None for what is no sum of several numbers with fixed weights."""
    if any(not v.dtype.is_floating_point for v in entry.ins):
        return None
    if entry.name in POOLED:
        pooled: Map = (lambda t: again(entry, lambda v: t)[0]), (lambda g: answer(Step(entry, [g], refer))[0][1])
        return [Term(entry.ins[0], pooled, None)]
    if entry.name in ("add", "sub") and len(entry.ins) == 2:
        factor = entry.kwargs.get("alpha", 1) * (1 if entry.name == "add" else -1)
        return [scaled(entry.ins[0], 1), scaled(entry.ins[1], factor)]
    if entry.name in LAYERS and len(entry.ins) == 1 and not (set(entry.kwargs) - {"alpha"}):
        return weighted(entry)
    return None


def scaled(var: Var, factor: float) -> Term:
    """A value times a number."""
    found: Map = (lambda t: t * factor), (lambda g: fold(g * factor, var.shape))
    return Term(var, found if factor > 0 else None, found if factor < 0 else None)


def weighted(entry: Entry) -> list[Term] | None:
    """A layer: matrix product or convolution of one value with fixed weights.

    Several records may make a batch of matrices of what is one matrix for a single one.
    """
    x, weight = entry.args[LAYERS[entry.name] :][:2]
    left = not isinstance(x, Var)
    x, weight = (weight, x) if left else (x, weight)
    if not isinstance(x, Var) or isinstance(weight, Var) or (left and entry.name == "convolution"):
        return None
    alpha = entry.kwargs.get("alpha", 1)
    weight = (weight if alpha == 1 else weight * alpha).detach()
    plus, minus = weight.clamp(min=0), weight.clamp(max=0)
    if entry.name == "convolution":
        return [Term(x, convolved(x, plus, entry.args[3:]), convolved(x, minus, entry.args[3:]))]
    return [Term(x, multiplied(plus, left), multiplied(minus, left))]


def multiplied(weight: Tensor, left: bool) -> Map:
    if left:
        return (lambda t: weight @ t), (lambda g: weight.mT @ g)
    return (lambda t: t @ weight), (lambda g: g @ weight.mT)


def convolved(x: Var, weight: Tensor, settings: Any) -> Map:
    needs = [True, False, False]
    return (
        lambda t: aten.convolution(t, weight, None, *settings),
        lambda g: aten.convolution_backward(g, x.value, weight, None, *settings, needs)[0],
    )


def risen(found: list[Term], difference: Callable[[Var], Tensor]) -> Tensor:
    """What the terms push the sum up by."""
    total: Any = 0.0
    for var, plus, minus in found:
        d = difference(var)
        total = total + plus[0](d.clamp(min=0)) if plus else total
        total = total + minus[0](d.clamp(max=0)) if minus else total
    assert isinstance(total, torch.Tensor)
    return total
