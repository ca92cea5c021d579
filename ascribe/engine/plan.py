"""Some records, one pass: a plan with everything settled, the quantities read, the evidence of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..arrays import Array, as_numpy, is_array, namespace
from ..backends.independence import records_independent
from ..backends.protocol import ArrayAt, Evidence, Job, Session
from ..cuts import OUTPUT, Cut, as_cut
from ..distributions.baselines import Here, points_of
from ..distributions.members import Point
from ..errors import AscribeError, QuantityError
from ..quantities import Bound, Part, Quantity, check_scores, scores
from ..rules import Rule
from ..rules.trace import RuleTrace
from .chunks import Chunker, Progress

Leaves = list[Array]
Reduce = Literal["mean", "square", "variance"]
"""What to make of the influence at all points: its mean, the mean of its square, or its variance."""


Combine = Callable[..., Any]
"""What to make of multipliers, values and reference values instead of multipliers times differences: see :func:`combined`."""


@dataclass(frozen=True)
class Plan:
    """A request with everything about it settled: the cuts found, the quantities made, the draws known how to make.

    ``bare``: values are all that is wanted, of quantities that need not see the records first.
    """

    session: Session
    quantities: tuple[Quantity, ...]
    cuts: tuple[Cut, ...]
    over: Any
    at: Cut
    on: Cut
    by: Rule
    seed: int
    multiply: bool
    reduce: Reduce
    chunker: Chunker
    progress: Progress
    combine: Combine | None = None
    bare: bool = False

    @property
    def kinds(self) -> tuple[Hashable, ...]:
        """The quantities of the user's own among those explained: only they can look at several rows."""
        return tuple(q.kind for q in self.quantities if hasattr(q, "kind"))

    @property
    def folded(self) -> bool:
        """Whether all that comes back has to be a multiplier."""
        return not self.multiply or self.reduce != "mean"

    def apart(self) -> bool:
        """Whether records can be run apart from each other with the same results: in the model, and in what is explained."""
        if self.session.records == 1 or not records_independent(self.session):
            return self.session.records == 1
        if not self.kinds:
            return True
        facts, key = self.session.facts, (self.kinds, self.on)
        known = facts.call.quantities_independent.get(key)
        if known is None:
            known = facts.weights.quantities_independent.get(key)
        if known is None:
            known, lasting = self._quantities_apart()
            (facts.weights if lasting else facts.call).quantities_independent[key] = known
        return known

    def _quantities_apart(self) -> tuple[bool, bool]:
        """Whether they are the same of two records together, and whether that says something: of equal values it does not."""

        def values(first: int, last: int) -> np.ndarray:
            index = np.arange(first, last)
            found = self.session.evaluate(Job(index, on=self.on, of=Reader(self, index), quantity_key=self.kinds))
            return as_numpy(found.value)[:, 0].astype(np.float64)

        try:
            together, single = values(0, 2), np.concatenate([values(0, 1), values(1, 2)], 1)
        except AscribeError:
            return False, False
        limit = 1e-3 * np.abs(together[np.isfinite(together)]).max(initial=0.0) + 1e-12
        same = bool(np.allclose(together, single, rtol=0, atol=limit, equal_nan=True))
        return same, not same or bool((np.abs(single[:, 0] - single[:, 1]) > 10 * limit).any())

    @property
    def inner(self) -> tuple[Cut, ...]:
        """The attribution cuts other than the one where the points live."""
        return tuple(cut for cut in self.cuts if cut != self.at)


@dataclass
class Block:
    """What came of some records. Arrays are ``[quantities, records, ...]``; ``record`` holds those at the cuts, ``[records, ...]``.

    ``bend`` finds how far the points of a line may miss the change, :meth:`.Course.bend`; None without a line.
    """

    index: np.ndarray
    values: list[list[Array]] = field(default_factory=list)
    record: list[list[Array]] = field(default_factory=list)
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
    unruled: dict[str, str] = field(default_factory=dict)
    trace: RuleTrace = field(default_factory=RuleTrace)


class Reader:
    """Reads the quantities off the model: bound at the records first, then the same for every point."""

    def __init__(self, plan: Plan, index: np.ndarray) -> None:
        self.plan, self.index = plan, index
        self.bound: list[Bound] = []

    def __call__(self, tree: Any, rows: np.ndarray) -> list[Array]:
        """One number per row for each quantity; the first call, at the records, binds them."""
        values = [scores(tree, q) for q in self.plan.quantities]
        if not self.bound:
            session, count = self.plan.session, len(self.index)
            part = Part(self.index, session.records)
            first = [y[:count] if len(rows) > count and is_array(y) else y for y in values]
            for q, y in zip(self.plan.quantities, first, strict=True):
                check_scores(y, session.traits.returns_integers, q)
            self.bound = [q.bind(y, session.traits.class_names, part) for q, y in zip(self.plan.quantities, first, strict=True)]
        if rows is self.index:  # one row for each record
            return spread(b(y) for b, y in zip(self.bound, values, strict=True))
        local = rows - self.index[0]
        return spread(b(y) if b.same else b.take(local)(y) for b, y in zip(self.bound, values, strict=True))

    def across(self, tree: Any, rows: np.ndarray) -> list[Array]:
        """For rows that stand for no record: every record's own quantity of each, ``quantities x records`` lists."""
        found = []
        for quantity, bound in zip(self.plan.quantities, self.bound, strict=True):
            y = scores(tree, quantity)
            if bound.same:
                found += [value for value in spread([bound(y)]) for _ in self.index]
            else:
                each = [spread([bound.take(np.full(len(rows), i))(y)]) for i in range(len(self.index))]
                found += [value for values in zip(*each, strict=True) for value in values]
        return found

    def classes(self) -> np.ndarray | None:
        """The class of each record under each quantity, where all are classes."""
        all_classes = [b.classes for b in self.bound]
        return None if any(c is None for c in all_classes) else np.stack([np.asarray(c) for c in all_classes])


def spread(values: Iterable[Any]) -> list[Array]:
    """What quantities gave, one number per row each; one of the user's own may have given several, as a list or a tuple.

    Raises QuantityError where it gave none.
    """
    found = [v for value in values for v in (value if isinstance(value, (list, tuple)) else (value,))]
    if not found:
        raise QuantityError("the quantity gave no numbers", there="an empty list", try_="one number per record, or a list of such")
    return found


def at_record(plan: Plan, index: np.ndarray) -> Block:
    """Value and influence at the records themselves: one pass, nothing written."""
    reader = Reader(plan, index)
    reads = tuple(dict.fromkeys((*plan.cuts, *([OUTPUT] if plan.on == OUTPUT else []))))
    job = Job(index, wrt=plan.cuts, read=reads, on=plan.on, of=reader, by=plan.by, quantity_key=plan.kinds, multipliers_only=plan.folded)
    start = time.perf_counter()
    found = plan.session.evaluate(job)
    if len(index) < plan.session.records and not plan.chunker.settled:
        plan.session.device.wait()
        plan.chunker.saw(len(index), time.perf_counter() - start)
    block = Block(index, forward=found.forward, backward=found.backward, rows=len(index), unruled=found.unruled, trace=found.trace)
    assert found.value is not None
    block.explained = as_numpy(found.value)[:, 0].astype(np.float64)
    block.classes, block.output = reader.classes(), table(found)
    for cut in plan.cuts:
        reading = found.reads[cut]
        here = [a[0] for a in reading.arrays]
        grads = [g[:, 0] for g in found.grads[cut]]
        direct = [r[:, 0] for r in found.direct_relevance.get(cut, [])]
        grads = [g * x[None] for g, x in zip(grads, here, strict=True)] if plan.multiply else grads
        block.values.append([g + r for g, r in zip(grads, direct, strict=True)] if direct else grads)
        block.record.append(here)
        block.spots.append(reading.spots)
    plan.progress.advance(len(index))
    return block


def read_at(session: Session, over: Any, cuts: tuple[Cut, ...], index: np.ndarray) -> Evidence:
    """The values of some records at cuts: as they are, or their mean over points of the user's own, ``[1, records, ...]``."""
    if isinstance(over, Point):
        return session.evaluate(Job(index, read=cuts))
    at = session.resolve(as_cut(over.at), True)
    here = session.evaluate(Job(index, read=(at,))).reads[at]
    values = [a[0] for a in here.arrays]
    own = points_of(over.values, Here(values, session.names(here.spots), index, session.records, session.call))
    total: dict[Cut, Leaves] = {}
    for k in range(len(own[0])):
        write = tuple(broadcast(p[k : k + 1], 1, len(index)) for p in own)
        found = session.evaluate(Job(index, 1, at, tuple(here.spots), write, read=cuts))
        for cut in cuts:
            terms = found.reads[cut].arrays
            total[cut] = [t + a for t, a in zip(total[cut], terms, strict=True)] if cut in total else terms
    for cut in cuts:
        found.reads[cut].arrays = [t / len(own[0]) for t in total[cut]]
    return found


def table(found: Evidence) -> np.ndarray | None:
    """The model's output as ``[records, classes]``, when it is one floating array of that form."""
    reading = found.reads.get(OUTPUT)
    if reading is None:
        return None
    flat = [a for s, a in zip(reading.spots, reading.arrays, strict=True) if s.path in ((), ("logits",)) and a.ndim == 3]
    return as_numpy(flat[0])[0].astype(np.float64) if len(flat) == 1 else None


def broadcast(a: Array, points: int, records: int) -> Array:
    """``[points or 1, records or 1, ...]`` in full."""
    return namespace(a).broadcast_to(a, (points, records, *a.shape[2:]))


def sum_all(leaves: Leaves) -> np.ndarray:
    """What each record's values add up to over all arrays of a cut, ``[quantities, records]`` in double precision."""
    total: np.ndarray = np.sum([namespace(v).sums(v, 2) for v in leaves], axis=0)
    return total
