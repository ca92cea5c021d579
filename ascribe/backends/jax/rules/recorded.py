"""One recorded run of a model in one call: its values at cuts, the quantities, and a tape ready for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from ....cuts import Cut, each_of
from ....errors import CutError
from ....tape import Tape, Var
from ....tape.assignment import Assignment
from ....tape.preparation import prepare_tape
from ....tree import follow
from ...protocol import ArrayAt, Job, Reading
from ..evaluate import on_cut
from ..interpret import Key
from ..programs import On, trees
from ..quantities import evaluate_outside, numbers_of
from ..spots import Spots
from ..traces import Trace
from .record import Recorder
from .values import plain

Array = Any


@dataclass
class Recorded:
    """A run. ``out`` are the quantities on the tape, ``[quantities, rows]``; ``starts`` has the number of each source by its key."""

    spots: Spots
    trace: Trace
    tape: Tape
    value: Array
    out: Var
    rules: Assignment
    wrt: Mapping[Cut, list[tuple[Key, Var]]]
    reads: Mapping[Cut, Reading] = field(default_factory=dict)
    starts: Mapping[Key, int] = field(default_factory=dict)

    def canonical(self, key: Key, value: Array) -> Array:
        """A value in the model's own layout as ``[1 or records, ...]``."""
        axis = self.spots.axis(key)
        return jnp.expand_dims(value, 0) if axis is None else jnp.moveaxis(value, axis, 0)


def native(spots: Spots, key: Key, value: Array, records: int) -> Array:
    """A value ``[1 or records, ...]`` in the model's own layout."""
    axis = spots.axis(key)
    if axis is None:
        return value[0]
    return jnp.moveaxis(jnp.broadcast_to(value, (records, *value.shape[1:])), 0, axis)


def key_at(spot: ArrayAt) -> Key:
    """The key of an array at a cut."""
    return Key(spot.cut.layer, spot.cut.anchor, spot.call, spot.path)


def record_run(spots: Spots, job: Job, rules: Assignment) -> Recorded:
    """The run of the records at one point, with its rules assigned."""
    bound = spots.bound(job.records)
    trace = bound.trace
    wrt = {cut: spots.keys(cut, trace) for cut in job.wrt}
    reads = {cut: spots.keys(cut, trace) for cut in job.read}
    assert job.on is not None
    on = tuple(on_cut(spots, trace, cut) for cut in each_of(job.on))
    asked = [key for keys in (*reads.values(), *(group.keys for group in on)) for key in keys]
    recorder = Recorder(starting_at(spots, job, wrt, rules), frozenset(k for ks in wrt.values() for k in ks), frozenset(asked))
    leaves = [recorder.at(Key("", "in", 0, path), leaf) for path, leaf in zip(trace.paths, spots.inputs.rows(job.index), strict=True)]
    results = recorder.run(trace.jaxpr, bound.consts, [*jax.tree.leaves(spots.model.weights), *leaves])
    output = jax.tree.unflatten(jax.tree.structure(trace.output), results)
    recorder.values.update({key: follow(output, key.path) for key in asked if not key.layer and key.anchor == "out"})
    recorder.tape.close()
    value, out = read_quantities(recorder, spots, job, on, trace)
    targets = {cut: [(key, recorder.values.get(key)) for key in keys] for cut, keys in wrt.items()}
    if not isinstance(out, Var) or not all(isinstance(v, Var) for pairs in targets.values() for _, v in pairs):
        raise without_path(job.wrt)
    found = {cut: [(key, v) for key, v in pairs if isinstance(v, Var)] for cut, pairs in targets.items()}
    settled = prepare_tape(recorder.tape, out, [v for pairs in found.values() for _, v in pairs], rules)
    starts = {key: v.slot for key, v in recorder.values.items() if isinstance(v, Var) and v.entry is None}
    readings = {cut: read_at(spots, cut, keys, recorder) for cut, keys in reads.items()}
    return Recorded(spots, trace, recorder.tape, value, out, settled, found, readings, starts)


def starting_at(spots: Spots, job: Job, wrt: Mapping[Cut, tuple[Key, ...]], rules: Assignment) -> dict[Key, Array | None]:
    """Where the tape starts, and the values there: the cut that is written at, or the inputs.

    Requested layers start it by themselves, unless a rule looks at neighbouring operations: what it does at the inputs shall not depend
    on where the tape begins.
    """
    if job.at is not None and job.spots:
        values = [w[0] for w in job.write] if job.write else [None] * len(job.spots)
        keys = [key_at(spot) for spot in job.spots]
        return {k: None if v is None else native(spots, k, v, job.records) for k, v in zip(keys, values, strict=True)}
    starts = [key for keys in wrt.values() for key in keys if not key.layer]
    if not starts and (rules.pages or rules.otherwise.merges):
        starts = [Key("", "in", 0, path) for path in spots.inputs.explained]
    return dict.fromkeys(starts)


def read_quantities(recorder: Recorder, spots: Spots, job: Job, on: Sequence[On], trace: Trace) -> tuple[Array, Any]:
    """The quantities of the run, ``[quantities, rows]``, and their value on the tape."""
    keys = [key for group in on for key in group.keys]
    values = [recorder.values[key] for key in keys]
    of, rows = job.of, job.rows
    assert of is not None

    def in_rows(arrays: Sequence[Array]) -> Any:
        """The value at the quantities' cuts with the records first."""
        wide = []
        for key, a in zip(keys, arrays, strict=True):
            axis = spots.axis(key)
            wide.append(jnp.moveaxis(a, axis, 0) if axis is not None else jnp.broadcast_to(a, (job.records, *a.shape)))
        return trees(on, wide, trace)

    held = [plain(v) for v in values]
    value = evaluate_outside(of, in_rows(held), rows)
    closed = jax.make_jaxpr(lambda *arrays: numbers_of(of(in_rows(arrays), rows), len(rows)))(*held)
    (out,) = recorder.run(closed.jaxpr, closed.consts, values)
    return value, out


def read_at(spots: Spots, cut: Cut, keys: Sequence[Key], recorder: Recorder) -> Reading:
    """The values at a cut, ``[1, records, ...]``."""
    reading = Reading()
    for key in keys:
        axis, value = spots.axis(key), plain(recorder.values[key])
        reading.spots.append(ArrayAt(cut, key.call, key.path, axis))
        reading.arrays.append((jnp.expand_dims(value, 0) if axis is None else jnp.moveaxis(value, axis, 0))[None])
    return reading


def without_path(cuts: Sequence[Cut]) -> CutError:
    """The error for a quantity that does not depend on a cut."""
    there = "a cut that the quantity does not depend on, or integers between the two"
    removal = "asc.FeatureAblation(by=asc.Replace(0.0))(model, x), which needs no gradient"
    return CutError(f"The quantity has no gradient at {', '.join(map(repr, cuts))}", found=there, advice=removal, code="E-CUT-GRADIENT")
