"""Sums, with their weights of either sign apart: for a rule that separates contributions by sign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...arrays import Array, Namespace
from ..step import Back, Step
from ..tape import Entry, Var, fold
from .layers import WEIGHTED, layer_of

Map = tuple[Callable[[Array], Array], Callable[[Array], Array]]
"""A linear map and its transpose."""


class Term(NamedTuple):
    """One value in a sum: the maps by its positive and by its negative weights; None where there are none."""

    var: Var
    plus: Map | None
    minus: Map | None


def terms(entry: Entry, answer: Callable[[Step], Back], refer: Callable[[Var], Array]) -> list[Term] | None:
    """The terms of a sum; None for what is no sum of several elements with fixed weights."""
    form = entry.op.form
    if any(v.kind != "f" for v in entry.ins):
        return None
    if entry.op.kind == "average" or form == "cumulative_sum":
        pooled: Map = (lambda t: entry.framework.again(entry, lambda v: t)[0]), (lambda g: answer(Step(entry, [g], refer))[0][1])
        return [Term(entry.ins[0], pooled, None)]
    if form == "add" and len(entry.ins) == 2:
        xp, (_, _, factor) = entry.framework.xp, entry.framework.arguments(entry) or ()
        return [scaled(xp, entry.ins[0], 1), scaled(xp, entry.ins[1], factor)]
    if form in WEIGHTED - {"matvec"} and len(entry.ins) == 1:
        return weighted(entry)
    return None


def scaled(xp: Namespace, var: Var, factor: float) -> Term:
    """A value times a number."""
    both: Map = (lambda t: t * factor), (lambda g: fold(xp, g * factor, var.shape))
    return Term(var, both if factor > 0 else None, both if factor < 0 else None)


def weighted(entry: Entry) -> list[Term] | None:
    """A layer: a matrix product or convolution of one value with fixed weights.

    Several records may make a batch of matrices of what is one matrix for a single one.
    """
    layer = layer_of(entry)
    if layer is None:
        return None
    xp = layer.xp

    def part(weight: Array) -> Map:
        return (lambda t: layer.product(t, weight)), (lambda g: layer.transpose(g, weight))

    return [Term(layer.source, part(xp.clip(layer.weight, 0, None)), part(xp.clip(layer.weight, None, 0)))]


def risen(xp: Namespace, found: list[Term], difference: Callable[[Var], Array]) -> Array:
    """By how much the terms raise the sum."""
    total: Any = 0.0
    for var, plus, minus in found:
        d = difference(var)
        total = total + plus[0](xp.clip(d, 0, None)) if plus else total
        total = total + minus[0](xp.clip(d, None, 0)) if minus else total
    return total
