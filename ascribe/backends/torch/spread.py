"""Ways to run several points in one go, tried against one point after the other before any of them is trusted.

*expand*: the model runs on the records once, and the write puts the points of all of them in their place, so that what comes
before it is shared. *vmap*: the same under ``torch.vmap``, where the model sees one point's shapes. *tile*: every argument that
belongs to records is repeated for each point. *single*: one point, one run. Models break expand and tile in ways that raise
nothing (docs/decisions/0005); so two points are run singly and in the candidate way, and values, readings and gradients
must agree. So must the records themselves as a third point: near a baseline, much of a model is silent.
"""

from __future__ import annotations

import threading
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ...errors import AscribeError
from ..protocol import Evidence, Job
from .failures import quantised
from .rounding import close, unlike

if TYPE_CHECKING:
    from .session import TorchSession

FILTERS = threading.RLock()  # warning filters belong to the process: two threads that change them must not overlap
EXPAND, VMAP, TILE, SINGLE = "expand", "vmap", "tile", "single"
WORTH = 0.25  # the share of a forward pass before the write from which vmap's own overhead is less than what it saves


def choose(session: TorchSession, job: Job) -> tuple[str, bool]:
    """The first way that gives, at the first and the last point of this job and at the records, what single runs give; and whether
    that says something about other points too: it does not where these are all the same, or the model gives the same for all.

    Where the job has but two points, the first is left out: finding out must not take more rows at once than the job itself.
    """
    reads = session.run(Job(job.index, read=job.places), SINGLE).reads
    here = {spot: a for cut in job.places for spot, a in zip(reads[cut].spots, reads[cut].arrays, strict=True)}
    ends = (0, other_end(job)) if job.points > 2 else (-1,)
    write = tuple(torch.stack([*(w[k] for k in ends), here[s][0].expand_as(w[0])]) for w, s in zip(job.write, job.spots, strict=True))
    keep = tuple(None if k is None else torch.cat([k[list(ends)], k[:1]]) for k in job.keep)
    probe = replace(job, points=len(ends) + 1, write=write, keep=keep, fresh=False)
    truth = session.one_by_one(probe)
    sure = telling(truth)
    for mode in candidates(session, job):
        try:
            with FILTERS, warnings.catch_warnings():  # vmap falls back to a loop for operations it has no rule for, and only warns
                warnings.filterwarnings("error", message=".*performance drop")
                found = session.way(probe, mode)
        except (RuntimeError, IndexError, ValueError, TypeError, AscribeError, UserWarning) as error:
            if session.out_of_memory(error):
                raise
            continue
        if agree(found, truth):
            return mode, sure
    return SINGLE, sure


def other_end(job: Job) -> int:
    """The last point, or where that is the first one again, one that differs from it."""
    given = [*job.write, *(k for k in job.keep if k is not None)]
    if any(not torch.equal(w[-1], w[0]) for w in given):
        return job.points - 1
    for w in given:
        unequal = (w.flatten(1) != w[:1].flatten(1)).any(1).nonzero()
        if len(unequal):
            return int(unequal[0])
    return job.points - 1


def telling(truth: Evidence) -> bool:
    """Whether what comes of the points differs between them."""
    values = [] if truth.value is None else [truth.value.transpose(0, 1)]
    found = [*values, *(a for reading in truth.reads.values() for a in reading.arrays)]
    return any(unlike(a[k], a[0]) for a in found for k in range(1, len(a)))


def candidates(session: TorchSession, job: Job) -> tuple[str, ...]:
    """Ways in the order of what they should cost here."""
    if session.inputs.counted.together:
        return (VMAP,)
    if quantised(session.host):  # which vmap has no rule for; what it then warns of, in C++, no filter of warnings stops
        return (TILE,) if not all(cut.layer for cut in job.places) else (EXPAND, TILE)
    if not all(cut.layer for cut in job.places):
        return TILE, VMAP
    return (EXPAND, VMAP, TILE) if before_write(session, job) > WORTH else (EXPAND, TILE, VMAP)


def before_write(session: TorchSession, job: Job) -> float:
    """The share of a forward pass on these records that comes before the place written."""
    plain = replace(job, points=1, at=None, spots=(), write=(), keep=(), wrt=(), of=None, on=None)
    times = []
    for reads in (job.places, job.places if job.on is None else (job.on,)):
        start = time.perf_counter()
        session.run(replace(plain, read=reads), SINGLE)
        session.wait()
        times.append(time.perf_counter() - start)
    return times[0] / max(times[1], 1e-9)


def agree(found: Evidence, truth: Evidence) -> bool:
    """Whether value, readings and gradients are the same up to rounding."""
    return all(close(a, b) for a, b in zip(_arrays(found), _arrays(truth), strict=True))


def _arrays(evidence: Evidence) -> list[torch.Tensor]:
    grads = [g for found in evidence.grads.values() for g in found]
    reads = [a for reading in evidence.reads.values() for a in reading.arrays]
    return [*([] if evidence.value is None else [evidence.value]), *grads, *reads]
