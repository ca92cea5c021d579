"""Backward passes of several quantities over one tape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..arrays import Array, Namespace
from ..errors import RuleError
from ..rules import OperationRule
from .formulas.elementwise import RECTIFYING
from .reveal_cancel import PartedReverse
from .reverse import Reverse
from .tape import Var


@dataclass
class Passed:
    """What came to each target, for each quantity: multipliers, shares of a rule that separates signs, and direct relevance, if any."""

    multipliers: list[list[Array]]
    shares: list[list[Array]] | None = None
    direct: list[list[Array]] | None = None


def pass_back(reverse: Reverse, out: Var, targets: Sequence[Var], multipliers_only: bool = False, release: bool = False) -> Passed:
    """Passes each row of ``out`` back by itself.

    With ``multipliers_only`` direct relevance becomes part of the multipliers; with ``release`` the last pass releases the values.
    """
    xp = reverse.framework.xp
    parted = PartedReverse(reverse) if reverse.rules.rule.treats.get("parts") == "orders" else None
    multipliers: list[list[Array]] = []
    shares: list[list[Array]] = []
    direct: list[list[Array | None]] = []
    for quantity in range(out.shape[0]):
        g = xp.put(xp.zeros(out.shape, out.value), quantity, xp.ones_like(out.value[0]))
        found: list[tuple[Array | None, Array | None]]
        if parted is not None:
            found = [(m, None) for m in parted(out, g, targets)]
            shares.append(parted.shares)
        else:
            found = reverse(out, g, targets, release and quantity == out.shape[0] - 1)
        found = [folded(xp, v, *pair) for v, pair in zip(targets, found, strict=True)] if multipliers_only else found
        multipliers.append([xp.zeros_like(v.value) if m is None else m for v, (m, _) in zip(targets, found, strict=True)])
        direct.append([r for _, r in found])
    passed = Passed(multipliers, shares or None)
    if any(r is not None for row in direct for r in row):
        pairs = zip(multipliers, direct, strict=True)
        passed.direct = [[xp.zeros_like(m) if r is None else r for m, r in zip(*rows, strict=True)] for rows in pairs]
    return passed


def check_relus(rule: OperationRule, reverse: Reverse) -> None:
    """Raises RuleError for a rule of ReLUs alone on a model without."""
    if rule.treats["elementwise"] in RECTIFYING and not reverse.relus:
        problem, there = f"`{rule!r}` needs a model with a ReLU", "no operation that computes max(x, 0)"
        raise RuleError(problem, found=there, advice="by=asc.rules.Gradient()")


def folded(xp: Namespace, v: Var, m: Array | None, r: Array | None) -> tuple[Array | None, None]:
    """Direct relevance as a multiplier; 0 where the value is 0."""
    if r is None:
        return m, None
    x = v.value
    zero = x == 0
    more = xp.where(zero, 0.0, r / xp.where(zero, 1.0, x))
    return (more if m is None else m + more), None
