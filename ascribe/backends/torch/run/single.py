"""One run of a PyTorch model: what is written and read where, and the quantity pulled back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from ....calls.call import named
from ....cuts import OUTPUT, Cut, each_of
from ....errors import AscribeError, CutError, ModelError, QuantityError
from ....tree import Path, follow, settled
from ...protocol import ArrayAt, Evidence, Job, Reading
from ..model.errors import explained_failure, refuses_counting
from .axes import Axis
from .compare import close
from .gradients import differentiated
from .hooks import Demand, Read, Run, Watch, Write, accessor_path
from .quantities import explained_rows
from .record_axes import axis_of, note

if TYPE_CHECKING:
    from ..session import TorchSession

Tensor = torch.Tensor


@dataclass
class Work:
    """One run: arguments and demands made, the model run, the quantity pulled back, everything brought to canonical form."""

    session: TorchSession
    job: Job
    mode: str
    cloned: bool
    demands: dict[tuple[str, Cut], Demand] = field(default_factory=dict)
    written: list[Tensor] = field(default_factory=list)
    kept: list[Tensor | None] = field(default_factory=list)

    def go(self) -> Evidence:
        job, session = self.job, self.session
        points = 1 if self.mode == "expand" else job.points
        self.written = [self._owned(w) for w in natives(session, job, job.write)]
        self.kept = natives(session, job, job.kept)
        with session.graphs(job.wrt):
            news = self._at_input(points)
            self._at_layers()
            args, kwargs = session.inputs.rows(job.index, points, news)
            self._seen_at_input((args, kwargs))
            run = Run(session.host, list(self.demands.values()), stop=True)
            if job.of is None and self.demands and all(not c.layer and c.anchor == "in" for _, c in self.demands):
                return Evidence(None, {}, {cut: self._reading(cut, self.demands["read", cut].seen) for cut in job.read})
            output = call_model(session, run, args, kwargs)
            for demand in run.demands:
                if demand.cut.layer and not demand.seen:
                    raise nothing_seen(demand)
            if run.inside:
                session.facts.counts(run.demands, run.stopped)
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
        job, session = self.job, self.session
        leaves = {s.path: t for s, t in zip(job.spots, self.written, strict=True) if not s.cut.layer}
        for cut in job.wrt:
            if not cut.layer and cut.anchor == "in" and cut != job.at:
                demand = self.demands.setdefault(("wrt", cut), Demand(cut))
                for path in input_paths(session, cut):
                    if path not in leaves:
                        rows = session.inputs.own_rows(path, job.index)
                        leaves[path] = session.inputs.repeated(path, rows, points).requires_grad_()
                    demand.seen.append((0, path, leaves[path]))
        return {path: leaf.clone() if self.cloned else leaf for path, leaf in leaves.items()}

    def _at_layers(self) -> None:
        """Demands for hooks, in the order write, wrt, read: later ones see what earlier ones put in the place."""
        job, last, inner = self.job, self.session.last, self.session.inner
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
                demand.seen = [(0, path, follow(tree, path).detach().clone()) for path in input_paths(self.session, cut, not self.job.wrt)]
                demand.tree = tree

    def _seen_at_output(self, output: Any) -> None:
        for (_, cut), demand in self.demands.items():
            if not cut.layer and cut.anchor == "out":
                demand.visit(0, output)

    def _evidence(self, output: Any) -> Evidence:
        job = self.job
        value, grads = None, {}
        if job.points == 1:
            noted(self.session, self.demands, job.records)
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
        return explained_rows(self.session, job.of, [read for read in reads if isinstance(read, Read)], job.rows)

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
        found = differentiated(self.session, value, leaves, self.job.wrt)
        grads: dict[Cut, list[Tensor]] = {}
        for cut, seen in targets:
            mine, found = found[: len(seen)], found[len(seen) :]
            grads[cut] = [
                self._canonical(g, axis_of(self.session, cut, i, path), cut, path, 1)
                for i, (g, (_, path, _)) in enumerate(zip(mine, seen, strict=True))
            ]
        return grads

    def _reading(self, cut: Cut, seen: list[tuple[int, Path, Tensor]]) -> Reading:
        """What a cut held. Of an output that a quantity is read from, only the parts that have a row for each record."""
        reading, beside, records = Reading(), cut == OUTPUT and self.job.of is not None, self.job.records
        for i, (call, path, leaf) in enumerate(seen):
            axis = axis_of(self.session, cut, i, path)
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
        lost = axis.at is None and self.session.inputs.counted.rows is not None
        if lost or (axis.at is not None and not self._fits(axis, array, lead)):
            raise other_rows(self.session, cut, path, tuple(array.shape[lead:]), job.records)
        return axis.canonical(array, lead, job.points, job.records, bool(lead))


def other_rows(session: TorchSession, cut: Cut, path: Path, shape: tuple[int, ...], records: int) -> CutError:
    """Why an array at a cut cannot be given to records."""
    part = "" if cut.accessor is not None or not path else f", part {'.'.join(map(str, path))!r}"
    place = "a layer around it whose value has one row per record"
    if not cut.layer and path:
        place = "a part that has: OUTPUT.at(...), as on= of the quantity or as at="
    if (rows := session.inputs.counted.rows) is not None:
        there = f"records= for {len(rows)} rows of {records} records"
        return CutError(f"{cut!r}{part} has shape {shape}", there=there, try_=place, code="E-CUT-FOLDED")
    there = f"{records} records, picked from or mixed with others on one axis"
    return CutError(f"{cut!r}{part} has shape {shape}", there=there, try_=place, code="E-CUT-FOLDED")


def noted(session: TorchSession, demands: Mapping[tuple[str, Cut], Demand], records: int) -> None:
    """Remember the shapes that a run showed at cuts whose record axes are not known yet."""
    for (_, cut), demand in demands.items():
        if demand.seen and (cut.layer or cut.anchor == "out") and cut not in session.settled and session.remembered("axes", cut) is None:
            note(session, cut, records, [tuple(t.shape) for _, _, t in demand.seen])


def natives(session: TorchSession, job: Job, values: Sequence[Tensor | None]) -> list[Any]:
    """Values for a job's points, ``[points, records, ...]``, as the model has them there; None where there are none."""
    assert job.at is not None or not values
    found: list[Tensor | None] = []
    for i, value, spot in zip(job.numbers, values, job.spots, strict=True):
        if value is None:
            found.append(None)
            continue
        axis: Axis = axis_of(session, spot.cut, i, spot.path)
        rows = value.flatten(0, 1)
        found.append(rows if axis.plain else axis.native(rows))
    return found


def input_paths(session: TorchSession, cut: Cut, whole: bool = False) -> list[Path]:
    """The explained arguments under an accessor of INPUT; with ``whole`` token ids too, where there is nothing else.

    Raises CutError where there are none.
    """
    start = accessor_path(cut)
    with suppress(LookupError, AttributeError, TypeError):  # of a path that leads nowhere, the error below says more
        start = settled(session.inputs.tree, start)
    paths = [p for p in session.inputs.explained if p[: len(start)] == start]
    if whole and (not paths or session.inputs.only is not None):
        paths = [p for p in (session.inputs.own_paths if start else session.inputs.tokens) if p[: len(start)] == start]
    if not paths:
        raise CutError(
            f"{cut!r} holds no floating tensor with a row per record",
            there=", ".join(map(named, session.inputs.leaves)),
            try_="at=asc.EMBEDDINGS for token ids",
            code="E-CUT-INTEGER",
        )
    return paths


def nothing_seen(demand: Demand) -> CutError:
    """Why a layer that ran showed nothing of what was wanted."""
    if demand.cut.call is not None and not 0 <= demand.cut.call < demand.fired:
        there = f"uses 0 to {demand.fired - 1}"
        return CutError(f"{demand.cut!r}: no such use of the layer", there=there, try_="another call=", code="E-CUT-CALLS")
    return CutError(f"{demand.cut!r} holds no floating tensor", try_="asc.cuts_of(model, *args)", code="E-CUT-INTEGER")


def call_model(session: TorchSession, run: Callable[[Any, Any, Any], Any], args: Any, kwargs: Any) -> Any:
    """Run the model from the state its user left; its own errors come back as ours, with the first line of what it said."""
    if session.state is not None:
        session.state.rewind()
    try:
        return run(session.runs, args, kwargs)
    except AscribeError:
        raise
    except Exception as wrong:
        if session.out_of_memory(wrong):
            raise
        raise explained_failure(session, wrong) from wrong


def joined(runs: Sequence[Evidence]) -> Evidence:
    """Evidence of several runs as that of one with more points."""
    first = runs[0]
    value = None if first.value is None else torch.cat([r.value for r in runs], 1)  # type: ignore[misc]
    grads = {cut: [torch.cat([r.grads[cut][i] for r in runs], 1) for i in range(len(g))] for cut, g in first.grads.items()}
    reads = {
        cut: Reading(r.spots, [torch.cat([run.reads[cut].arrays[i] for run in runs]) for i in range(len(r.arrays))])
        for cut, r in first.reads.items()
    }
    return Evidence(value, grads, reads, sum(r.forward for r in runs), sum(r.backward for r in runs))


def run_once(session: TorchSession, job: Job, mode: str) -> Evidence:
    """One run of the model, places kept apart from later in-place work where the model does some.

    Raises CutError where a value that is changed in place is read by another branch too.
    """
    cloned = bool(session.remembered("cloned", (job.at, job.wrt)))
    try:
        work = Work(session, job, mode, cloned)
        evidence = work.go()
    except RuntimeError as wrong:
        if cloned or "in-place operation" not in str(wrong):
            raise
        evidence, work = None, None
    if work is not None and evidence is not None and not work.moved():
        return evidence
    plain = evidence if evidence is not None else Work(session, replace(job, wrt=()), mode, False).go()
    evidence = Work(session, job, mode, True).go()
    if plain.value is not None and evidence.value is not None and not close(plain.value, evidence.value):
        raise CutError(
            f"something works in place on the value at {', '.join(map(repr, job.wrt))}, and another branch relies on it",
            try_="the cut where that value is made, or the model without inplace=True",
            code="E-CUT-ALIAS",
        )
    session.remember("cloned", (job.at, job.wrt), True)
    return evidence


def kept_for_gradients(session: TorchSession, job: Job) -> tuple[Evidence, int]:
    """A job's evidence, and the bytes that autograd keeps for it; 0 where the model does not let them be counted."""
    seen: dict[int, int] = {}

    def count(t: Tensor) -> Tensor:
        seen[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t.detach()  # not itself: what an operation keeps of its own output would keep the operation

    try:
        with torch.autograd.graph.saved_tensors_hooks(count, _itself):
            return session.evaluate(job), sum(seen.values())
    except ModelError as wrong:
        if not refuses_counting(wrong.__cause__):
            raise
    return session.evaluate(job), 0


def _itself(tensor: Tensor) -> Tensor:
    return tensor
