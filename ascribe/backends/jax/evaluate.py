"""Evaluation of a job with plain gradients: its form, the program of the form, and the results in canonical form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ...cuts import Cut, accessor_path, each_of
from ...errors import AscribeError, CutError
from ...tree import follow, walk
from ..protocol import ArrayAt, Evidence, Job, Reading
from .device import JaxDevice
from .interpret import Key
from .programs import QUANTITIES, Arguments, Form, On, Program, trees
from .quantities import differentiate_outside, evaluate_outside
from .spots import Spots
from .traces import Trace, compiled, counts, failed


class Layout:
    """The keys of every cut of a job."""

    def __init__(self, spots: Spots, trace: Trace, job: Job) -> None:
        self.written = tuple(Key(s.cut.layer, s.cut.anchor, s.call, s.path) for s in job.spots) if job.write else ()
        self.wrt = {cut: spots.keys(cut, trace) for cut in job.wrt}
        self.read = {cut: spots.keys(cut, trace) for cut in job.read}
        self.on = () if job.on is None or job.of is None else tuple(on_cut(spots, trace, cut) for cut in each_of(job.on))

    def form(self, job: Job, points: int) -> Form:
        """The form of the job, for so many points."""
        wrt = [key for keys in self.wrt.values() for key in keys]
        read = [key for keys in self.read.values() for key in keys]
        kept = tuple(keep is not None for keep in job.shares_kept)
        return Form(points, job.records, self.written, kept, tuple(wrt), tuple(read), self.on)


def on_cut(spots: Spots, trace: Trace, cut: Cut) -> On:
    """The arrays that a quantity at a cut is computed from. Raises CutError for several uses of one layer."""
    if not cut.layer and cut.anchor == "out":
        part = accessor_path(cut)
        try:
            whole = follow(trace.output, part)
        except (LookupError, AttributeError, TypeError) as wrong:
            what, there = f"The output of the model has no part {cut.accessor!r}", f"an output of type {type(trace.output).__name__}"
            raise CutError(what, found=there, advice="asc.OUTPUT, or one of its parts: asc.OUTPUT.at(0)") from wrong
        return On(tuple(Key("", "out", 0, (*part, *path)) for path, leaf in walk(whole) if hasattr(leaf, "shape")), part)
    keys = spots.keys(cut, trace)
    if len({key.call for key in keys}) > 1:
        raise CutError(
            f"The quantity must be read at one use of the layer, and `{cut!r}` is used several times",
            found=f"{len({key.call for key in keys})} uses in this call",
            advice=f"Cut({cut.layer!r}, call=0) for the first use",
            code="E-CUT-CALLS",
        )
    return On(keys)


def evaluate_gradients(spots: Spots, device: JaxDevice, job: Job) -> Evidence:
    """Evaluate a job under plain gradients. Raises ModelError for what the model raises."""
    if job.of is None and not job.write and not job.wrt and all(not c.layer and c.anchor == "in" for c in job.read):
        return arguments_read(spots, job)
    bound = spots.bound(job.records)
    layout = Layout(spots, bound.trace, job)
    points = 1 << (job.points - 1).bit_length() if job.write else 0
    form = layout.form(job, points)
    before = counts.programs
    given = Arguments(
        spots.model.weights,
        bound.consts,
        spots.inputs.rows(job.index),
        tuple(padded(w, points) for w in job.write),
        tuple(None if k is None else padded(k, points) for k in job.shares_kept),
    )
    try:
        value, read, grads = run_form(spots, bound.trace, form, given, replace(job, points=max(1, points)))
    except (AscribeError, MemoryError):
        raise
    except Exception as wrong:
        if device.out_of_memory(wrong):
            raise
        raise failed(spots.model.name, spots.inputs, job.records, wrong) from wrong
    device.started((value, read, grads))
    return in_cuts(spots, layout, job, (value, read, grads), counts.programs != before)


def run_form(spots: Spots, trace: Trace, form: Form, given: Arguments, job: Job) -> tuple[Any, list[Any], list[Any]]:
    """The quantities, the values read and the gradients of a form, as lists over its arrays."""
    of, rows = job.of, job.rows
    key, labels = parts_of(of, rows)
    if of is not None and key:
        form = replace(form, quantities=key)
        token = QUANTITIES.set(of)
        try:
            value, read, grads = compiled(trace, form, lambda: Program(spots, trace, form).fused)(given, labels)
        finally:
            QUANTITIES.reset(token)
        return value, read, grads
    program: list[Program] = []

    def made() -> Program:
        program[:] = program or [Program(spots, trace, form)]
        return program[0]

    on, read, pull = compiled(trace, form, lambda: made().forward)(given)
    if of is None:
        return None, read, []
    if not form.wrt:
        value = evaluate_outside(of, trees(form.on, on, trace), rows)
        return value.reshape(len(value), job.points, job.records), read, []
    value, slopes = differentiate_outside(of, on, lambda on: trees(form.on, on, trace), rows)
    grads = compiled(trace, (form, "backward"), lambda: made().backward)(pull, slopes)
    return value.reshape(len(value), job.points, job.records), read, grads


def parts_of(of: Any, rows: np.ndarray) -> tuple[Any, Any]:
    """The key and the arrays of quantities that can be part of a program; no key for all others, and for those not bound yet."""
    parts = getattr(of, "parts", None)
    if parts is None:
        return None, ()
    key, arrays = parts(rows)
    return key, arrays


def padded(array: Any, points: int) -> Any:
    """An array ``[points, ...]`` with its last point repeated."""
    if len(array) == points:
        return array
    return jnp.concatenate([array, jnp.broadcast_to(array[-1:], (points - len(array), *array.shape[1:]))])


def in_cuts(spots: Spots, layout: Layout, job: Job, results: tuple[Any, list[Any], list[Any]], probed: bool) -> Evidence:
    """The results of a program by their cuts, without what was added to fill up the points."""
    value, read, grads = results
    points = job.points if job.write else 1
    value = None if value is None else value if value.shape[1] == points else value[:, :points]
    evidence = Evidence(value, {}, {}, 1, int(bool(job.wrt and job.of is not None)), probed=probed)
    arrays = iter(g if g.shape[1] == points else g[:, :points] for g in grads)
    evidence.grads = {cut: [next(arrays) for _ in keys] for cut, keys in layout.wrt.items()} if grads else {}
    values = iter(a if a.shape[0] == points else a[:points] for a in read)
    for cut, keys in layout.read.items():
        evidence.reads[cut] = Reading([ArrayAt(cut, k.call, k.path, spots.axis(k)) for k in keys], [next(values) for _ in keys])
    return evidence


def arguments_read(spots: Spots, job: Job) -> Evidence:
    """What is read of the arguments, without a run of the model."""
    inputs = spots.inputs
    rows = dict(zip(inputs.leaves, inputs.rows(job.index), strict=True))
    reads = {}
    for cut in job.read:
        reading = reads[cut] = Reading()
        for path in inputs.paths_at(cut):
            axis = inputs.axis(path)
            reading.spots.append(ArrayAt(cut, 0, path, axis))
            reading.arrays.append(rows[path][None, None] if axis is None else jnp.moveaxis(rows[path], axis, 0)[None])
    return Evidence(None, {}, reads)
