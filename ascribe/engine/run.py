"""Carries out a request: opens a session, makes the plan, and runs its pass for one batch of records after the other.

:func:`explain` is public: methods of your own call it with a :class:`.Request`, which has options that the verbs do not show.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..backends import guard_session
from ..backends.protocol import Place, Session
from ..calls.call import Call
from ..cuts import Cut
from ..errors import AscribeError, CutError
from ..result.attribution import Attribution, Cost
from .batch import Batch
from .chunks import iterate_blocks, run_fitting_records
from .passes.coalition import run_coalitions
from .passes.path import run_path
from .passes.point import run_point, run_values
from .passes.reference import run_reference
from .plan import Plan, each_needs_its_own, make_plan
from .request import Family, Request
from .result import build_attribution

PASSES: dict[Family, Callable[[Plan, np.ndarray], Batch]] = {
    "point": run_point,
    "path": run_path,
    "reference": run_reference,
    "coalition": run_coalitions,
    "values": run_values,
}
"""The pass of each family: a function of the plan and the numbers of some records that returns their batch."""


def explain(model: Any, call: Call, request: Request) -> Attribution:
    """Carries out a request for one call of a model.

    >>> from ascribe.engine.request import make_request
    >>> request = make_request(1, "1", None, None, reduce="mean", title="MyMethod()")
    >>> explain(model, asc.Call(x), request).method
    "MyMethod()(model, *inputs, of=Unit(1), at=Cut('1'))"

    Raises the errors of :func:`ascribe.attribute`. An error in the middle has the result of the records computed before in ``partial``.
    """
    start = time.perf_counter()
    with guard_session(model, call) as guarded, guarded as session:
        plan, batches = run_request(session, request, start)
        return build_attribution(plan, batches, time.perf_counter() - start)


def run_request(session: Session, request: Request, start: float | None = None) -> tuple[Plan, list[Batch]]:
    """Returns the plan of a request and the batches computed; ``start`` is the time when the call began."""
    plan = make_plan(session, request)
    batches: list[Batch] = []
    try:
        run_batches(plan, batches)
        plan.progress.complete()
    except (Exception, KeyboardInterrupt) as error:
        unfinished: Batch | None = vars(error).pop("unfinished", None)
        kept = [*batches, unfinished] if unfinished is not None else batches
        vars(error)["partial"] = None
        if kept:
            with suppress(Exception):  # the user must see the error that stopped the call
                vars(error)["partial"] = build_attribution(plan, kept, time.perf_counter() - (start or time.perf_counter()), partial=True)
        raise
    finally:
        plan.progress.close()
    plan.remember()
    return plan, batches


def run_batches(plan: Plan, batches: list[Batch]) -> None:
    """Runs the pass of a plan for all records, and appends its batches.

    Records run one by one where a cut holds something that all of them share. In a first call that may only show in the run of the first
    batch, which is then dropped.
    """
    session, chunker, run = plan.session, plan.chunker, PASSES[plan.request.family]
    single, unsure, shared = records_alone(plan)
    whole = (single or session.records > chunker.size) and not plan.independent
    if single and whole:
        raise CutError(
            f"The value at {', '.join(map(repr, dict.fromkeys(shared)))} belongs to several records, which then must run one by one",
            found="a model whose records depend on each other",
            advice="asc.Call(..., records=batch), the record of each row, such as each word's text of an EmbeddingBag with offsets; or a "
            "layer around it whose value has one row per record",
            code="E-CUT-FOLDED",
        )
    for index in iterate_blocks(session.records, chunker, whole and not single, single):
        try:
            new = run_fitting_records(
                index, chunker, lambda some: run(plan, some), out_of_memory=session.device.out_of_memory, apart=lambda: plan.independent
            )
        except AscribeError:
            if single or not unsure or not shared_by_records(session, shared):
                raise
            new = None
        if new is None or (unsure and not single and shared_by_records(session, shared)):
            batches.clear()
            return run_batches(plan, batches)
        batches += new
    return None


def shared_by_records(session: Session, layers: Sequence[Cut]) -> bool:
    """Returns whether a layer holds something that all records share."""
    return any(session.cut_info(cut).is_shared() for cut in layers)


def records_alone(plan: Plan) -> tuple[bool, bool, list[Cut]]:
    """Returns whether each record has to run alone, whether the first run may still show that, and the layers that decide it."""
    session, family = plan.session, plan.request.family
    if session.records == 1 or family == "values":
        return False, False, []
    layers = [cut for cut in (plan.at, *plan.cuts) if cut.layer]
    answers = [session.cut_info(cut).is_shared(sure=family == "coalition") for cut in layers]
    alone = True in answers or (plan.features is not None and each_needs_its_own(plan, plan.features))
    return alone, None in answers, layers


def list_cuts(model: Any, call: Call, fresh: bool = True) -> tuple[list[Place], Cost]:
    """Returns the cuts of a call in execution order, and the cost; without ``fresh`` those of the last call with such arguments."""
    start = time.perf_counter()
    with guard_session(model, call) as guarded, guarded as session:
        known: list[Place] | None = None if fresh else session.facts.shapes.places
        if known is not None:
            return known, Cost(0, 0, 0, time.perf_counter() - start)
        places = session.places()
        session.facts.shapes.places = places
        return places, Cost(1, 0, 1, time.perf_counter() - start)
