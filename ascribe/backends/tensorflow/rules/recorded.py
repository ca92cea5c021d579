"""One recorded run of a model in one call: its values at cuts, the quantities, and a tape ready for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from ....arrays import Array
from ....cuts import Cut, each_of
from ....errors import CutError
from ....tape import Tape, Var
from ....tape.assignment import Assignment
from ....tape.preparation import prepare_tape
from ....tree import follow, replace_leaves
from ...protocol import Job, Reading
from ..axes import Axis
from ..context import Context
from ..demands import Demand, Read, Seen
from ..evaluate import OneRun, is_input
from ..namespace import xp
from ..quantities import evaluate_quantities
from ..record_axes import axes_of, axis_at
from ..runners import check_seen
from .interpret import entered
from .marks import Follow, Source, Target, WriteSource
from .observe import observed
from .record import Recorder
from .writers import WRITERS


@dataclass
class Recorded:
    """A run. ``out`` are the quantities on the tape, ``[quantities, rows]``.

    ``wrt`` has the values at the cuts that relevance is passed back to, each with the axis of its records; ``starts`` the numbers of the
    sources of the tape, one for each array that is written, None where the model does not use it.
    """

    tape: Tape
    value: np.ndarray
    out: Var
    rules: Assignment
    wrt: Mapping[Cut, list[tuple[Axis, Var]]]
    records: int
    reads: Mapping[Cut, Reading] = field(default_factory=dict)
    starts: Sequence[tuple[int, Axis]] = ()

    def canonical(self, axis: Axis, value: Array) -> np.ndarray:
        """A value in the model's own layout as ``[1 or records, ...]``."""
        rows: np.ndarray = axis.canonical(xp.numpy(value), 1, self.records, zero=True)[0]
        return rows


class RecordedRun(OneRun):
    """One run of the model under a recorder."""

    def __init__(self, ctx: Context, job: Job, rules: Assignment) -> None:
        super().__init__(ctx, job)
        self.rules = rules
        self.recorder = Recorder(WRITERS, entered)
        self.starts: list[Seen] = []

    def record(self) -> Recorded:
        """Runs the model and the quantities, and returns the tape."""
        job, ctx, recorder = self.job, self.ctx, self.recorder
        args, kwargs = self._sources(ctx.inputs.tensors(job.index, 1, self._at_input()))
        watches = self._make_demands((args, kwargs))
        inner: list[Demand] = [*self.writes, *watches, *self.reads.values()]
        follows = [Follow(Cut(layer, side), recorder=recorder) for layer in ctx.runner.layers() for side in SIDES]
        output = ctx.run(args, kwargs, [*inner, *follows], recorder)
        recorder.check()
        check_seen(inner)
        self._visit_ends(output, (args, kwargs))
        recorder.places.clear()
        recorder.close()
        reads = [self.reads[cut] for cut in each_of(job.on)] if job.on is not None else []
        for read in reads:
            axes_of(ctx, read.cut)  # may run the model, which is not to be recorded
        with observed(recorder):
            values = evaluate_quantities(ctx, job, reads)
            stacked = tf.stack([tf.convert_to_tensor(v) for v in values])
        recorder.check()
        wrt = {
            cut: [(self._axis(cut, i, path), recorder.value(t)) for i, (_, path, t) in enumerate(seen)] for cut, seen in self.wrt.items()
        }
        out = recorder.value(stacked)
        targets = [v for pairs in wrt.values() for _, v in pairs]
        if not isinstance(out, Var) or not all(isinstance(v, Var) for v in targets):
            raise without_path(job.wrt)
        settled = prepare_tape(recorder.tape, out, targets, self.rules)
        readings = {cut: self._given((args, kwargs), cut) if is_input(cut) else self._reading(self.reads[cut]) for cut in job.read}
        return Recorded(recorder.tape, xp.numpy(stacked), out, settled, wrt, job.records, readings, self._slots((args, kwargs)))

    def _visit_ends(self, output: Any, given: Any) -> None:
        """Passes the values at the input and at the output to the demands that read them."""
        for cut, read in self.reads.items():
            if not cut.layer and cut.anchor == "out":
                read.visit(0, output)
            elif is_input(cut):
                read.tree = given

    def _sources(self, tree: Any) -> Any:
        """The arguments, of which some start the tape.

        Requested layers start it by themselves, unless a rule looks at neighbouring operations: what it does at the inputs shall not
        depend on where the tape begins.
        """
        job, inputs = self.job, self.ctx.inputs
        if job.at is not None and job.spots:
            paths = [s.path for s in job.spots if is_input(s.cut)]
        else:
            paths = [path for cut in job.wrt if is_input(cut) for path in inputs.differentiable(cut)]
            if not paths and (self.rules.pages or self.rules.otherwise.merges):
                paths = inputs.floating
        return replace_leaves(tree, {path: self.recorder.source(follow(tree, path)) for path in dict.fromkeys(paths)})

    def _make_demands(self, tree: Any) -> list[Any]:
        """Demands at layers, in the order write, relevance, read."""
        job, recorder, demands = self.job, self.recorder, list[Demand]()
        self._make_writes()
        self.writes = [WriteSource(w.cut, values=w.values, kept=w.kept, recorder=recorder) for w in self.writes]
        starts: list[Demand] = [*self.writes]
        if not job.write and job.at is not None and job.spots:
            starts = [Source(cut, recorder=recorder) for cut in job.written_cuts if cut.layer]
            demands += starts
        seen = {demand.cut: demand.seen for demand in starts}
        for cut in job.wrt:
            if is_input(cut):
                self.wrt[cut] = [(0, path, follow(tree, path)) for path in self._paths(cut)]
            elif cut in seen:
                self.wrt[cut] = seen[cut]
            else:
                demands.append(Target(cut, recorder=recorder))
                self.wrt[cut] = demands[-1].seen
        self.begun = seen
        ons = each_of(job.on) if job.of is not None and job.on is not None else ()
        self.reads = {cut: Read(cut) for cut in (*job.read, *ons)}
        return demands

    def _slots(self, tree: Any) -> list[tuple[int, Axis]]:
        """The number of the source for each array of ``job.spots``, and the axis of its records."""
        job, found = self.job, list[tuple[int, Axis]]()
        for spot, number in zip(job.spots, job.array_numbers, strict=True) if job.at is not None else ():
            if is_input(spot.cut):
                tensor, axis = follow(tree, spot.path), self.ctx.inputs.axis_of(spot.path)
            else:
                tensor, axis = self.begun[spot.cut][number][2], axis_at(self.ctx, spot.cut, number)
            found.append((self.recorder.value(tensor).slot, axis))
        return found


SIDES: tuple[Any, ...] = ("in", "out")


def without_path(cuts: Sequence[Cut]) -> CutError:
    """The error for a quantity that does not depend on a cut."""
    there = "a cut that the quantity does not depend on, or NumPy or integers between the two"
    removal = "asc.FeatureAblation(by=asc.Replace(0.0))(model, x), which needs no gradient"
    return CutError(f"The quantity has no gradient at {', '.join(map(repr, cuts))}", found=there, advice=removal, code="E-CUT-GRADIENT")
