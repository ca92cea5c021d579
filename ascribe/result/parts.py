"""The parts of a result other than its values: checks, the completeness gap, the cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

SUMS = frozenset({"completeness"})
"""Checks of sums: they say nothing once the values are scaled, averaged or cut in pieces."""


@dataclass(frozen=True)
class Check:
    """One question asked of a result, and the answer; ``records`` are those that it is about (none: all of them)."""

    name: str
    status: Literal["ok", "warn", "fail", "skipped"]
    detail: str = ""
    records: tuple[int, ...] = ()

    @property
    def bad(self) -> bool:
        """Whether there is something to say."""
        return self.status in ("warn", "fail")


@dataclass(frozen=True, eq=False)
class Gap:
    """How far the values are from adding up to the change of the quantity: [records], or [quantities, records].

    ``relative`` is the size of ``absolute`` as a share of the change, or of the sum of the values' sizes where that is larger.
    """

    absolute: np.ndarray
    relative: np.ndarray


@dataclass(frozen=True)
class Cost:
    """What a result took: model calls forward and backward, rows (records x points) through the model, seconds."""

    forward: int
    backward: int
    rows: int
    seconds: float
    chunk: int | None = None
    peak_bytes_estimate: int | None = None

    def __add__(self, other: Cost) -> Cost:
        peaks = [c.peak_bytes_estimate for c in (self, other) if c.peak_bytes_estimate is not None]
        return Cost(
            self.forward + other.forward,
            self.backward + other.backward,
            self.rows + other.rows,
            self.seconds + other.seconds,
            self.chunk if self.chunk == other.chunk else None,
            max(peaks, default=None),
        )


def keep_problems(checks: Iterable[Check], lost: frozenset[str]) -> tuple[Check, ...]:
    """The warnings and failures that outlive a change of the values, each once; an "ok" was about other numbers."""
    return tuple(dict.fromkeys(check for check in checks if check.bad and check.name not in lost))


def restrict_check(check: Check, place: np.ndarray) -> Check:
    """The check as it stands for these records alone."""
    if not check.records or not check.bad:
        return check
    now = tuple(int(i) for i in np.flatnonzero(np.isin(place, check.records)))
    return replace(check, records=now) if now else Check(check.name, "ok")
