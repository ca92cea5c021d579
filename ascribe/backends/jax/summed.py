"""Weighted sums of gradients over points of paths, in one program: the points, the model, its gradients and the sum."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import Array
from ..protocol import Evidence, Job
from ..sums import PathPoints, Totals
from .device import JaxDevice
from .evaluate import Layout, failures, first_points, padded, parts_of, points_to_run
from .namespace import xp
from .programs import QUANTITIES, Arguments, Form, Program
from .spots import Spots
from .traces import compiled, counts


def evaluate_sum(spots: Spots, device: JaxDevice, job: Job, points: PathPoints, totals: Totals) -> Evidence | None:
    """Evaluate a job at points of paths and add its gradients up; None where its quantities cannot be part of a program."""
    of: Any = job.of
    key, _ = parts_of(of, job.index)
    if not key or job.read or job.quantity_key:
        return None
    before, bound = counts.programs, spots.bound(job.records)
    layout = Layout(spots, bound.trace, job, True)
    form = Form(0, job.records, layout.written, (False,) * len(layout.written), layout.wrt_keys, (), layout.on, key)
    kind = form, "sum", points.squares, points.by_distance, points.position is None
    size = points_to_run(bound.trace, kind, len(points.weights))
    form = replace(form, points=size)
    labels = parts_of(of, np.tile(job.index, size))[1]
    given = Arguments(spots.model.weights, bound.consts, spots.inputs.rows(job.index), (), tuple(None for _ in layout.written))
    token = QUANTITIES.set(of)
    try:
        with failures(spots, device, job):
            make = partial(summing, points.squares, points.by_distance)
            program = compiled(bound.trace, (kind, size), lambda: make(Program(spots, bound.trace, form)))
            value, sums = program(given, labels, filled(points, size))
            device.started((value, sums))
            bytes_kept = memory_of(program, given, labels, filled(points, size)) if job.count_bytes else 0
    finally:
        QUANTITIES.reset(token)
    arrays = iter([[device.given(s) for s in each] for each in sums])
    for cut, keys in layout.wrt.items():
        new = [next(arrays) for _ in keys]
        known = totals.get(cut)
        totals[cut] = [[a + b for a, b in zip(old, more, strict=True)] for old, more in zip(known, new, strict=True)] if known else new
    value = first_points(device.given(value), len(points.weights), 1)
    return Evidence(value, {}, {}, 1, 1, probed=counts.programs != before, bytes_kept=bytes_kept * job.points // size)


def filled(points: PathPoints, size: int) -> tuple[Any, ...]:
    """The starts, ends, positions and weights for a program of ``size`` points; those that fill it up have no weight."""
    more = size - len(points.weights)

    def whole(array: Array) -> Array:
        return padded(array, size) if len(array) == len(points.weights) > 1 else array

    position = None if points.position is None else np.pad(points.position, (0, more), mode="edge").astype(np.float64)
    weights = np.pad(points.weights, (0, more)).astype(np.float64)
    return tuple(whole(a) for a in points.starts), tuple(whole(a) for a in points.ends), position, weights


def memory_of(program: Any, *args: Any) -> int:
    """The bytes of a compiled program's values, 0 where they are not known. It is compiled already."""
    try:
        found = program.lower(*args).compile().memory_analysis()
    except Exception:  # what the compiler reports differs between versions and devices
        return 0
    return int(getattr(found, "temp_size_in_bytes", 0) or 0)


def summing(squares: bool, by_distance: bool, program: Program) -> Any:
    """The function of a form that returns the quantities and the weighted sums, ``[records, ...]`` for each array and quantity."""

    def run(given: Arguments, labels: Any, path: tuple[Any, ...]) -> tuple[Any, list[list[Any]]]:
        starts, ends, position, weights = path
        points = PathPoints(starts, ends, position, weights, squares, by_distance)
        value, _, grads = program.fused(given._replace(writes=points.values(xp, program.form.records)), labels)
        return value, [weighted(g, points.weights) for g in points.scaled(grads)]

    return run


def weighted(grads: Any, weights: Any) -> list[Any]:
    """The weighted sums over the points of ``[quantities, points, records, ...]``, one for each quantity."""
    kind = jnp.promote_types(grads.dtype, jnp.float32)
    sums = jnp.tensordot(weights.astype(kind), grads.astype(kind), ((0,), (1,)), precision=jax.lax.Precision.HIGHEST)
    return list(sums)
