"""The rule of a job, for backends that evaluate rules."""

from __future__ import annotations

from ..errors import RuleError
from ..rules import OperationRule, treats_operations
from .protocol import Job


def rule_of(job: Job) -> OperationRule:
    """The rule of a job that treats operations. Raises RuleError for one that compares, in a job without references."""
    rule = job.by
    assert treats_operations(rule)
    if rule.compares and not job.reference:
        problem = "The rule compares each record with a reference, and this call has none"
        raise RuleError(problem, found=f"by={rule!r}", advice="over=asc.Reference(0.0), or over=asc.Background(rows)")
    found: OperationRule = rule
    return found
