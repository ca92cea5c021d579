"""One run of a PyTorch model: what is written and read where, and the quantity pulled back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...cuts import Cut, each_of
from ...errors import AscribeError, CutError, InputError, ModelError, QuantityError
from ...tree import Path, follow, settled
from ..protocol import Evidence, Explain, Job, Reading, Spot
from .failures import explained_failure, without_graph
from .inputs import named
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

    def go(self) -> Evidence:
        job, session = self.job, self.session
        points = 1 if self.mode == "expand" else job.points
        self.written = [self._flat(w, spot) for w, spot in zip(job.write, job.spots, strict=True)]
        with torch.set_grad_enabled(bool(job.wrt)):
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

    def _flat(self, value: Tensor, spot: Spot) -> Tensor:
        rows = value.reshape(-1, *value.shape[2:])
        if spot.axis is None:  # no record axis of its own: a leading 1 takes the points, or there is but one
            rows = rows.reshape(-1, *rows.shape[2:])
        leaf = (rows.movedim(0, spot.axis) if spot.axis else rows).detach()
        if self.job.wrt or self.job.fresh:
            return leaf.requires_grad_(bool(self.job.wrt))
        return leaf.clone()  # a model that works in place must not reach the caller's

    def _at_input(self, points: int) -> dict[Path, Tensor]:
        """Values for the model's arguments: written ones, and records to be differentiated."""
        job, session = self.job, self.session
        at_input = job.at is not None and not job.at.layer
        leaves = {s.path: t for s, t in zip(job.spots, self.written, strict=True)} if at_input else {}
        for cut in job.wrt:
            if not cut.layer and cut.anchor == "in" and cut != job.at:
                demand = self.demands.setdefault(("wrt", cut), Demand(cut))
                for path in input_paths(session, cut):
                    if path not in leaves:
                        rows = session.inputs.own_rows(path, job.index)
                        leaves[path] = (rows.repeat(points, *[1] * (rows.ndim - 1)) if points > 1 else rows.clone()).requires_grad_()
                    demand.seen.append((0, path, leaves[path]))
        return {path: leaf.clone() if self.cloned else leaf for path, leaf in leaves.items()}

    def _at_layers(self) -> None:
        """Demands for hooks, in the order write, wrt, read: later ones see what earlier ones put in the place."""
        job, last = self.job, self.session.last
        if job.at is not None and job.at.layer:
            self.demands["write", job.at] = Write(job.at, last(job.at), values=self.written, cloned=self.cloned)
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
            grads[cut] = [self._canonical(g, cut, i, 1) for i, g in enumerate(mine)]
        return grads

    def _reading(self, cut: Cut, seen: list[tuple[int, Path, Tensor]]) -> Reading:
        reading = Reading()
        for i, (call, path, leaf) in enumerate(seen):
            reading.spots.append(Spot(cut, call, path, spot_axis(self.session, cut, i)))
            reading.arrays.append(self._canonical(leaf.detach(), cut, i, 0))
        return reading

    def _canonical(self, array: Tensor, cut: Cut, i: int, lead: int) -> Tensor:
        """``[lead..., the layer's own layout]`` to ``[lead..., points, records, ...]``."""
        axis = spot_axis(self.session, cut, i)
        rows = 0 if axis is None or array.ndim <= axis + lead else array.shape[axis + lead]
        if axis is not None and rows not in (self.job.records, self.job.records * self.job.points):
            raise CutError(
                f"{cut!r} has {rows} rows",
                there=f"{self.job.records} records, folded into one axis with another or picked from",
                try_="a layer around it whose value has one row per record",
                code="E-CUT-FOLDED",
            )
        return canonical(array, axis, lead, self.job.points, self.job.records)


def canonical(array: Tensor, axis: int | None, lead: int, points: int, records: int) -> Tensor:
    """``[lead..., the layer's own layout]`` to ``[lead..., points, records, ...]``."""
    if axis is None:  # nothing here runs over the records: the same for all of them
        points = points if array.ndim > lead and array.shape[lead] == points else 1
        return array.reshape(*array.shape[:lead], points, 1, -1, *array.shape[lead + 1 :])
    array = array.movedim(axis + lead, lead) if axis else array
    if array.shape[lead] == records:
        return array.unsqueeze(lead)
    records = records if array.shape[lead] % records == 0 else array.shape[lead]
    return array.reshape(*array.shape[:lead], -1, records, *array.shape[lead + 1 :])


def spot_axis(session: TorchSession, cut: Cut, i: int) -> int | None:
    """Which axis of the i-th array at a cut runs over the records; None where none does, the first where it could not be seen."""
    if not cut.layer and cut.anchor == "in":
        return 0
    axes = session.axes(cut)
    return axes[i] if i < len(axes) else 0


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
    each = [one_per_row(v, len(rows)) for v in values]
    return torch.stack(each) if len(each) > 1 else each[0].unsqueeze(0)


def value_read(session: TorchSession, read: Read, rows: int) -> Any:
    """The value at a place, its records first where it is one tensor. Raises CutError and InputError as :func:`explained_rows`."""
    if len({call for call, _, _ in read.seen}) > 1:
        raise CutError(
            f"{read.cut!r} is used {read.fired} times in this call",
            try_=f"Cut({read.cut.layer!r}, call=0) for the first use",
            code="E-CUT-CALLS",
        )
    tree = follow(read.tree, accessor_path(read.cut)) if read.cut.layer or read.cut.anchor == "out" else read.tree
    return rows_first(session, read.cut, tree, rows) if isinstance(tree, Tensor) and tree.is_floating_point() else tree


def rows_first(session: TorchSession, cut: Cut, value: Tensor, rows: int) -> Tensor:
    """A value with its records on the first axis. Raises InputError where no axis, or one of another length, runs over them."""
    axis = spot_axis(session, cut, 0)
    if value.is_meta:
        raise InputError("the model is on the meta device", try_="cuts_of needs no numbers", code="E-DEVICE")
    if axis is None or axis >= value.ndim or value.shape[axis] != rows:
        raise InputError(
            f"a value of shape {tuple(value.shape)} at {cut!r}",
            there=f"{rows} records, counted by the first axis of the first input",
            try_="inputs and outputs with one row per record; x[None] for a single record without that axis",
            code="E-RECORDS",
        )
    return value.movedim(axis, 0)


def one_per_row(value: Any, rows: int) -> Tensor:
    """A quantity's numbers as ``[rows]``. Raises InputError or ModelError when there is not one for each."""
    if not isinstance(value, Tensor):
        raise ModelError(f"the quantity gave a {type(value).__name__}", try_="a tensor with one number per record", code="E-QUANTITY-TYPE")
    if value.ndim == 2 and value.shape[1] == 1:
        value = value[:, 0]
    if tuple(value.shape) != (rows,):
        raise InputError(
            f"the quantity has shape {tuple(value.shape)}",
            there=f"{rows} records, counted by the first axis of the first input",
            try_="x[None] if the input has no record axis; one number per record otherwise",
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
