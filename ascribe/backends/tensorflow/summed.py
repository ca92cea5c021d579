"""Weighted sums of gradients over points of paths, in one program: the points, the model, its gradients and the sum.

Only for models that their user compiles, as in :mod:`ascribe.backends.tensorflow.compiled`, and for points at arguments whose first axis
runs over the records.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array
from ...cuts import accessor_path
from ...tree import Path, follow, replace_leaves, walk
from ..protocol import Evidence, Job
from ..sums import PathPoints, Totals
from .axes import FIRST
from .compiled import counts, program_of
from .context import Context
from .namespace import xp


@dataclass
class Call:
    """The arguments of one trace that are no tensors."""

    model: Any
    tree: Any
    job: Job
    others: list[Path]
    """The paths of the tensors that are not written."""
    written: list[Path]
    kinds: list[Any]
    """The data type that the model has at each of ``written``."""
    squares: bool
    by_distance: bool


class SumProgram:
    """The quantities and the weighted sums of their gradients, compiled for any number of points; ``works`` is False once it has failed."""

    def __init__(self) -> None:
        self.works, self.lock = True, threading.Lock()
        self.call: Call | None = None
        self.traced = tf.function(self._trace, reduce_retracing=True, autograph=False)

    def run(self, ctx: Context, call: Call, arrays: Any, path: tuple[Any, ...]) -> tuple[Array, list[Array]] | None:
        """The quantities ``[quantities, rows]`` and for each array the sums ``[quantities, records, ...]``; None where it fails."""
        with self.lock:
            self.call = call
            try:
                value, sums = self.traced([follow(call.tree, other) for other in call.others], arrays, path)
            except Exception as wrong:  # what was wrong shows where the model runs by itself
                if ctx.device.out_of_memory(wrong):
                    raise
                self.works = False
                return None
            finally:
                self.call = None
        self.works = value.shape.rank == 2 and value.shape[1] == len(call.job.rows)
        return (value, sums) if self.works else None

    def _trace(self, leaves: list[Array], arrays: Any, path: tuple[Any, ...]) -> tuple[Array, list[Array]]:
        call = self.call
        assert call is not None
        assert call.job.on is not None
        counts.programs += 1  # runs when TensorFlow traces the function
        starts, ends, position, weights, size = path
        rows = [row_values(z, size, kind) for z, kind in zip(between(starts, ends, position), call.kinds, strict=True)]
        given = dict(zip((*call.others, *call.written), (*leaves, *rows), strict=True))
        args, kwargs = replace_leaves(call.tree, given)
        of: Any = call.job.of
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(rows)
            values = of.apply(arrays, follow(call.model(*args, **kwargs), accessor_path(call.job.on)))
        each = [tape.gradient(value, rows, unconnected_gradients="zero") for value in values]
        distances = [e - s for s, e in zip(starts, ends, strict=True)] if starts else ends
        sums = []
        for i, distance in enumerate(distances):
            scale = distance if call.by_distance else None
            sums.append(tf.stack([weighted(grads[i], size, weights, scale, call.squares) for grads in each]))
        return tf.stack(list(values)), sums


def between(starts: Sequence[Array], ends: Sequence[Array], position: Array | None) -> list[Array]:
    """The points, ``[points or 1, records or 1, ...]``."""
    if position is None:
        return list(ends)
    shares = [tf.reshape(position, [-1, *[1] * (e.shape.rank - 1)]) for e in ends]
    return [xp.mix(s, e, share) for s, e, share in zip(starts, ends, shares, strict=True)]


def row_values(points: Array, size: Array, kind: Any) -> Array:
    """Points as rows of one run, point after point; ``size`` holds the numbers of points and of records."""
    rest = tf.shape(points)[2:]
    whole = tf.broadcast_to(points, tf.concat([size, rest], 0))
    rows = tf.reshape(whole, tf.concat([[-1], rest], 0))
    return tf.cast(tf.ensure_shape(rows, [None, *points.shape[2:]]), kind)


def weighted(grads: Array, size: Array, weights: Array, distance: Array | None, squares: bool) -> Array:
    """The weighted sum over the points of the gradients at rows, ``[records, ...]``, in single precision at least."""
    kind = grads.dtype if grads.dtype.size > 4 else tf.float32
    terms = tf.cast(tf.reshape(grads, tf.concat([size, tf.shape(grads)[1:]], 0)), kind)
    terms = terms if distance is None else terms * tf.cast(distance, kind)
    terms = terms * terms if squares else terms
    return tf.tensordot(tf.cast(weights, kind), terms, 1)


def evaluate_sum(ctx: Context, job: Job, points: PathPoints, totals: Totals) -> Evidence | None:
    """Evaluates a job at points of paths and adds its gradients up; None where it cannot be one program."""
    written = [spot.path for spot in job.spots]
    inputs, runs_once = ctx.inputs, len(job.wrt) == 1 and job.wrt == job.written_cuts
    if not runs_once or ctx.runner.compiled_model() is None or any(s.cut.layer or s.cut.anchor != "in" for s in job.spots):
        return None
    if any(inputs.axis_of(path) != FIRST for path in written) or any(inputs.leaves[path].dtype.kind != "f" for path in written):
        return None
    tree = inputs.tensors(job.index, job.points, {path: inputs.canonical(path)[:0] for path in written})
    form = points.squares, points.by_distance, points.position is None, len(points.starts)
    found = program_of(ctx, job, tree, written, SumProgram, form)
    if found is None or not found[0].works:
        return None
    program, arrays = found
    others = [path for path, leaf in walk(tree) if isinstance(leaf, tf.Tensor) and path not in written]
    kinds = [inputs.kinds[path] for path in written]
    call = Call(ctx.runner.compiled_model(), tree, job, others, written, kinds, points.squares, points.by_distance)
    before = counts.programs
    result = program.run(ctx, call, arrays, as_path(points, job.records))
    if result is None:
        return None
    value, sums = xp.numpy(result[0]), [xp.numpy(s) for s in result[1]]
    if not any(s.any() for s in sums):
        return None  # an eager run tells whether there is no gradient
    cut, new = job.wrt[0], [list(each) for each in sums]
    known = totals.get(cut)
    totals[cut] = [[a + b for a, b in zip(old, more, strict=True)] for old, more in zip(known, new, strict=True)] if known else new
    probed = counts.programs != before
    return Evidence(value.reshape(len(value), job.points, job.records), {}, {}, 1, 1, probed=probed)


def as_path(points: PathPoints, records: int) -> tuple[Any, ...]:
    """The starts, ends, positions and weights of points as tensors, and the numbers of points and records."""
    starts, ends = (tuple(tf.convert_to_tensor(np.ascontiguousarray(a)) for a in arrays) for arrays in (points.starts, points.ends))
    position = None if points.position is None else tf.constant(points.position, tf.float64)
    return starts, ends, position, tf.constant(points.weights, tf.float64), tf.constant([len(points.weights), records])
