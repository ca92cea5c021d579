"""Runs of a model whose inputs have another floating type than its weights: the inputs are cast, and the run is made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ....errors import ModelError
from ...protocol import Evidence, Job
from ..context import Context
from ..model.errors import wrong_dtype


def run_as_cast(ctx: Context, job: Job, run: Callable[[Context, Job], Evidence]) -> Evidence:
    """Run a job; once more with the inputs in the model's type if that is why it failed."""
    kind = ctx.inputs.kind
    try:
        return run(ctx, job if kind is None else as_cast(ctx, job))
    except ModelError as wrong:
        if ctx.inputs.kind is kind and (job.write or ctx.dtype is None or not wrong_dtype(ctx.inputs, ctx.dtype, wrong)):
            raise
    if ctx.inputs.kind is kind:  # else a look at the model inside this job has cast them
        ctx.cast()
    return run(ctx, as_cast(ctx, job))


def as_cast(ctx: Context, job: Job) -> Job:
    """A job whose arrays, made from the inputs before they were cast, are cast too."""
    if (kind := ctx.inputs.kind) is None or not (job.write or job.reference):
        return job
    write, reference = (tuple(a.to(kind) if a.is_floating_point() else a for a in each) for each in (job.write, job.reference))
    return replace(job, write=write, reference=reference)
