"""A job about several points: the four ways to run it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...protocol import Evidence, Job, Reading
from ..context import Context
from .single import SINGLE, run_single
from .vmapped import run_vmapped

VMAP, TILE = "vmap", "tile"


def run_points(ctx: Context, job: Job, mode: str) -> Evidence:
    """Run a job in one of the ways of :mod:`.batching`."""
    if mode == SINGLE:
        return run_one_by_one(ctx, job)
    return run_vmapped(ctx, job) if mode == VMAP else run_single(ctx, job, mode)


def run_one_by_one(ctx: Context, job: Job) -> Evidence:
    """Run every point by itself: always right, and slow."""
    return joined([run_single(ctx, job.at_points(slice(k, k + 1))) for k in range(job.points)])


def joined(runs: Sequence[Evidence]) -> Evidence:
    """Evidence of several runs as that of one with more points."""
    first = runs[0]
    value = None if first.value is None else torch.cat([r.value for r in runs], 1)  # type: ignore[misc]
    grads = {cut: [torch.cat([r.grads[cut][i] for r in runs], 1) for i in range(len(g))] for cut, g in first.grads.items()}
    reads = {
        cut: Reading(r.spots, [torch.cat([run.reads[cut].arrays[i] for run in runs]) for i in range(len(r.arrays))])
        for cut, r in first.reads.items()
    }
    return Evidence(value, grads, reads, sum(r.forward for r in runs), sum(r.backward for r in runs))
