"""PyTorch: a model bound to one call of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ...baselines import Call
from ...cuts import INPUT, OUTPUT, Cut
from ...errors import AscribeError, CutError, InputError, ModelError, RuleError
from ...rules import Gradient
from ...tree import Path, follow
from ..protocol import Evidence, Job, Place, Reading, Spot
from . import places as placing
from .failures import explained_failure, wrong_dtype
from .guard import untouched
from .inputs import Inputs, named
from .memory import Memory, memory_of
from .namespace import xp
from .spread import SINGLE, choose
from .taps import Demand, Read, Run, Watch, Write, accessor_path

Tensor = torch.Tensor


class TorchSession:
    """See :class:`ascribe.backends.protocol.Session`."""

    xp = xp

    def __init__(self, model: Any, call: Call, memory: Memory | None = None) -> None:
        self.model, self.call = model, call
        self.host = host_of(model)
        self.memory = memory or memory_of(self.host if self.host is not None else model)
        self.dtype = (
            next((p.dtype for p in self.host.parameters() if p.is_floating_point()), None) if self.host is not None else None
        )
        self.inputs = Inputs(call, self.dtype)
        self.records = self.inputs.records
        self.class_names = placing.class_names(self.host)
        self.notes: list[str] = []
        self.stack = ExitStack()
        self.key: Any = None

    def __enter__(self) -> TorchSession:
        self.stack.__enter__()
        self.notes += self.stack.enter_context(untouched(self.host))
        self.key = self.inputs.signature()
        if bad := self.inputs.nonfinite():
            self.notes.append(f"NaN in {', '.join(bad)}")
        return self

    def __exit__(self, *exc: object) -> None:
        self.stack.__exit__(*exc)  # type: ignore[arg-type]

    def another(self, call: Call) -> TorchSession:
        return TorchSession(self.model, call, self.memory)

    def remembered(self, what: str, key: Any) -> Any:
        return self.memory.facts.get((what, self.key, key))

    def remember(self, what: str, key: Any, value: Any) -> None:
        self.memory.facts[what, self.key, key] = value

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        if cut == INPUT and wrt and not self.inputs.explained:
            cut = placing.embeddings(self)
            self.notes.append(f"the inputs are token ids: explained at {cut!r}")
            return cut
        if cut.symbolic:
            known = self.remembered("place", cut) or placing.find(self, cut)
            self.remember("place", cut, known)
            return Cut(known.layer, known.anchor, known.accessor if cut.accessor is None else cut.accessor, cut.call)
        return cut

    def given(self, array: Tensor) -> Any:
        return xp.numpy(array) if self.inputs.numpy else array

    def names(self, spots: Sequence[Spot]) -> list[str]:
        return [named(s.path) if s.cut.anchor == "in" and not s.cut.layer else f"{s.cut!r}[{i}]" for i, s in enumerate(spots)]

    def places(self) -> list[Place]:
        return placing.places(self)

    def weights(self) -> int:
        return 0 if self.host is None else sum(p.numel() for p in self.host.parameters())

    def axes(self, cut: Cut) -> tuple[int | None, ...]:
        """The record axis of each array at a cut: the one that grows when the first record is given twice."""
        known = self.remembered("axes", cut)
        if known is None:
            once, twice = (self._shapes(cut, repeat) for repeat in (1, 2))
            known = tuple(grown(a, b) for a, b in zip(once, twice, strict=True)) if len(once) == len(twice) else (0,) * len(once)
            self.remember("axes", cut, known)
        found: tuple[int | None, ...] = known
        return found

    def _shapes(self, cut: Cut, repeat: int) -> list[tuple[int, ...]]:
        """The shapes at a cut for the first record, ``repeat`` times; for all records where one alone does not run."""
        for index in (np.arange(1), np.arange(self.records)):
            read = Read(cut, self.memory.last(self.key, cut), copy=False)
            args, kwargs = self.inputs.rows(index, repeat, {})
            try:
                with torch.no_grad():
                    output = Run(self.host, [read], stop=True)(getattr(self.model, "_orig_mod", self.model), args, kwargs)
            except (RuntimeError, IndexError, ValueError, TypeError):
                continue
            if not cut.layer:
                read.visit(0, output)
            return [tuple(t.shape) for _, _, t in read.seen]
        return []

    def replaces_all(self, cut: Cut) -> bool:
        return not cut.layer and cut.anchor == "in" and set(input_paths(self, cut)) == set(self.inputs.own)

    def shared(self, cut: Cut) -> bool:
        return bool(cut.layer) and None in self.axes(cut)

    def row_numbers(self, cut: Cut) -> int:
        if not cut.layer:
            return sum(self.inputs.leaves[p][0].numel() for p in input_paths(self, cut)) if self.inputs.explained else 1
        axes, shapes = self.axes(cut), self._shapes(cut, 1)
        return sum(int(np.prod(s)) // (s[a] if a is not None else 1) for a, s in zip(axes, shapes, strict=True))

    def wait(self) -> None:
        if any(leaf.is_cuda for leaf in self.inputs.leaves.values()):
            torch.cuda.synchronize()

    def out_of_memory(self, error: BaseException) -> bool:
        found = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
            isinstance(error, RuntimeError) and any(m in str(error).lower() for m in ("out of memory", "can't allocate memory"))
        )
        if found and torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return found

    def spare_memory(self) -> int:
        device = next((leaf.device for leaf in self.inputs.leaves.values() if leaf.is_cuda), None)
        if device is not None:
            return int(torch.cuda.mem_get_info(device)[0] * 0.8)
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.5) if hasattr(os, "sysconf") else 1 << 33

    def held(self, job: Job) -> tuple[Evidence, int]:
        seen: dict[int, int] = {}

        def count(t: Tensor) -> Tensor:
            seen[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            evidence = self.evaluate(job)
        return evidence, sum(seen.values())

    def splits(self) -> bool:
        known = self.remembered("splits", None)
        if known is None:
            known = self.records == 1 or self._splits()
            self.remember("splits", None, known)
        return bool(known)

    def _splits(self) -> bool:
        def outputs(lo: int, hi: int) -> list[Tensor]:
            return self.evaluate(Job(np.arange(lo, hi), read=(OUTPUT,))).reads[OUTPUT].arrays

        try:
            both, first, second = outputs(0, 2), outputs(0, 1), outputs(1, 2)
        except (RuntimeError, IndexError, ValueError, TypeError):
            return False
        return all(b.shape[1] == 2 and close(b, torch.cat([f, s], 1)) for b, f, s in zip(both, first, second, strict=True))

    def evaluate(self, job: Job) -> Evidence:
        """Run the job in the fastest way that is known to give what one point after the other gives."""
        try:
            return self._evaluate(job)
        except ModelError as wrong:
            if job.write or self.dtype is None or not wrong_dtype(self, wrong):
                raise
        self.inputs.cast(self.dtype)
        self.key = self.inputs.signature()
        self.notes.append(f"the inputs were cast to the model's {str(self.dtype).removeprefix('torch.')}")
        return self._evaluate(job)

    def _evaluate(self, job: Job) -> Evidence:
        if job.by is not None and not isinstance(job.by, Gradient):
            raise RuleError(f"by={job.by!r} is not available for PyTorch models", there="Gradient()")
        if job.points == 1 or not job.write:
            return self.run(job, SINGLE)
        key = (job.at, job.wrt, job.read, job.on, job.records == self.records)
        mode = self.remembered("mode", key)
        if mode is None:
            mode = choose(self, job)
            self.remember("mode", key, mode)
        return self.one_by_one(job) if mode == SINGLE else self.run(job, mode)

    def one_by_one(self, job: Job) -> Evidence:
        """Every point in a run of its own: always right, and slow."""
        runs = [self.run(replace(job, points=1, write=tuple(w[k : k + 1] for w in job.write)), SINGLE) for k in range(job.points)]
        return joined(runs)

    def run(self, job: Job, mode: str) -> Evidence:
        """One run of the model, places kept apart from later in-place work where the model does some."""
        cloned = bool(self.remembered("cloned", (job.at, job.wrt)))
        try:
            work = Work(self, job, mode, cloned)
            evidence = work.go()
        except RuntimeError as wrong:
            if cloned or "in-place operation" not in str(wrong):
                raise
            evidence, work = None, None
        if work is not None and not work.moved():
            assert evidence is not None
            return evidence
        value = evidence.value if evidence is not None else None
        evidence = Work(self, job, mode, True).go()
        if value is not None and evidence.value is not None and not close(value, evidence.value):
            raise CutError(
                f"something works in place on the value at {', '.join(map(repr, job.wrt))}, and another branch relies on it",
                try_="the cut where that value is made, or the model without inplace=True",
                code="E-CUT-ALIAS",
            )
        self.remember("cloned", (job.at, job.wrt), True)
        return evidence


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
        news = self._at_input(points)
        self._at_layers()
        args, kwargs = session.inputs.rows(job.index, points, news)
        self._seen_at_input((args, kwargs))
        run = Run(session.host, list(self.demands.values()), stop=True)
        with torch.set_grad_enabled(bool(job.wrt)):
            output = call_model(session, run, args, kwargs)
            session.memory.counts(session.key, run.demands, run.stopped)
            self._seen_at_output(output)
            return self._evidence(output)

    def moved(self) -> bool:
        return any(d.moved() for d in self.demands.values() if isinstance(d, Watch))

    def _flat(self, value: Tensor, spot: Spot) -> Tensor:
        rows = value.reshape(-1, *value.shape[2:])
        if spot.axis is None:  # no record axis of its own: a leading 1 takes the points, or there is but one
            rows = rows.reshape(-1, *rows.shape[2:])
        leaf = (rows.movedim(0, spot.axis) if spot.axis else rows).detach()
        return leaf.requires_grad_() if self.job.wrt else leaf.clone()  # a model that works in place must not reach the caller's

    def _at_input(self, points: int) -> dict[Path, Tensor]:
        """Values for the model's arguments: written ones, and records to be differentiated."""
        job, session = self.job, self.session
        if job.at is not None and not job.at.layer:
            return {s.path: t.clone() if self.cloned else t for s, t in zip(job.spots, self.written, strict=True)}
        news = {}
        for cut in job.wrt:
            if not cut.layer and cut.anchor == "in":
                demand = self.demands.setdefault(("wrt", cut), Demand(cut))
                for path in input_paths(session, cut):
                    leaf = session.inputs.own_rows(path, job.index).clone().requires_grad_()
                    demand.seen.append((0, path, leaf))
                    news[path] = leaf.clone() if self.cloned else leaf
        return news

    def _at_layers(self) -> None:
        """Demands for hooks, in the order write, wrt, read: later ones see what earlier ones put in the place."""
        job, memory, key = self.job, self.session.memory, self.session.key
        if job.at is not None and job.at.layer:
            self.demands["write", job.at] = Write(job.at, memory.last(key, job.at), values=self.written, cloned=self.cloned)
        for cut in job.wrt:
            if cut.layer and cut != job.at:
                self.demands["wrt", cut] = Watch(cut, memory.last(key, cut), cloned=self.cloned)
        for cut in dict.fromkeys((*job.read, *([job.on] if job.of is not None and job.on is not None else []))):
            copy = cut in job.read and not (cut == job.on and job.wrt)
            self.demands["read", cut] = Read(cut, memory.last(key, cut), copy=copy)

    def _seen_at_input(self, tree: Any) -> None:
        for (_, cut), demand in self.demands.items():
            if isinstance(demand, Read) and not cut.layer and cut.anchor == "in":
                demand.seen = [(0, path, follow(tree, path).detach().clone()) for path in input_paths(self.session, cut)]
                demand.tree = tree

    def _seen_at_output(self, output: Any) -> None:
        for (_, cut), demand in self.demands.items():
            if not cut.layer and cut.anchor == "out":
                if isinstance(demand, Watch):
                    raise CutError("the attribution cut is the output itself", try_="at=asc.INPUT, or a layer before the output")
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
        demand = self.demands["read", job.on]
        assert isinstance(demand, Read)
        tree = follow(demand.tree, accessor_path(job.on)) if job.on.layer or job.on.anchor == "out" else demand.tree
        if len({call for call, _, _ in demand.seen}) > 1:
            raise CutError(
                f"{job.on!r} is used {demand.fired} times in this call",
                try_=f"Cut({job.on.layer!r}, call=0) for the first use",
                code="E-CUT-CALLS",
            )
        rows = job.rows
        return torch.stack([one_per_row(v, len(rows)) for v in job.of(tree, rows)])

    def _targets(self) -> list[tuple[Cut, list[tuple[int, Path, Tensor]]]]:
        targets = []
        for cut in self.job.wrt:
            if cut == self.job.at:
                seen = [(s.call, s.path, t) for s, t in zip(self.job.spots, self.written, strict=True)]
            else:
                seen = self.demands["wrt", cut].seen
            if not seen:
                raise CutError(f"{cut!r} holds no floating tensor", try_="asc.cuts_of(model, *args)", code="E-CUT-INTEGER")
            targets.append((cut, seen))
        return targets

    def _pulled(self, value: Tensor) -> dict[Cut, list[Tensor]]:
        """Gradients of each quantity's sum over the rows: rows do not meet in it, so each gets its own."""
        targets = self._targets()
        leaves = [t for _, seen in targets for _, _, t in seen]
        found = pull_back(value.sum(1), leaves)
        grads: dict[Cut, list[Tensor]] = {}
        for cut, seen in targets:
            mine, found = found[: len(seen)], found[len(seen) :]
            grads[cut] = [
                self._canonical(g, spot_axis(self.session, cut, i), 1)
                for i, (g, (_, _, t)) in enumerate(zip(mine, seen, strict=True))
            ]
        return grads

    def _reading(self, cut: Cut, seen: list[tuple[int, Path, Tensor]]) -> Reading:
        reading = Reading()
        for i, (call, path, leaf) in enumerate(seen):
            axis = spot_axis(self.session, cut, i)
            reading.spots.append(Spot(cut, call, path, axis))
            reading.arrays.append(self._canonical(leaf.detach(), axis, 0))
        return reading

    def _canonical(self, array: Tensor, axis: int | None, lead: int) -> Tensor:
        """``[lead..., the layer's own layout]`` to ``[lead..., points, records, ...]``."""
        if axis is None:  # nothing here runs over the records: the same for all of them
            points = self.job.points if array.shape[lead] == self.job.points else 1
            return array.reshape(*array.shape[:lead], points, 1, -1, *array.shape[lead + 1 :])
        array = array.movedim(axis + lead, lead)
        records = self.job.records if array.shape[lead] % self.job.records == 0 else array.shape[lead]
        return array.reshape(*array.shape[:lead], -1, records, *array.shape[lead + 1 :])


def spot_axis(session: TorchSession, cut: Cut, i: int) -> int | None:
    """Which axis of the i-th array at a cut runs over the records; None where none does."""
    if not cut.layer and cut.anchor == "in":
        return 0
    axes = session.axes(cut)
    return axes[i] if i < len(axes) else None


def input_paths(session: TorchSession, cut: Cut) -> list[Path]:
    """The explained arguments under an accessor of INPUT. Raises CutError where there are none."""
    start = accessor_path(cut)
    paths = [p for p in session.inputs.explained if p[: len(start)] == start]
    if not paths:
        raise CutError(
            f"{cut!r} holds no floating tensor with a row per record",
            there=", ".join(map(named, session.inputs.leaves)),
            try_="at=asc.EMBEDDINGS for token ids",
            code="E-CUT-INTEGER",
        )
    return paths


def host_of(model: Any) -> nn.Module | None:
    """The module behind a model: itself, unwrapped if it was compiled, or the one that a bound method, partial or closure is about."""
    if isinstance(model, nn.Module):
        return getattr(model, "_orig_mod", model)
    if isinstance(getattr(model, "__self__", None), nn.Module):
        return host_of(model.__self__)
    if hasattr(model, "func"):
        return host_of(model.func)
    cells = [c.cell_contents for c in getattr(model, "__closure__", None) or () if _filled(c)]
    code = getattr(model, "__code__", None)
    used = [model.__globals__[n] for n in code.co_names if n in model.__globals__] if code is not None else []
    modules = {id(m): m for m in (*cells, *used) if isinstance(m, nn.Module)}
    return host_of(next(iter(modules.values()))) if len(modules) == 1 else None


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def call_model(session: TorchSession, run: Run, args: Any, kwargs: Any) -> Any:
    """Run the model; its own errors come back as ours, with the first line of what it said and what it was given."""
    try:
        return run(getattr(session.model, "_orig_mod", session.model), args, kwargs)
    except AscribeError:
        raise
    except Exception as wrong:
        if session.out_of_memory(wrong):
            raise
        raise explained_failure(session, wrong) from wrong


def one_per_row(value: Any, rows: int) -> Tensor:
    """A quantity's numbers as ``[rows]``. Raises InputError or ModelError when there is not one for each."""
    if not isinstance(value, Tensor):
        raise ModelError(
            f"the quantity gave a {type(value).__name__}", try_="a tensor with one number per record", code="E-QUANTITY-TYPE"
        )
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


def pull_back(totals: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """The gradient of each total at each leaf, ``[quantities, ...]``; zero where a leaf plays no part."""
    if not totals.requires_grad:
        return [torch.zeros((len(totals), *t.shape), dtype=t.dtype, device=t.device) for t in leaves]
    if len(totals) == 1:
        found = torch.autograd.grad(totals[0], leaves, allow_unused=True)
        return [torch.zeros_like(t)[None] if g is None else g[None] for g, t in zip(found, leaves, strict=True)]
    eye = torch.eye(len(totals), dtype=totals.dtype, device=totals.device)
    try:
        found = torch.autograd.grad(totals, leaves, eye, is_grads_batched=True, allow_unused=True, retain_graph=True)
    except RuntimeError:  # an operation without a batching rule: one backward for each
        each = [torch.autograd.grad(totals, leaves, row, retain_graph=True, allow_unused=True) for row in eye]
        found = tuple(None if parts[0] is None else torch.stack(parts) for parts in zip(*each, strict=True))
    return [t.new_zeros((len(totals), *t.shape)) if g is None else g for g, t in zip(found, leaves, strict=True)]


def grown(once: tuple[int, ...], twice: tuple[int, ...]) -> int | None:
    """The axis that is longer the second time, or None."""
    return next((i for i, (a, b) in enumerate(zip(once, twice, strict=False)) if a != b), None)


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
