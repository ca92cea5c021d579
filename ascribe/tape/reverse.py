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
    """One operation's balance: ``<g, Dy>`` of its results, and ``sum <g_in, Dx>`` of its inputs."""

    name: str
    out: float
    passed: float

    @property
    def missing(self) -> float:
        """The relative difference: 0 for an exact formula."""
        return abs(self.out - self.passed) / max(abs(self.out), abs(self.passed), 1e-30)


@dataclass
class Reverse:
    """A backward pass under an assignment of rules.

    ``unruled`` counts the operations that were treated by quadrature, ``relus`` the ReLUs that were treated as such, ``unparted`` the
    operations that :mod:`.reveal_cancel` takes whole. Two quantities are passed back: multipliers, and *direct* relevance, which is no
    multiple of a value.
    """

    framework: Framework
    tape: Tape
    rules: Assignment
    refer: Callable[[Var], Array]
    relus: int = 0
    balances: list[Balance] | None = None
    ledger: Ledger | None = None
    without_formula: dict[tuple[str, str], int] = field(default_factory=dict)
    unparted: dict[str, int] = field(default_factory=dict)
    records: int = 1

    def __call__(self, out: Var, g: Array, targets: Sequence[Var], last: bool = False) -> list[tuple[Array | None, Array | None]]:
        """The multipliers of the targets, and their direct relevance, for a cotangent ``g`` of ``out``.

        The ``last`` pass releases the values that it has passed.
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
            direct_out = [direct.pop(v, None) if v is not None else None for v in entry.outs]
            for v, c, r in zip(entry.outs, back, direct_out, strict=True):
                if v is not None and v.kept and (c is not None or r is not None):
                    kept[v] = (c, r)
            if any(c is not None for c in (*back, *direct_out)) and any(v.wanted for v in entry.ins):
                step = Step(entry, back, self.refer, direct_out[0], self.rules.layers.get(id(entry)), records=self.records)
                passed, more = self._through(step, direct_out)
                if self.balances is not None:
                    self._balance(entry, back, passed)
                if self.ledger is not None:
                    self.ledger.note(number, step, passed, step.layer is not None)
                put(xp, multipliers, passed)
                put(xp, direct, more)
            if last:
                for v in entry.outs:
                    if v is not None and not v.kept:
                        v.held = None
        return [kept.get(v, (multipliers.get(v), direct.get(v))) for v in targets]

    def _through(self, step: Step, direct_out: list[Array | None]) -> tuple[Back, Back]:
        """The multipliers of an operation's inputs, and their direct relevance, which is also added to the step."""
        entry = step.entry
        if id(entry) in self.rules.passing:
            moves = entry.op.moves
            step.direct += self._multipliers(Step(entry, [step.relevance], self.refer)) if moves else [(entry.ins[0], step.relevance)]
            return [], step.direct
        first = entry.outs[0]
        if any(r is not None for r in direct_out) and step.layer is None:
            region = first is not None and first.root is not first
            if region or entry.op.moves or entry.op.kind == "pool":
                step.direct += self._moved_on(entry, first, direct_out)
                return (self._multipliers(step) if any(c is not None for c in step.back) else []), step.direct
            whole = replace(step, back=[step.multiplier, *step.back[1:]], direct_out=None)
            return self._multipliers(whole), step.direct
        return self._multipliers(step), step.direct

    def _moved_on(self, entry: Entry, first: Var | None, direct_out: list[Array | None]) -> Back:
        """Direct relevance through an activation, which keeps it, or through an operation that only moves elements."""
        if first is not None and first.root is not first:
            return [(first.root, direct_out[0])] if direct_out[0] is not None else []
        return self._multipliers(Step(entry, direct_out, self.refer))

    def _multipliers(self, step: Step) -> Back:
        first, g = step.entry.outs[0], step.back[0]
        if first is not None and first.root is not first and g is not None:
            treated = self.rules.of(step.entry)
            cotangent, is_relu = slope(first, self.refer, treated.regions, g, getattr(treated.rule, "beta", 0.0))
            self.relus += is_relu
            return [(first.root, cotangent)]
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
            self.without_formula[key] = self.without_formula.get(key, 0) + 1
        found = average_vjp(treated.rule.points, step)
        if not found and any(v.continuous and v.wanted for v in entry.ins):
            raise underived(entry)
        return found

    def _balance(self, entry: Entry, back: list[Array | None], went: Back) -> None:
        assert self.balances is not None
        out = sum(self._moved(v, c) for v, c in zip(entry.outs, back, strict=True) if v is not None and c is not None)
        passed = sum(self._moved(v, c) for v, c in went)
        self.balances.append(Balance(entry.name, float(out), float(passed)))

    def _moved(self, v: Var, c: Array) -> float:
        xp = self.framework.xp
        d = xp.cast(v.value, c) - xp.cast(self.refer(v), c)
        moved = xp.sum(turned(xp, c) * d)
        return float(xp.real(moved) if xp.kind(moved) == "c" else moved)


def underived(entry: Entry) -> RuleError:
    """The error for an operation without formula and derivative."""
    where = f"{entry.where}: no formula, and no derivative in {entry.framework.name}"
    return RuleError(
        f"The rule cannot propagate through the operation {entry.name}",
        found=where,
        advice="at= a layer after the operation; or a perturbation method: asc.FeatureAblation(by=asc.Replace(0.0))(model, x)",
    )


def put(xp: Namespace, held: dict[Var, Array], back: Back) -> None:
    """Adds cotangents of values that lead to a requested cut."""
    for v, c in back:
        if v.wanted:
            if c.dtype != v.dtype and v.kind == "f":
                c = xp.astype(c, v.dtype)
            before = held.get(v)
            held[v] = c if before is None else before + c
