"""What a rule did on a run, for the checks and for the table before a run: operations without a rule, and the trace of the rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import RuleError
from ..rules import OperationRule
from ..rules.books import RuleBook, short
from ..rules.trace import RuleTrace
from .assignment import Assignment
from .coverage import list_applied, summarise_unruled
from .reverse import Reverse
from .tape import Tape, Var


@dataclass
class RuleReport:
    """The operations without a rule with what was done instead, and the trace of the rule, over all passes of a job.

    ``modules`` are the paths of the model's modules.
    """

    rule: OperationRule
    modules: Sequence[str] = ()
    without_formula: dict[str, str] = field(default_factory=dict)
    trace: RuleTrace = field(default_factory=RuleTrace)

    def add(self, tape: Tape, out: Var | None, reverse: Reverse) -> None:
        """Adds one backward pass."""
        for name, (times, places) in summarise_unruled(reverse.without_formula).items():
            self.without_formula[name] = f"by {self.rule.points} points of its own derivative, {times} times{places}"
        for name, times in reverse.unparted.items():
            self.without_formula[name] = f"its whole difference parted by sign, {times} times"
        for name, times in tape.choices.items():
            self.without_formula[name] = f"its choice kept as it is for the record, {times} times"
        for name, times in tape.opaque.items():
            self.without_formula[name] = f"not seen through, {times} times"
        trace = reverse.ledger.trace() if reverse.ledger is not None else RuleTrace()
        if not self.trace.applied:
            trace.applied = list_applied(tape, out, reverse.rules, reverse.without_formula)
            trace.unused = self._unused(reverse.rules)
        self.trace.add(trace)

    def _unused(self, rules: Assignment) -> tuple[str, ...]:
        """The pairs of a book that matched nothing; a path that no module has is reported with the operations without a rule."""
        if not isinstance(rules.rule, RuleBook):
            return ()
        unused = [where for i, (where, _) in enumerate(rules.rule.pairs) if i not in rules.used]
        for where in unused:
            if where.layer is not None and not any(where.inside(name) for name in self.modules):
                self.without_formula[repr(where)] = "no module has such a path"
        return tuple(repr(short(where)) for where in unused)

    def check_strict(self) -> None:
        """Raises RuleError if the rule is strict and an operation has no rule."""
        if self.without_formula and self.rule.strict:
            there = "; ".join(f"{name} ({what})" for name, what in sorted(self.without_formula.items()))
            problem = f"`{self.rule!r}` has no exact formula for some operations of the model"
            raise RuleError(problem, found=there, advice="strict=False, which reports them in the checks")
