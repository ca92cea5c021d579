"""What to do about which kind of operation: the formulas behind the names that a rule's table uses."""

from __future__ import annotations

from collections.abc import Mapping

from ....errors import RuleError
from ....rules import OperationRule
from . import choices, linear, norms, pools, products, softmaxes
from .step import Formula

TREATMENTS: Mapping[tuple[str, str], Mapping[str, Formula]] = {
    ("linear", "vjp"): linear.LINEAR,
    ("product", "midpoint"): products.MIDPOINT,
    ("quotient", "leibniz"): products.LEIBNIZ,
    ("norm", "leibniz"): norms.NORM,
    ("softmax", "logmean"): softmaxes.SOFTMAX,
    ("pool", "winner"): pools.POOL,
    ("choice", "secant"): choices.CHOICE,
}
"""Formulas by operation, for each kind and treatment. Element-wise regions and all others are the reverse pass's own."""

REGIONS = frozenset({"secant"})
OTHERS = frozenset({"quadrature"})


def formulas(rule: OperationRule) -> dict[str, Formula]:
    """Every operation's formula under a rule. Raises RuleError for a treatment that there is none of."""
    found: dict[str, Formula] = {}
    for kind, treatment in rule.treats.items():
        known = (kind == "elementwise" and treatment in REGIONS) or (kind == "other" and treatment in OTHERS)
        if not known and (kind, treatment) not in TREATMENTS:
            there = ", ".join(f"{k}: {t}" for k, t in TREATMENTS)
            raise RuleError(f"{rule!r} treats {kind} by {treatment!r}", there=there, try_="one of these")
        found.update(TREATMENTS.get((kind, treatment), {}))
    return found
