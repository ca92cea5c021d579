"""The verb: the attribution of a quantity, at a cut, over a distribution of points, by a rule, in a model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import checks as ask
from .arrays import Array, as_numpy, namespace
from .backends import open_session
from .backends.protocol import Job, Place, Session, Spot
from .baselines import Call
from .cuts import EMBEDDINGS, INPUT, LOGITS, OUTPUT, Cut
from .distributions import Distribution, Point, as_distribution, parts
from .errors import AscribeWarning, CutError, InputError, QuantityError
from .passes import Block, Plan, Reduce, run_block
from .quantities import Quantity, as_quantities
from .result import Attribution, Check, Cost
from .rules import Gradient, Rule, as_rule
from .stream import Chunker, blocks, first_chunk, showing
from .tree import mapped
from .version import VERSION

NAMED_CUTS = {"INPUT": INPUT, "OUTPUT": OUTPUT, "LOGITS": LOGITS, "EMBEDDINGS": EMBEDDINGS}


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


def attribute(model: Any, *args: Any, of: Any = None, at: Any = INPUT, over: Any = None, by: Any = None, seed: int = 0,
              chunk: int | None = None, progress: bool | None = None, **kwargs: Any) -> Attribution:
    """Mean influence times the distance travelled: what each part of the value at a cut adds to a quantity.

    >>> attribute(model, x, of=3)                                          # gradient times input      # doctest: +SKIP
    >>> attribute(model, x, of=3, over=Line(0.0, steps=64))                # integrated gradients      # doctest: +SKIP

    The model is called as you call it: ``args`` and ``kwargs`` are its own. ``of`` is what is explained (default: the predicted
    class, :class:`~ascribe.Max`), ``at`` the cut or cuts, ``over`` the points (default: the record itself), ``by`` the backward
    rule. ``seed`` decides every draw; the same seed gives the same numbers whatever the chunking. ``chunk`` is how many rows run
    at once (default: measured). ``progress`` shows a line on stderr: None for long work on a terminal.

    If the model has an argument of one of these names, pass its call as one: ``attribute(model, Call(x, at=3))``.

    Along a line from a baseline the values add up to the change of the quantity; the result's ``gap`` says how nearly.
    Costs one forward pass for the records, one forward and backward for each point, and one forward for the baseline.

    Raises InputError, CutError, QuantityError, DistributionError, RuleError, ModelError or MemoryLimitError; whatever happens,
    model and arguments are as they were.
    """
    return explain(model, model_call(args, kwargs), request(of, at, over, by, seed=seed, chunk=chunk, progress=progress, multiply=True))


def influence(model: Any, *args: Any, of: Any = None, at: Any = INPUT, over: Any = None, by: Any = None, seed: int = 0,
              chunk: int | None = None, progress: bool | None = None, **kwargs: Any) -> Attribution:
    """Mean influence alone: how strongly the quantity reacts to each part of the value at a cut.

    The arguments are those of :func:`attribute`. Influence has no distance in it, so it has no sum to be complete to.
    """
    return explain(model, model_call(args, kwargs), request(of, at, over, by, seed=seed, chunk=chunk, progress=progress, multiply=False))


def activation(model: Any, *args: Any, at: Any, **kwargs: Any) -> Attribution:
    """The value at a cut (or at several), for every record. One forward pass that goes no further than it must."""
    start = time.perf_counter()
    asked = request(None, at, None, None, multiply=False)
    with open_session(model, model_call(args, kwargs)) as session:
        cuts = tuple(session.resolve(cut, False) for cut in asked.cuts)
        found = session.evaluate(Job(np.arange(session.records), read=cuts))
        values = [structured(found.reads[c].spots, [native(a, s.axis, 0) for a, s in zip([a[0] for a in found.reads[c].arrays],
                                                                                         found.reads[c].spots, strict=True)]) for c in cuts]
        values = [given(session, v) for v in values]
        cost = Cost(found.forward, 0, session.records, time.perf_counter() - start)
        return Attribution(values=tuple(values) if asked.many else values[0], record=None, cut=_cut_text(cuts, asked.many), quantity="",
                           method=f"activation(at={_cut_text(asked.cuts, asked.many)})", cost=cost,
                           checks=tuple(noted(session)))


def cuts_of(model: Any, *args: Any, **kwargs: Any) -> list[Place]:
    """Every place that this call of the model passes, in execution order, with the kind of layer and the shapes there.

    Shapes are those of a single record. One forward pass.
    """
    with open_session(model, model_call(args, kwargs)) as session:
        return session.places()


def request(of: Any, at: Any, over: Any, by: Any, *, seed: int = 0, chunk: int | None = None, progress: bool | None = None,
            multiply: bool = True) -> Request:
    """The door: every argument as the noun it stands for, checked."""
    quantities, several = as_quantities(of)
    if len({q.on for q in quantities}) > 1:
        raise QuantityError("several quantities at different cuts", there=", ".join(sorted({repr(q.on) for q in quantities})),
                            try_="one call for each cut")
    many = isinstance(at, (list, tuple))
    cuts = tuple(as_cut(cut) for cut in (at if many else [at]))
    if not cuts:
        raise CutError("at=[] names no cut", try_="at=asc.INPUT")
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, (int, np.integer)) or chunk < 1):
        raise InputError(f"chunk={chunk!r}", try_="rows at once, from 1 up, or None to have it measured", code="E-CHUNK")
    return Request(quantities, several, cuts, many, as_distribution(over), as_rule(by), int(seed), chunk, progress, multiply)


def as_cut(at: Any) -> Cut:
    """``at=`` as a cut: a string is a layer's output. Raises CutError for anything else that is not one."""
    if isinstance(at, Cut):
        if at.op is not None:
            raise CutError(f"{at!r} names an operation", there="cuts at layers", try_="the layer around it", code="E-CUT-OP")
        if at.anchor not in ("in", "out"):
            raise CutError(f"anchor {at.anchor!r}", there='"in" and "out"')
        return at
    if isinstance(at, str):
        return NAMED_CUTS.get(at, Cut(at))
    raise CutError(f"at={type(at).__name__} is not a place", try_='a layer by its dotted name, such as "encoder.layer.2", or a Cut')


def explain(model: Any, call: Call, asked: Request) -> Attribution:
    """Carry out a request: blocks of records one after the other, each over all its points."""
    start = time.perf_counter()
    with open_session(model, call) as session:
        at = session.resolve(asked.over.at, True)
        cuts = tuple(session.resolve(cut, True) for cut in asked.cuts)
        on = session.resolve(asked.quantities[0].on, False)
        chunker, known = chunk_for(session, asked, at)
        size = sum(len(f.draw(0, 1)) for f in parts(asked.over)[:1]) if not hasattr(asked.over, "tolerance") else 1
        with showing(size * session.records, asked.progress) as progress:
            plan = Plan(session, asked.quantities, cuts, asked.over, at, on, asked.by, asked.seed, asked.multiply, asked.reduce, chunker, progress)
            whole = session.records > 1 and session.records > chunker.size and not session.splits()
            single = session.records > 1 and any(session.shared(cut) for cut in (at, *cuts))
            done = [run_block(plan, index) for index in blocks(session.records, chunker, whole and not single, single)]
        if not known:
            session.remember("chunk", (at, asked.multiply), chunker.size)
        return result(plan, asked, done, time.perf_counter() - start)


def chunk_for(session: Session, asked: Request, at: Cut) -> tuple[Chunker, bool]:
    """How many rows at once: what the user said, what was found last time, or a first guess to measure from."""
    if asked.chunk is not None:
        return Chunker(int(asked.chunk), fixed=True), True
    found = session.remembered("chunk", (at, asked.multiply))
    if found is not None:
        return Chunker(found, fixed=True), True
    return Chunker(first_chunk(session.row_numbers(at), session.weights(), session.records)), False


def result(plan: Plan, asked: Request, done: Sequence[Block], seconds: float) -> Attribution:
    """Blocks put together, brought to the user's own form, and asked the questions that every result is asked."""
    session, first = plan.session, done[0]
    values = [[join(session, [b.values[c][i] for b in done], 1) for i in range(len(first.values[c]))] for c in range(len(plan.cuts))]
    record = [[join(session, [b.record[c][i] for b in done], 0) for i in range(len(first.record[c]))] for c in range(len(plan.cuts))]
    explained = np.concatenate([b.explained for b in done], 1)
    change = None if first.change is None else np.concatenate([b.change for b in done if b.change is not None], 1)
    gap = None if change is None else ask.gap_of(sum_first(values), change, explained)
    classes = None if first.classes is None else np.concatenate([b.classes for b in done if b.classes is not None], 1)
    output = None if first.output is None else np.concatenate([b.output for b in done if b.output is not None])
    stepwise = getattr(plan.over, "stepwise", False)
    factors = [type(f).__name__ for f in parts(plan.over)]
    promised = stepwise or (len(plan.cuts) == 1 and plan.cuts[0] == plan.at)
    sampled = "Background" in factors or any(getattr(f, "quadrature", "") == "random" for f in parts(plan.over))
    asked_of = [ask.completeness(gap, plan, promised, sampled), ask.finite(values, session.notes), ask.something(values),
                ask.saturation(plan, classes, output)]
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
    cost = Cost(sum(b.forward for b in done), sum(b.backward for b in done), sum(b.rows for b in done), seconds, plan.chunker.size)
    return Attribution(
        values=tuple(at_cuts) if asked.many else at_cuts[0],
        record=tuple(recorded) if asked.many else recorded[0],
        cut=_cut_text(plan.cuts, asked.many),
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
            found.append(Check("calls", "ok", f"{cut!r} is used {len(calls)} times; all of them are here, call=0 would choose the first"))
    return found


def settings(asked: Request, done: Sequence[Block]) -> dict[str, Any]:
    """What it takes to do it again, as plain data."""
    steps = [int(s) for b in done if b.steps is not None for s in b.steps]
    return {"ascribe": VERSION, "seed": asked.seed, "over": repr(asked.over), "by": repr(asked.by),
            "steps": steps[0] if steps and len(set(steps)) == 1 else steps}


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


def sum_first(values: list[list[Array]]) -> np.ndarray:
    """What the values of each record add up to over all arrays at the first cut, ``[quantities, records]``."""
    return np.sum([as_numpy(v).astype(np.float64).reshape(v.shape[0], v.shape[1], -1).sum(-1) for v in values[0]], axis=0)


def _cut_text(cuts: Sequence[Cut], many: bool) -> str:
    return repr(list(cuts)) if many else repr(cuts[0])


def model_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """The call to explain: the arguments as they came, or the one Call among them."""
    return args[0] if len(args) == 1 and isinstance(args[0], Call) and not kwargs else Call(*args, **kwargs)

