"""One recorded run of a model in one call: its values at cuts, the quantities, and a tape ready for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from ....cuts import Cut
from ....errors import CutError
from ....tape import Tape, Var
from ....tape.assignment import Assignment
from ....tape.preparation import prepare_tape
from ....tree import follow
from ..interpret import Key
from .forms import Plan, Quantity, RuleArguments
from .record import Recorder
from .values import plain

Array = Any


@dataclass
class Recorded:
    """A run. ``out`` are the quantities on the tape, ``[quantities, rows]``; ``starts`` has the number of each source by its key."""

    tape: Tape
    out: Var
    rules: Assignment
    wrt: list[list[tuple[Key, Var]]]
    reads: list[list[Array]]
    """The values read at each cut, ``[1, records, ...]``."""
    starts: Mapping[Key, int] = field(default_factory=dict)


def record_run(plan: Plan, given: RuleArguments, quantity: Quantity, rules: Assignment) -> Recorded:
    """The run of the records at one point, with its rules assigned."""
    form, trace = plan.form, plan.trace
    asked = [key for keys in (*form.read, form.keys_on) for key in keys]
    targets = frozenset(k for keys in form.wrt for k in keys)
    recorder = Recorder(starting_at(plan, given, rules), targets, frozenset(asked))
    leaves = [recorder.at(Key("", "in", 0, path), leaf) for path, leaf in zip(trace.paths, given.leaves, strict=True)]
    results = recorder.run(trace.jaxpr, given.consts, [*jax.tree.leaves(given.weights), *leaves])
    output = trace.form.filled(results)
    recorder.values.update({key: follow(output, key.path) for key in asked if not key.layer and key.anchor == "out"})
    recorder.tape.close()
    out = read_quantities(recorder, plan, given, quantity)
    pairs = [[(key, recorder.values.get(key)) for key in keys] for keys in form.wrt]
    if not isinstance(out, Var) or not all(isinstance(v, Var) for cut in pairs for _, v in cut):
        raise WithoutPath
    wrt = [[(key, v) for key, v in cut if isinstance(v, Var)] for cut in pairs]
    settled = prepare_tape(recorder.tape, out, [v for cut in wrt for _, v in cut], rules)
    starts = {key: v.slot for key, v in recorder.values.items() if isinstance(v, Var) and v.entry is None}
    reads = [[plan.canonical(key, plain(recorder.values[key]))[None] for key in keys] for keys in form.read]
    return Recorded(recorder.tape, out, settled, wrt, reads, starts)


def starting_at(plan: Plan, given: RuleArguments, rules: Assignment) -> dict[Key, Array | None]:
    """Where the tape starts, and the values there: the cut that is written at, or the inputs.

    Requested layers start it by themselves, unless a rule looks at neighbouring operations: what it does at the inputs shall not depend
    on where the tape begins.
    """
    form = plan.form
    if form.starts and form.spots:
        values = given.writes if form.written else (None,) * len(form.spots)
        return {k: None if v is None else plan.native(k, v) for k, v in zip(form.spots, values, strict=True)}
    starts = [key for keys in form.wrt for key in keys if not key.layer]
    if not starts and (rules.pages or rules.otherwise.merges):
        starts = list(plan.explained)
    return dict.fromkeys(starts)


def read_quantities(recorder: Recorder, plan: Plan, given: RuleArguments, quantity: Quantity) -> Any:
    """The quantities of the run on the tape, ``[quantities, rows]``."""
    values = [recorder.values[key] for key in plan.form.keys_on]

    def numbers(labels: Any, *arrays: Array) -> Array:
        return quantity.numbers(labels, plan.rows(arrays))

    closed = jax.make_jaxpr(numbers)(given.labels, *map(plain, values))
    (out,) = recorder.run(closed.jaxpr, closed.consts, [*jax.tree.leaves(given.labels), *values])
    return out


class WithoutPath(Exception):
    """The quantity does not depend on a cut."""


def without_path(cuts: Sequence[Cut]) -> CutError:
    """The error for a quantity that does not depend on a cut."""
    there = "a cut that the quantity does not depend on, or integers between the two"
    removal = "asc.FeatureAblation(by=asc.Replace(0.0))(model, x), which needs no gradient"
    return CutError(f"The quantity has no gradient at {', '.join(map(repr, cuts))}", found=there, advice=removal, code="E-CUT-GRADIENT")
