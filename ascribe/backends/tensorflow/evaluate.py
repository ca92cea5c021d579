"""Evaluation of a job: the points of independent records as rows of one run, others one point after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array
from ...cuts import OUTPUT, Cut, accessor_path, each_of
from ...errors import CutError, ModelError
from ...tree import Path, follow, walk
from ..protocol import ArrayAt, Evidence, Job, Reading
from .axes import Axis
from .compiled import run_compiled
from .context import Context
from .demands import Demand, Read, Seen, Watch, Write
from .namespace import xp
from .quantities import evaluate_quantities
from .record_axes import axis_at
from .runners import check_seen


def evaluate_apart(ctx: Context, job: Job) -> Evidence:
    """Evaluates a job one point after the other: always right, and slow."""
    return joined([OneRun(ctx, job.at_points(slice(k, k + 1))).run() for k in range(job.points)])


def joined(runs: Sequence[Evidence]) -> Evidence:
    """Evidence of several runs as that of one with more points."""
    first = runs[0]
    value = None if first.value is None else np.concatenate([r.value for r in runs], 1)
    grads = {cut: [np.concatenate([r.grads[cut][i] for r in runs], 1) for i in range(len(g))] for cut, g in first.grads.items()}
    reads = {
        cut: Reading(r.spots, [np.concatenate([run.reads[cut].arrays[i] for run in runs]) for i in range(len(r.arrays))])
        for cut, r in first.reads.items()
    }
    return Evidence(value, grads, reads, sum(r.forward for r in runs), sum(r.backward for r in runs))


class OneRun:
    """One run of the model: arguments and demands made, the model run, gradients taken, everything brought to canonical form."""

    def __init__(self, ctx: Context, job: Job) -> None:
        self.ctx, self.job = ctx, job
        self.writes: list[Write] = []
        self.wrt: dict[Cut, Seen] = {}
        self.reads: dict[Cut, Read] = {}
        self.tape: Any = None

    def run(self) -> Evidence:
        """Runs the model, and returns what the job asks for."""
        job = self.job
        if job.of is None and all(is_input(cut) for cut in job.read):
            args, kwargs = self.ctx.inputs.tensors(job.index, job.points, self._at_input())
            return Evidence(None, {}, {cut: self._given((args, kwargs), cut) for cut in job.read})
        if not job.wrt:
            return self._evidence()
        if (compiled := self._compiled()) is not None:
            return compiled
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as self.tape:
            evidence = self._evidence()
        del self.tape
        return evidence

    def _compiled(self) -> Evidence | None:
        """The evidence from one compiled program, where the job has one."""
        job, ctx = self.job, self.ctx
        if not all(is_input(cut) for cut in (*job.wrt, *job.written_cuts)) or ctx.inputs.counted.together:
            return None
        wrt = {cut: self._paths(cut) for cut in job.wrt}
        found = run_compiled(ctx, job, ctx.inputs.tensors(job.index, job.points, self._at_input()), wrt)
        if found is None:
            return None
        value, rows = found
        shape = job.points, job.records
        grads = {
            cut: [
                np.stack([ctx.inputs.axis_of(path).canonical(g, *shape, zero=True) for g in xp.numpy(array)])
                for path, array in zip(wrt[cut], rows[cut], strict=True)
            ]
            for cut in job.wrt
        }
        if not any(g.any() for each in grads.values() for g in each):
            return None  # an eager run tells whether there is no gradient
        return Evidence(xp.numpy(value).reshape(len(value), *shape), grads, {}, 1, 1)

    def _paths(self, cut: Cut) -> list[Path]:
        """The arguments that gradients are taken at."""
        return [s.path for s in self.job.spots if s.cut == cut] if cut in self.job.written_cuts else self.ctx.inputs.differentiable(cut)

    def _evidence(self) -> Evidence:
        job, ctx = self.job, self.ctx
        args, kwargs = ctx.inputs.tensors(job.index, job.points, self._at_input())
        watches = self._make_demands((args, kwargs))
        demands: list[Demand] = [*self.writes, *watches, *self.reads.values()]
        output = ctx.run(args, kwargs, demands)
        check_seen(demands)
        ctx.kinds.update(((demand.cut, path), leaf.dtype) for demand in demands for _, path, leaf in demand.seen)
        for cut, read in self.reads.items():
            if not cut.layer and cut.anchor == "out":
                read.visit(0, output)
            elif is_input(cut):
                read.tree = (args, kwargs)
        readings = {cut: self._given((args, kwargs), cut) if is_input(cut) else self._reading(self.reads[cut]) for cut in job.read}
        if job.of is None or job.on is None:
            return Evidence(None, {}, readings, 1)
        values = evaluate_quantities(ctx, job, [self.reads[cut] for cut in each_of(job.on)])
        value = np.stack([xp.numpy(v) for v in values]).reshape(len(values), job.points, job.records)
        grads = self._gradients(values) if job.wrt else {}
        return Evidence(value, grads, readings, 1, int(bool(job.wrt)))

    def _at_input(self) -> dict[Path, np.ndarray]:
        """The rows written at the model's arguments."""
        pairs = zip(self.job.spots, self.job.write, strict=True) if self.job.write else ()
        return {s.path: np.asarray(w).reshape(-1, *w.shape[2:]) for s, w in pairs if not s.cut.layer}

    def _make_demands(self, tree: Any) -> list[Watch]:
        """Demands at layers, in the order write, gradient, read: later ones see the values of earlier ones."""
        job, watches = self.job, list[Watch]()
        self._make_writes()
        written = {write.cut: write.seen for write in self.writes}
        for cut in job.wrt:
            if is_input(cut):
                self.wrt[cut] = [(0, path, follow(tree, path)) for path in self._paths(cut)]
                self.tape.watch([leaf for _, _, leaf in self.wrt[cut]])
            elif cut in written:
                self.wrt[cut] = written[cut]
            else:
                watches.append(Watch(cut, tape=self.tape))
                self.wrt[cut] = watches[-1].seen
        ons = each_of(job.on) if job.of is not None and job.on is not None else ()
        self.reads = {cut: Read(cut) for cut in (*job.read, *ons)}
        return watches

    def _make_writes(self) -> None:
        job = self.job
        for cut in job.written_cuts if job.write else ():
            if not cut.layer:
                continue
            mine = [k for k, spot in enumerate(job.spots) if spot.cut == cut]
            axes = [axis_at(self.ctx, cut, i) for i in range(len(mine))]
            values = [axis.native(np.asarray(job.write[k])) for k, axis in zip(mine, axes, strict=True)]
            kept = [
                None if (keep := job.shares_kept[k]) is None else axis.native(np.broadcast_to(np.asarray(keep), job.write[k].shape))
                for k, axis in zip(mine, axes, strict=True)
            ]
            self.writes.append(Write(cut, values=values, kept=kept, tape=self.tape))

    def _given(self, tree: Any, cut: Cut) -> Reading:
        """The value at the input."""
        inputs, reading = self.ctx.inputs, Reading()
        news = self._at_input()
        for path in inputs.explained(accessor_path(cut)):
            rows = news[path] if path in news else np.concatenate([inputs.canonical(path)[self.job.index]] * self.job.points)
            reading.spots.append(ArrayAt(cut, 0, path, inputs.axis(path)))
            reading.arrays.append(np.array(rows).reshape(self.job.points, self.job.records, *rows.shape[1:]))
        return reading

    def _reading(self, read: Read) -> Reading:
        """The value at a cut. Of an output that a quantity is read from, only the parts that have a row for each record."""
        reading, job = Reading(), self.job
        partial = read.cut == OUTPUT and job.of is not None
        for i, (call, path, leaf) in enumerate(read.seen):
            axis = axis_at(self.ctx, read.cut, i)
            if partial and axis.canonical_axis is None:
                continue
            try:
                array = axis.canonical(xp.numpy(leaf), job.points, job.records)
            except CutError:
                if not partial:
                    raise
                continue
            reading.spots.append(ArrayAt(read.cut, call, path, axis.canonical_axis))
            reading.arrays.append(array)
        return reading

    def _gradients(self, values: Sequence[Array]) -> dict[Cut, list[np.ndarray]]:
        """The gradient of each quantity at the cuts. Raises CutError where no gradient reaches any of them."""
        leaves = [leaf for seen in self.wrt.values() for _, _, leaf in seen]
        with self.tape.stop_recording():
            each = [self._pull_back(value, leaves) for value in values]
        if leaves and all(g is None for row in each for g in row):
            problem = f"The quantity has no gradient at {', '.join(map(repr, self.wrt))}"
            there = "a cut that it does not depend on, or tf.stop_gradient, NumPy or integers between the two"
            advice = "asc.FeatureAblation(by=asc.Replace(0.0))(model, x), which needs no gradient"
            if all(map(is_input, self.wrt)) and any(path in self.ctx.inputs.ids for seen in self.wrt.values() for _, path, _ in seen):
                advice = "at=asc.EMBEDDINGS if the numbers are ids, or the layer that looks them up by its name"
            raise CutError(problem, found=there, advice=advice, code="E-CUT-GRADIENT")
        full = [[xp.numpy(tf.zeros_like(t) if g is None else g) for g, t in zip(row, leaves, strict=True)] for row in each]
        grads: dict[Cut, list[np.ndarray]] = {}
        first = 0
        for cut, seen in self.wrt.items():
            axes = [self._axis(cut, i, path) for i, (_, path, _) in enumerate(seen)]
            grads[cut] = [
                np.stack([axis.canonical(row[first + i], self.job.points, self.job.records, zero=True) for row in full])
                for i, axis in enumerate(axes)
            ]
            first += len(seen)
        return grads

    def _axis(self, cut: Cut, i: int, path: Path) -> Axis:
        return self.ctx.inputs.axis_of(path) if is_input(cut) else axis_at(self.ctx, cut, i)

    def _pull_back(self, value: Array, leaves: list[Array]) -> list[Array | None]:
        """The gradient at each leaf of the sum of a quantity's numbers. Raises ModelError for what the backward pass raises."""
        try:
            found = self.tape.gradient(value, leaves)
            return [None if g is None else tf.convert_to_tensor(g) for g in found]
        except Exception as wrong:
            if self.ctx.device.out_of_memory(wrong):
                raise
            first = (str(wrong).splitlines() or [""])[0]
            advice = "asc.FeatureAblation(by=asc.Replace(0.0))(model, x), which needs no gradient"
            problem = f"The backward pass raised {type(wrong).__name__}: {first}"
            raise ModelError(problem, advice=advice, code="E-MODEL-GRADIENT") from wrong


def is_input(cut: Cut) -> bool:
    """True for a cut at the model's arguments."""
    return not cut.layer and cut.anchor == "in"


def tensors_in(tree: Any) -> list[Array]:
    """The tensors of a value."""
    return [leaf for _, leaf in walk(tree) if isinstance(leaf, tf.Tensor)]
