"""What to do about which kind of operation: the formulas behind the names that a rule's table uses."""

from __future__ import annotations

from collections.abc import Mapping

from ....errors import RuleError
from ....rules import OperationRule
from . import attention, choices, factors, fixed, linear, norms, pools, products, softmaxes, weights
from .step import Formula

TREATMENTS: Mapping[tuple[str, str], Mapping[str, Formula]] = {
    ("linear", "vjp"): linear.LINEAR,
    ("product", "midpoint"): products.MIDPOINT,
    ("product", "half"): factors.HALF,
    ("product", "signal"): factors.SIGNAL,
    ("quotient", "leibniz"): products.LEIBNIZ,
    ("quotient", "detached"): fixed.DIVIDED,
    ("norm", "leibniz"): norms.NORM,
    ("norm", "detached"): fixed.DETACHED,
    ("softmax", "logmean"): softmaxes.SOFTMAX,
    ("softmax", "vjp"): attention.TAYLOR,
    ("softmax", "fixed"): attention.FIXED,
    ("pool", "winner"): pools.POOL,
    ("choice", "secant"): choices.CHOICE,
}
"""Formulas by operation, for each kind and treatment; without a reference the record stands for it, and averages are derivatives.

Element-wise regions and all other operations are the reverse pass's own.
"""

WEIGHTS = {"epsilon": weights.epsilon, "gamma": weights.gamma, "alphabeta": weights.alphabeta}
REGIONS = frozenset({"secant", "zero", "guided", "deconvolution"})
OTHERS = frozenset({"quadrature", "gradient"})
PARTS = frozenset({"orders"})


def formulas(rule: OperationRule) -> dict[str, Formula]:
    """Every operation's formula under a rule. Raises RuleError for a treatment that there is none of."""
    found: dict[str, Formula] = {}
    for kind, treatment in rule.treats.items():
        if kind == "weights" and treatment in WEIGHTS:
            found.update(weights.layered(rule, WEIGHTS[treatment], dict(found)))
            continue
        known = treatment in {"elementwise": REGIONS, "other": OTHERS, "parts": PARTS}.get(kind, ())
        if not known and (kind, treatment) not in TREATMENTS:
            there = ", ".join(f"{k}: {t}" for k, t in TREATMENTS)
            raise RuleError(f"{rule!r} treats {kind} by {treatment!r}", there=there, try_="one of these")
        found.update(TREATMENTS.get((kind, treatment), {}))
    return found
