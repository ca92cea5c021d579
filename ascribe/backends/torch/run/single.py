"""One run of a PyTorch model: what is written and read where, and the gradient of the quantity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ....cuts import Cut, each_of
from ....errors import CutError, ModelError, QuantityError
from ....tree import Path, follow
from ...protocol import Evidence, Job
from ..context import Context
from .call import call_model, count_uses
from .canonical import gradients, natives, note_shapes, nothing_seen, reading
from .compare import close
from .gradients import differentiate
from .hooks import Demand, Read, Run, SeenArrays, Watch, Write
from .quantities import evaluate_quantities

Tensor = torch.Tensor
SINGLE, EXPAND = "single", "expand"


class SingleRun:
    """One run: arguments and demands made, the model run, gradients taken, everything brought to canonical form.

    ``mode`` is EXPAND where the model runs on the records once and the write puts the rows of all points in their place. ``cloned`` lets
    copies go on from the cuts, where the model later changes values in place.
    """

    def __init__(self, ctx: Context, job: Job, mode: str, cloned: bool) -> None:
        self.ctx, self.job, self.cloned = ctx, job, cloned
        self.points = 1 if mode == EXPAND else job.points
        self.write: list[Write] = []
        self.wrt: dict[Cut, SeenArrays] = {}
        self.watches: list[Watch] = []
        self.reads: dict[Cut, Read] = {}
        self.written: list[Tensor] = []

    def run(self) -> Evidence:
        """Run the model, and give what the job asks for."""
        job, ctx = self.job, self.ctx
        if job.write:
            self.written = [self._owned(w) for w in natives(ctx, job, job.write) if w is not None]
        with ctx.graphs(job.wrt):
            args, kwargs = ctx.inputs.rows(job.index, self.points, self._at_input())
            self._make_demands()
            self._read_arguments((args, kwargs))
            demands: list[Demand] = [*self.write, *self.watches, *self.reads.values()]
            if job.of is None and self.reads and all(not d.cut.layer and d.cut.anchor == "in" for d in demands):
                return Evidence(None, {}, self._readings())
            run = Run(ctx.layers, demands, stop=True)
            output = call_model(ctx, run, args, kwargs)
            if run.inside:
                for demand in demands:
                    if demand.cut.layer and not demand.seen:
                        raise nothing_seen(demand)
                count_uses(ctx, run)
            for cut, read in self.reads.items():
                if not cut.layer and cut.anchor == "out":
                    read.visit(0, output)
            if job.points == 1:
                note_shapes(ctx, demands, job.records)
            return self._evidence()

    def moved(self) -> bool:
        """True if the model later changed a value in place that gradients are taken at."""
        return any(watch.moved() for watch in self.watches)

    def _owned(self, value: Tensor) -> Tensor:
        leaf = value.detach()
        if self.job.wrt or self.job.owns_write:
            return leaf.requires_grad_(bool(self.job.wrt))
        return leaf.clone()  # a model that works in place must not reach the caller's

    def _at_input(self) -> dict[Path, Tensor]:
        """Values for the model's arguments: written ones, and records to be differentiated."""
        job, inputs = self.job, self.ctx.inputs
        leaves: dict[Path, Tensor] = {}
        if self.written:
            leaves = {s.path: t for s, t in zip(job.spots, self.written, strict=True) if not s.cut.layer}
        for cut in job.wrt:
            if not cut.layer and cut.anchor == "in" and cut != job.at:
                seen: SeenArrays = []
                for path in inputs.paths_at(cut):
                    if path not in leaves:
                        leaves[path] = inputs.repeated(path, inputs.own_rows(path, job.index), self.points).requires_grad_()
                    seen.append((0, path, leaves[path]))
                self.wrt[cut] = seen
        return {path: leaf.clone() for path, leaf in leaves.items()} if self.cloned else leaves

    def _make_demands(self) -> None:
        """Demands at layers, in the order write, gradient, read: later ones see the values of earlier ones."""
        job, last_use = self.job, self.ctx.last_use
        if self.written:
            self._make_writes()
        for cut in job.wrt:
            if cut == job.at:
                self.wrt[cut] = [(s.call, s.path, t) for s, t in zip(job.spots, self.written, strict=True)]
            elif cut.layer:
                watch = Watch(cut, last_use(cut), cloned=self.cloned)
                self.watches.append(watch)
                self.wrt[cut] = watch.seen
        ons = each_of(job.on) if job.of is not None and job.on is not None else ()
        for cut in (*job.read, *ons):
            if cut not in self.reads:
                self.reads[cut] = Read(cut, last_use(cut), live=cut not in job.read or (cut in ons and bool(job.wrt)))

    def _make_writes(self) -> None:
        job, ctx = self.job, self.ctx
        kept: list[Tensor | None] = []
        for cut in job.written_cuts:
            if cut.layer:
                kept = kept or natives(ctx, job, job.shares_kept)
                mine = [k for k, spot in enumerate(job.spots) if spot.cut == cut]
                values, shares = [self.written[k] for k in mine], [kept[k] for k in mine]
                write = Write(cut, ctx.last_use(cut), values=values, kept=shares, cloned=self.cloned, through=ctx.differentiates)
                self.write.append(write)

    def _read_arguments(self, tree: Any) -> None:
        for cut, read in self.reads.items():
            if not cut.layer and cut.anchor == "in":
                paths = self.ctx.inputs.paths_at(cut, not self.job.wrt)
                read.seen, read.tree = [(0, path, follow(tree, path).detach().clone()) for path in paths], tree

    def _readings(self) -> dict[Cut, Any]:
        return {cut: reading(self.ctx, self.job, cut, self.reads[cut].seen) for cut in self.job.read}

    def _evidence(self) -> Evidence:
        job = self.job
        if job.of is None:
            return Evidence(None, {}, self._readings(), forward=1)
        assert job.on is not None
        reads = [self.reads[job.on]] if job.on in self.reads else [self.reads[cut] for cut in each_of(job.on)]
        value = evaluate_quantities(self.ctx, job.of, reads, job.rows)
        grads = self._gradients(value) if job.wrt else {}
        value = value.detach().reshape(len(value), job.points, job.records)
        return Evidence(value, grads, self._readings() if job.read else {}, forward=1, backward=int(bool(grads)))

    def _gradients(self, value: Tensor) -> dict[Cut, list[Tensor]]:
        """Gradients of each quantity's sum over the rows: rows do not meet in it, so each gets its own."""
        job = self.job
        leaves = [t for cut in job.wrt for _, _, t in self.wrt[cut]]
        if not value.is_floating_point():
            raise QuantityError(
                "The quantity is an integer, which has no gradient",
                found=f"a quantity of type {value.dtype}",
                advice="of= a function that returns scores or probabilities",
                code="E-QUANTITY-INTEGER",
            )
        rest = differentiate(self.ctx, value, leaves, job.wrt)
        grads: dict[Cut, list[Tensor]] = {}
        for cut in job.wrt:
            seen = self.wrt[cut]
            grads[cut], rest = gradients(self.ctx, job, cut, seen, rest[: len(seen)]), rest[len(seen) :]
        return grads


def run_once(ctx: Context, job: Job, mode: str) -> Evidence:
    """One run of the model, with cuts kept apart from later in-place work where the model does some.

    Raises CutError where a value that is changed in place is read by another branch too.
    """
    cloned = bool(ctx.facts.shapes.clones) and (job.at, job.wrt) in ctx.facts.shapes.clones
    try:
        run = SingleRun(ctx, job, mode, cloned)
        evidence = run.run()
    except RuntimeError as wrong:
        if cloned or "in-place operation" not in str(wrong):
            raise
        evidence, run = None, None
    if run is not None and evidence is not None and not (run.watches and run.moved()):
        return evidence
    plain = evidence if evidence is not None else SingleRun(ctx, replace(job, wrt=()), mode, False).run()
    evidence = SingleRun(ctx, job, mode, True).run()
    if plain.value is not None and evidence.value is not None and not close(plain.value, evidence.value):
        raise CutError(
            "A cut cannot be explained if its value is changed in place and another branch uses the changed value",
            found=f"an operation that works in place on the value at {', '.join(map(repr, job.wrt))}",
            advice="the cut where that value is computed, or inplace=False in the layers of the model",
            code="E-CUT-ALIAS",
        )
    ctx.facts.shapes.clones[job.at, job.wrt] = True
    return evidence


def run_single(ctx: Context, job: Job, mode: str = SINGLE) -> Evidence:
    """One run of the model, with gradients inside where it takes some itself.

    Once more where it wrote to its weights in another run, before the gradient was taken: by then all is known that took that run.
    """
    try:
        return run_once(ctx, job, mode)
    except ModelError as wrong:
        if not ctx.needs_graph(wrong) and "modified by an inplace operation" not in str(wrong):
            raise
    return run_once(ctx, job, mode)
