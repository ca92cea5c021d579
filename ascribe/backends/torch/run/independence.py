"""Independence of the records of a PyTorch call: two records that differ, and how they are run."""

from __future__ import annotations

import numpy as np
import torch

from ....cuts import INPUT, OUTPUT
from ...independence import records_independent, surely_independent
from ...protocol import ArrayAt, Evidence, Job
from ..context import Context
from ..namespace import xp
from .cast import run_as_cast
from .record_axes import find_different_record
from .single import run_single


class Trial:
    """The part of a session that is needed to find out. See :class:`ascribe.backends.independence.Subject`."""

    def __init__(self, ctx: Context) -> None:
        self.ctx, self.xp, self.records = ctx, xp, ctx.records
        self.facts, self.device = ctx.facts, ctx.device

    def evaluate(self, job: Job) -> Evidence:
        return run_as_cast(self.ctx, job, run_single)

    def independence_trial(self) -> Job | bool:
        return trial(self.ctx)


def independent(ctx: Context) -> bool:
    """True if records can be run apart from each other with the same results."""
    return records_independent(Trial(ctx))


def certainly_independent(ctx: Context) -> bool:
    """:func:`independent`, seen on records that say something about others too."""
    return surely_independent(Trial(ctx))


def trial(ctx: Context) -> Job | bool:
    """Two records that differ: the first and another one of the call or, where all are equal, the second one disturbed."""
    if ctx.inputs.counted.together:
        return False
    if any(leaf.is_meta for leaf in ctx.inputs.leaves.values()):
        return True  # no numbers to compare
    other = find_different_record(ctx)
    if other is None and ctx.inputs.explained:
        return disturbed(ctx)
    return Job(np.array([0, 1 if other is None else other]), read=(OUTPUT,))


def disturbed(ctx: Context) -> Job:
    """A first record and a second that is not like it, written at the inputs."""
    generator = torch.Generator().manual_seed(0)
    spots, write = [], []
    for path in ctx.inputs.explained:
        axis = ctx.inputs.axis(path)
        rows = axis.canonical(ctx.inputs.own_rows(path, np.arange(2)).clone(), 0, 1, 2)[0]
        noise = torch.randn(rows.shape[1:], generator=generator, device=generator.device).to(rows)
        rows[1] += noise * (rows[1].abs().mean() + 1)
        spots.append(ArrayAt(INPUT, 0, path, axis.canonical_axis))
        write.append(rows[None])
    return Job(np.arange(2), at=INPUT, spots=tuple(spots), write=tuple(write), read=(OUTPUT,))
