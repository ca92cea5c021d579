"""The call of the model itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from ....errors import AscribeError
from ..context import Context
from ..model.errors import explained_failure
from ..model.generators import Draws
from .hooks import Run


def call_model(ctx: Context, run: Callable[[Any, Any, Any], Any], args: Any, kwargs: Any) -> Any:
    """Run the model from the state its user left; its own errors come back as ours, with the first line of what it said."""
    if ctx.state is not None:
        ctx.state.rewind()
    try:
        return run(ctx.runs, args, kwargs)
    except AscribeError:
        raise
    except Exception as wrong:
        if ctx.device.out_of_memory(wrong):
            raise
        raise explained_failure(ctx.model, ctx.host, ctx.call, ctx.inputs, wrong) from wrong


def count_uses(ctx: Context, run: Run) -> None:
    """Remember how often each layer ran, once a run has gone to its end; one that varies is never counted on again."""
    if run.stopped:
        return
    known = ctx.facts.weights.last_uses
    for demand in run.demands:
        if demand.cut.layer:
            key, last = (demand.cut.layer, demand.cut.anchor), demand.fired - 1
            known[key] = last if known.get(key, last) == last else None


def draws_numbers(ctx: Context) -> bool:
    """True if the model draws from a generator of the process, found out in a run of one record."""
    shapes = ctx.facts.shapes
    if shapes.draws is None:
        facts = ctx.facts
        apart = facts.call.independent or facts.weights.independent
        args, kwargs = ctx.inputs.rows(np.arange(1 if apart else ctx.records), 1, {})
        with suppress(Exception), torch.no_grad(), Draws() as draws:
            call_model(ctx, Run(None, [], stop=False), args, kwargs)
        shapes.draws = draws.found
    return shapes.draws
