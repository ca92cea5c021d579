"""Evaluation of a job with plain gradients: its form, the program of the form, and the results in canonical form."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
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

FILLED = 8
"""Times so many points are filled up to run a program that exists already; for fewer points a program of their own is compiled."""


class Layout:
    """The keys of every cut of a job; ``writes`` is True where values are written."""

    def __init__(self, spots: Spots, trace: Trace, job: Job, writes: bool) -> None:
        self.written = tuple(Key(s.cut.layer, s.cut.anchor, s.call, s.path) for s in job.spots) if writes else ()
        self.wrt = {cut: spots.keys(cut, trace) for cut in job.wrt}
        self.read = {cut: spots.keys(cut, trace) for cut in job.read}
        self.on = () if job.on is None or job.of is None else tuple(on_cut(spots, trace, cut) for cut in each_of(job.on))

    @property
    def on_keys(self) -> list[Key]:
        """The arrays that the quantities are computed from."""
        return [key for on in self.on for key in on.keys]

    @property
    def wrt_keys(self) -> tuple[Key, ...]:
        """The arrays that gradients are taken at."""
        return tuple(key for keys in self.wrt.values() for key in keys)

    @property
    def read_keys(self) -> tuple[Key, ...]:
        """The arrays that are read."""
        return tuple(key for keys in self.read.values() for key in keys)


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
    before = counts.programs
    run = Evaluation(spots, device, job)
    with failures(spots, device, job):
        value, read, grads = run.results()
    device.started((value, read, grads))
    evidence = run.in_cuts(value, read, grads)
    evidence.probed = counts.programs != before
    return evidence


@contextmanager
def failures(spots: Spots, device: JaxDevice, job: Job) -> Iterator[None]:
    """Turn what a model raises into a ModelError."""
    try:
        yield
    except (AscribeError, MemoryError):
        raise
    except Exception as wrong:
        if device.out_of_memory(wrong):
            raise
        raise failed(spots.model.name, spots.inputs, job.records, wrong) from wrong


class Evaluation:
    """One evaluation of a job."""

    def __init__(self, spots: Spots, device: JaxDevice, job: Job) -> None:
        self.spots, self.device, self.job, self.bound = spots, device, job, spots.bound(job.records)
        self.trace = self.bound.trace
        self.layout = Layout(spots, self.trace, job, bool(job.write))
        self.leaves = spots.inputs.rows(job.index)
        self.values: dict[Key, Any] = {}
        """Values of arguments, which are known without a run."""
        replaced = bool(job.write) and self._replace_arguments()
        self.written = () if replaced else self.layout.written
        self.points = 0
        if self.written:
            self.points = points_to_run(self.trace, self._form(0), job.points)
        else:
            self._keep_arguments()
        self.form = self._form(self.points)

    def _form(self, points: int) -> Form:
        job, layout = self.job, self.layout
        kept = tuple(keep is not None for keep in job.shares_kept) if self.written else ()
        read = tuple(key for key in layout.read_keys if key not in self.values)
        return Form(points, job.records, self.written, kept, layout.wrt_keys, read, layout.on)

    def _replace_arguments(self) -> bool:
        """Give the model what is written for one point as its arguments, if that is where all of it is written: no other program."""
        job, keys, paths = self.job, self.layout.written, self.trace.paths
        if job.points > 1 or any(key.layer or key.anchor == "out" for key in keys) or any(keep is not None for keep in job.shares_kept):
            return False
        leaves = list(self.leaves)
        for key, write in zip(keys, job.write, strict=True):
            axis, i = self.spots.axis(key), paths.index(key.path)
            native = write[0][0] if axis is None else write[0] if axis == 0 else jnp.moveaxis(write[0], 0, axis)
            if native.shape != leaves[i].shape:
                return False
            leaves[i] = native if native.dtype == leaves[i].dtype else native.astype(leaves[i].dtype)
        self.leaves = leaves
        return True

    def _keep_arguments(self) -> None:
        """Keep the values of arguments that are read."""
        for key in self.layout.read_keys:
            if not key.layer and key.anchor == "in":
                self.values[key] = self._canonical(self.leaves[self.trace.paths.index(key.path)], key)

    def _canonical(self, leaf: Any, key: Key) -> Any:
        axis, xp = self.spots.axis(key), np if self.device.host else jnp
        leaf = self.device.given(leaf)
        return leaf[None, None] if axis is None else leaf[None] if axis == 0 else xp.moveaxis(leaf, axis, 0)[None]

    @property
    def given(self) -> Arguments:
        """The arguments of the job's programs."""
        job, points = self.job, self.points
        writes = tuple(padded(w, points) for w in job.write) if self.written else ()
        keeps = tuple(None if k is None else padded(k, points) for k in job.shares_kept) if self.written else ()
        return Arguments(self.spots.model.weights, self.bound.consts, self.leaves, writes, keeps)

    def results(self) -> tuple[Any, dict[Key, Any], list[Any]]:
        """The quantities, the values read and the gradients."""
        job, form, trace = self.job, self.form, self.trace
        of, rows = job.of, job.rows if self.points == 0 else np.tile(job.index, self.points)
        if of is not None:
            bind_by_shapes(self.spots, trace, job, self.layout)
        if not form.wrt and not self.points and (of is None or (self.device.host and not job.quantity_key)):
            return self._plain(rows)
        key, labels = parts_of(of, rows)
        if of is not None and key:
            form = replace(form, quantities=key)
            token = QUANTITIES.set(of)
            try:
                value, read, grads = compiled(trace, form, lambda: Program(self.spots, trace, form).fused)(self.given, labels)
            finally:
                QUANTITIES.reset(token)
            return value, dict(zip(form.read, read, strict=True)), grads
        return self._outside(rows)

    def _plain(self, rows: np.ndarray) -> tuple[Any, dict[Key, Any], list[Any]]:
        """Values at the arguments alone: one program for all that is read, and quantities on NumPy's views of it."""
        on = self.layout.on_keys
        keys = tuple(sorted({key for key in (*self.form.read, *on) if key not in self.values}, key=repr))
        form = Form(0, self.job.records, read=keys)
        if keys:
            program = compiled(self.trace, form, lambda: Program(self.spots, self.trace, form).forward)
            found = program(self.given)[1]
            self.values |= {key: self.device.given(a) for key, a in zip(keys, found, strict=True)}
        if self.job.of is None:
            return None, self.values, []
        tables = [self.values[key][0] for key in on]
        tables = [np.broadcast_to(a, (len(rows), *a.shape[1:])) for a in tables]
        value = evaluate_outside(self.job.of, trees(self.layout.on, tables, self.trace), rows)
        return value[:, None], self.values, []

    def _outside(self, rows: np.ndarray) -> tuple[Any, dict[Key, Any], list[Any]]:
        """Quantities outside of the program, between one that runs the model and one that goes back."""
        job, form, trace, of = self.job, self.form, self.trace, self.job.of
        program: list[Program] = []

        def made() -> Program:
            program[:] = program or [Program(self.spots, trace, form)]
            return program[0]

        on, read, pull = compiled(trace, form, lambda: made().forward)(self.given)
        values = dict(zip(form.read, read, strict=True))
        if of is None:
            return None, values, []
        shape = (-1, max(1, self.points), job.records)
        if not form.wrt:
            return evaluate_outside(of, trees(form.on, on, trace), rows).reshape(shape), values, []
        value, slopes = differentiate_outside(of, on, lambda on: trees(form.on, on, trace), rows)
        grads = compiled(trace, (form, "backward"), lambda: made().backward)(pull, slopes)
        return value.reshape(shape), values, grads

    def in_cuts(self, value: Any, read: dict[Key, Any], grads: list[Any]) -> Evidence:
        """The results by their cuts, without what was added to fill up the points."""
        job, layout, points, give = self.job, self.layout, self.job.points, self.device.given
        value = None if value is None else first_points(give(value), points, 1)
        evidence = Evidence(value, {}, {}, 1, int(bool(job.wrt and job.of is not None)))
        arrays = iter(first_points(give(g), points, 1) for g in grads)
        evidence.grads = {cut: [next(arrays) for _ in keys] for cut, keys in layout.wrt.items()} if grads else {}
        values = {**self.values, **read}
        for cut, keys in layout.read.items():
            spots = [ArrayAt(cut, k.call, k.path, self.spots.axis(k)) for k in keys]
            evidence.reads[cut] = Reading(spots, [first_points(give(values[k]), points, 0) for k in keys])
        return evidence


def first_points(array: Any, points: int, axis: int) -> Any:
    """The first points of an array."""
    return array if array.shape[axis] <= points else array[:points] if axis == 0 else array[:, :points]


def points_to_run(trace: Trace, form: Hashable, points: int) -> int:
    """How many points to run for so many: those of a program that there is already, or else the next power of two."""
    sizes = trace.sizes.setdefault(form, set())
    known = min((size for size in sizes if points <= size <= FILLED * points), default=0)
    if known:
        return known
    sizes.add(size := 1 << (points - 1).bit_length())
    return size


def bind_by_shapes(spots: Spots, trace: Trace, job: Job, layout: Layout) -> None:
    """Bind quantities that depend on the shapes of values only, so that they are part of the first program."""
    of: Any = job.of
    if not getattr(of, "by_shapes", False) or of.bound:
        return
    zeros = []
    for key in layout.on_keys:
        mark, axis = spots.at(key, trace), spots.axis(key)
        shape = list(mark.shape)
        rows = 1 if axis is None else shape.pop(axis)
        zeros.append(np.broadcast_to(np.zeros((), mark.dtype), (max(rows, job.records), *shape)))
    of.bind(trees(layout.on, zeros, trace), job.index)


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
    xp: Any = np if isinstance(array, np.ndarray) else jnp
    return xp.concatenate([array, xp.broadcast_to(array[-1:], (points - len(array), *array.shape[1:]))])


def arguments_read(spots: Spots, job: Job) -> Evidence:
    """The values that a job reads at the input, without a run of the model."""
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
