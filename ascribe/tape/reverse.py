"""The backward pass over the tape: each operation by its rule, cotangents summed where paths meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..arrays import Array, Namespace
from ..errors import RuleError
from .assignment import Assignment
from .conservation import Ledger
from .formulas.elementwise import slope
from .quadrature import average_vjp
from .step import Back, Step, Uncovered
from .tape import Entry, Framework, Tape, Var, turned


@dataclass
class Balance:
    """One operation's balances: ``<g, Dy>`` of what came back to it, ``sum <g_in, Dx>`` of what it passed on."""

    name: str
    out: float
    passed: float

    @property
    def missing(self) -> float:
        """What a wrong rule lost, against what there was."""
        return abs(self.out - self.passed) / max(abs(self.out), abs(self.passed), 1e-30)


@dataclass
class Reverse:
    """A reverse pass under an assignment of rules. ``unruled`` counts the operations that were treated by quadrature or not at all;
    ``rectifiers`` the regions that are one, where the treatment of regions asks; ``unparted`` those that :mod:`.reveal_cancel` takes whole.

    Two things go back side by side: multipliers, and relevance that is no multiple of the value it belongs to.
    """

    framework: Framework
    tape: Tape
    rules: Assignment
    refer: Callable[[Var], Array]
    rectifiers: int = 0
    balances: list[Balance] | None = None
    ledger: Ledger | None = None
    unruled: dict[tuple[str, str], int] = field(default_factory=dict)
    unparted: dict[str, int] = field(default_factory=dict)
    records: int = 1

    def __call__(self, out: Var, g: Array, targets: Sequence[Var], last: bool = False) -> list[tuple[Array | None, Array | None]]:
        """What comes back to the targets when ``g`` goes in at ``out``: multipliers, and relevance beside them.

        The ``last`` pass lets go of what it has gone by.
        """
        multipliers: dict[Var, Array] = {out: g}
        direct: dict[Var, Array] = {}
        kept: dict[Var, tuple[Array | None, Array | None]] = {}
        self.records, xp = g.shape[-1], self.framework.xp
        if self.ledger is not None:
            self.ledger.begin(self.framework.xp, out, g)
        for number in range(len(self.tape.entries) - 1, -1, -1):
            entry = self.tape.entries[number]
            back = [multipliers.pop(v, None) if v is not None else None for v in entry.outs]
            beside = [direct.pop(v, None) if v is not None else None for v in entry.outs]
            for v, c, r in zip(entry.outs, back, beside, strict=True):
                if v is not None and v.kept and (c is not None or r is not None):
                    kept[v] = (c, r)
            if any(c is not None for c in (*back, *beside)) and any(v.wanted for v in entry.ins):
                step = Step(entry, back, self.refer, beside[0], self.rules.layers.get(id(entry)), records=self.records)
                found, more = self._through(step, beside)
                if self.balances is not None:
                    self._book(entry, back, found)
                if self.ledger is not None:
                    self.ledger.note(number, step, found, step.layer is not None)
                put(xp, multipliers, found)
                put(xp, direct, more)
            if last:
                for v in entry.outs:
                    if v is not None and not v.kept:
                        v.held = None
        return [kept.get(v, (multipliers.get(v), direct.get(v))) for v in targets]

    def _through(self, step: Step, beside: list[Array | None]) -> tuple[Back, Back]:
        """One operation's answer: multipliers, and relevance beside them, which the step knows too."""
        entry = step.entry
        if id(entry) in self.rules.passing:
            moves = entry.op.moves
            step.direct += self._multipliers(Step(entry, [step.relevance], self.refer)) if moves else [(entry.ins[0], step.relevance)]
            return [], step.direct
        first = entry.outs[0]
        if any(r is not None for r in beside) and step.layer is None:
            region = first is not None and first.root is not first
            if region or entry.op.moves or entry.op.kind == "pool":
                step.direct += self._moved_on(entry, first, beside)
                return (self._multipliers(step) if any(c is not None for c in step.back) else []), step.direct
            whole = replace(step, back=[step.multiplier, *step.back[1:]], beside=None)
            return self._multipliers(whole), step.direct
        return self._multipliers(step), step.direct

    def _moved_on(self, entry: Entry, first: Var | None, beside: list[Array | None]) -> Back:
        """Relevance through an activation, which keeps it, or an operation that only moves numbers."""
        if first is not None and first.root is not first:
            return [(first.root, beside[0])] if beside[0] is not None else []
        return self._multipliers(Step(entry, beside, self.refer))

    def _multipliers(self, step: Step) -> Back:
        first, g = step.entry.outs[0], step.back[0]
        if first is not None and first.root is not first and g is not None:
            treated = self.rules.of(step.entry)
            found, rectifier = slope(first, self.refer, treated.regions, g, getattr(treated.rule, "beta", 0.0))
            self.rectifiers += rectifier
            return [(first.root, found)]
        return self.answer(step)

    def answer(self, step: Step) -> Back:
        """By the operation's formula, or its own derivative where there is none. Raises RuleError where it has no derivative."""
        try:
            return self._answered(step)
        except NotImplementedError as wrong:
            raise underived(step.entry) from wrong

    def _answered(self, step: Step) -> Back:
        entry, back = step.entry, step.back
        treated = self.rules.of(entry)
        formula = treated.formulas.get(entry.op.form)
        covered = formula is not None and (back[0] is not None or step.layer is not None or len(back) > 1)
        try:
            answer = formula(step) if formula is not None and covered else None
        except Uncovered:
            answer = None
        if answer is not None:
            return answer
        if treated.named:
            key = (entry.name, entry.place)
            self.unruled[key] = self.unruled.get(key, 0) + 1
        found = average_vjp(treated.rule.points, step)
        if not found and any(v.continuous and v.wanted for v in entry.ins):
            raise underived(entry)
        return found

    def _book(self, entry: Entry, back: list[Array | None], found: Back) -> None:
        assert self.balances is not None
        out = sum(self._moved(v, c) for v, c in zip(entry.outs, back, strict=True) if v is not None and c is not None)
        passed = sum(self._moved(v, c) for v, c in found)
        self.balances.append(Balance(entry.name, float(out), float(passed)))

    def _moved(self, v: Var, c: Array) -> float:
        xp = self.framework.xp
        d = xp.cast(v.value, c) - xp.cast(self.refer(v), c)
        moved = xp.sum(turned(xp, c) * d)
        return float(xp.real(moved) if xp.kind(moved) == "c" else moved)


def underived(entry: Entry) -> RuleError:
    """An operation that nothing can go back through."""
    where = f"{entry.where}: no formula, and no derivative in {entry.framework.name}"
    return RuleError(
        f"the share of what goes into {entry.name}",
        there=where,
        try_="a layer behind it, with at=; or removal: over=asc.coalitions.LeaveOneOut(), by=asc.Replace(0.0)",
    )


def put(xp: Namespace, held: dict[Var, Array], found: Back) -> None:
    """Add what goes on to the values that lead to a place asked for."""
    for v, c in found:
        if v.wanted:
            if c.dtype != v.dtype and v.kind == "f":
                c = xp.astype(c, v.dtype)
            before = held.get(v)
            held[v] = c if before is None else before + c
