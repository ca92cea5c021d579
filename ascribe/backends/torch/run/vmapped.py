"""Several points at once under ``torch.vmap``: every point sees the records as if it were alone, and what comes before the write
is computed once.

Right by semantics even where records meet in the model (batch statistics, a loop over the batch); it raises where the model
does what cannot be mapped.
"""

from __future__ import annotations

import torch

from ....cuts import each_of
from ....errors import ModelError
from ...protocol import Evidence, Job
from ..context import Context
from .call import call_model
from .gradients import differentiate
from .hooks import Demand, Read, Run, Write
from .quantities import evaluate_quantities
from .record_axes import axis_of

Tensor = torch.Tensor


def run_vmapped(ctx: Context, job: Job) -> Evidence:
    """Evaluate a job in one run, for the quantity and its gradient where the points are.

    Raises ModelError for jobs that want more than that.
    """
    alone = job.on is not None and len(each_of(job.on)) == 1
    if job.read or set(job.wrt) - {job.at} or job.at is None or job.of is None or not alone:
        raise ModelError("Only the quantity and its gradient at the points can be mapped")
    axes = [axis_of(ctx, spot.cut, i, spot.path) for i, spot in zip(job.array_numbers, job.spots, strict=True)]
    native = [axis.native(value, 1).detach().clone() for value, axis in zip(job.write, axes, strict=True)]
    leaves = [leaf.requires_grad_(bool(job.wrt)) for leaf in native]
    kept = [axis.native(k, 1) for k, axis in zip(job.shares_kept, axes, strict=True) if k is not None]
    with ctx.graphs(job.wrt):
        value = torch.vmap(lambda *points: _one(ctx, job, points), randomness="different")(*leaves, *kept).transpose(0, 1)
        grads = {}
        if job.wrt:
            found = differentiate(ctx, value, leaves, job.wrt)
            back = [axis.canonical(g, 2, 1, job.records, True)[:, :, 0] for g, axis in zip(found, axes, strict=True)]
            grads = {job.at: back}
    return Evidence(value.detach(), grads, {}, 1, int(bool(job.wrt)))


def _one(ctx: Context, job: Job, points: tuple[Tensor, ...]) -> Tensor:
    """One point: ``[quantities, records]``."""
    assert job.of is not None and job.on is not None
    read = Read(job.on, ctx.last_use(job.on), live=True)
    values, rest = points[: len(job.spots)], iter(points[len(job.spots) :])
    kept = [None if k is None else next(rest) for k in job.shares_kept]
    demands: list[Demand] = []
    for cut in job.written_cuts:
        mine = [k for k, spot in enumerate(job.spots) if spot.cut == cut]
        if cut.layer:
            put, left = [values[k] for k in mine], [kept[k] for k in mine]
            demands.append(Write(cut, ctx.last_use(cut), values=put, kept=left, cloned=True, through=ctx.differentiates))
    demands.append(read)
    news = {s.path: p.clone() for s, p in zip(job.spots, values, strict=True) if not s.cut.layer}
    args, kwargs = ctx.inputs.rows(job.index, 1, news)
    output = call_model(ctx, Run(ctx.layers, demands, stop=True), args, kwargs)
    if not job.on.layer:
        read.visit(0, output if job.on.anchor == "out" else (args, kwargs))
    return evaluate_quantities(ctx, job.of, [read], job.index)
