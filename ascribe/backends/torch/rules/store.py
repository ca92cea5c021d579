"""The tapes that a session keeps between the runs of one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ....tape import Tape
from ....tape.reverse import Balance
from .record import Recorded


@dataclass
class TapeStore:
    """Recorded runs of one session, and the memory that they take.

    ``records`` is the last run of the records with its key, reused while only the references change; ``references`` are runs of references
    that later records share. ``open`` are all tapes that still hold values, ``bytes`` is what the last job's tapes held. A test sets
    ``balances`` to a list, to which every reverse pass then adds one entry per operation.
    """

    records: tuple[Any, Recorded] | None = None
    references: dict[Any, Recorded] = field(default_factory=dict)
    open: list[Tape] = field(default_factory=list)
    bytes: int = 0
    balances: list[Balance] | None = None

    def forget(self) -> None:
        """Release all tapes except those that are kept for later records."""
        kept = [r.tape for r in (*self.references.values(), *([self.records[1]] if self.records is not None else []))]
        for tape in self.open:
            if not any(tape is other for other in kept):
                tape.forget()
        self.open = kept

    def clear(self) -> None:
        """Release all tapes."""
        self.records = None
        self.references.clear()
        self.forget()
