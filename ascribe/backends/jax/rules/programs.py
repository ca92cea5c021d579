"""The program of a form under a rule: the run of the records, the reference runs and the backward passes, compiled together.

While it is traced, values on the tape are tracers. What is structure only (the report, the names of flows) is noted then, and kept with the
program; numbers are results of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ....tape.alignment import References
from ....tape.assignment import assign
from ....tape.conservation import Ledger
from ....tape.passes import check_relus, pass_back
from ....tape.report import RuleReport
from ....tape.reverse import Reverse
from ..decisions import Decisions, collected
from ..interpret import Key
from .forms import Plan, Quantity, RuleArguments
from .framework import JAX
from .recorded import Recorded, record_run

Array = Any
Leaves = list[list[Array]]
"""Arrays by cut, in the order of the form."""


class Pulled(NamedTuple):
    """The result of one backward pass, as in :class:`ascribe.backends.protocol.Evidence`; None for what the rule has not."""

    start: Array | None
    grads: Leaves
    begins: Leaves | None
    shares: Leaves | None
    direct: Leaves | None


class Answer(NamedTuple):
    """The results of a program: the quantities ``[quantities, rows]``, one backward pass for each reference along the first axis."""

    value: Array
    reads: Leaves
    pulled: Pulled
    flows: tuple[Array, Array] | None
    asked: Array | None


@dataclass
class Structure:
    """What is known once the program is traced."""

    report: RuleReport
    routed: bool
    flows: Mapping[int, tuple[str, str, bool]]
    taken: tuple[int, ...]
    doubtful: bool


class RuleProgram:
    """The function that is compiled for a form; ``known`` are decisions of an earlier run."""

    def __init__(self, plan: Plan, known: tuple[int, ...] = ()) -> None:
        self.plan, self.known = plan, known
        self.structure: Structure | None = None
        self.held: Any = None

    def traced(self, quantity: Quantity) -> Callable[[RuleArguments], Answer]:
        """The function to trace."""
        self.held = quantity.held

        def run(given: RuleArguments) -> Answer:
            decisions = Decisions(self.known)
            with collected(decisions):
                answer = self.evaluate(given, quantity, decisions)
            return answer._replace(asked=jnp.stack(decisions.asked) if decisions.asked else None)

        return run

    def decided(self, quantity: Quantity) -> Callable[[RuleArguments], Array | None]:
        """The function that returns the decisions of the run of the records alone."""

        def run(given: RuleArguments) -> Array | None:
            decisions = Decisions(self.known)
            with collected(decisions):
                record_run(self.plan, given, quantity, assign(self.plan.rule, JAX))
            return jnp.stack(decisions.asked) if decisions.asked else None

        return run

    def evaluate(self, given: RuleArguments, quantity: Quantity, decisions: Decisions | None = None) -> Answer:
        """The results, on numbers or while the program is traced."""
        plan = self.plan
        main = record_run(plan, given, quantity, assign(plan.rule, JAX))
        passes = Passes(plan, main)
        if not plan.form.references:
            pulled, flows = passes.by_itself()
        else:
            pulled, flows = self.against_each(passes, given.references), None
        names = passes.ledger.names() if passes.ledger is not None and flows is not None else {}
        taken, doubtful = (tuple(decisions.taken), decisions.doubtful) if decisions is not None else ((), False)
        self.structure = Structure(passes.report, main.tape.routed, names, taken, doubtful)
        return Answer(main.out.value, main.reads, pulled, flows, None)

    def against_each(self, passes: Passes, references: Sequence[Array]) -> Pulled:
        """The backward passes against the references, one after the other: a program of one pass, whatever their number."""
        if self.plan.form.references == 1:
            return jax.tree.map(lambda a: a[None], passes.against([r[0] for r in references]))
        return jax.lax.map(passes.against, list(references))


class Passes:
    """The backward passes over one tape."""

    def __init__(self, plan: Plan, main: Recorded) -> None:
        self.plan, self.main = plan, main
        self.report = RuleReport(plan.rule, list(plan.modules))
        self.ledger: Ledger | None = None

    def by_itself(self) -> tuple[Pulled, tuple[Array, Array] | None]:
        """Multipliers without a reference: the record replaces it. And the sums of flows."""
        rule, main = self.plan.rule, self.main
        reverse = Reverse(JAX, main.tape, main.rules, lambda v: v.value)
        self.ledger = reverse.ledger = Ledger() if rule.treats["elementwise"] == "zero" else None
        pulled = self.pulled(reverse)
        check_relus(rule, reverse)
        pulled = jax.tree.map(lambda a: a[None], pulled._replace(start=main.out.value, begins=None))
        return pulled, None if self.ledger is None else self.ledger.sums()

    def against(self, references: Sequence[Array]) -> Pulled:
        """The quantity at one reference, multipliers against it, and the values at the cuts there."""
        main = self.main
        starts = [var.value for var in main.tape.sources]
        for key, value in zip(self.plan.form.spots, references, strict=True):
            slot = main.starts.get(key)
            if slot is not None:
                starts[slot] = jnp.broadcast_to(self.plan.native(key, value), starts[slot].shape).astype(starts[slot].dtype)
        refer = References(main.tape, starts, None)
        start = None if main.tape.routed else refer(main.out)
        return self.pulled(Reverse(JAX, main.tape, main.rules, refer))._replace(start=start)

    def pulled(self, reverse: Reverse) -> Pulled:
        """Multipliers at every cut, and its value at the reference."""
        main = self.main
        passed = pass_back(reverse, main.out, [v for pairs in main.wrt for _, v in pairs], self.plan.form.multipliers_only)
        reverse.ledger = None  # its sums are results of the program
        self.report.add(main.tape, main.out, reverse)
        begins = [[self.plan.canonical(key, jnp.broadcast_to(reverse.refer(v), v.shape)) for key, v in pairs] for pairs in main.wrt]
        shares, direct = (None if rows is None else self.by_cut(rows) for rows in (passed.shares, passed.direct))
        return Pulled(None, self.by_cut(passed.multipliers), begins, shares, direct)

    def by_cut(self, rows: Sequence[Sequence[Array]]) -> Leaves:
        """Arrays of all quantities, ``[quantities, records, ...]``, by cut."""
        places = iter(range(len(rows[0])))

        def stacked(key: Key) -> Array:
            i = next(places)
            return jnp.stack([self.plan.canonical(key, row[i]) for row in rows])

        return [[stacked(key) for key, _ in pairs] for pairs in self.main.wrt]
