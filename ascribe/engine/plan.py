"""The plan of a call: cuts resolved, chunk size and progress set up; and the quantities bound to the records that they are read for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from ..arrays import Array, as_numpy, is_array
from ..backends.independence import records_independent
from ..backends.protocol import Job, Session
from ..coalitions.base import Coalitions, are_coalitions, is_adaptive
from ..cuts import INPUT, Cut
from ..distributions.draws import Distribution
from ..distributions.members import Point, Reference
from ..distributions.outline import Outline, outline_distribution
from ..errors import AscribeError, CutError, QuantityError
from ..quantities import Bound, Part, Quantity, check_scores, select_scores
from ..quantities.base import BoundClasses, Parts, Separable, parts_of
from ..rules import treats_operations
from .chunks import Chunker, Progress, first_chunk, open_progress
from .passes.removal_sites import FeatureSites, find_sites
from .request import Request

LEAST_ROWS = 8
"""The least rows of a first chunk over coalitions: nothing is kept for a backward pass, so more rows fit than elsewhere."""

NO_OUTLINE = Outline(1, None, None, None, False)


@dataclass(frozen=True)
class Plan:
    """A request resolved in a session: everything that is the same for all batches of records.

    ``cuts`` are the attribution cuts, ``at`` is where the points are, ``on`` where the quantities are read. ``kinds`` are the user's own
    functions among the quantities: only they can look at several rows. With ``bare`` only the values are computed. ``features`` are the
    feature groups of coalitions. ``chunk_key`` and ``seen_key`` name in the session what is learnt about calls like this one.
    """

    session: Session
    request: Request
    cuts: tuple[Cut, ...]
    at: Cut
    on: Cut
    kinds: tuple[Hashable, ...]
    chunker: Chunker
    progress: Progress
    by_operation: bool = False
    """True if the rule treats operations by their kind."""
    multipliers_only: bool = False
    """True if all influence has to come back as a multiplier."""
    outline: Outline = NO_OUTLINE
    bare: bool = False
    features: FeatureSites | None = None
    chunk_key: tuple[Any, ...] | None = None
    seen_key: tuple[Any, ...] | None = None

    @property
    def inner(self) -> tuple[Cut, ...]:
        """The attribution cuts other than the one where the points are."""
        return tuple(cut for cut in self.cuts if cut != self.at)

    @cached_property
    def independent(self) -> bool:
        """True if records run apart from each other give the same results: in the model, and in the quantities."""
        if self.session.records == 1:
            return True
        if not records_independent(self.session):
            return False
        if not self.kinds:
            return True
        facts, key = self.session.facts, (self.kinds, self.on)
        known = facts.call.quantities_independent.get(key)
        if known is None:
            known = facts.weights.quantities_independent.get(key)
        if known is None:
            known, lasting = self._compare_records()
            (facts.weights if lasting else facts.call).quantities_independent[key] = known
        return known

    def _compare_records(self) -> tuple[bool, bool]:
        """Returns whether two records have the same quantities together and alone, and whether that is conclusive: equal values are not."""

        def values(first: int, last: int) -> np.ndarray:
            index = np.arange(first, last)
            bound = BoundQuantities(self.session, self.request.quantities, index)
            evidence = self.session.evaluate(Job(index, on=self.on, of=bound, quantity_key=self.kinds))
            return as_numpy(evidence.value)[:, 0].astype(np.float64)

        try:
            together, single = values(0, 2), np.concatenate([values(0, 1), values(1, 2)], 1)
        except AscribeError:
            return False, False
        limit = 1e-3 * np.abs(together[np.isfinite(together)]).max(initial=0.0) + 1e-12
        same = bool(np.allclose(together, single, rtol=0, atol=limit, equal_nan=True))
        return same, not same or bool((np.abs(single[:, 0] - single[:, 1]) > 10 * limit).any())

    def remember(self) -> None:
        """Keeps in the session what a finished call has learnt: the chunk size, and that its records have been looked at."""
        facts = self.session.facts.shapes
        if self.request.family == "values":
            facts.fitting_records[self.cuts] = self.chunker.size
        elif self.chunk_key is not None:
            facts.chunkers[self.chunk_key] = self.chunker
        if self.seen_key is not None:
            facts.examined[self.seen_key] = not any(getattr(q, "chooses", True) for q in self.request.quantities)


def make_plan(session: Session, request: Request) -> Plan:
    """Resolves a request in a session. Raises CutError, FeatureError or CoalitionError where that cannot be."""
    if request.family == "coalition":
        return plan_coalitions(session, request)
    if request.family == "values":
        return plan_values(session, request)
    cuts = tuple([session.resolve(cut, True) for cut in request.cuts])
    alone = request.family == "point" or request.points_at == request.cuts[0]
    at = cuts[0] if alone else where_points_are(session, request, cuts)
    on = session.resolve(request.on, False)
    over: Distribution = request.over  # type: ignore[assignment]
    one_row = session.records == 1 and isinstance(over, (Point, Reference))
    chunk_key, kinds, outline = chunk_key_of(request, at), kinds_of(request.quantities), outline_distribution(over)
    seen_key = ((at, *cuts, on), type(over), tuple([getattr(q, "kind", type(q)) for q in request.quantities]))
    chunker = Chunker(1, fixed=True) if one_row and request.chunk is None else choose_chunker(session, request, at, chunk_key)
    return Plan(
        session,
        request,
        cuts,
        at,
        on,
        kinds,
        chunker,
        open_progress(outline.points * session.records, request.progress),
        multipliers_only=not request.multiply or request.reduce != "mean",
        outline=outline,
        by_operation=treats_operations(request.by),
        bare=request.bare and session.facts.shapes.examined.get(seen_key, False),
        chunk_key=None if one_row or request.chunk is not None else chunk_key,
        seen_key=seen_key,
    )


def plan_coalitions(session: Session, request: Request) -> Plan:
    """Resolves a request over coalitions of features, which reads the value at the cuts for one record."""
    features = find_sites(session, request)
    on = session.resolve(request.on, False)
    over: Coalitions = request.over  # type: ignore[assignment]
    at = features.cuts[0]
    chunk_key = chunk_key_of(request, at)
    chunker = choose_chunker(session, request, at, chunk_key)
    if not chunker.settled:
        chunker.size = max(chunker.size, LEAST_ROWS)
    progress = open_progress(features.count_coalitions(over) * session.records, request.progress)
    kept = None if request.chunk is not None else chunk_key
    return Plan(session, request, features.cuts, at, on, kinds_of(request.quantities), chunker, progress, features=features, chunk_key=kept)


def plan_values(session: Session, request: Request) -> Plan:
    """Resolves a request of values, which takes no gradient."""
    cuts = tuple([session.resolve(cut, False) for cut in request.cuts])
    at = cuts[0] if isinstance(request.over, Point) else session.resolve(request.points_at, True)
    chunker = Chunker(session.facts.shapes.fitting_records.get(cuts, session.records), fixed=True)
    return Plan(session, request, cuts, at, at, (), chunker, Progress(0, False))


def where_points_are(session: Session, request: Request, cuts: tuple[Cut, ...]) -> Cut:
    """Returns the cut of the points; of token ids with several embeddings the one that is explained."""
    try:
        return session.resolve(request.points_at, True)
    except CutError:
        if request.points_at == INPUT and len(cuts) == 1 and (source := session.cut_info(cuts[0]).source()) == cuts[0]:
            return source
        raise


def choose_chunker(session: Session, request: Request, at: Cut, key: tuple[Any, ...]) -> Chunker:
    """Returns how many rows run at once: the user's number, that of earlier calls, or a first guess to measure from."""
    if request.chunk is not None:
        return Chunker(int(request.chunk), fixed=True)
    known: Chunker | None = session.facts.shapes.chunkers.get(key)
    if known is None:
        first = first_chunk(session.cut_info(at).elements(), session.parameter_count(), session.records)
        chunker = Chunker(first, compiles=session.compiles)
    else:
        chunker = known.again()
    if request.most is not None:
        chunker.cap(request.most)
    return chunker


def chunk_key_of(request: Request, at: Cut) -> tuple[Any, ...]:
    """Returns the key of a chunk size among those of calls with arguments of the same shapes."""
    return at, request.cuts, len(request.quantities), type(request.by), request.most, request.features is None


def kinds_of(quantities: Sequence[Quantity]) -> tuple[Hashable, ...]:
    """Returns the kinds of the user's own functions among the quantities."""
    return tuple([q.kind for q in quantities if hasattr(q, "kind")])


def each_needs_its_own(plan: Plan, features: FeatureSites) -> bool:
    """Returns whether coalitions depend on the values of a record, so that each record is evaluated alone."""
    over = plan.request.over
    return are_coalitions(over) and is_adaptive(over, features.groups.players) and plan.independent


class BoundQuantities:
    """The quantities of a call, computed from the model's values: bound at the records first, then the same for every point."""

    def __init__(self, session: Session, quantities: Sequence[Quantity], index: np.ndarray) -> None:
        self.quantities, self.index = quantities, index
        self.session, self.total = session, session.records
        self.bound: list[Bound] = []

    def __call__(self, tree: Any, rows: np.ndarray) -> list[Array]:
        """Returns one number per row for each quantity; the first call, at the records, binds them."""
        values = [select_scores(tree, q) for q in self.quantities]
        if not self.bound:
            self._bind(values, rows)
        if rows is self.index:  # one row for each record
            return flatten([b(y) for b, y in zip(self.bound, values, strict=True)])
        local = rows - self.index[0]
        return flatten([b(y) if b.same else b.take(local)(y) for b, y in zip(self.bound, values, strict=True)])

    @property
    def by_shapes(self) -> bool:
        """True if the quantities are bound by the shape of a value alone."""
        return not any(getattr(q, "chooses", True) for q in self.quantities)

    def bind(self, tree: Any, rows: np.ndarray) -> None:
        """Fixes everything that depends on the records, whose value is ``tree``: here, and nowhere else, numbers are looked at."""
        self._bind([select_scores(tree, q) for q in self.quantities], rows)

    def _bind(self, values: Sequence[Any], rows: np.ndarray) -> None:
        count, part = len(self.index), Part(self.index, self.total)
        first = [y[:count] if len(rows) > count and is_array(y) else y for y in values]
        for q, y in zip(self.quantities, first, strict=True):
            check_scores(y, self.session.traits.returns_integers, q)
        self.bound = [q.bind(y, self.session.traits.class_names, part) for q, y in zip(self.quantities, first, strict=True)]

    def parts(self, rows: np.ndarray) -> Parts:
        """Returns the key of the bound quantities, None where a user's function is among them, and their arrays for these rows."""
        local = rows - self.index[0]
        pairs = [parts_of(b if b.same else b.take(local)) for b in self.bound]
        key = None if any(key is None for key, _ in pairs) else tuple([key for key, _ in pairs])
        return key, tuple([arrays for _, arrays in pairs])

    def apply(self, arrays: Sequence[Any], tree: Any) -> list[Array]:
        """Returns the numbers of a value with these arrays in place of the quantities' own: a pure function of both."""
        pairs = zip(self.bound, self.quantities, arrays, strict=True)
        return [cast(Separable, bound).apply(own, select_scores(tree, quantity)) for bound, quantity, own in pairs]

    def of_every_record(self, tree: Any, rows: np.ndarray) -> list[Array]:
        """Returns every record's own quantity for rows that belong to no record: ``quantities x records`` lists."""
        numbers: list[Array] = []
        for quantity, bound in zip(self.quantities, self.bound, strict=True):
            y = select_scores(tree, quantity)
            if isinstance(bound, BoundClasses):
                numbers += list(bound.every(y))
            elif bound.same:
                numbers += [value for value in flatten([bound(y)]) for _ in self.index]
            else:
                each = [flatten([bound.take(np.full(len(rows), i))(y)]) for i in range(len(self.index))]
                numbers += [value for values in zip(*each, strict=True) for value in values]
        return numbers

    def classes(self) -> np.ndarray | None:
        """Returns the class of each record under each quantity, where all are classes."""
        classes = [b.classes for b in self.bound]
        return None if any(c is None for c in classes) else np.stack([np.asarray(c) for c in classes])


def flatten(values: Iterable[Any]) -> list[Array]:
    """Returns one number per row for each quantity; a function of the user's own may have returned several, as a list or a tuple.

    Raises QuantityError where it returned none.
    """
    numbers = [v for value in values for v in (value if isinstance(value, (list, tuple)) else (value,))]
    if not numbers:
        raise QuantityError("The quantity returned no numbers", found="an empty list", advice="one number per record, or a list of such")
    return numbers
