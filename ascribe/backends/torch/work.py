"""One run of a PyTorch model: what is written and read where, and the quantity pulled back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...calls import named
from ...cuts import OUTPUT, Cut, each_of
from ...errors import AscribeError, CutError, InputError, ModelError, QuantityError
from ...tree import Path, follow, replaced, settled
from ..protocol import Evidence, Explain, Job, Reading, Spot
from .axes import Axis
from .failures import explained_failure, without_graph
from .record_axes import axis_of, note
from .taps import Demand, Read, Run, Watch, Write, accessor_path, outline

if TYPE_CHECKING:
    from .session import TorchSession

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
        if self.job.wrt or self.job.fresh:
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
        """What a cut held. Of an output that a quantity is read from only what has a row per record: other parts are nobody's."""
        reading, beside, records = Reading(), cut == OUTPUT and self.job.of is not None, self.job.records
        for i, (call, path, leaf) in enumerate(seen):
            axis = axis_of(self.session, cut, i, path)
            plain = axis.plain and leaf.ndim > 0 and leaf.shape[0] == records
            if beside and not plain and not self._fits(axis, leaf, 0):
                continue
            reading.spots.append(Spot(cut, call, path, axis.told))
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


def explained_rows(session: TorchSession, of: Explain, reads: Sequence[Read], rows: np.ndarray) -> Tensor:
    """What the quantities say of the value that was read (of several the tuple of them), ``[quantities, rows]``.

    Raises CutError for a value that came several times, InputError for one whose rows are not the records, and QuantityError
    for what the quantity itself raises.
    """
    trees = tuple(value_read(session, read, len(rows)) for read in reads)
    tree = trees[0] if len(trees) == 1 else trees
    try:
        values = of(tree, rows)
    except (AscribeError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as wrong:
        first = (str(wrong).splitlines() or [""])[0]
        raise QuantityError(
            f"the quantity raised {type(wrong).__name__}: {first}", there=f"a value of {outline(tree)}", code="E-QUANTITY-RAISED"
        ) from wrong
    each = [one_per_row(session, v, len(rows)) for v in values]
    return torch.stack(each) if len(each) > 1 else each[0].unsqueeze(0)


def value_read(session: TorchSession, read: Read, rows: int) -> Any:
    """The value at a place: one tensor with its records first, several as the layer gave them.

    A quantity that names parts of what a layer returned counts their axes as the layer does: the states of ``nn.LSTM`` have the layers
    first. Only rows that the call's ``records=`` gives to records, and rows folded into the first axis, are brought to records.
    Raises CutError and InputError as :func:`explained_rows`.
    """
    if len({call for call, _, _ in read.seen}) > 1:
        raise CutError(
            f"{read.cut!r} is used {read.fired} times in this call",
            try_=f"Cut({read.cut.layer!r}, call=0) for the first use",
            code="E-CUT-CALLS",
        )
    accessor = accessor_path(read.cut) if read.cut.layer or read.cut.anchor == "out" else ()
    tree = follow(read.tree, accessor)
    if isinstance(tree, Tensor):
        return rows_first(session, read.cut, tree, rows) if tree.is_floating_point() else tree
    news = {}
    for i, (_, path, leaf) in enumerate(read.seen):
        axis = axis_of(session, read.cut, i, path)
        folded = axis.fold > 1 and axis.at == 0 and axis.count(leaf) == rows
        if folded or axis.rows is not None or (axis.whole and session.inputs.counted.together):
            news[path[len(settled(read.tree, accessor)) :]] = axis.canonical(leaf, 0, 1, rows)[0]
        elif axis.rank is not None:
            news[path[len(settled(read.tree, accessor)) :]] = axis.as_of_several(leaf)
    return replaced(tree, news)


def rows_first(session: TorchSession, cut: Cut, value: Tensor, rows: int) -> Tensor:
    """A value with its records on the first axis. Raises InputError where no axis, or one of another length, runs over them."""
    if value.is_meta:
        raise InputError("the model is on the meta device", try_="cuts_of needs no numbers", code="E-DEVICE")
    path: Path = session.inputs.explained[0] if not cut.layer and cut.anchor == "in" and session.inputs.explained else ()
    axis = axis_of(session, cut, 0, path)
    if axis.plain and value.ndim and value.shape[0] == rows:
        return value
    if axis.whole or axis.rows is not None or axis.count(value) == rows:
        return axis.canonical(value, 0, 1, rows)[0]
    same = axis.at is None or not value.ndim
    raise InputError(
        f"a value of shape {tuple(value.shape)} at {cut!r}{', whatever the number of records' if same else ''}",
        there=f"{rows} records, {counting(session)}",
        try_="asc.Call(..., records=1) if the whole call is one record; records=batch, the record of each row, if rows are parts of "
        "records; x[None] for a single record without an axis of its own",
        code="E-RECORDS",
    )


def counting(session: TorchSession) -> str:
    """How records were counted."""
    return "as records= says" if session.call.records is not None else "counted by the first axis of the first input"


def one_per_row(session: TorchSession, value: Any, rows: int) -> Tensor:
    """A quantity's numbers as ``[rows]``. Raises InputError or ModelError when there is not one for each."""
    if not isinstance(value, Tensor):
        try_ = "a tensor with one number per record; for removal, asc.BlackBox(model) around a function of arrays, given arrays (x.numpy())"
        raise ModelError(f"the quantity gave a {type(value).__name__}", try_=try_, code="E-QUANTITY-TYPE")
    if value.ndim == 2 and value.shape[1] == 1:
        value = value[:, 0]
    if value.ndim == 0 and rows == session.records == 1:
        value = value.reshape(1)
    if tuple(value.shape) != (rows,):
        raise InputError(
            f"the quantity has shape {tuple(value.shape)}",
            there=f"{rows} records, {counting(session)}",
            try_="one number per record; asc.Call(..., records=1) for one number of the whole call; x[None] for one record",
            code="E-RECORDS",
        )
    return value


def differentiated(session: TorchSession, value: Tensor, leaves: list[Tensor], cuts: Sequence[Cut]) -> list[Tensor]:
    """:func:`pull_back`, with the errors of the backward pass told as ours. Raises CutError where nothing leads to any of the leaves."""
    try:
        found = pull_back(value, leaves) if value.requires_grad else None
    except Exception as wrong:
        if session.out_of_memory(wrong):
            raise
        first = (str(wrong).splitlines() or [""])[0]
        raise ModelError(f"the backward pass raised {type(wrong).__name__}: {first}", code="E-MODEL-GRADIENT") from wrong
    if found is None:
        raise without_graph(session, cuts)
    return found


def pull_back(value: Tensor, leaves: list[Tensor]) -> list[Tensor] | None:
    """The gradient at each leaf of the sum of each quantity's numbers ``[quantities, ...]``: zero where a leaf plays no part, None where
    none of them does.
    """
    if len(value) == 1:
        found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
        return filled([found], leaves)
    totals = value.flatten(1).sum(1)
    eye = torch.eye(len(totals), dtype=totals.dtype, device=totals.device)
    try:
        found = torch.autograd.grad(totals, leaves, eye, is_grads_batched=True, allow_unused=True, retain_graph=True)
    except RuntimeError:  # an operation without a batching rule: one backward for each
        return filled([torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True) for total in totals], leaves)
    if leaves and all(g is None for g in found):
        return None
    return [t.new_zeros((len(totals), *t.shape)) if g is None else g for g, t in zip(found, leaves, strict=True)]


def filled(rows: Sequence[Sequence[Tensor | None]], leaves: list[Tensor]) -> list[Tensor] | None:
    """One quantity's gradients after the other, ``[quantities, ...]`` for each leaf; None where there are none at all."""
    if leaves and all(g is None for row in rows for g in row):
        return None
    columns = zip(*rows, strict=True)
    return [torch.stack([torch.zeros_like(t) if g is None else g for g in column]) for column, t in zip(columns, leaves, strict=True)]


TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two results are the same up to the rounding of their type, against the largest number in them."""
    if a.shape != b.shape:
        return False
    scale = float(torch.nan_to_num(b).abs().max()) if b.numel() else 0.0
    return torch.allclose(a, b, rtol=0.0, atol=TOLERANCE.get(b.dtype, 1e-4) * scale + 1e-30, equal_nan=True)


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
