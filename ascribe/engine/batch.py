"""The values of some records, as a pass returns them, and several batches joined to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Array, Namespace, namespace
from ..backends.protocol import ArrayAt
from ..coalitions.base import GameEstimate
from ..rules.trace import RuleTrace

Leaves = list[Array]
"""One array for each array at a cut."""


@dataclass
class Batch:
    """The values of some records. Arrays are ``[quantities, records, ...]``; ``record`` holds those at the cuts, ``[records, ...]``.

    ``explained`` is the quantity at the records, ``change`` the difference that complete values add up to, ``steps`` the number of
    points of each record. ``bend`` computes how far the points of a line may miss the change, :meth:`.Course.bend`; None without a line.
    Of coalitions: ``estimate`` has the value of each feature, ``errors`` the standard errors at the cuts, and ``coalitions`` is how many
    were evaluated.
    """

    index: np.ndarray
    values: list[Leaves] = field(default_factory=list)
    record: list[Leaves] = field(default_factory=list)
    spots: list[list[ArrayAt]] = field(default_factory=list)
    explained: np.ndarray = field(default_factory=lambda: np.zeros(0))
    change: np.ndarray | None = None
    output: np.ndarray | None = None
    classes: np.ndarray | None = None
    steps: np.ndarray | None = None
    bend: Callable[[], np.ndarray] | None = None
    forward: int = 0
    backward: int = 0
    rows: int = 0
    without_formula: dict[str, str] = field(default_factory=dict)
    trace: RuleTrace = field(default_factory=RuleTrace)
    estimate: GameEstimate | None = None
    errors: list[Leaves] = field(default_factory=list)
    coalitions: int = 0


def join_batches(xp: Namespace, batches: Sequence[Batch]) -> Batch:
    """Returns batches of records as one."""
    first = batches[0]
    if len(batches) == 1:
        return first
    trace = RuleTrace()
    for b in batches:
        trace.add(b.trace)

    def joined(name: str, axis: int) -> Any:
        parts = [getattr(b, name) for b in batches]
        return None if any(part is None for part in parts) else np.concatenate(parts, axis)

    def arrays(name: str, axis: int) -> list[Leaves]:
        parts = [getattr(b, name) for b in batches]
        if not all(parts):
            return []
        return [[xp.concat([p[c][i] for p in parts], axis) for i in range(len(leaves))] for c, leaves in enumerate(parts[0])]

    return Batch(
        index=joined("index", 0),
        values=arrays("values", 1),
        record=arrays("record", 0),
        spots=first.spots,
        explained=joined("explained", -1),
        change=joined("change", 1),
        output=joined("output", 0),
        classes=joined("classes", 1),
        steps=joined("steps", 0),
        bend=None if first.bend is None else lambda: np.concatenate([b.bend() for b in batches if b.bend is not None], -1),
        forward=sum(b.forward for b in batches),
        backward=sum(b.backward for b in batches),
        rows=sum(b.rows for b in batches),
        without_formula={name: what for b in batches for name, what in b.without_formula.items()},
        trace=trace,
        estimate=join_estimates([b.estimate for b in batches if b.estimate is not None]),
        errors=arrays("errors", 1),
        coalitions=first.coalitions,
    )


def join_estimates(estimates: Sequence[GameEstimate]) -> GameEstimate | None:
    """Returns the estimates of several batches as one, ``[quantities, records, features]``; standard errors where all have them."""
    if not estimates:
        return None
    errors = [e.error for e in estimates if e.error is not None]
    return GameEstimate(
        np.concatenate([e.values for e in estimates], 1),
        np.concatenate(errors, 1) if len(errors) == len(estimates) else None,
        all(e.complete for e in estimates),
        tuple(dict.fromkeys(note for e in estimates for note in e.notes)),
    )


def sum_all(leaves: Leaves, xp: Namespace) -> np.ndarray:
    """Returns the sum of each record's values over all arrays of a cut, ``[quantities, records]`` in double precision."""
    sums = [xp.sums(v, 2) for v in leaves]
    return sums[0] if len(sums) == 1 else np.sum(sums, axis=0)


def broadcast(a: Array, points: int, records: int) -> Array:
    """Returns ``[points or 1, records or 1, ...]`` in full."""
    return namespace(a).broadcast_to(a, (points, records, *a.shape[2:]))
