"""From blocks of records to an :class:`~ascribe.Attribution`: put together, in the user's own form, and asked the questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..backends.protocol import ArrayAt, RecordAxis, Session
from ..coalitions.base import Coalitions
from ..cuts import INPUT, Cut
from ..distributions.members import Distribution, Point, Reference, has_background, parts
from ..errors import warn_user
from ..features import Automatic, Features
from ..quantities import Max, Quantity
from ..removal import Removal
from ..result.attribution import Attribution, Check, Cost, Gap
from ..rules import Gradient, Rule, treats_operations
from ..rules.trace import RuleTrace
from ..tree import mapped
from ..utils.ragged import Ragged
from ..version import VERSION
from .checks import general as ask
from .checks import relevance as relevance
from .checks.repeatability import repeated, unsteady
from .chunks import Chunker, Wanted, first_chunk
from .plan import Block, Combine, Plan, Reduce, sum_all


@dataclass(frozen=True)
class Request:
    """What was asked, normalised: everything but the model and its arguments."""

    quantities: tuple[Quantity, ...]
    several: bool
    cuts: tuple[Cut, ...]
    many: bool
    over: Distribution | Coalitions
    by: Rule
    seed: int
    chunk: int | None
    progress: Wanted
    multiply: bool
    reduce: Reduce = "mean"
    removal: Removal | None = None
    features: Features | None = None
    combine: Combine | None = None
    bare: bool = False
    """Whether values are all that is wanted: no prediction, no gap. A call like none before it is looked at in full all the same."""
    most: int | None = None
    """An upper bound for the rows at once, where ``chunk`` leaves their number to be measured."""

    def __str__(self) -> str:
        of = list(self.quantities) if self.several else self.quantities[0]
        at = list(self.cuts) if self.many else self.cuts[0]
        said = [f"of={of!r}"]
        said += [f"at={at!r}"] if at != INPUT else []
        said += [f"over={self.over!r}"] if self.over != Point() else []
        by = self.by if self.removal is None else self.removal
        said += [f"by={by!r}"] if by != Gradient() else []
        said += [f"features={self.features!r}"] if self.features is not None and self.features != Automatic() else []
        said += [f"seed={self.seed}"] if self.seed else []
        return f"{'attribute' if self.multiply else 'influence'}(model, *inputs, {', '.join(said)})"


def chunk_for(session: Session, asked: Request, at: Cut) -> Chunker:
    """How many rows at once: what the user said, what was found last time, or a first guess to measure from."""
    if asked.chunk is not None:
        return Chunker(int(asked.chunk), fixed=True)
    if session.records == 1 and isinstance(asked.over, (Point, Reference)):
        return Chunker(1, fixed=True)  # one row: there is nothing to choose
    found: Chunker | None = session.facts.shapes.chunkers.get(chunk_key(asked, at))
    chunker = (
        found.again()
        if found is not None
        else Chunker(first_chunk(session.cut_info(at).elements(), session.parameter_count(), session.records))
    )
    if asked.most is not None:
        chunker.cap(asked.most)
    return chunker


def chunk_key(asked: Request, at: Cut) -> tuple[Any, ...]:
    """What a chunk size was found for, beside the signature of the call."""
    return at, asked.cuts, len(asked.quantities), type(asked.by), asked.most, asked.features is None


def result(plan: Plan, asked: Request, done: Sequence[Block], seconds: float) -> Attribution:
    """What a call returns, from the blocks that came of it."""
    session, block = plan.session, whole(plan.session, done)
    each = [[namespace(v).sizes(v, 2) for v in leaves] for leaves in block.values]
    sizes, first = np.sum([size for leaves in each for size in leaves], axis=0), block.values[0]
    gap = None
    if block.change is not None:
        eps, size = namespace(first[0]).eps(first[0]), sizes if len(each) == 1 else np.sum(each[0], axis=0)
        gap = ask.gap_of(sum_all(first), size, block.change, block.explained, eps)
    checks = asked_of(plan, block, gap, sizes)
    warn(checks)
    places, several = range(len(plan.cuts)), asked.several or len(block.explained) > 1
    values = [shaped(session, block.spots[c], block.values[c], 1, not several) for c in places]
    record = [shaped(session, block.spots[c], block.record[c], 0, False) for c in places]

    def one(numbers: np.ndarray | None) -> np.ndarray | None:
        return numbers if several or numbers is None else numbers[0]

    return Attribution(
        values=tuple(values) if asked.many else values[0],
        record=tuple(record) if asked.many else record[0],
        cut=cut_text(plan.cuts, asked.many),
        quantity=repr(list(asked.quantities) if asked.several else asked.quantities[0]),
        method=str(asked),
        explained=one(block.explained),
        prediction=block.output,
        class_names=session.traits.class_names,
        target=one(block.classes),
        gap=None if gap is None else Gap(*(numbers if several else numbers[0] for numbers in (gap.absolute, gap.relative))),
        checks=checks,
        cost=Cost(block.forward, block.backward, block.rows, seconds, plan.chunker.size),
        settings=settings(asked, block),
        rows=rows_of(block.spots),
    )


def whole(session: Session, done: Sequence[Block]) -> Block:
    """Blocks of records as one."""
    first = done[0]
    if len(done) == 1:
        return first
    trace = RuleTrace()
    for b in done:
        trace.add(b.trace)

    def beside(name: str, axis: int) -> Any:
        found = [getattr(b, name) for b in done]
        return None if any(f is None for f in found) else np.concatenate(found, axis)

    def arrays(name: str, axis: int) -> list[list[Array]]:
        found = [getattr(b, name) for b in done]
        return [[session.xp.concat([f[c][i] for f in found], axis) for i in range(len(leaves))] for c, leaves in enumerate(found[0])]

    return Block(
        index=beside("index", 0),
        values=arrays("values", 1),
        record=arrays("record", 0),
        spots=first.spots,
        explained=beside("explained", 1),
        change=beside("change", 1),
        output=beside("output", 0),
        classes=beside("classes", 1),
        steps=beside("steps", 0),
        bend=None if first.bend is None else lambda: np.concatenate([b.bend() for b in done if b.bend is not None], -1),
        forward=sum(b.forward for b in done),
        backward=sum(b.backward for b in done),
        rows=sum(b.rows for b in done),
        unruled={name: what for b in done for name, what in b.unruled.items()},
        trace=trace,
    )


def asked_of(plan: Plan, block: Block, gap: Gap | None, sizes: np.ndarray) -> tuple[Check, ...]:
    """The questions that every result is asked, and the answers; ``sizes`` are the values' ``[quantities, records]`` norm."""
    promised = plan.cuts == (plan.at,) and (plan.by.compares or not treats_operations(plan.by))
    drawn = has_background(plan.over) and not plan.by.compares
    sampled = drawn or any(getattr(f, "quadrature", "") == "random" for f in parts(plan.over))
    found = unsteady(plan, block)
    return (
        ask.completeness(gap, plan, promised, sampled, block.bend, found is not None and not found.others),
        *([] if found is None else repeated(found, float(sizes[:, 0].max(initial=0.0)))),
        ask.finite(sizes, plan.session.notes, gap),
        ask.something(sizes),
        ask.saturation(block.classes, block.output),
        *by_rule(plan, block),
        *largest_target(plan.session, plan.quantities, block.output),
        *noted(plan.session),
        *several_uses(block.spots),
    )


def by_rule(plan: Plan, block: Block) -> list[Check]:
    """What is asked where a rule treats operations."""
    if not treats_operations(plan.by):
        return []
    found = [relevance.coverage(plan.by, block.unruled, block.trace), relevance.conservation(block.trace)]
    if plan.multiply and block.trace.flows:
        sums = np.max([np.abs(sum_all(leaves)) for leaves in block.values], axis=0)
        every = [v for leaves in block.values for v in leaves]
        largest = np.max([as_numpy(namespace(v).amax(abs(v), tuple(range(2, v.ndim)))) for v in every], axis=0)
        found.append(relevance.blow_up(block.trace, sums, largest.reshape(sums.shape), block.explained))
    return [check for check in found if check is not None]


def shaped(session: Session, spots: Sequence[ArrayAt], arrays: Sequence[Array], lead: int, first: bool) -> Any:
    """Arrays ``[lead..., records, ...]`` in the layers' own layout, structure and kind; ``first`` drops the axis of one quantity."""
    laid = [native(a, s.axis, lead) for a, s in zip(arrays, spots, strict=True)]
    return mapped(structured(spots, [a[0] for a in laid] if first else laid), lambda path, leaf: session.given(leaf))


def rows_of(spots: Sequence[Sequence[ArrayAt]]) -> np.ndarray | None:
    """The record of each row, where rows were given to records by an array."""
    return next((s.axis.record for leaves in spots for s in leaves if isinstance(s.axis, Ragged)), None)


def noted(session: Session) -> list[Check]:
    """What was done to the call that the user should know of; run in another mode than it was left in, the model may differ."""
    told = [note for note in dict.fromkeys(session.notes) if not note.startswith("NaN")]
    return [Check("model", "warn" if "training mode" in note else "ok", note) for note in told]


def largest_target(session: Session, quantities: Sequence[Quantity], output: np.ndarray | None) -> list[Check]:
    """A warning where the largest of a regressor's targets was taken as if it were a predicted class."""
    if not session.traits.regresses or output is None or output.shape[1] < 2 or not any(isinstance(q, Max) for q in quantities):
        return []
    told = f"Max() explains the largest of a regressor's {output.shape[1]} targets, which need not be the same one for each record"
    return [Check("target", "warn", f"{told}; of=0 explains the first, of=[asc.Unit(k) for k in range({output.shape[1]})] each of them")]


def several_uses(spots: Sequence[Sequence[ArrayAt]]) -> list[Check]:
    """A note for every cut whose layer is used more than once: all its uses are in the result."""
    found = []
    for leaves in spots:
        calls = {s.call for s in leaves}
        if len(calls) > 1:
            cut = leaves[0].cut
            found.append(Check("calls", "ok", f"{cut!r} is used {len(calls)} times; all of them are here, call=0 would choose the first"))
    return found


def settings(asked: Request, block: Block) -> dict[str, Any]:
    """What it takes to do it again, as plain data."""
    steps = [] if block.steps is None else [int(s) for s in block.steps]
    return {
        "ascribe": VERSION,
        "seed": asked.seed,
        "over": repr(asked.over),
        "by": repr(asked.by),
        "steps": steps[0] if len(set(steps)) == 1 else steps,
    }


def warn(found: Sequence[Check]) -> None:
    """Warn of what would mislead: failed checks, and a model that was not run as the user left it."""
    for check in found:
        if check.status == "fail" or (check.name == "model" and "training mode" in check.detail):
            warn_user(f"{check.name}: {check.detail}")


def native(array: Array, axis: RecordAxis, lead: int) -> Array:
    """``[lead..., records, ...]`` with the records on the axis where the layer keeps them, or its rows where they have several."""
    if isinstance(axis, Ragged):
        return axis.rows(array, lead)
    if axis is None:  # the layer's value has no record axis; a leading 1 of its own makes room for one
        return array[(*[slice(None)] * lead, slice(None), 0)] if array.shape[lead + 1] == 1 else array
    return namespace(array).moveaxis(array, lead, lead + axis) if axis else array


def structured(spots: Sequence[ArrayAt], arrays: Sequence[Array]) -> Any:
    """Arrays in the structure of the value they came from: one alone as it is, several as a tuple or a dict."""
    if len(arrays) == 1:
        return arrays[0]
    several = len({s.call for s in spots}) > 1
    paths = []
    for s in spots:
        path = s.path
        if s.cut.anchor == "in":  # (positional, keyword) is how a call is written, not a level of its own
            path = path[1:]
        paths.append((s.call, *path) if several else path)
    return _nested(list(zip(paths, arrays, strict=True)))


def _nested(items: list[tuple[tuple[int | str, ...], Array]]) -> Any:
    if len(items) == 1 and not items[0][0]:
        return items[0][1]
    groups: dict[int | str, list[tuple[tuple[int | str, ...], Array]]] = {}
    for path, array in items:
        groups.setdefault(path[0], []).append((path[1:], array))
    if all(isinstance(key, int) for key in groups):
        return tuple(_nested(group) for group in groups.values())
    return {key: _nested(group) for key, group in groups.items()}


def cut_text(cuts: Sequence[Cut], many: bool) -> str:
    """Cuts as they are written: one alone, several as a list."""
    return repr(list(cuts)) if many else repr(cuts[0])
