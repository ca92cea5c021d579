"""A written tape made ready for the backward pass: motifs and regions found, rules assigned, values ranked."""

from __future__ import annotations

from collections.abc import Sequence

from ..rules import OperationRule
from .assignment import Assignment
from .formulas.elementwise import RECTIFYING
from .gates import rank_values
from .merging import leading
from .motifs import recognise_motifs
from .regions import find_regions
from .tape import Tape, Var


def prepare_tape(tape: Tape, out: Var, targets: Sequence[Var], rules: Assignment) -> Assignment:
    """Motifs and regions found, rules assigned, values ranked."""
    for var in targets:
        var.kept = True
    keep_leading(tape, out)
    recognise_motifs(tape)
    keep_leading(tape, out)
    find_regions(tape, any(t.regions in RECTIFYING for t in (rules.otherwise, *rules.pages)))
    settled = rules.settle(tape, out)
    rule: OperationRule = rules.rule
    rank_values(tape, targets, rule, lambda entry: settled.of(entry).rule)
    return settled


def keep_leading(tape: Tape, out: Var) -> None:
    """Leaves out operations that do not lead to the quantities."""
    model = {id(entry) for entry in tape.entries[: tape.end]}
    tape.entries = leading(tape.entries, out)
    tape.end = sum(id(entry) in model for entry in tape.entries)
