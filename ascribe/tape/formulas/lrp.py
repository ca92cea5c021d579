"""Layers with fixed weights under a rule of their own, in multiplier form: ``m_x = W'^T (R / z')`` with the rule's weights and sums.

The formula is the rule's method ``propagate`` (:mod:`ascribe.rules.layers`). What it returns need not be a multiple of the value: where
``x`` is zero, the rules for first layers still send relevance there. So a rule returns multipliers and, in addition, relevance itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...arrays import Array
from ...errors import RuleError
from ...rules.layer import share
from ..step import Back, Formula, Step
from .layers import WEIGHTED, Layer, layer_of


def layered(rule: Any, otherwise: Mapping[str, Formula]) -> dict[str, Formula]:
    """Formulas for layers: the rule's for fixed weights, those of ``otherwise`` for products of two values and other norms."""

    def made(form: str) -> Formula:
        def formula(s: Step) -> Back | None:
            layer = s.layer or layer_of(s.entry)
            if layer is None:
                return otherwise[form](s) if form in otherwise else None
            return through(rule, s, layer)

        return formula

    return {form: made(form) for form in (*WEIGHTED, "batch_norm")}


def through(rule: Any, s: Step, layer: Layer) -> Back:
    """A layer under its rule. A value that its result was added to is treated like a residual: the multiplier goes on to both."""
    y, relevance = layer.out.value, s.relevance
    back: Back = []
    if layer.rest is not None:
        g = s.multiplier
        back += s.to((layer.rest, lambda: g))
        y = y - layer.rest.value
        relevance = g * y
    layer.absorbed, layer.records, layer.y = s.absorbed, s.records, y
    answer = rule.propagate(layer, relevance)
    layer.y = None
    if not (isinstance(answer, tuple) and len(answer) == 2):
        there = f"{type(answer).__name__}{f' of {len(answer)}' if isinstance(answer, tuple) else ''} from {rule!r}"
        raise RuleError("`propagate` must return a pair: multipliers and direct relevance", found=there, advice="return multipliers, None")
    m, direct = answer
    if not any(v.kept for v in layer.between):
        s.direct += [] if direct is None else [layer.sent(direct)]
        return back + ([] if m is None else [layer.sent(m)])
    parts: list[Array] = [t for t in (None if m is None else m * layer.x, direct) if t is not None]
    s.direct.append((layer.into, sum(parts[1:], parts[0])))
    return back


def averaged(rule: Any, otherwise: Formula) -> Formula:
    """A mean or a sum, each element by its share, stabilised."""

    def formula(s: Step) -> Back | None:
        y = s.entry.out().value
        return otherwise(replace(s, back=[share(s.relevance, y, rule.epsilon), *s.back[1:]]))

    return formula


def whole(s: Step) -> Back | None:
    """Relevance unchanged, where shapes are the same."""
    v = s.entry.ins[0]
    if v.shape != s.entry.out().shape or len(set(s.entry.ins)) > 1:
        return None
    s.direct.append((v, s.relevance))
    return []
