"""Every recorded value's counterpart in the reference run, which may have run with one row instead of many."""

from __future__ import annotations

from collections.abc import Sequence

from ..arrays import Array
from ..errors import RuleError
from .tape import Entry, Tape, Var


def matched(main: Tape, reference: Tape) -> dict[int, Entry] | None:
    """The reference's operation for each of the main run's, by identity; None where the runs did different operations.

    Runs on one row and on many differ in copies (a reshape is a view in one and a copy with a view in the other), which are left
    out. What the main run did after the reference's end (reading the quantity) has no counterpart.
    """
    here, there = ([e for e in tape.entries[: tape.end] if not e.op.same] for tape in (main, reference))
    if len(there) != len(here) or main.routed:
        return None
    if any(a.name != b.name and not (a.op.view and b.op.view) for a, b in zip(here, there, strict=True)):
        return None
    return {id(a): b for a, b in zip(here, there, strict=True)}


def broadcasts(small: Var, large: Var) -> bool:
    """True if a value can be used as it is for all rows of another."""
    if small.shape == large.shape:
        return True
    return len(small.shape) == len(large.shape) and all(a in (1, b) for a, b in zip(small.shape, large.shape, strict=True))


class References:
    """The reference value of any value on the main tape.

    Where the reference run's own value does not broadcast against the main run's (rows merged with another axis), or where the
    runs cannot be matched at all, the main run's operation is evaluated again, with the main run's arguments and choices, on the
    reference values of its inputs. So the position of the rows is never guessed. Either is computed when first asked for.
    """

    def __init__(self, main: Tape, starts: Sequence[Array], reference: Tape | None) -> None:
        self.starts = starts
        self.match = None if reference is None else matched(main, reference)
        self.known: dict[Var, Array] = {}

    def __call__(self, var: Var) -> Array:
        """Its value in the reference run: of its shape, or with ones in place of the rows."""
        waiting = [var]
        while waiting:
            last = waiting[-1]
            if last in self.known:
                waiting.pop()
                continue
            missing = self._step(last)
            waiting.extend(missing)
        return self.known[var]

    def _step(self, var: Var) -> list[Var]:
        """Finds one value, or returns those that are needed first."""
        entry = var.entry
        if entry is None:
            self.known[var] = self.starts[var.slot] if var.slot < len(self.starts) else var.value
            return []
        if entry.op.same:
            value = self.known.get(entry.ins[0])
            if value is not None:
                self.known[var] = value
            return [] if value is not None else [entry.ins[0]]
        other = self.match.get(id(entry)) if self.match is not None else None
        twin = other.outs[var.slot] if other is not None and var.slot < len(other.outs) else None
        if twin is not None and broadcasts(twin, var):
            self.known[var] = twin.value
            return []
        missing = [v for v in entry.ins if v not in self.known]
        if not missing:
            self._redo(entry)
        return missing

    def _redo(self, entry: Entry) -> None:
        xp = entry.framework.xp
        results = entry.framework.again(entry, lambda v: xp.broadcast_to(self.known[v], v.shape))
        for out, value in zip(entry.outs, results, strict=True):
            if out is not None:
                if value.shape != out.shape:
                    problem = "The rule needs values that have the same shape for a record and its reference"
                    there = f"{entry.where} has shape {tuple(out.shape)} for the record, {tuple(value.shape)} for the reference"
                    raise RuleError(problem, found=there, advice="asc.IntegratedGradients()(model, x)")
                self.known[out] = value
