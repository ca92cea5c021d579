"""Images with their channels last in memory: on CPUs convolutions over them can take half the time.

Some models cannot take them (``view`` of another layout), and some are slower with them. So a chunk is run both ways, and only
where the numbers are the same and the time is clearly less is it done from then on. Points without gradients only: what a model keeps
for a backward pass keeps the layout of its user.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import nn

from ....errors import AscribeError
from ...protocol import Evidence, Job
from ..context import Context
from .compare import close
from .points import run_points

GAIN = 0.8
"""The share of the time below which the other layout is taken."""
LEAST = 2e-3
"""Seconds of a chunk from which the layout is tried. Of the processor's time: what else runs on the machine must not decide."""


def run_in_faster_layout(ctx: Context, job: Job, mode: str) -> Evidence:
    """A job in the layout that is known to be the faster one; the first chunk of a kind finds out."""
    key = (job.at, job.on, job.quantity_key, mode)
    known = ctx.facts.weights.channels_last.get(key)
    if known is not None:
        return run_points(ctx, channels_last(job) if known else job, mode)
    start = time.process_time()
    plain = run_points(ctx, replace(job, owns_write=False), mode)
    took = time.process_time() - start
    if took < LEAST or job.points < 2:
        return plain
    ctx.facts.weights.channels_last[key] = better(ctx, job, mode, plain, took)
    return replace(plain, forward=plain.forward + 1, probed=True)


def may_use_channels_last(ctx: Context, job: Job) -> bool:
    """True if the layout can matter: images written at the input of a network with convolutions, on a CPU, without gradients."""
    if job.wrt or job.read or job.at is None or job.at.layer or ctx.host is None:
        return False
    images = all(w.ndim == 5 and w.is_floating_point() and not w.is_cuda and w.shape[2] > 1 for w in job.write)
    return images and any(isinstance(module, nn.Conv2d) for module in ctx.host.modules())


def channels_last(job: Job) -> Job:
    """The job with its written rows in this layout."""
    rows = (w.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, w.shape[:2]) for w in job.write)
    return replace(job, write=tuple(rows))


def better(ctx: Context, job: Job, mode: str, plain: Evidence, took: float) -> bool:
    """True if the other layout gives the same in clearly less time."""
    start = time.process_time()
    try:
        found = run_points(ctx, channels_last(job), mode)
    except (RuntimeError, ValueError, TypeError, AscribeError) as error:
        if ctx.device.out_of_memory(error):
            raise
        return False
    if time.process_time() - start > GAIN * took or plain.value is None or found.value is None:
        return False
    return close(found.value, plain.value)
