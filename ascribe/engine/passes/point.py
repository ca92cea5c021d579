"""The point pass: influence at the records themselves. And the values pass, which only reads cuts."""

from __future__ import annotations

import time

import numpy as np

from ...backends.protocol import Job
from ...cuts import OUTPUT, Cut
from ...distributions.baselines import CutValues, resolve_points
from ...distributions.members import Points
from ..batch import Batch, Leaves, broadcast
from ..plan import BoundQuantities, Plan
from .records import table_of


def run_point(plan: Plan, index: np.ndarray) -> Batch:
    """Returns value and influence at the records: one pass forward and backward, nothing written."""
    bound, request, session = BoundQuantities(plan.session, plan.request.quantities, index), plan.request, plan.session
    cuts, on = plan.cuts, plan.on
    reads = cuts if on != OUTPUT or OUTPUT in cuts else (*cuts, OUTPUT)
    job = Job(index, wrt=cuts, read=reads, on=on, of=bound, by=request.by, quantity_key=plan.kinds, multipliers_only=plan.multipliers_only)
    start = time.perf_counter()
    evidence = session.evaluate(job)
    if len(index) < session.records and not plan.chunker.settled:
        session.device.wait()
        plan.chunker.record_time(len(index), time.perf_counter() - start)
    batch = Batch(
        index,
        forward=evidence.forward,
        backward=evidence.backward,
        rows=len(index),
        without_formula=evidence.without_formula,
        trace=evidence.trace,
    )
    batch.explained = session.xp.numpy(evidence.value)[:, 0].astype(np.float64)
    batch.classes, batch.output = bound.classes(), table_of(evidence, session.xp)
    for cut in cuts:
        reading, direct = evidence.reads[cut], evidence.direct_relevance.get(cut)
        record = [a[0] for a in reading.arrays]
        grads = [g[:, 0] for g in evidence.grads[cut]]
        grads = [g * x[None] for g, x in zip(grads, record, strict=True)] if request.multiply else grads
        batch.values.append([g + r[:, 0] for g, r in zip(grads, direct, strict=True)] if direct else grads)
        batch.record.append(record)
        batch.spots.append(reading.spots)
    plan.progress.advance(len(index))
    return batch


def run_values(plan: Plan, index: np.ndarray) -> Batch:
    """Returns the values of the records at the cuts: as they are, or their mean over points of the user's own."""
    session, over, cuts = plan.session, plan.request.over, plan.cuts
    if isinstance(over, Points):
        return mean_values(plan, over, index)
    reads = session.evaluate(Job(index, read=cuts)).reads
    return Batch(index, record=[[a[0] for a in reads[c].arrays] for c in cuts], spots=[reads[c].spots for c in cuts], forward=1)


def mean_values(plan: Plan, over: Points, index: np.ndarray) -> Batch:
    """Returns the mean of the values at the cuts over points at another cut."""
    session, at, cuts = plan.session, plan.at, plan.cuts
    here = session.evaluate(Job(index, read=(at,))).reads[at]
    values = [a[0] for a in here.arrays]
    own = resolve_points(over.values, CutValues(values, session.names(here.spots), index, session.records, session.call))
    total: dict[Cut, Leaves] = {}
    for k in range(len(own[0])):
        write = tuple(broadcast(p[k : k + 1], 1, len(index)) for p in own)
        reads = session.evaluate(Job(index, 1, at, tuple(here.spots), write, read=cuts)).reads
        for cut in cuts:
            terms = reads[cut].arrays
            total[cut] = [t + a for t, a in zip(total[cut], terms, strict=True)] if cut in total else terms
    record = [[t[0] / len(own[0]) for t in total[cut]] for cut in cuts]
    return Batch(index, record=record, spots=[reads[cut].spots for cut in cuts], forward=1)
