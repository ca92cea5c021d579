"""What became of a run's operations under a rule: which applied which rule, and where relevance was taken up or lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class AppliedRule:
    """Operations of one name in one module, and what they are treated by; not ``exact`` where no formula is known."""

    operation: str
    kind: str
    place: str
    rule: str
    times: int = 1
    exact: bool = True


@dataclass(frozen=True)
class Flow:
    """The relevance of one operation over all records: what came back to it, what it passed on, what its constants took.

    ``off_path`` says that some of its inputs do not lead to the places asked for; ``size`` is the sum of the sizes that it passed on.
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
        """What neither went on nor to constants."""
        return self.out - self.passed - self.absorbed

    @property
    def name(self) -> str:
        """The operation with its place."""
        return f"{self.operation} in {self.place}" if self.place else self.operation


@dataclass
class RuleTrace:
    """Of one rule in one or several runs: what was applied, and the flows by the operations' numbers in the order in which they ran.

    ``quantity`` is the sum over the records of all runs, ``size`` that of its sizes; ``unused`` are a book's pairs that fitted nothing.
    """

    applied: list[AppliedRule] = field(default_factory=list)
    flows: dict[int, Flow] = field(default_factory=dict)
    quantity: float = 0.0
    size: float = 0.0
    unused: tuple[str, ...] = ()

    def add(self, other: RuleTrace) -> None:
        """Adds the trace of another run: flows are summed; of the applied rules the longer list is kept."""
        if len(other.applied) > len(self.applied):
            self.applied, self.unused = other.applied, other.unused
        self.quantity += other.quantity
        self.size += other.size
        for key, flow in other.flows.items():
            self.flows[key] = self.flows[key] + flow if key in self.flows else flow


def count_applied(applied: Iterable[AppliedRule]) -> list[AppliedRule]:
    """The same with operations that are alike count_applied, in the order in which they came first."""
    times: dict[AppliedRule, int] = {}
    for one in applied:
        key = one if one.times == 1 else replace(one, times=1)
        times[key] = times.get(key, 0) + one.times
    return [replace(one, times=n) for one, n in times.items()]
