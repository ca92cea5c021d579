"""Times several contenders for one job side by side, so that what disturbs the machine disturbs them alike.

Every round runs each contender once, in a rotating order, and only ratios within a round are compared. The garbage
collector is off while the clock runs; on a GPU the clock waits for the device. On a machine that others are using too, the
processor's time under a single thread is steadier than the time on the wall.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Call = Callable[[], Any]
Make = Callable[[], Call]


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles, and how many figures they come from."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Effort:
    """How long to measure: between ``least`` and ``most`` rounds, about ``seconds`` in all, of calls filling ``unit`` seconds."""

    least: int = 9
    most: int = 61
    seconds: float = 30.0
    unit: float = 4e-3


@dataclass(frozen=True)
class Watch:
    """What time is read from: the wall, or this process's share of the processor (of no use with several threads or a GPU)."""

    device: str = "cpu"
    processor: bool = False

    def now(self) -> float:
        """Seconds, once the device has nothing left to do."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.process_time() if self.processor else time.perf_counter()


@dataclass(frozen=True)
class Contender:
    """Something to time: ``make`` readies it before the clock starts; ``once`` readies it anew for every single call."""

    make: Make
    once: bool = False


def spread(values: Sequence[float]) -> Spread:
    """The median and the quartiles of some figures."""
    low, median, high = np.percentile(np.asarray(values, dtype=float), [25, 50, 75])
    return Spread(float(median), float(low), float(high), len(values))


def timed(call: Call, times: int, watch: Watch) -> float:
    """Seconds per call, over ``times`` calls in a row."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = watch.now()
        for _ in range(times):
            call()
        return (watch.now() - start) / times
    finally:
        if collecting:
            gc.enable()


def repeats(call: Call, unit: float, watch: Watch) -> int:
    """How many calls in a row fill the time ``unit``; the calls it takes to find out are the warm-up, one if it is long."""
    took = timed(call, 1, watch)
    if took > 20 * unit:
        return 1
    took = min(timed(call, 1, watch) for _ in range(2))
    return max(1, math.ceil(unit / max(took, 1e-6)))


def rounds(contenders: Mapping[str, Contender], effort: Effort, watch: Watch) -> dict[str, list[float]]:
    """Seconds per call of every contender in every round."""
    calls = {name: c.make() for name, c in contenders.items()}
    times = {name: 1 if c.once else repeats(calls[name], effort.unit, watch) for name, c in contenders.items()}
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    names, start = list(contenders), time.perf_counter()
    for turn in range(effort.most):
        if turn >= effort.least and time.perf_counter() - start > effort.seconds:
            break
        gc.collect()
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            call = contenders[name].make() if contenders[name].once else calls[name]
            figures[name].append(timed(call, times[name], watch))
    return figures


def paired(figures: Mapping[str, Sequence[float]], over: str, under: str) -> Spread:
    """How many times ``under`` fits into ``over``, round by round."""
    return spread([a / b for a, b in zip(figures[over], figures[under], strict=True)])


def best_chunk(loop: Callable[[int], Call], rows: int, effort: Effort, watch: Watch) -> tuple[int, dict[int, float]]:
    """The number of rows at once at which a loop is fastest, and its median seconds at each number tried.

    Every power of two gets one round, the best four of them five more: with a single one a lucky chunk would win, and the
    loop that everything is measured against would be a slow one.
    """
    sizes = [1 << k for k in range(rows.bit_length()) if 1 << k < rows] + [rows]
    medians: dict[int, float] = {}
    for count in (1, min(5, effort.most)):
        few = Effort(count, count, effort.seconds, effort.unit)
        figures = rounds({str(c): Contender(lambda c=c: loop(c)) for c in sizes}, few, watch)
        medians |= {int(name): spread(values).median for name, values in figures.items()}
        sizes = sorted(sizes, key=lambda c: medians[c])[:4]
    return min(sizes, key=lambda c: medians[c]), medians
