"""Evaluation of a job in the fastest way that is known to give what one point after the other gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ....errors import ModelError, RuleError
from ....rules import Gradient
from ...protocol import Evidence, Job
from ..context import Context
from ..model.errors import refuses_counting
from .batching import choose_way
from .channels_last import may_use_channels_last, run_in_faster_layout
from .points import TILE, run_points
from .single import SINGLE, run_single


def evaluate_gradients(ctx: Context, job: Job) -> Evidence:
    """Evaluate a job under plain gradients. Raises RuleError for another rule."""
    if job.by is not None and not isinstance(job.by, Gradient):
        advice = "by=asc.rules.Gradient(), or another rule of asc.rules"
        raise RuleError("PyTorch models do not support this rule", found=f"by={job.by!r}", advice=advice)
    if job.points == 1 or not job.write:
        return run_single(ctx, job)
    facts, key = ctx.facts, (job.at, job.wrt, job.read, job.on, job.quantity_key, job.records == ctx.records)
    mode = facts.call.ways.get(key) or facts.weights.ways.get(key)
    if mode is None:
        mode, lasting, result = choose_way(ctx, job)
        facts.doubted |= mode == SINGLE
        (facts.weights if lasting else facts.call).ways[key] = mode
        return replace(result or run_points(ctx, job, mode), probed=True)
    facts.doubted |= mode == SINGLE
    return run_in_faster_layout(ctx, job, mode) if mode == TILE and may_use_channels_last(ctx, job) else run_points(ctx, job, mode)


def evaluate_counted(job: Job, evaluate: Callable[[Job], Evidence]) -> Evidence:
    """Evaluate a job, and count the bytes that autograd keeps for it; 0 where the model does not let them be counted."""
    seen: dict[int, int] = {}

    def count(t: torch.Tensor) -> torch.Tensor:
        seen[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t.detach()  # not itself: what an operation keeps of its own output would keep the operation

    try:
        with torch.autograd.graph.saved_tensors_hooks(count, _itself):
            return replace(evaluate(job), bytes_kept=sum(seen.values()))
    except ModelError as wrong:
        if not refuses_counting(wrong.__cause__):
            raise
    return evaluate(job)


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
