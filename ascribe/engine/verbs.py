"""The verb: the attribution of a quantity, at a cut, over a distribution of points, by a rule, in a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from ..backends import opened
from ..backends.independence import records_independent
from ..backends.protocol import Place, Session
from ..calls.call import Call
from ..coalitions.base import are_coalitions
from ..cuts import INPUT, Cut, Together, as_cut
from ..distributions.members import Distribution, Point, Points, Reference, as_distribution, expected_points
from ..errors import AscribeError, CutError, DistributionError, FeatureError, InputError, QuantityError, RuleError
from ..features import Automatic, as_features
from ..quantities import as_quantities
from ..removal import PerInput, Removal, standing
from ..result.attribution import Attribution, Cost
from ..rules import Gradient, as_rule
from ..utils.entry import entry
from .chunks import Chunker, Wanted, blocks, fitting, showing
from .games import explain_removed
from .passes.path import run_block
from .passes.reference import run_compared
from .plan import Block, Plan, read_at
from .result import Request, chunk_for, chunk_key, cut_text, noted, result, rows_of, several_uses, shaped


@entry
def attribute(
    model: Any,
    *args: Any,
    of: Any = None,
    at: Any = INPUT,
    over: Any = None,
    by: Any = None,
    features: Any = None,
    seed: int = 0,
    chunk: int | None = None,
    progress: bool | None = None,
    **kwargs: Any,
) -> Attribution:
    """Mean influence times the distance travelled: what each part of the value at a cut adds to a quantity.

    >>> g = asc.attribute(model, x, of=1)                                          # gradient times input
    >>> ig = asc.attribute(model, x, of=1, over=asc.Line(0.0, steps=64))           # integrated gradients
    >>> out = asc.attribute(model, x, of=1, over=asc.Exact(), by=asc.Replace(0.0))  # Shapley values; features=asc.grid(8) for pictures

    The model is called as you call it: ``args`` and ``kwargs`` are its own. ``of`` is what is explained (default: the predicted
    class, :class:`~ascribe.Max`), ``at`` the cut or cuts, ``over`` the points (default: the record itself), ``by`` the backward
    rule. ``seed`` decides every draw; the same seed gives the same numbers whatever the chunking. ``chunk`` is how many rows run
    at once (default: measured). ``progress`` shows a line on stderr: None for long work on a terminal.

    If the model has an argument of one of these names, pass its call as one: ``attribute(model, Call(x, at=3))``.

    Where ``over`` is coalitions of features, ``by`` is what stands in for a removed feature and ``features`` which coordinates are one;
    then only forward passes are made, and a value is what a whole feature adds, given to each of its coordinates.

    Along a line from a baseline the values add up to the change of the quantity; the result's ``gap`` says how nearly.
    Costs one forward pass for the records, one forward and backward for each point, and one forward for the baseline.

    Raises InputError, CutError, QuantityError, DistributionError, FeatureError, RuleError, ModelError or MemoryLimitError; whatever
    happens, model and arguments are as they were. An error in the middle of a game has what was found so far in ``partial``.
    """
    asked = request(of, at, over, by, seed=seed, chunk=chunk, progress=progress, multiply=True)
    return explain(model, model_call(args, kwargs), with_features(asked, features))


@entry
def influence(
    model: Any,
    *args: Any,
    of: Any = None,
    at: Any = INPUT,
    over: Any = None,
    by: Any = None,
    seed: int = 0,
    chunk: int | None = None,
    progress: bool | None = None,
    **kwargs: Any,
) -> Attribution:
    """Mean influence alone: how strongly the quantity reacts to each part of the value at a cut.

    The arguments are those of :func:`attribute`. Influence has no distance in it, so it has no sum to be complete to.
    """
    return explain(model, model_call(args, kwargs), request(of, at, over, by, seed=seed, chunk=chunk, progress=progress, multiply=False))


@entry
def activation(model: Any, *args: Any, at: Any, over: Any = None, **kwargs: Any) -> Attribution:
    """The value at a cut (or at several), for every record. One forward pass that goes no further than it must.

    ``over=Points(values, at=cut)`` puts other values at another cut, and gives the mean over them.
    """
    start = time.perf_counter()
    asked = request(None, at, over, None, multiply=False)
    if not isinstance(asked.over, (Point, Points)):
        raise DistributionError(f"activation over {over!r}", try_="Points(values, at=cut), or nothing for the records themselves")
    with opened(model, model_call(args, kwargs)) as door, door as session:
        cuts = tuple(session.resolve(cut, False) for cut in asked.cuts)
        chunker = Chunker(session.facts.shapes.fitting_records.get(cuts, session.records), fixed=True)
        read, apart = partial(read_at, session, asked.over, cuts), partial(records_independent, session)
        done = [
            part
            for index in blocks(session.records, chunker, False, False)
            for part in fitting(index, chunker, read, out_of_memory=session.device.out_of_memory, apart=apart)
        ]
        session.facts.shapes.fitting_records[cuts] = chunker.size
        spots = [done[0].reads[cut].spots for cut in cuts]
        arrays = [
            [session.xp.concat([d.reads[cut].arrays[i][0] for d in done], 0) for i in range(len(spots[c]))] for c, cut in enumerate(cuts)
        ]
        values = [shaped(session, s, a, 0, False) for s, a in zip(spots, arrays, strict=True)]
        cost = Cost(len(done), 0, session.records, time.perf_counter() - start)
        return Attribution(
            values=tuple(values) if asked.many else values[0],
            record=None,
            cut=cut_text(cuts, asked.many),
            quantity="",
            method=f"activation(at={cut_text(asked.cuts, asked.many)}{'' if over is None else f', over={over!r}'})",
            cost=cost,
            checks=(*noted(session), *several_uses(spots)),
            rows=rows_of(spots),
        )


@entry
def cuts_of(model: Any, *args: Any, **kwargs: Any) -> list[Place]:
    """Every place that this call of the model passes, in execution order, with the kind of layer and the shapes there.

    Shapes are those of a single record. One forward pass.
    """
    with opened(model, model_call(args, kwargs)) as door, door as session:
        return session.places()


def cuts_known(model: Any, call: Call, anew: bool) -> tuple[list[Place], Cost]:
    """:func:`cuts_of`, unless ``anew`` as it was at the last call with arguments of these shapes; and what it took to find out."""
    start = time.perf_counter()
    with opened(model, call) as door, door as session:
        found: list[Place] | None = None if anew else session.facts.shapes.places
        if found is not None:
            return found, Cost(0, 0, 0, time.perf_counter() - start)
        found = session.places()
        session.facts.shapes.places = found
        return found, Cost(1, 0, 1, time.perf_counter() - start)


def request(
    of: Any,
    at: Any,
    over: Any,
    by: Any,
    *,
    seed: int = 0,
    chunk: int | None = None,
    progress: Wanted = None,
    multiply: bool = True,
) -> Request:
    """The door: every argument as the noun it stands for, checked."""
    quantities, several = as_quantities(of)
    if len({as_cut(q.on) for q in quantities}) > 1:
        raise QuantityError(
            "several quantities at different cuts",
            there=", ".join(sorted({repr(q.on) for q in quantities})),
            try_="one call for each cut",
        )
    many = isinstance(at, (list, tuple))
    cuts = tuple(as_cut(cut) for cut in (at if many else [at]))
    if not cuts:
        raise CutError("at=[] names no cut", try_="at=asc.INPUT")
    if together := next((cut for cut in cuts if isinstance(cut, Together)), None):
        raise CutError(f"at={together!r}", there="places together are for a quantity's on=", try_=f"at={list(together.each)!r}")
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, (int, np.integer)) or chunk < 1):
        raise InputError(f"chunk={chunk!r}", try_="rows at once, from 1 up, or None to have it measured", code="E-CHUNK")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed={seed!r}", try_="a whole number from 0 up", code="E-SEED")
    if are_coalitions(over):
        removal = removal_of(by, many)
        return Request(quantities, several, cuts, many, over, Gradient(), int(seed), chunk, progress, multiply, removal=removal)
    rule = as_rule(by)
    points = Reference() if over is None and rule.compares else as_distribution(over)
    return Request(quantities, several, cuts, many, points, rule, int(seed), chunk, progress, multiply)


def removal_of(by: Any, many: bool) -> Removal | None:
    """``by=`` beside coalitions; a list or a dict of them for several cuts. Raises RuleError for rules of gradients."""
    if isinstance(getattr(by, "compares", None), bool):
        raise RuleError(f"by={by!r} beside coalitions of features", there="a rule for gradients", try_="by=asc.Replace(0.0)")
    if many and isinstance(by, (list, tuple, dict)):
        return PerInput(by if isinstance(by, dict) else tuple(by))
    return None if by is None else standing(by)


def with_features(asked: Request, features: Any) -> Request:
    """The request with its features. Raises FeatureError for those beside anything but coalitions."""
    if asked.removal is None and not are_coalitions(asked.over):
        if features is not None:
            raise FeatureError(f"features={features!r}", there=f"over={asked.over!r}", try_="over=asc.LeaveOneOut(), or other coalitions")
        return asked
    return replace(asked, features=Automatic() if features is None else as_features(features))


def explain(model: Any, call: Call, asked: Request) -> Attribution:
    """Carry out a request: blocks of records one after the other, each over all its points."""
    if are_coalitions(asked.over):
        return explain_removed(model, call, asked)
    start = time.perf_counter()
    with opened(model, call) as door, door as session:
        plan, done = carried_out(session, asked)
        return result(plan, asked, done, time.perf_counter() - start)


def carried_out(session: Session, asked: Request) -> tuple[Plan, list[Block]]:
    """A request with everything about it settled, and what came of each block of records."""
    over = cast(Distribution, asked.over)
    cuts = tuple(session.resolve(cut, True) for cut in asked.cuts)
    at = cuts[0] if isinstance(over, Point) else where_points_live(session, over, cuts)
    on = session.resolve(as_cut(asked.quantities[0].on), False)
    chunker, like = chunk_for(session, asked, at), seen_as(asked, (at, *cuts, on))
    with showing(expected_points(over) * session.records, asked.progress) as progress:
        plan = Plan(
            session,
            asked.quantities,
            cuts,
            over,
            at,
            on,
            asked.by,
            asked.seed,
            asked.multiply,
            asked.reduce,
            chunker,
            progress,
            asked.combine,
            asked.bare and session.facts.shapes.examined.get(like, False),
        )
        done = in_blocks(plan, (at, *cuts), partial(run_compared if asked.by.compares else run_block, plan))
    if asked.chunk is None and not (session.records == 1 and isinstance(over, (Point, Reference))):
        session.facts.shapes.chunkers[chunk_key(asked, at)] = chunker
    session.facts.shapes.examined[like] = not any(getattr(q, "chooses", True) for q in asked.quantities)
    return plan, done


def where_points_live(session: Session, over: Distribution, cuts: tuple[Cut, ...]) -> Cut:
    """The cut of a distribution; of token ids with several embeddings the one that is explained."""
    at = as_cut(over.at)
    try:
        return session.resolve(at, True)
    except CutError:
        if at == INPUT and len(cuts) == 1 and (source := session.cut_info(cuts[0]).source()) == cuts[0]:
            return source
        raise


def in_blocks(plan: Plan, cuts: tuple[Cut, ...], run: Callable[[np.ndarray], Block]) -> list[Block]:
    """Blocks of records one after the other; one by one where a cut holds something that all of them share.

    In a first call that may only show in the run of the first block, which then was for nothing.
    """
    session, chunker = plan.session, plan.chunker
    inner = [cut for cut in cuts if cut.layer] if session.records > 1 else []
    answers = [session.cut_info(cut).is_shared(sure=False) for cut in inner] if inner else []
    single, unsure = True in answers, None in answers
    whole = (single or session.records > chunker.size) and not plan.apart()
    if single and whole:
        raise CutError(
            f"a value at {', '.join(map(repr, dict.fromkeys(inner)))} belongs to several records",
            there="a model whose records depend on each other, so that they cannot be run one by one",
            try_="asc.Call(..., records=batch), the record of each row, such as each word's text of an EmbeddingBag with offsets; or a "
            "layer around it whose value has one row per record",
            code="E-CUT-FOLDED",
        )
    done: list[Block] = []
    for index in blocks(session.records, chunker, whole and not single, single):
        try:
            found = fitting(index, chunker, run, out_of_memory=session.device.out_of_memory, apart=plan.apart)
        except AscribeError:
            if single or not unsure or not any(session.cut_info(cut).is_shared() for cut in inner):
                raise
            return in_blocks(plan, cuts, run)
        if unsure and not single and any(session.cut_info(cut).is_shared() for cut in inner):
            return in_blocks(plan, cuts, run)
        done += found
    return done


def seen_as(asked: Request, cuts: tuple[Cut, ...]) -> tuple[Any, ...]:
    """What calls have in common that a look at the records finds the same things wrong with."""
    return cuts, type(asked.over), tuple(getattr(q, "kind", type(q)) for q in asked.quantities)


def model_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """The call to explain: the arguments as they came, or the one Call among them."""
    return args[0] if len(args) == 1 and isinstance(args[0], Call) and not kwargs else Call.of(args, kwargs)
