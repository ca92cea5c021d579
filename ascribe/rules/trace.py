"""The trace of a rule: the rule applied to each operation, and where relevance was absorbed or lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class AppliedRule:
    """The rule applied to operations of one name in one module; ``exact`` is False if the rule has no formula for them."""

    operation: str
    kind: str
    place: str
    rule: str
    times: int = 1
    exact: bool = True


@dataclass(frozen=True)
class Flow:
    """The relevance of one operation over all records: relevance of its output, passed on to its inputs, absorbed by its constants.

    ``off_path`` is True if some of its inputs do not lead to the attribution cuts. ``size`` is the sum of the absolute relevance passed on.
    """

    operation: str
    place: str
    out: float
    passed: float
    absorbed: float
    size: float
    off_path: bool = False

    def __add__(self, other: Flow) -> Flow:
        sums = {name: getattr(self, name) + getattr(other, name) for name in ("out", "passed", "absorbed", "size")}
        return replace(self, **sums)

    @property
    def lost(self) -> float:
        """The relevance that was neither passed on nor absorbed."""
        return self.out - self.passed - self.absorbed

    @property
    def name(self) -> str:
        """The operation and its module."""
        return f"{self.operation} in {self.place}" if self.place else self.operation


@dataclass
class RuleTrace:
    """The trace of one rule over one or several runs: applied rules, and flows by the index of the operation in execution order.

    ``quantity`` is the sum of the quantity over the records of all runs, ``size`` the sum of its absolute values. ``unused`` are the pairs
    of a rule book that fitted no operation.
    """

    applied: list[AppliedRule] = field(default_factory=list)
    flows: dict[int, Flow] = field(default_factory=dict)
    quantity: float = 0.0
    size: float = 0.0
    unused: tuple[str, ...] = ()

    def add(self, other: RuleTrace) -> None:
        """Adds another trace: flows are summed; the applied rules are those of the run with most operations."""
        if len(other.applied) > len(self.applied):
            self.applied, self.unused = other.applied, other.unused
        self.quantity += other.quantity
        self.size += other.size
        for key, flow in other.flows.items():
            self.flows[key] = self.flows[key] + flow if key in self.flows else flow


def count_applied(applied: Iterable[AppliedRule]) -> list[AppliedRule]:
    """Returns the applied rules with equal ones counted, in order of first occurrence."""
    times: dict[AppliedRule, int] = {}
    for one in applied:
        key = one if one.times == 1 else replace(one, times=1)
        times[key] = times.get(key, 0) + one.times
    return [replace(one, times=n) for one, n in times.items()]
