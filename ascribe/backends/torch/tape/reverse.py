"""The way back over the tape: every operation asked for its rule, cotangents summed where ways meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .entries import Entry, Tape, Tensor, Var
from .quadrature import average
from .regions import slope
from .step import Back, Formula, Step


@dataclass
class Balance:
    """One operation's books: ``<g, Dy>`` of what came back to it, ``sum <g_in, Dx>`` of what it passed on."""

    name: str
    out: float
    passed: float

    @property
    def missing(self) -> float:
        """What a wrong rule lost, against what there was."""
        return abs(self.out - self.passed) / max(abs(self.out), abs(self.passed), 1e-30)


@dataclass
class Reverse:
    """A reverse pass under a table of formulas. ``unruled`` counts the operations that were treated by quadrature or not at all;
    ``rectifiers`` the regions that are one, where the treatment of regions asks; ``unparted`` those that :mod:`.parts` takes whole.
    """

    tape: Tape
    formulas: Mapping[str, Formula]
    refer: Callable[[Var], Tensor]
    points: int
    regions: str = "secant"
    named: bool = True
    rectifiers: int = 0
    books: list[Balance] | None = None
    unruled: dict[str, int] = field(default_factory=dict)
    unparted: dict[str, int] = field(default_factory=dict)

    def __call__(self, out: Var, g: Tensor, targets: Sequence[Var]) -> list[Tensor | None]:
        """What comes back to the targets when ``g`` goes in at ``out``."""
        cotangents: dict[Var, Tensor] = {out: g}
        kept: dict[Var, Tensor] = {}
        goals = set(targets)
        for entry in reversed(self.tape.entries):
            back = [cotangents.pop(v, None) if v is not None else None for v in entry.outs]
            for v, c in zip(entry.outs, back, strict=True):
                if v is not None and c is not None and v in goals:
                    kept[v] = c
            if any(c is not None for c in back) and any(v.wanted for v in entry.ins):
                found = self._through(entry, back)
                if self.books is not None:
                    self._book(entry, back, found)
                for v, c in found:
                    if v.wanted:
                        if c.dtype is not v.value.dtype and v.value.is_floating_point():
                            c = c.to(v.value.dtype)
                        before = cotangents.get(v)
                        cotangents[v] = c if before is None else before + c
        return [kept.get(v, cotangents.get(v)) for v in targets]

    def _through(self, entry: Entry, back: list[Tensor | None]) -> Back:
        """One operation's answer."""
        first = entry.outs[0]
        if first is not None and first.root is not first and back[0] is not None:
            found, rectifier = slope(first, self.refer, self.regions, back[0])
            self.rectifiers += rectifier
            return [(first.root, found)]
        return self.answer(Step(entry, back, self.refer))

    def answer(self, step: Step) -> Back:
        """By the operation's formula, or its own derivative where there is none."""
        name, back = step.entry.name, step.back
        formula = self.formulas.get(name)
        answer = formula(step) if formula is not None and (back[0] is not None or len(back) > 1) else None
        if answer is not None:
            return answer
        if self.named:
            self.unruled[name] = self.unruled.get(name, 0) + 1
        return average(self.points, step)

    def _book(self, entry: Entry, back: list[Tensor | None], found: Back) -> None:
        assert self.books is not None
        out = sum(self._moved(v, c) for v, c in zip(entry.outs, back, strict=True) if v is not None and c is not None)
        passed = sum(self._moved(v, c) for v, c in found)
        self.books.append(Balance(entry.name, float(out), float(passed)))

    def _moved(self, v: Var, c: Tensor) -> float:
        d = v.value.to(c.dtype) - self.refer(v).to(c.dtype)
        return float((c * d).sum().real)
