"""From blocks of records to an :class:`~ascribe.Attribution`: put together, in the user's own form, and asked the questions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import checks as ask
from .arrays import Array, namespace
from .backends.protocol import Session, Spot
from .cuts import INPUT, Cut
from .distributions import Distribution, Point, parts
from .errors import AscribeWarning
from .passes import Block, Plan, Reduce, sum_all
from .quantities import Quantity
from .result import Attribution, Check, Cost
from .rules import Gradient, Rule
from .tree import mapped
from .version import VERSION


@dataclass(frozen=True)
class Request:
    """What was asked, normalised: everything but the model and its arguments."""

    quantities: tuple[Quantity, ...]
    several: bool
    cuts: tuple[Cut, ...]
    many: bool
    over: Distribution
    by: Rule
    seed: int
    chunk: int | None
    progress: bool | None
    multiply: bool
    reduce: Reduce = "mean"

    def __str__(self) -> str:
        of = list(self.quantities) if self.several else self.quantities[0]
        at = list(self.cuts) if self.many else self.cuts[0]
        said = [f"of={of!r}"]
        said += [f"at={at!r}"] if at != INPUT else []
        said += [f"over={self.over!r}"] if self.over != Point() else []
        said += [f"by={self.by!r}"] if self.by != Gradient() else []
        said += [f"seed={self.seed}"] if self.seed else []
        return f"{'attribute' if self.multiply else 'influence'}(model, *inputs, {', '.join(said)})"


def result(plan: Plan, asked: Request, done: Sequence[Block], seconds: float) -> Attribution:
    """Blocks put together, brought to the user's own form, and asked the questions that every result is asked."""
    session, first = plan.session, done[0]
    values = [
        [join(session, [b.values[c][i] for b in done], 1) for i in range(len(first.values[c]))] for c in range(len(plan.cuts))
    ]
    record = [
        [join(session, [b.record[c][i] for b in done], 0) for i in range(len(first.record[c]))] for c in range(len(plan.cuts))
    ]
    explained = np.concatenate([b.explained for b in done], 1)
    change = None if first.change is None else np.concatenate([b.change for b in done if b.change is not None], 1)
    gap = None if change is None else ask.gap_of(sum_all(values[0]), change, explained)
    sizes = np.sum([namespace(v).sizes(v, 2) for leaves in values for v in leaves], axis=0)
    classes = None if first.classes is None else np.concatenate([b.classes for b in done if b.classes is not None], 1)
    output = None if first.output is None else np.concatenate([b.output for b in done if b.output is not None])
    stepwise = getattr(plan.over, "stepwise", False)
    factors = [type(f).__name__ for f in parts(plan.over)]
    promised = stepwise or (len(plan.cuts) == 1 and plan.cuts[0] == plan.at)
    sampled = "Background" in factors or any(getattr(f, "quadrature", "") == "random" for f in parts(plan.over))
    asked_of = [
        ask.completeness(gap, plan, promised, sampled),
        ask.finite(sizes, session.notes),
        ask.something(sizes),
        ask.saturation(plan, classes, output),
    ]
    checks = (*asked_of, *noted(session), *several_uses(first.spots))
    warn(checks)
    if not asked.several:
        explained = explained[0]
        classes = None if classes is None else classes[0]
        gap = None if gap is None else replace(gap, absolute=gap.absolute[0], relative=gap.relative[0])
    shaped = [[native(v, s.axis, 1) for v, s in zip(values[c], first.spots[c], strict=True)] for c in range(len(plan.cuts))]
    if not asked.several:
        shaped = [[v[0] for v in leaves] for leaves in shaped]
    held = [[native(r, s.axis, 0) for r, s in zip(record[c], first.spots[c], strict=True)] for c in range(len(plan.cuts))]
    at_cuts = [given(session, structured(first.spots[c], shaped[c])) for c in range(len(plan.cuts))]
    recorded = [given(session, structured(first.spots[c], held[c])) for c in range(len(plan.cuts))]
    cost = Cost(
        sum(b.forward for b in done), sum(b.backward for b in done), sum(b.rows for b in done), seconds, plan.chunker.size
    )
    return Attribution(
        values=tuple(at_cuts) if asked.many else at_cuts[0],
        record=tuple(recorded) if asked.many else recorded[0],
        cut=cut_text(plan.cuts, asked.many),
        quantity=repr(list(asked.quantities) if asked.several else asked.quantities[0]),
        method=str(asked),
        explained=explained,
        prediction=output,
        class_names=session.class_names,
        target=classes,
        gap=gap,
        checks=checks,
        cost=cost,
        settings=settings(asked, done),
    )


def noted(session: Session) -> list[Check]:
    """What was done to the call that the user should know of; run in another mode than it was left in, the model may differ."""
    told = [note for note in dict.fromkeys(session.notes) if not note.startswith("NaN")]
    return [Check("model", "warn" if "training mode" in note else "ok", note) for note in told]


def several_uses(spots: Sequence[Sequence[Spot]]) -> list[Check]:
    """A note for every cut whose layer is used more than once: all its uses are in the result."""
    found = []
    for leaves in spots:
        calls = {s.call for s in leaves}
        if len(calls) > 1:
            cut = leaves[0].cut
            found.append(
                Check("calls", "ok", f"{cut!r} is used {len(calls)} times; all of them are here, call=0 would choose the first")
            )
    return found


def settings(asked: Request, done: Sequence[Block]) -> dict[str, Any]:
    """What it takes to do it again, as plain data."""
    steps = [int(s) for b in done if b.steps is not None for s in b.steps]
    return {
        "ascribe": VERSION,
        "seed": asked.seed,
        "over": repr(asked.over),
        "by": repr(asked.by),
        "steps": steps[0] if steps and len(set(steps)) == 1 else steps,
    }


def warn(found: Sequence[Check]) -> None:
    """Warn of what would mislead: failed checks, and a model that was not run as the user left it."""
    for check in found:
        if check.status == "fail" or (check.name == "model" and "training mode" in check.detail):
            warnings.warn(f"{check.name}: {check.detail}", AscribeWarning, stacklevel=5)


def join(session: Session, arrays: list[Array], axis: int) -> Array:
    """Blocks of records as one array."""
    return arrays[0] if len(arrays) == 1 else session.xp.concat(arrays, axis)


def native(array: Array, axis: int | None, lead: int) -> Array:
    """``[lead..., records, ...]`` with the records on the axis where the layer keeps them."""
    if axis is None:  # the layer's value has no record axis; a leading 1 of its own makes room for one
        return array[(*[slice(None)] * lead, slice(None), 0)] if array.shape[lead + 1] == 1 else array
    return namespace(array).moveaxis(array, lead, lead + axis) if axis else array


def structured(spots: Sequence[Spot], arrays: Sequence[Array]) -> Any:
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


def given(session: Session, value: Any) -> Any:
    """A structure of arrays as the user would have it."""
    return mapped(value, lambda path, leaf: session.given(leaf))


def cut_text(cuts: Sequence[Cut], many: bool) -> str:
    """Cuts as they are written: one alone, several as a list."""
    return repr(list(cuts)) if many else repr(cuts[0])
