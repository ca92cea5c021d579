"""Recorded runs of a model: values written and read at cuts, and tapes ready for the backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ....cuts import INPUT, Cut
from ....errors import CutError
from ....rules import treats_operations
from ....tape import Tape, Var
from ....tape.assignment import Assignment
from ....tape.formulas.elementwise import RECTIFYING
from ....tape.gates import rank_values
from ....tape.regions import find_regions
from ....tree import Path
from ...protocol import ArrayAt, Job
from ..context import Context
from ..places import embeddings
from ..run.call import call_model, count_uses
from ..run.canonical import note_shapes, nothing_seen
from ..run.compare import close
from ..run.hooks import Demand, Read, Run
from ..run.quantities import evaluate_quantities
from ..run.single import run_single
from .motifs import recognise_motifs
from .recorder import Recorder
from .retention import reading
from .unfuse import unfused

Tensor = torch.Tensor


@dataclass
class TapedWrite(Demand):
    """Writes a copy of the value, or another value, at a cut and registers it on the tape; ``source`` if the tape starts here."""

    recorder: Recorder = field(default_factory=Recorder)
    source: bool = False
    values: Sequence[Tensor] | None = None
    vars: list[Var] = field(default_factory=list)

    def handle(self, call: int, path: Path, leaf: Tensor) -> Tensor:
        if not self.source:
            new, var = self.recorder.mark(leaf)
        else:
            with self.recorder.paused():
                new = leaf.clone() if self.values is None else self.values[len(self.vars)].clone()
            var = self.recorder.source(new)
        self.seen.append((call, path, new))
        self.vars.append(var)
        return new

    def written(self) -> bool:
        """True if a later operation wrote to it in place."""
        return any(t._version > 0 for _, _, t in self.seen)


@dataclass
class Recorded:
    """One recorded run: its tape, its demands, and the value read at the quantity's cut."""

    job: Job
    tape: Tape
    recorder: Recorder
    demands: dict[tuple[str, Cut], Demand]
    value: Tensor | None = None
    out: Var | None = None
    rules: Assignment | None = None

    @property
    def read(self) -> Read:
        found = self.demands["on", self.job.on]  # type: ignore[index]
        assert isinstance(found, Read)
        return found

    def targets(self, cut: Cut) -> list[Var]:
        """The values on the tape at a cut."""
        if cut == self.job.at and not cut.layer:
            return self.tape.sources[: len(self.job.spots)]  # a place that does not depend on these is a source too
        found = self.demands["place", cut]
        assert isinstance(found, TapedWrite)
        return found.vars


def record_run(ctx: Context, tapes: list[Tape], job: Job, values: Sequence[Tensor] | None, like: Recorded | None = None) -> Recorded:
    """Runs the model on the records of a job, or with other values at its cut; ``like`` is a run that it stops as early as."""
    assert treats_operations(job.by)
    recorder = Recorder(reading(job.by))
    tapes.append(recorder.tape)
    demands = demands_of(ctx, job, values, recorder, like)
    found = Recorded(job, recorder.tape, recorder, demands)
    args, kwargs = register_inputs(ctx, job, values, found)
    run = Run(ctx.layers, list(demands.values()), stop=True)
    trail = recorder.trail.kept(ctx.layers if like is None else None, run)
    with torch.no_grad(), unfused(ctx.host), trail, recorder:
        output = call_model(ctx, run, args, kwargs)
        recognise_motifs(recorder.tape)
        recorder.tape.close()
        for (_, cut), demand in demands.items():
            if cut.layer and not demand.seen:
                raise nothing_seen(demand)
            if not cut.layer and cut.anchor == "out":
                demand.visit(0, output)
        if like is None:
            count_uses(ctx, run)
            note_shapes(ctx, demands.values(), job.records)
            assert job.of is not None and job.on is not None
            found.value = evaluate_quantities(ctx, job.of, [found.read], job.rows)
    if found.value is not None:
        found.out = recorder.read(found.value)
        if found.out is not None:
            recorder.hold(found.out, found.value)
    return found


def demands_of(
    ctx: Context, job: Job, values: Sequence[Tensor] | None, recorder: Recorder, like: Recorded | None
) -> dict[tuple[str, Cut], Demand]:
    """The demands of a job by cut. Raises CutError for a cut before the one of the references."""
    assert job.on is not None
    demands: dict[tuple[str, Cut], Demand] = {}

    def last(key: tuple[str, Cut]) -> int | None:
        return like.demands[key].last if like is not None else ctx.last_use(key[1])

    for cut in dict.fromkeys((*([job.at] if job.at is not None else []), *job.wrt)):
        if cut.layer:
            own = values if cut == job.at else None
            demands["place", cut] = TapedWrite(cut, last(("place", cut)), recorder=recorder, source=cut == job.at, values=own)
        elif cut != job.at:
            problem, there = "A rule with references cannot explain a cut before the references", f"at={cut!r}, references at {job.at!r}"
            raise CutError(problem, found=there, advice="over=asc.Reference(0.0), references at the input", code="E-CUT-BEFORE")
    for cut in job.read if like is None else ():
        demands["read", cut] = Read(cut, last(("read", cut)))
    demands["on", job.on] = Read(job.on, last(("on", job.on)), live=True)
    return demands


def register_inputs(ctx: Context, job: Job, values: Sequence[Tensor] | None, run: Recorded) -> tuple[Any, Any]:
    """The model's arguments for a recorded run; the inputs being explained are registered on the tape."""
    news = {}
    if job.at is not None and not job.at.layer:
        rows = values if values is not None else [ctx.inputs.own_rows(s.path, job.index) for s in job.spots]
        news = {s.path: t.clone() for s, t in zip(job.spots, rows, strict=True)}
    args, kwargs = ctx.inputs.rows(job.index, 1, news)
    for t in news.values():
        run.recorder.source(t)
    for (_, cut), demand in run.demands.items():
        if isinstance(demand, Read) and not cut.layer and cut.anchor == "in":
            demand.seen = [(0, p, t.clone()) for p, t in news.items() if p in ctx.inputs.paths_at(cut)]
            demand.tree = (args, kwargs)
    return args, kwargs


def record_records(ctx: Context, tapes: list[Tape], job: Job, values: Sequence[Tensor] | None, rules: Assignment) -> Recorded:
    """The run of the records, ready for the backward pass: regions found, rules assigned, values ranked."""
    found = record_run(ctx, tapes, job, values)
    find_regions(found.tape, any(t.regions in RECTIFYING for t in (rules.otherwise, *rules.pages)))
    assert treats_operations(job.by)
    targets = [var for cut in job.wrt for var in found.targets(cut)]
    found.rules = settled = rules.settle(found.tape, found.out)
    rank_values(found.tape, targets, job.by, lambda entry: settled.of(entry).rule)
    for var in targets:
        var.kept = True
    placed = [d for d in found.demands.values() if isinstance(d, TapedWrite)]
    if any(d.written() for d in placed):
        at, spots = (job.at, job.spots) if job.write else (None, ())  # those of the references
        plain = run_single(ctx, replace(job, at=at, spots=spots, wrt=(), by=None, reference=(), points=1))
        assert plain.value is not None and found.value is not None
        if not close(plain.value[:, 0], found.value.detach()):
            raise CutError(
                "A cut cannot be explained if its value is changed in place and another branch uses the changed value",
                found=f"an operation that works in place on the value at {', '.join(map(repr, job.wrt))}",
                advice="the cut where that value is computed, or inplace=False in the layers of the model",
                code="E-CUT-ALIAS",
            )
    return found


def start_at_inputs(ctx: Context, job: Job, rules: Assignment) -> Job:
    """A job without points with the requested inputs as its cut; at layers the tape starts by itself.

    Under rules that look beside an operation it starts at the inputs for layers too: what they do there shall not depend on where
    the tape begins.
    """
    if job.at is not None:
        return job
    cut = next((c for c in job.wrt if not c.layer), None)
    if cut is None and (rules.pages or rules.otherwise.merges):
        cut = starting_cut(ctx)
    if cut is None:
        return job
    spots = () if cut.layer else tuple(ArrayAt(cut, 0, path, ctx.inputs.axis(path).canonical_axis) for path in ctx.inputs.paths_at(cut))
    return replace(job, at=cut, spots=spots)


def starting_cut(ctx: Context) -> Cut | None:
    """The inputs, or the embeddings of token ids; None where neither can be found."""
    if ctx.inputs.explained:
        return INPUT
    known = ctx.facts.shapes.beginning
    if known is None:
        try:
            known = (embeddings(ctx),)
        except CutError:
            known = (None,)
        ctx.facts.shapes.beginning = known
    return known[0]
