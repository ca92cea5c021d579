"""The protocol of backward rules, the plain gradient, and ``by=`` as a rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

from ..errors import RuleError
from ..values import Value


class Rule(Protocol):
    """A way to pull influence back through a network: a value that a backend knows how to carry out.

    ``compares`` says whether the rule needs a reference run beside the record's (DeepLIFT does, a gradient does not).
    """

    @property
    def compares(self) -> bool: ...


RuleLike = Rule | None
"""What ``by=`` accepts for gradients: a rule, or None for the plain gradient."""


@runtime_checkable
class OperationRule(Rule, Protocol):
    """A rule that treats operations by their kind, whatever in the model wrote them.

    ``treats`` names the treatment of each kind (``"linear"``, ``"elementwise"``, ``"product"``, ``"quotient"``, ``"norm"``,
    ``"softmax"``, ``"pool"``, ``"choice"``, ``"other"``); a backend has the formulas. ``points`` is how many points of
    an operation's own derivative stand for it where no formula does; with ``strict`` there must be one for every operation.
    """

    @property
    def treats(self) -> Mapping[str, str]: ...
    @property
    def points(self) -> int: ...
    @property
    def strict(self) -> bool: ...


def treats_operations(rule: object) -> TypeGuard[OperationRule]:
    """Whether a rule is an :class:`OperationRule`; asked several times in every call, which a protocol answers slowly."""
    return hasattr(rule, "treats")


@dataclass(frozen=True, repr=False)
class Gradient(Value):
    """The plain derivative: each operation's own vector-Jacobian product."""

    compares = False


def as_rule(by: Any) -> Rule:
    """``by=`` as a rule: None is the plain gradient.

    Raises RuleError for anything that is not a rule.
    """
    if by is None:
        return Gradient()
    if isinstance(getattr(by, "compares", None), bool) and not isinstance(by, type):
        rule: Rule = by
        return rule
    if hasattr(by, "replacement_for"):
        raise RuleError(
            f"by={by!r} removes features", there="no coalitions of them", try_="over=asc.coalitions.LeaveOneOut(), or other coalitions"
        )
    raise RuleError(f"by={by!r} is not a rule", try_="by=asc.rules.Gradient(), or leave it out")
