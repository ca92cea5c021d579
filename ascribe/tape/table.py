"""The table from kind of operation and treatment to formulas: what the words in a rule's table mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from ..errors import RuleError
from ..rules import OperationRule
from .formulas import choices, linear, lrp, norms, pooling, product_shares, products, softmax
from .step import Formula
from .tape import Framework

TREATMENTS: Mapping[tuple[str, str], Mapping[str, Formula]] = {
    ("linear", "vjp"): linear.LINEAR,
    ("product", "midpoint"): products.MIDPOINT,
    ("product", "half"): product_shares.HALF,
    ("product", "signal"): product_shares.SIGNAL,
    ("quotient", "leibniz"): products.LEIBNIZ,
    ("quotient", "detached"): {**products.LEIBNIZ, "divide": norms.quotient},
    ("norm", "leibniz"): norms.NORM,
    ("norm", "detached"): norms.DETACHED,
    ("softmax", "logmean"): softmax.SOFTMAX,
    ("softmax", "vjp"): softmax.TAYLOR,
    ("softmax", "fixed"): softmax.TAYLOR,
    ("pool", "winner"): pooling.POOL,
    ("choice", "secant"): choices.CHOICE,
}
"""Formulas by form, for each kind and treatment; without a reference the record replaces it, and averages are derivatives.

Element-wise regions and all other operations are treated by the reverse pass itself. A framework adds formulas of its own.
"""

OWN = {
    "elementwise": frozenset({"secant", "zero", "derivative", "guided", "deconvolution", "smooth"}),
    "other": frozenset({"quadrature", "gradient"}),
    "parts": frozenset({"orders"}),
}
"""Treatments without formulas by form."""


def formulas_of(rule: OperationRule, framework: Framework) -> dict[str, Formula]:
    """The formula of every form under a rule. Raises RuleError for an unknown treatment."""
    formulas: dict[str, Formula] = {}
    for kind, treatment in rule.treats.items():
        special = special_formulas(rule, kind, treatment, formulas, framework)
        if special is None and treatment not in OWN.get(kind, ()) and (kind, treatment) not in TREATMENTS:
            problem, there = "A rule has an unknown treatment for a kind of operation", f"treats[{kind!r}] = {treatment!r} of {rule!r}"
            raise RuleError(problem, found=there, advice=f"one of {', '.join(f'{k}: {t}' for k, t in TREATMENTS)}")
        formulas.update(special if special is not None else known(kind, treatment, framework))
    return formulas


@lru_cache(None)
def known(kind: str, treatment: str, framework: Framework) -> dict[str, Formula]:
    """The neutral formulas of a kind under a treatment, and the framework's own."""
    return {**TREATMENTS.get((kind, treatment), {}), **framework.formulas.get((kind, treatment), {})}


def special_formulas(
    rule: OperationRule, kind: str, treatment: str, before: Mapping[str, Formula], framework: Framework
) -> dict[str, Formula] | None:
    """Formulas that contain the rule's own numbers, or that all operations of a kind share."""
    if kind == "weights":
        return lrp.layered(rule, dict(before)) if treatment == "layer" else None
    if kind == "average" and treatment == "epsilon":
        return {form: lrp.averaged(rule, formula) for form, formula in linear.AVERAGES.items()}
    if kind == "softmax" and treatment == "tempered":
        temperature = rule.temperature  # type: ignore[attr-defined]
        own = framework.formulas.get(("softmax", "tempered"), {})
        return {**softmax.tempered(temperature), **{form: formula(temperature) for form, formula in own.items()}}
    if treatment == "pass" and kind in ("norm", "average"):
        return dict.fromkeys(norms.NORM if kind == "norm" else linear.AVERAGES, lrp.whole)
    return None
