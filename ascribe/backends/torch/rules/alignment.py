"""Every recorded value's counterpart in the reference run, which may have gone through with one row instead of many."""

from __future__ import annotations

from collections.abc import Sequence

from ....errors import RuleError
from .tape import SAME, Entry, Tape, Tensor, Var, again

VIEWS = {"_unsafe_view": "view", "reshape": "view", "_reshape_alias": "view"}


def matched(main: Tape, reference: Tape) -> dict[int, Entry] | None:
    """The reference's operation for each of the main run's, by identity; None where the runs took different ways.

    Runs on one row and on many differ in copies (a reshape is a view in one and a copy with a view in the other), which are left
    out. What the main run did after the reference's end (reading the quantity) has no counterpart.
    """
    here, there = ([e for e in tape.entries[: tape.end] if e.name not in SAME] for tape in (main, reference))
    if len(there) != len(here) or main.routed:
        return None
    if any(VIEWS.get(a.name, a.name) != VIEWS.get(b.name, b.name) for a, b in zip(here, there, strict=True)):
        return None
    return {id(a): b for a, b in zip(here, there, strict=True)}


def broadcasts(small: Var, large: Var) -> bool:
    """Whether a value stands for all rows of another as it is."""
    if small.shape == large.shape:
        return True
    return len(small.shape) == len(large.shape) and all(a in (1, b) for a, b in zip(small.shape, large.shape, strict=True))


class References:
    """The reference value of any value on the main tape.

    Where the reference run's own value does not broadcast against the main run's (rows merged with another axis), or where the
    runs cannot be matched at all, the main run's operation is done again, with the main run's arguments and choices, on the
    reference values of what went in. So it is never guessed where the rows are. Either is computed when first asked for.
    """

    def __init__(self, main: Tape, starts: Sequence[Tensor], reference: Tape | None) -> None:
        self.starts = starts
        self.match = None if reference is None else matched(main, reference)
        self.known: dict[Var, Tensor] = {}

    def __call__(self, var: Var) -> Tensor:
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
        """Find one value, or say which are needed first."""
        entry = var.entry
        if entry is None:
            self.known[var] = self.starts[var.slot] if var.slot < len(self.starts) else var.value
            return []
        if entry.name in SAME:
            found = self.known.get(entry.ins[0])
            if found is not None:
                self.known[var] = found
            return [] if found is not None else [entry.ins[0]]
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
        found = again(entry, lambda v: self.known[v].expand(v.shape))
        for out, value in zip(entry.outs, found, strict=True):
            if out is not None:
                if value.shape != out.shape:
                    there = f"{entry.name}{f' in {entry.place}' if entry.place else ''} gives {tuple(out.shape)} for the record"
                    raise RuleError(
                        "a reference for values whose shape depends on the record", there=there, try_="asc.IntegratedGradients()"
                    )
                self.known[out] = value
