"""Evaluates a job under a rule: records the run of the records and those of references, and passes multipliers back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ....cuts import Cut
from ....errors import AscribeError
from ....rules.books import RuleBook
from ....tape import Var
from ....tape.alignment import References
from ....tape.assignment import assign
from ....tape.conservation import Ledger
from ....tape.passes import check_relus, pass_back
from ....tape.report import RuleReport
from ....tape.reverse import Reverse
from ...protocol import ArrayAt, Evidence, Job, Reading
from ...rule_of_job import rule_of
from ..context import Context
from ..cut_info import TorchCutInfo
from ..model.errors import without_graph
from ..run.axes import Axis
from ..run.canonical import natives
from ..run.compare import close
from ..run.independence import independent
from ..run.quantities import evaluate_quantities
from ..run.record_axes import axis_of
from ..run.single import run_single
from .formulas import TORCH
from .framework import tape_bytes
from .record import Recorded, record_records, record_run, start_at_inputs
from .store import TapeStore

Tensor = torch.Tensor

SHORT = (torch.bfloat16, torch.float16)
SPARE = 4  # references are kept for the records to come while they hold no more than this many times what the records' run holds


@dataclass
class Pulled:
    """The result of one backward pass, by cut.

    ``start`` is the quantity at the reference, ``grads`` are the multipliers, ``begins`` the values at the reference, ``shares``
    contributions that are not multiplier times difference, ``direct`` relevance in addition to the multipliers.
    """

    start: Tensor
    grads: dict[Cut, list[Tensor]] = field(default_factory=dict)
    begins: dict[Cut, list[Tensor]] = field(default_factory=dict)
    shares: dict[Cut, list[Tensor]] = field(default_factory=dict)
    direct: dict[Cut, list[Tensor]] = field(default_factory=dict)


class RuleEvaluation:
    """The points of a job under a rule; where the rule compares, each point is a reference, and the records run once."""

    def __init__(self, ctx: Context, tapes: TapeStore, job: Job) -> None:
        self.rule = rule = rule_of(job)
        self.rules = assign(rule, TORCH)
        job = start_at_inputs(ctx, job, self.rules)
        self.ctx, self.tapes, self.job = ctx, tapes, job
        self.alone = rule.compares and job.at is not None and independent(ctx) and TorchCutInfo(ctx, job.at).replaces_all()
        self.forward = 0
        self.report = RuleReport(rule, ctx.layers.names() if isinstance(rule, RuleBook) else [])
        if ctx.dtype in SHORT:
            kind = str(ctx.dtype).removeprefix("torch.")
            ctx.notes.append(f"the rule was computed in {kind}, like the model: sums are as rough as that; model.float() for better")

    def evidence(self) -> Evidence:
        """The answer to the job."""
        try:
            found = self._found()
        finally:
            self.tapes.forget()
        self.report.check_strict()
        without_formula, trace = dict(self.report.without_formula), self.report.trace
        return replace(found, forward=self.forward, without_formula=without_formula, trace=trace, bytes_kept=self.tapes.bytes)

    def _found(self) -> Evidence:
        job = self.job
        found = self._turned() if job.points > 1 and job.records == 1 and self.alone and not job.write else None
        return self._straight() if found is None else found

    def _straight(self) -> Evidence:
        """The records on the tape, compared with one reference after the other."""
        job = self.job
        pulls, mains, held = [], [], 0
        for k in range(job.points):
            write = tuple(w[k : k + 1] for w in job.write)
            one = replace(job, points=1, write=write, reference=tuple(r[k : k + 1] for r in job.reference))
            main = self._main(one)
            held += tape_bytes(main.tape) if job.write or not k else 0
            pulls.append(self._against(main, one) if self.rule.compares else self._by_itself(main, one))
            mains += [main] if job.write or not k else []
        self.tapes.bytes = held * (1 if job.write else job.points)  # as if for each point
        value = torch.stack([(mains[k] if job.write else mains[0]).value for k in range(job.points)], 1)  # type: ignore[misc]
        reads = {cut: self._reading(mains, cut) for cut in job.read}
        starts = {c: [torch.cat(list(leaves)) for leaves in zip(*(p.begins[c] for p in pulls), strict=True)] for c in pulls[0].begins}
        grads, shares = self._stacked([p.grads for p in pulls]), self._stacked([p.shares for p in pulls])
        direct = self._stacked([p.direct for p in pulls])
        start = torch.stack([p.start for p in pulls], 1)
        return Evidence(value, grads, reads, 0, job.points, start, starts, shares=shares, direct_relevance=direct)

    def _stacked(self, found: Sequence[dict[Cut, list[Tensor]]]) -> dict[Cut, list[Tensor]]:
        """The points as one axis."""
        if not all(found):  # a rule that sends relevance beside the multipliers does so at some points and not at others
            like = next((f for f in found if f), {})
            found = [f or {c: [torch.zeros_like(t) for t in leaves] for c, leaves in like.items()} for f in found]
        return {c: [torch.stack(list(leaves), 1) for leaves in zip(*(f[c] for f in found), strict=True)] for c in found[0]}

    def _turned(self) -> Evidence | None:
        """One record and several references: the references on the tape. Multipliers are the same in both directions.

        None where that is not so, or not known to be: what a model makes of several rows at once is compared with single runs first.
        """
        job = self.job
        key = (job.at, job.wrt, job.read, job.on, job.quantity_key, type(self.rule))
        known = self.ctx.facts.weights.turns.get(key)
        if known is False or job.every_quantity is None or any(a.at is None or a.whole for c in job.wrt for a in self._axes(c, 1)):
            return None
        try:
            found = self._all_at_once()
        except AscribeError:
            found = None
        if known is None:
            known = found is not None and self._agrees(found)
            self.ctx.facts.weights.turns[key] = known
            return replace(found, probed=True) if found is not None and known else None
        return found

    def _agrees(self, found: Evidence) -> bool:
        """True if the first and the last point have the same result when run alone."""
        job = self.job
        for k in (0, job.points - 1):
            one = replace(job, points=1, reference=tuple(r[k : k + 1] for r in job.reference))
            alone = self._against(self._main(one), one)
            pairs = [(alone.start, found.start[:, k])] if found.start is not None else []
            pairs += [(a, b[:, k]) for c in job.wrt for a, b in zip(alone.grads[c], found.grads[c], strict=True)]
            if not all(close(a, b) for a, b in pairs):
                return False
        return True

    def _all_at_once(self) -> Evidence | None:
        job, points = self.job, self.job.points
        record = self._main(replace(job, points=1, reference=()))
        assert record.value is not None and job.every_quantity is not None
        many = replace(job, index=job.index.repeat(points), points=1, of=job.every_quantity, read=(), reference=())
        values = [v.detach() for v in natives(self.ctx, job, [r.transpose(0, 1) for r in job.reference])]
        main = record_records(self.ctx, self.tapes.open, many, values, self.rules)
        self.forward += 1
        self.tapes.bytes = tape_bytes(main.tape)
        refer = References(main.tape, [v.value for v in record.tape.sources], record.tape)
        if main.tape.routed or record.tape.routed or refer.match is None or main.value is None:
            return None
        pulled = self._grads(main, many, refer)
        one = replace(job, points=1)
        reads = {cut: self._reading([record], cut) for cut in job.read}
        starts = {
            c: [
                a.canonical(v.value, 0, 1, points).transpose(0, 1)
                for v, a in zip(main.targets(c), self._axes(c, len(main.targets(c))), strict=True)
            ]
            for c in one.wrt
        }
        return Evidence(
            record.value.detach()[:, None].expand(-1, points, -1),
            {c: [g[:, :, None] for g in leaves] for c, leaves in pulled.grads.items()},
            reads,
            0,
            1,
            main.value.detach()[:, :, None],
            starts,
            shares={c: [-s[:, :, None] for s in leaves] for c, leaves in pulled.shares.items()},
        )

    def _main(self, job: Job) -> Recorded:
        """The run of the records; the last one is used again while only the references change."""
        key = (job.index.tobytes(), job.at, job.wrt, job.read, job.on)
        kept = self.tapes.records
        if not job.write and kept is not None and kept[0] == key and kept[1].job.of is job.of:
            return kept[1]
        self.tapes.records = None
        values = [v.detach() for v in natives(self.ctx, job, job.write)] if job.write else None
        found = record_records(self.ctx, self.tapes.open, job, values, self.rules)
        self.forward += 1
        if not job.write and self.rule.compares:
            self.tapes.records = (key, found)
        return found

    def _by_itself(self, main: Recorded, job: Job) -> Pulled:
        """Multipliers without a reference: the record replaces it."""
        assert main.value is not None
        reverse = self._reverse(main, lambda v: v.value)
        reverse.ledger = Ledger() if self.rule.treats["elementwise"] == "zero" else None
        found = self._with(reverse, main, job)
        check_relus(self.rule, reverse)
        return replace(found, start=main.value.detach(), begins={})

    def _reverse(self, main: Recorded, refer: Callable[[Var], Tensor]) -> Reverse:
        assert main.rules is not None
        return Reverse(TORCH, main.tape, main.rules, refer, balances=self.tapes.balances)

    def _against(self, main: Recorded, job: Job) -> Pulled:
        """The quantity at one reference, multipliers against it, and the values at the cuts there."""
        reference, refer = self._reference(main, job)
        n = job.records
        if reference is not None and len(reference.job.index) == n:
            assert job.of is not None
            start = evaluate_quantities(self.ctx, job.of, [reference.read], job.index)
        elif reference is not None:
            assert job.every_quantity is not None
            start = evaluate_quantities(self.ctx, job.every_quantity, [reference.read], job.index[:1])
            start = start.reshape(-1, n)
        else:
            start = self._plain(job)
        return replace(self._grads(main, job, refer), start=start.detach())

    def _grads(self, main: Recorded, job: Job, refer: Callable[[Var], Tensor]) -> Pulled:
        return self._with(self._reverse(main, refer), main, job)

    def _with(self, reverse: Reverse, main: Recorded, job: Job) -> Pulled:
        """Multipliers at every cut, and its value at the reference."""
        if main.out is None:
            raise without_graph(self.ctx.host, job.wrt)
        every = [v for cut in job.wrt for v in main.targets(cut)]
        passed = pass_back(reverse, main.out, every, job.multipliers_only, release=not self.rule.compares)
        self.report.add(main.tape, main.out, reverse)
        pulled = Pulled(passed.multipliers[0][0])
        first = 0
        for cut in job.wrt:
            mine = main.targets(cut)
            axes = self._axes(cut, len(mine))
            part = slice(first, first + len(mine))
            pulled.grads[cut] = arrange(passed.multipliers, part, axes, job.records)
            pulled.begins[cut] = [self._begin(reverse.refer(v), v, axis) for v, axis in zip(mine, axes, strict=True)]
            if passed.shares is not None:
                pulled.shares[cut] = arrange(passed.shares, part, axes, job.records)
            if passed.direct is not None:
                pulled.direct[cut] = arrange(passed.direct, part, axes, job.records)
            first += len(mine)
        return pulled

    def _axes(self, cut: Cut, count: int) -> list[Axis]:
        """The record axes of the arrays at a cut."""
        paths = [s.path for s in self.job.spots] if cut == self.job.at and not cut.layer else [()] * count
        return [axis_of(self.ctx, cut, i, path) for i, path in enumerate(paths[:count])]

    def _begin(self, value: Tensor, var: Var, axis: Axis) -> Tensor:
        """A reference value as ``[1, 1 or records, ...]``."""
        value = value.expand(var.shape) if axis.at is None else value
        return axis.canonical(value, 0, 1, axis.count(value) or 1)

    def _reference(self, main: Recorded, job: Job) -> tuple[Recorded | None, References]:
        """The reference run: of one row where one suffices for all records, of as many rows as records, or none."""
        starts = self._starts(job, [1 if r.shape[1] == 1 else job.records for r in job.reference])
        if main.tape.routed:
            return None, References(main.tape, starts, None)
        one = all(r.shape[1] == 1 for r in job.reference)
        for rows in ([1] if one and self.alone else []) + ([job.records] if job.records > 1 or not self.alone else []):
            values = self._starts(job, [rows] * len(job.reference))
            found = self._reference_run(main, replace(job, index=job.index[:rows]), values, one and self.alone and rows == 1)
            refer = References(main.tape, [v.value for v in found.tape.sources], found.tape)
            if refer.match is not None:
                return found, refer
        self.report.without_formula["the order of operations"] = "differs between record and reference: as in the record"
        return None, References(main.tape, starts, None)

    def _starts(self, job: Job, rows: Sequence[int]) -> list[Tensor]:
        """The references in the model's own layout, with this many rows of each."""
        together = self.ctx.inputs.counted.rows is not None
        full = [r.expand(1, job.records if together else n, *r.shape[2:]) for r, n in zip(job.reference, rows, strict=True)]
        return [v.detach() for v in natives(self.ctx, job, full)]

    def _reference_run(self, main: Recorded, job: Job, values: list[Tensor], lasting: bool) -> Recorded:
        """A run of the reference; one of an earlier batch is used again where one row is the reference of all."""
        to_come = lasting and main.job.records < self.ctx.records
        key = (job.at, job.wrt, job.on, *(as_bytes(v) for v in values)) if to_come else None
        known: dict[Any, Recorded] = self.tapes.references
        if key in known:
            return known[key]
        try:
            found = record_run(self.ctx, self.tapes.open, job, values, like=main)
        finally:
            self.forward += 1
        if key is not None and sum(tape_bytes(r.tape) for r in (*known.values(), found)) <= SPARE * tape_bytes(main.tape):
            known[key] = found
        return found

    def _plain(self, job: Job) -> Tensor:
        """The quantity at the reference, run as any other point."""
        write = tuple(r.expand(1, job.records, *r.shape[2:]) for r in job.reference)
        found = run_single(self.ctx, replace(job, write=write, wrt=(), read=(), by=None, reference=()))
        self.forward += 1
        assert found.value is not None
        return found.value[:, 0]

    def _reading(self, mains: Sequence[Recorded], cut: Cut) -> Reading:
        """The values at a cut in the runs of the records, ``[runs, records, ...]``."""
        reading = Reading()
        for i, (call, path, _) in enumerate(mains[0].demands["read", cut].seen):
            axis = axis_of(self.ctx, cut, i, path)
            reading.spots.append(ArrayAt(cut, call, path, axis.canonical_axis))
            held = [main.demands["read", cut].seen[i][2].detach() for main in mains]
            reading.arrays.append(torch.cat([axis.canonical(t, 0, 1, self.job.records) for t in held]))
        return reading


def arrange(rows: list[list[Tensor]], part: slice, axes: list[Axis], records: int) -> list[Tensor]:
    """The arrays of one cut for all quantities: ``[quantities, records, ...]``."""
    stacked = [torch.stack(list(leaves)) for leaves in zip(*(row[part] for row in rows), strict=True)]
    return [axis.canonical(t, 1, 1, records, True)[:, 0] for t, axis in zip(stacked, axes, strict=True)]


def as_bytes(value: Tensor) -> bytes:
    """The bytes of a tensor, as part of a key."""
    return bytes(value.detach().contiguous().cpu().flatten().view(torch.uint8).numpy())


def evaluate_rule(ctx: Context, tapes: TapeStore, job: Job) -> Evidence:
    """Evaluates a job whose rule treats operations."""
    return RuleEvaluation(ctx, tapes, job).evidence()
