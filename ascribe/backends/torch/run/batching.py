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
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

import torch

from ....cuts import each_of
from ....errors import AscribeError
from ...facts import Facts
from ...protocol import Evidence, Job
from ..context import Context
from ..model.errors import quantised
from .compare import close, unlike
from .independence import certainly_independent
from .points import TILE, VMAP, run_one_by_one, run_points
from .record_axes import differs_from_first
from .single import EXPAND, SINGLE, run_single

FILTERS = threading.RLock()  # warning filters belong to the process: two threads that change them must not overlap
LEAST_SHARE = 0.25  # the share of a forward pass before the write from which vmap's own overhead is less than what it saves


def choose_way(ctx: Context, job: Job) -> tuple[str, bool, Evidence | None]:
    """The first way that gives, at the first and the last point of this job and at the records, what single runs give; whether that says
    something about other points too, which it does not where these are all the same, or the model gives the same for all; and what the
    job gave in this way, where it was run whole.

    Where records can be run apart, two that differ are tried, and then the job itself is held to what single runs gave for these two: a
    way that is right for two records and wrong for all shows there, and no run is for nothing.
    """
    for some in (pair(ctx, job), None):
        part = job if some is None else some_records(job, some)
        ends = ends_of(part)
        probe = probed(ctx, part, ends)
        truth = run_one_by_one(ctx, probe)
        sure = telling(truth)
        if some is None or sure:  # else they say nothing: two of many may be silent where others are not
            break
    for mode in candidates(ctx, part):
        found = tried(ctx, probe, mode)
        if found is None or not agree(found, truth):
            continue
        if some is None:
            return mode, sure, None
        whole = tried(ctx, replace(job, owns_write=False), mode)
        if whole is not None and agree(picked(whole, truth, job, ends, some), truth):
            return mode, sure, whole
    return SINGLE, sure, None


def pair(ctx: Context, job: Job) -> list[int] | None:
    """The first record of a job and the last one that differs from it; None where there are no more, or they cannot be run apart."""
    given = [*job.write, *(k for k in job.keep if k is not None)]
    if job.records <= 2 or ctx.inputs.counted.together or any(w.shape[1] != job.records for w in given):
        return None
    facts = ctx.facts
    known = facts.call.independent is not None or facts.weights.independent is not None
    if not known and (job.on is None or any(cut.layer for cut in each_of(job.on))):
        return None  # to ask takes the whole model, where this job needs but a part of it
    unlike = differs_from_first(ctx, job.index).nonzero()[0]
    if not len(unlike) or not certainly_independent(ctx):
        return None
    if job.quantity_key and not quantities_independent(facts, (job.quantity_key, job.on)):
        return None  # a quantity of the user's own may look at all of them
    return [0, int(unlike[-1])]


def quantities_independent(facts: Facts, key: Hashable) -> bool:
    """True if a user's own quantity is known to read each row apart from the others."""
    return facts.call.quantities_independent.get(key) or facts.weights.quantities_independent.get(key, False)


def some_records(job: Job, some: list[int]) -> Job:
    """A job for some of its records."""
    write = tuple(w[:, some] for w in job.write)
    return replace(job, index=job.index[some], write=write, keep=tuple(None if k is None else k[:, some] for k in job.keep))


def ends_of(job: Job) -> list[int]:
    """The points to try; of two only the last: finding out must not take more rows at once than the job itself."""
    return [0, other_end(job)] if job.points > 2 else [job.points - 1]


def probed(ctx: Context, job: Job, ends: list[int]) -> Job:
    """A job at some of its points, and at the records."""
    reads = run_single(ctx, Job(job.index, read=job.written_cuts)).reads
    here = {spot: a for cut in job.written_cuts for spot, a in zip(reads[cut].spots, reads[cut].arrays, strict=True)}
    write = tuple(torch.stack([*(w[k] for k in ends), here[s][0].expand_as(w[0])]) for w, s in zip(job.write, job.spots, strict=True))
    keep = tuple(None if k is None else torch.cat([k[ends], k[:1]]) for k in job.keep)
    return replace(job, points=len(ends) + 1, write=write, keep=keep, owns_write=False)


def tried(ctx: Context, job: Job, mode: str) -> Evidence | None:
    """The evidence of a job in one of the ways; None if the model does not run in this way."""
    try:
        with FILTERS, warnings.catch_warnings():  # vmap falls back to a loop for operations it has no rule for, and only warns
            warnings.filterwarnings("error", message=".*performance drop")
            return run_points(ctx, job, mode)
    except (RuntimeError, IndexError, ValueError, TypeError, AscribeError, UserWarning) as error:
        if ctx.device.out_of_memory(error):
            raise
        return None


def picked(whole: Evidence, truth: Evidence, job: Job, ends: list[int], some: list[int]) -> Evidence:
    """The evidence of a whole job at the points and records that were tried, with the ``truth`` at the records themselves."""

    def part(a: torch.Tensor, b: torch.Tensor, lead: int) -> torch.Tensor:
        for axis, length, which in ((lead, job.points, ends), (lead + 1, job.records, some)):
            if a.shape[axis] == length:
                a = a.index_select(axis, torch.tensor(which, device=a.device))
        return torch.cat([a, b.narrow(lead, b.shape[lead] - 1, 1)], lead) if a.shape[lead] == len(ends) else a

    def parts(found: Sequence[torch.Tensor], known: Sequence[torch.Tensor], lead: int) -> list[torch.Tensor]:
        return [part(a, b, lead) for a, b in zip(found, known, strict=True)]

    value = None if whole.value is None or truth.value is None else part(whole.value, truth.value, 1)
    grads = {cut: parts(found, truth.grads[cut], 1) for cut, found in whole.grads.items()}
    reads = {cut: replace(r, arrays=parts(r.arrays, truth.reads[cut].arrays, 0)) for cut, r in whole.reads.items()}
    return replace(whole, value=value, grads=grads, reads=reads)


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
    """True if the results differ between points."""
    values = [] if truth.value is None else [truth.value.transpose(0, 1)]
    found = [*values, *(a for reading in truth.reads.values() for a in reading.arrays)]
    return any(unlike(a[k], a[0]) for a in found for k in range(1, len(a)))


def candidates(ctx: Context, job: Job) -> Iterator[str]:
    """Ways in the order of what they should cost here; what runs before the write is only timed where the first did not do."""
    if ctx.inputs.counted.together:
        yield VMAP
        return
    inside = all(cut.layer for cut in job.written_cuts)
    if inside:
        yield EXPAND
    if quantised(ctx.host):  # which vmap has no rule for; what it then warns of, in C++, no filter of warnings stops
        yield TILE
        return
    yield from (VMAP, TILE) if inside and before_write(ctx, job) > LEAST_SHARE else (TILE, VMAP)


def before_write(ctx: Context, job: Job) -> float:
    """The share of a forward pass on these records that comes before the place written."""
    plain = replace(job, points=1, at=None, spots=(), write=(), keep=(), wrt=(), of=None, on=None)
    times = []
    for reads in (job.written_cuts, job.written_cuts if job.on is None else (job.on,)):
        start = time.perf_counter()
        run_single(ctx, replace(plain, read=reads))
        ctx.device.wait()
        times.append(time.perf_counter() - start)
    return times[0] / max(times[1], 1e-9)


def agree(found: Evidence, truth: Evidence) -> bool:
    """True if value, readings and gradients are the same up to rounding."""
    return all(close(a, b) for a, b in zip(_arrays(found), _arrays(truth), strict=True))


def _arrays(evidence: Evidence) -> list[torch.Tensor]:
    grads = [g for found in evidence.grads.values() for g in found]
    reads = [a for reading in evidence.reads.values() for a in reading.arrays]
    return [*([] if evidence.value is None else [evidence.value]), *grads, *reads]
