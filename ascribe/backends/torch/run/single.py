"""One run of a PyTorch model: what is written and read where, and the quantity pulled back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ....cuts import OUTPUT, Cut, each_of
from ....errors import CutError, ModelError, QuantityError
from ....tree import Path, follow
from ...protocol import ArrayAt, Evidence, Job, Reading
from ..context import Context
from .axes import Axis
from .call import call_model, count_uses
from .compare import close
from .gradients import differentiated
from .hooks import Demand, Read, Run, Watch, Write
from .quantities import explained_rows
from .record_axes import axis_of, note

Tensor = torch.Tensor
SINGLE = "single"


@dataclass
class Work:
    """One run: arguments and demands made, the model run, the quantity pulled back, everything brought to canonical form."""

    ctx: Context
    job: Job
    mode: str
    cloned: bool
    demands: dict[tuple[str, Cut], Demand] = field(default_factory=dict)
    written: list[Tensor] = field(default_factory=list)
    kept: list[Tensor | None] = field(default_factory=list)

    def go(self) -> Evidence:
        job, ctx = self.job, self.ctx
        points = 1 if self.mode == "expand" else job.points
        self.written = [self._owned(w) for w in natives(ctx, job, job.write)]
        self.kept = natives(ctx, job, job.kept)
        with ctx.graphs(job.wrt):
            news = self._at_input(points)
            self._at_layers()
            args, kwargs = ctx.inputs.rows(job.index, points, news)
            self._seen_at_input((args, kwargs))
            run = Run(ctx.host, list(self.demands.values()), stop=True)
            if job.of is None and self.demands and all(not c.layer and c.anchor == "in" for _, c in self.demands):
                return Evidence(None, {}, {cut: self._reading(cut, self.demands["read", cut].seen) for cut in job.read})
            output = call_model(ctx, run, args, kwargs)
            for demand in run.demands:
                if demand.cut.layer and not demand.seen:
                    raise nothing_seen(demand)
            if run.inside:
                count_uses(ctx, run)
            self._seen_at_output(output)
            return self._evidence(output)

    def moved(self) -> bool:
        return any(d.moved() for d in self.demands.values() if isinstance(d, Watch))

    def _owned(self, value: Tensor) -> Tensor:
        leaf = value.detach()
        if self.job.wrt or self.job.owns_write:
            return leaf.requires_grad_(bool(self.job.wrt))
        return leaf.clone()  # a model that works in place must not reach the caller's

    def _at_input(self, points: int) -> dict[Path, Tensor]:
        """Values for the model's arguments: written ones, and records to be differentiated."""
        job, ctx = self.job, self.ctx
        leaves = {s.path: t for s, t in zip(job.spots, self.written, strict=True) if not s.cut.layer}
        for cut in job.wrt:
            if not cut.layer and cut.anchor == "in" and cut != job.at:
                demand = self.demands.setdefault(("wrt", cut), Demand(cut))
                for path in ctx.inputs.paths_at(cut):
                    if path not in leaves:
                        rows = ctx.inputs.own_rows(path, job.index)
                        leaves[path] = ctx.inputs.repeated(path, rows, points).requires_grad_()
                    demand.seen.append((0, path, leaves[path]))
        return {path: leaf.clone() if self.cloned else leaf for path, leaf in leaves.items()}

    def _at_layers(self) -> None:
        """Demands for hooks, in the order write, wrt, read: later ones see what earlier ones put in the place."""
        job, last, inner = self.job, self.ctx.last_use, self.ctx.differentiates
        for cut in job.places:
            if cut.layer:
                mine = [k for k, spot in enumerate(job.spots) if spot.cut == cut]
                values, kept = [self.written[k] for k in mine], [self.kept[k] for k in mine]
                self.demands["write", cut] = Write(cut, last(cut), values=values, kept=kept, cloned=self.cloned, through=inner)
        for cut in job.wrt:
            if cut.layer and cut != job.at:
                self.demands["wrt", cut] = Watch(cut, last(cut), cloned=self.cloned)
        ons = each_of(job.on) if job.of is not None and job.on is not None else ()
        for cut in dict.fromkeys((*job.read, *ons)):
            live = cut not in job.read or (cut in ons and bool(job.wrt))
            self.demands["read", cut] = Read(cut, last(cut), live=live)

    def _seen_at_input(self, tree: Any) -> None:
        for (_, cut), demand in self.demands.items():
            if isinstance(demand, Read) and not cut.layer and cut.anchor == "in":
                demand.seen = [(0, path, follow(tree, path).detach().clone()) for path in self.ctx.inputs.paths_at(cut, not self.job.wrt)]
                demand.tree = tree

    def _seen_at_output(self, output: Any) -> None:
        for (_, cut), demand in self.demands.items():
            if not cut.layer and cut.anchor == "out":
                demand.visit(0, output)

    def _evidence(self, output: Any) -> Evidence:
        job = self.job
        value, grads = None, {}
        if job.points == 1:
            noted(self.ctx, self.demands, job.records)
        if job.of is not None:
            assert job.on is not None
            value = self._explained()
            if job.wrt:
                grads = self._pulled(value)
        reads = {cut: self._reading(cut, self.demands["read", cut].seen) for cut in job.read}
        if value is not None:
            value = value.detach().reshape(len(value), job.points, job.records)
        return Evidence(value, grads, reads, forward=1, backward=int(bool(grads)))

    def _explained(self) -> Tensor:
        """The quantities, ``[quantities, rows]``."""
        job = self.job
        assert job.of is not None and job.on is not None
        reads = [self.demands["read", cut] for cut in each_of(job.on)]
        return explained_rows(self.ctx, job.of, [read for read in reads if isinstance(read, Read)], job.rows)

    def _targets(self) -> list[tuple[Cut, list[tuple[int, Path, Tensor]]]]:
        targets = []
        for cut in self.job.wrt:
            if cut == self.job.at:
                seen = [(s.call, s.path, t) for s, t in zip(self.job.spots, self.written, strict=True)]
            else:
                seen = self.demands["wrt", cut].seen
            targets.append((cut, seen))
        return targets

    def _pulled(self, value: Tensor) -> dict[Cut, list[Tensor]]:
        """Gradients of each quantity's sum over the rows: rows do not meet in it, so each gets its own."""
        targets = self._targets()
        leaves = [t for _, seen in targets for _, _, t in seen]
        if not value.is_floating_point():
            raise QuantityError(
                f"the quantity is of type {value.dtype}", try_="scores: whole numbers have no gradient", code="E-QUANTITY-INTEGER"
            )
        found = differentiated(self.ctx, value, leaves, self.job.wrt)
        grads: dict[Cut, list[Tensor]] = {}
        for cut, seen in targets:
            mine, found = found[: len(seen)], found[len(seen) :]
            grads[cut] = [
                self._canonical(g, axis_of(self.ctx, cut, i, path), cut, path, 1)
                for i, (g, (_, path, _)) in enumerate(zip(mine, seen, strict=True))
            ]
        return grads

    def _reading(self, cut: Cut, seen: list[tuple[int, Path, Tensor]]) -> Reading:
        """What a cut held. Of an output that a quantity is read from, only the parts that have a row for each record."""
        reading, beside, records = Reading(), cut == OUTPUT and self.job.of is not None, self.job.records
        for i, (call, path, leaf) in enumerate(seen):
            axis = axis_of(self.ctx, cut, i, path)
            plain = axis.plain and leaf.ndim > 0 and leaf.shape[0] == records
            if beside and not plain and not self._fits(axis, leaf, 0):
                continue
            reading.spots.append(ArrayAt(cut, call, path, axis.told))
            reading.arrays.append(leaf.detach().unsqueeze(0) if plain else self._canonical(leaf.detach(), axis, cut, path, 0))
        return reading

    def _fits(self, axis: Axis, array: Tensor, lead: int) -> bool:
        """Whether an array has a row for each record, at one point or at all of them."""
        if axis.at is None:
            return False
        rows = array.shape[lead] if axis.plain and array.ndim > lead else axis.count(array, lead)
        return rows is None or rows == self.job.records or rows == self.job.records * self.job.points

    def _canonical(self, array: Tensor, axis: Axis, cut: Cut, path: Path, lead: int) -> Tensor:
        """``[lead..., the layer's own layout]`` to ``[lead..., points, records, ...]``. Raises CutError for other rows than records."""
        job = self.job
        if axis.plain and array.ndim > lead and array.shape[lead] == job.records:
            return array.unsqueeze(lead)
        lost = axis.at is None and self.ctx.inputs.counted.rows is not None
        if lost or (axis.at is not None and not self._fits(axis, array, lead)):
            raise other_rows(self.ctx, cut, path, tuple(array.shape[lead:]), job.records)
        return axis.canonical(array, lead, job.points, job.records, bool(lead))


def other_rows(ctx: Context, cut: Cut, path: Path, shape: tuple[int, ...], records: int) -> CutError:
    """Why an array at a cut cannot be given to records."""
    part = "" if cut.accessor is not None or not path else f", part {'.'.join(map(str, path))!r}"
    place = "a layer around it whose value has one row per record"
    if not cut.layer and path:
        place = "a part that has: OUTPUT.at(...), as on= of the quantity or as at="
    if (rows := ctx.inputs.counted.rows) is not None:
        there = f"records= for {len(rows)} rows of {records} records"
        return CutError(f"{cut!r}{part} has shape {shape}", there=there, try_=place, code="E-CUT-FOLDED")
    there = f"{records} records, picked from or mixed with others on one axis"
    return CutError(f"{cut!r}{part} has shape {shape}", there=there, try_=place, code="E-CUT-FOLDED")


def noted(ctx: Context, demands: Mapping[tuple[str, Cut], Demand], records: int) -> None:
    """Remember the shapes that a run showed at cuts whose record axes are not known yet."""
    for (_, cut), demand in demands.items():
        if demand.seen and (cut.layer or cut.anchor == "out") and cut not in ctx.axes and cut not in ctx.facts.shapes.record_axes:
            note(ctx, cut, records, [tuple(t.shape) for _, _, t in demand.seen])


def natives(ctx: Context, job: Job, values: Sequence[Tensor | None]) -> list[Any]:
    """Values for a job's points, ``[points, records, ...]``, as the model has them there; None where there are none."""
    assert job.at is not None or not values
    found: list[Tensor | None] = []
    for i, value, spot in zip(job.numbers, values, job.spots, strict=True):
        if value is None:
            found.append(None)
            continue
        axis: Axis = axis_of(ctx, spot.cut, i, spot.path)
        rows = value.flatten(0, 1)
        found.append(rows if axis.plain else axis.native(rows))
    return found


def nothing_seen(demand: Demand) -> CutError:
    """Why a layer that ran showed nothing of what was wanted."""
    if demand.cut.call is not None and not 0 <= demand.cut.call < demand.fired:
        there = f"uses 0 to {demand.fired - 1}"
        return CutError(f"{demand.cut!r}: no such use of the layer", there=there, try_="another call=", code="E-CUT-CALLS")
    return CutError(f"{demand.cut!r} holds no floating tensor", try_="asc.cuts_of(model, *args)", code="E-CUT-INTEGER")


def run_once(ctx: Context, job: Job, mode: str) -> Evidence:
    """One run of the model, places kept apart from later in-place work where the model does some.

    Raises CutError where a value that is changed in place is read by another branch too.
    """
    cloned = (job.at, job.wrt) in ctx.facts.shapes.clones
    try:
        work = Work(ctx, job, mode, cloned)
        evidence = work.go()
    except RuntimeError as wrong:
        if cloned or "in-place operation" not in str(wrong):
            raise
        evidence, work = None, None
    if work is not None and evidence is not None and not work.moved():
        return evidence
    plain = evidence if evidence is not None else Work(ctx, replace(job, wrt=()), mode, False).go()
    evidence = Work(ctx, job, mode, True).go()
    if plain.value is not None and evidence.value is not None and not close(plain.value, evidence.value):
        raise CutError(
            f"something works in place on the value at {', '.join(map(repr, job.wrt))}, and another branch relies on it",
            try_="the cut where that value is made, or the model without inplace=True",
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
