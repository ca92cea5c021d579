"""The parts of a result besides its values: checks, the completeness gap, the cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..tree import Path, follow

SUMS = frozenset({"completeness"})
"""Checks of sums: they do not apply after values are scaled, averaged or split."""


@dataclass(frozen=True)
class Check:
    """A diagnostic of a result: its name, a status, a sentence, and the records it concerns (an empty tuple: all of them)."""

    name: str
    status: Literal["ok", "warn", "fail", "skipped"]
    detail: str = ""
    records: tuple[int, ...] = ()

    @property
    def bad(self) -> bool:
        """True for a warning or a failure."""
        return self.status in ("warn", "fail")


@dataclass(frozen=True, eq=False)
class Gap:
    """The completeness gap (convergence delta): the change of the quantity minus the sum of the values, per record.

    Both arrays are ``[records]``, or ``[quantities, records]`` for several quantities. ``relative`` is the magnitude of ``absolute``
    divided by the change of the quantity, or by the sum of absolute values if that is larger.
    """

    absolute: np.ndarray
    relative: np.ndarray


@dataclass(frozen=True)
class Cost:
    """The cost of a result: forward and backward calls of the model, rows (records x points) evaluated, seconds.

    ``chunk`` is the number of rows per call, ``peak_bytes_estimate`` the estimated memory of one chunk; None if unknown.
    """

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


def part_at(value: Any, path: Path) -> Any:
    """Returns the part of a nested value at a path; None if it does not exist."""
    try:
        return follow(value, path)
    except (LookupError, AttributeError, TypeError):
        return None


def keep_problems(checks: Iterable[Check], lost: frozenset[str]) -> tuple[Check, ...]:
    """Returns the warnings and failures that still apply to changed values, without duplicates; an "ok" does not apply to them."""
    return tuple(dict.fromkeys(check for check in checks if check.bad and check.name not in lost))


def restrict_check(check: Check, place: np.ndarray) -> Check:
    """Returns the check restricted to the records at these indices."""
    if not check.records or not check.bad:
        return check
    now = tuple(int(i) for i in np.flatnonzero(np.isin(place, check.records)))
    return replace(check, records=now) if now else Check(check.name, "ok")
