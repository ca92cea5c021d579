"""A sequential game: sends out blocks of coalitions in pieces of any size, and adds their values to an estimator block by block."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import CoalitionError
from .base import GameEstimate

LOOK_FROM = 8
"""The number of blocks before the first check of the standard error; with fewer, it is unreliable."""


class CoalitionBlock(NamedTuple):
    """Coalitions ``[rows, features]`` whose values are added together, and the estimator's own key of the block."""

    coalitions: np.ndarray
    key: Any = None


class Estimator(Protocol):
    """The blocks of coalitions that an estimator needs, and its sums. The last axis of all arrays is games: a quantity of a record.

    ``blocks`` may yield None: the next block depends on the values of all blocks before.
    """

    def blocks(self) -> Iterator[CoalitionBlock | None]: ...

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        """Adds a block; ``values`` are ``[rows, games]``."""

    def result(self) -> GameEstimate:
        """Returns values and errors ``[features, games]``, or ``[features, features, games]``."""


@dataclass
class _PendingBlock:
    """A block whose values are being received; ``rows`` is the number received so far."""

    block: CoalitionBlock
    values: np.ndarray | None = None
    rows: int = 0


class SequentialGame:
    """The game of an estimator. With ``tolerance`` it stops as soon as :func:`compute_relative_error` is at most that."""

    def __init__(self, estimator: Estimator, tolerance: float | None = None) -> None:
        self._estimator, self._tolerance = estimator, tolerance
        self._stream = self._blocks_until_precise() if tolerance is not None else estimator.blocks()
        self._pending: deque[_PendingBlock] = deque()
        self._rest = np.empty((0, 0), dtype=bool)
        self._is_waiting = False
        self._shape: tuple[int, int] = (0, 0)
        self._missed_tolerance = False

    def ask(self, most: int) -> np.ndarray | None:
        parts: list[np.ndarray] = []
        room = most
        while room > 0 and (len(self._rest) or self._next()):
            parts.append(self._rest[:room])
            self._rest = self._rest[room:]
            room -= len(parts[-1])
        if parts:
            return np.concatenate(parts)
        return self._rest[:0] if self._is_waiting else None

    def tell(self, coalitions: np.ndarray, values: np.ndarray) -> None:
        values = np.asarray(values, dtype=np.float64)
        assert values.ndim == 3 and values.shape[1] == len(coalitions), "values is [quantities, coalitions, records]"
        self._shape = (values.shape[0], values.shape[2])
        rows = np.moveaxis(values, 1, 0).reshape(len(coalitions), -1)
        while len(rows):
            assert self._pending, "received more values than asked for"
            rows = rows[self._fill(self._pending[0], rows) :]

    def _fill(self, pending: _PendingBlock, rows: np.ndarray) -> int:
        """Fills the first pending block with rows, and returns how many were used. Passes a complete block to the estimator."""
        size = len(pending.block.coalitions)
        used = min(size - pending.rows, len(rows))
        if used == size:
            pending.values = rows[:size]
        else:
            pending.values = np.empty((size, rows.shape[1])) if pending.values is None else pending.values
            pending.values[pending.rows : pending.rows + used] = rows[:used]
        pending.rows += used
        if pending.rows == size:
            self._pending.popleft()
            with np.errstate(all="ignore"):
                self._estimator.add_block(pending.block, pending.values)
        return used

    def estimate(self) -> GameEstimate:
        if not self._shape[0]:
            raise CoalitionError("No estimate is known before any coalition is known", code="E-COALITION-EARLY")
        estimate = self._result()
        notes = estimate.notes
        if self._missed_tolerance:
            reached = compute_relative_error(estimate)
            notes += (f"tolerance {self._tolerance:g} was not reached: the largest standard error is {reached:.2g} of the range",)
        error = None if estimate.error is None else self._games_first(estimate.error)
        return replace(estimate, values=self._games_first(estimate.values), error=error, notes=notes)

    def _result(self) -> GameEstimate:
        """Returns the estimator's result. Non-finite values come from the model and stay visible, so NumPy's warnings are silenced."""
        with np.errstate(all="ignore"):
            return self._estimator.result()

    def _games_first(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(array, -1, 0)).reshape(*self._shape, *array.shape[:-1])

    def _next(self) -> bool:
        """Fetches the next block. Returns False at the end, and while the game waits for values."""
        while not (self._is_waiting and self._pending):
            self._is_waiting = False
            try:
                block = next(self._stream)
            except StopIteration:
                return False
            if block is None:
                self._is_waiting = True
            elif len(block.coalitions):
                self._rest = block.coalitions
                self._pending.append(_PendingBlock(block))
                return True
        return False

    def _blocks_until_precise(self) -> Iterator[CoalitionBlock | None]:
        """Yields the estimator's blocks, and checks the error at block counts that grow by a quarter."""
        assert self._tolerance is not None
        look = LOOK_FROM
        for taken, block in enumerate(self._estimator.blocks()):
            if taken >= look:
                yield None
                if compute_relative_error(self._result()) <= self._tolerance:
                    return
                look = taken + max(1, taken // 4)
            yield block
        yield None
        self._missed_tolerance = not compute_relative_error(self._result()) <= self._tolerance


class RunningMean:
    """The mean of independent samples with its standard error. ``shift`` is subtracted first, so that squares keep their digits."""

    def __init__(self, shift: np.ndarray | float = 0.0) -> None:
        self.count, self.shift = 0, shift
        self.sums: np.ndarray | float = 0.0
        self.squares: np.ndarray | float = 0.0

    def add(self, sample: np.ndarray) -> None:
        self.count += 1
        self.sums = self.sums + (sample - self.shift)
        self.squares = self.squares + (sample - self.shift) ** 2

    def estimate(self, complete: bool) -> GameEstimate:
        """Returns the mean with its standard error. Raises CoalitionError before the first sample."""
        if not self.count:
            raise CoalitionError("No estimate is known before one sample is complete", code="E-COALITION-EARLY")
        mean = np.asarray(self.sums) / self.count
        if self.count == 1:
            note = "one sample: standard errors are unknown"
            return GameEstimate(mean + self.shift, np.full_like(mean, np.nan), complete, (note,))
        variance = np.maximum(np.asarray(self.squares) / self.count - mean**2, 0) / (self.count - 1)
        return GameEstimate(mean + self.shift, np.sqrt(variance), complete)


def compute_relative_error(estimate: GameEstimate) -> float:
    """Returns the largest standard error as a share of its game's range of values (0 included); the worst of all games."""
    if estimate.error is None:
        return 0.0
    values, errors = (a.reshape(-1, a.shape[-1]) for a in (estimate.values, estimate.error))
    span = np.maximum(values.max(axis=0), 0) - np.minimum(values.min(axis=0), 0)
    worst = np.where(np.isnan(errors), np.inf, errors).max(axis=0)
    shares = np.divide(worst, span, out=np.where(worst > 0, np.inf, 0.0), where=span > 0)
    return float(shares.max(initial=0.0))


def make_empty_and_full(features: int) -> np.ndarray:
    """Returns the empty and the full coalition, ``[2, features]``."""
    return np.repeat([[False], [True]], features, axis=1)


def check_share(name: str, value: float) -> None:
    """Raises CoalitionError unless the value is a number between 0 and 1."""
    if not (isinstance(value, (int, float, np.number)) and 0 < value < 1):
        raise CoalitionError(f"`{name}=` must be a number between 0 and 1", found=f"{name}={value!r}", advice=f"{name}=0.05")


def check_tolerance(value: float | None) -> None:
    """Raises CoalitionError unless the value is None or a number between 0 and 1."""
    if value is not None:
        check_share("tolerance", value)


def check_size(name: str, value: float, zero: bool = False) -> None:
    """Raises CoalitionError unless the value is a finite number > 0, or 0 with ``zero``."""
    if not (isinstance(value, (int, float, np.number)) and math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise CoalitionError(
            f"`{name}=` must be a finite number {'>=' if zero else '>'} 0", found=f"{name}={value!r}", advice=f"{name}=1.0"
        )


def check_count(name: str, value: int | None, optional: bool = False) -> None:
    """Raises CoalitionError unless the value is an integer >= 1, or None with ``optional``."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        advice = f"{name}=1024" if name == "budget" else f"{name}=8"
        raise CoalitionError(f"`{name}=` must be an integer >= 1", found=f"{name}={value!r}", advice=advice)


def check_budget(budget: int, least: int, what: str) -> int:
    """Returns the budget. Raises CoalitionError if it is below ``least``; ``what`` names what needs that many coalitions."""
    if budget < least:
        needed = str(least) if least < 1 << 40 else f"2^{least.bit_length() - 1}"
        raise CoalitionError(
            f"The budget is too small: {what} take {needed} coalitions at least",
            found=f"budget={budget}",
            advice=f"budget={needed}, or fewer features",
            code="E-COALITION-BUDGET",
        )  # fmt: skip
    return budget
