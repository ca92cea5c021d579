"""Independence of records: can those of a call be run apart from each other with the same results?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from ..arrays import Namespace
from ..cuts import OUTPUT
from .compare import clearly_unlike, close
from .device import Device
from .facts import Facts
from .protocol import Evidence, Job


class Subject(Protocol):
    """The part of a :class:`~ascribe.backends.protocol.Session` that is used here."""

    @property
    def xp(self) -> Namespace: ...
    @property
    def records(self) -> int: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def device(self) -> Device: ...

    def evaluate(self, job: Job) -> Evidence: ...
    def independence_trial(self) -> Job | bool: ...


def records_independent(subject: Subject) -> bool:
    """True if the records can be run apart from each other with the same results, found out in three runs where it is not known."""
    facts = subject.facts
    known = facts.call.independent
    if known is None:
        known = facts.weights.independent
    if known is None:
        known, lasting = (True, True) if subject.records == 1 else run_apart(subject)
        (facts.weights if lasting else facts.call).independent = known
    facts.doubted |= not known
    return known


def surely_independent(subject: Subject) -> bool:
    """:func:`records_independent`, seen on records that say something about others too."""
    return records_independent(subject) and (subject.records == 1 or bool(subject.facts.weights.independent))


def run_apart(subject: Subject) -> tuple[bool, bool]:
    """Two Booleans: two records give together what they give apart; the answer holds for other records too.

    Of two equal records, or two that the model gives the same for, it does not: a model that takes the mean over its batch does nothing
    to them.
    """
    trial = subject.independence_trial()
    if isinstance(trial, bool):
        return trial, True

    def outputs(which: slice) -> list[Any]:
        write = tuple(w[:, which] for w in trial.write)
        return subject.evaluate(replace(trial, index=trial.index[which], write=write)).reads[OUTPUT].arrays

    try:
        both, first, second = outputs(slice(0, 2)), outputs(slice(0, 1)), outputs(slice(1, 2))
    except Exception as wrong:  # where two do not fit, apart is the only way; if only records that were written fail, that says nothing
        return subject.device.out_of_memory(wrong), not trial.write
    pairs = [pair for pair in zip(both, first, second, strict=True) if pair[0].shape[1] == 2]  # other parts of an output are no record's
    same = bool(pairs) and all(close(b, subject.xp.concat([f, s], 1)) for b, f, s in pairs)
    return same, not same or any(clearly_unlike(f, s) for _, f, s in pairs)
