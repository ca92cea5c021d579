"""The protocols of backward rules, the plain gradient, and the parsing of ``by=``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

from ..errors import RuleError
from ..values import Value


class Rule(Protocol):
    """A rule that propagates influence backwards through a network: a value that a backend executes.

    ``compares`` is True if the rule needs a reference in addition to the record, as DeepLIFT does.
    """

    @property
    def compares(self) -> bool: ...


RuleLike = Rule | None
"""What ``by=`` accepts for gradients: a rule, or None for the plain gradient."""


@runtime_checkable
class OperationRule(Rule, Protocol):
    """A rule that treats operations by their kind, independent of the module they ran in.

    ``treats`` maps each kind (``"linear"``, ``"elementwise"``, ``"product"``, ``"quotient"``, ``"norm"``, ``"softmax"``, ``"pool"``,
    ``"choice"``, ``"other"``) to the name of its treatment. ``points`` is the number of quadrature points for operations without a
    formula; with ``strict`` such operations raise RuleError.
    """

    @property
    def treats(self) -> Mapping[str, str]: ...
    @property
    def points(self) -> int: ...
    @property
    def strict(self) -> bool: ...


def treats_operations(rule: object) -> TypeGuard[OperationRule]:
    """Returns True if a rule is an :class:`OperationRule`. Faster than ``isinstance`` with a protocol."""
    return hasattr(rule, "treats")


@dataclass(frozen=True, repr=False)
class Gradient(Value):
    """The plain gradient: the vector-Jacobian product of every operation.

    *Use it when* no correction is wanted: it is the default. One forward and one backward pass.
    """

    compares = False


def as_rule(by: Any) -> Rule:
    """Returns ``by=`` as a rule; None is the plain gradient. Raises RuleError for anything else."""
    if by is None:
        return Gradient()
    if isinstance(by, type):
        raise RuleError("`by=` is a class, not a rule", found=f"the class {by.__name__}", advice=f"by={by.__name__}()")
    if isinstance(getattr(by, "compares", None), bool):
        rule: Rule = by
        if treats_operations(rule) and (missing := [name for name in ("points", "strict") if not hasattr(rule, name)]):
            there, advice = (
                f"by={by!r} without {' and '.join(missing)}",
                "a subclass of asc.rules.LayerRule, or points = 1 and strict = False",
            )
            raise RuleError("A rule with `treats` needs the attributes `points` and `strict`", found=there, advice=advice)
        return rule
    if hasattr(by, "replacement_for"):
        raise RuleError(
            "`by=` is a replacement, which applies to perturbation methods only",
            found=f"by={by!r}, over points",
            advice="over=asc.coalitions.LeaveOneOut(), or other coalitions",
        )
    raise RuleError("`by=` is not a rule", found=f"by={by!r}", advice="by=asc.rules.Gradient(), or no by=")
