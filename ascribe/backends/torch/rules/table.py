"""What to do about which kind of operation: the formulas behind the names that a rule's table uses."""

from __future__ import annotations

from collections.abc import Mapping

from ....errors import RuleError
from ....rules import OperationRule
from . import attention, choices, detached, kinds, linear, lrp, norms, order_statistics, pooling, product_shares, products, softmax
from .step import Formula

TREATMENTS: Mapping[tuple[str, str], Mapping[str, Formula]] = {
    ("linear", "vjp"): linear.LINEAR,
    ("product", "midpoint"): products.MIDPOINT,
    ("product", "half"): product_shares.HALF,
    ("product", "signal"): product_shares.SIGNAL,
    ("quotient", "leibniz"): products.LEIBNIZ,
    ("quotient", "detached"): detached.DIVIDED,
    ("norm", "leibniz"): norms.NORM,
    ("norm", "detached"): detached.DETACHED,
    ("softmax", "logmean"): softmax.SOFTMAX,
    ("softmax", "vjp"): attention.TAYLOR,
    ("softmax", "fixed"): attention.FIXED,
    ("pool", "winner"): pooling.POOL,
    ("choice", "secant"): {**choices.CHOICE, **order_statistics.ORDER},
}
"""Formulas by operation, for each kind and treatment; without a reference the record stands for it, and averages are derivatives.

Element-wise regions and all other operations are the reverse pass's own.
"""

REGIONS = frozenset({"secant", "zero", "derivative", "guided", "deconvolution", "smooth"})
OTHERS = frozenset({"quadrature", "gradient"})
PARTS = frozenset({"orders"})
AVERAGES = {name: linear.LINEAR[name] for name in sorted(kinds.AVERAGES)}


def formulas(rule: OperationRule) -> dict[str, Formula]:
    """Every operation's formula under a rule. Raises RuleError for a treatment that there is none of."""
    found: dict[str, Formula] = {}
    for kind, treatment in rule.treats.items():
        own = special(rule, kind, treatment, found)
        known = treatment in {"elementwise": REGIONS, "other": OTHERS, "parts": PARTS}.get(kind, ())
        if own is None and not known and (kind, treatment) not in TREATMENTS:
            there = ", ".join(f"{k}: {t}" for k, t in TREATMENTS)
            raise RuleError(f"{rule!r} treats {kind} by {treatment!r}", there=there, try_="one of these")
        found.update(own if own is not None else TREATMENTS.get((kind, treatment), {}))
    return found


def special(rule: OperationRule, kind: str, treatment: str, before: Mapping[str, Formula]) -> dict[str, Formula] | None:
    """Formulas that have the rule's own numbers in them, or that any operation of a kind shares."""
    if kind == "weights" and treatment in lrp.WEIGHTS:
        return lrp.layered(rule, lrp.WEIGHTS[treatment], dict(before))
    if kind == "average" and treatment == "epsilon":
        return {name: lrp.averaged(rule, formula) for name, formula in AVERAGES.items()}
    if kind == "softmax" and treatment == "tempered":
        return attention.tempered(rule.temperature)  # type: ignore[attr-defined]
    if treatment == "pass" and kind in ("norm", "average"):
        return dict.fromkeys(norms.NORM if kind == "norm" else AVERAGES, lrp.whole)
    return None
