"""A job under a rule that treats operations: the records run and kept, references run beside them, multipliers pulled back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from ....cuts import Cut
from ....errors import CutError, RuleError
from ....rules import OperationRule
from ....tree import Path
from ...protocol import Evidence, Job, Reading, Spot
from ..taps import Demand, Read, Run
from ..work import call_model, canonical, close, explained_rows, input_paths, nothing_seen, spot_axis
from .align import References
from .entries import Tape, Tensor, Var
from .liveness import reached
from .recorder import Recorder
from .regions import find
from .reverse import Reverse
from .treatments import formulas
from .unfold import unfused

if TYPE_CHECKING:
    from ..session import TorchSession


Pulled = tuple[Tensor, dict[Cut, list[Tensor]], dict[Cut, list[Tensor]]]
"""The quantity at the reference, multipliers at every cut, what the cuts held at the reference."""

SHORT = (torch.bfloat16, torch.float16)
NEEDS_RECTIFIERS = ("guided", "deconvolution")


@dataclass
class Placed(Demand):
    """Put a copy of the value, or another, in the place, and know it on the tape; ``source`` when dependence starts here."""

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
        """Whether something later worked in place on what was put there."""
        return any(t._version > 0 for _, _, t in self.seen)


@dataclass
class Recorded:
    """One recorded run: its tape, its demands, the value read at the quantity's cut, and what was known before it ran."""

    job: Job
    tape: Tape
    recorder: Recorder
    demands: dict[tuple[str, Cut], Demand]
    value: Tensor | None = None
    out: Var | None = None

    @property
    def read(self) -> Read:
        found = self.demands["on", self.job.on]  # type: ignore[index]
        assert isinstance(found, Read)
        return found

    def targets(self, cut: Cut) -> list[Var]:
        """The values on the tape that a cut's arrays are."""
        if cut == self.job.at and not cut.layer:
            return self.tape.sources
        found = self.demands["place", cut]
        assert isinstance(found, Placed)
        return found.vars


def run_recorded(session: TorchSession, job: Job, values: Sequence[Tensor] | None, like: Recorded | None = None) -> Recorded:
    """Run the model on a job's records, or with other values where its points live; ``like`` stops where that run stopped."""
    recorder = Recorder()
    demands = demanded(session, job, values, recorder, like)
    found = Recorded(job, recorder.tape, recorder, demands)
    args, kwargs = started(session, job, values, found)
    run = Run(session.host, list(demands.values()), stop=True)
    with torch.no_grad(), unfused(session.host), recorder:
        output = call_model(session, run, args, kwargs)
        recorder.tape.close()
        for (_, cut), demand in demands.items():
            if cut.layer and not demand.seen:
                raise nothing_seen(demand)
            if not cut.layer and cut.anchor == "out":
                demand.visit(0, output)
        if like is None:
            session.facts.counts(run.demands, run.stopped)
            assert job.of is not None and job.on is not None
            found.value = explained_rows(session, job.of, found.read, job.rows)
    if found.value is not None:
        found.out = recorder.read(found.value)
    return found


def demanded(
    session: TorchSession, job: Job, values: Sequence[Tensor] | None, recorder: Recorder, like: Recorded | None
) -> dict[tuple[str, Cut], Demand]:
    """What is wanted at each place. Raises CutError for a place before the one where references live."""
    assert job.on is not None
    demands: dict[tuple[str, Cut], Demand] = {}

    def last(key: tuple[str, Cut]) -> int | None:
        return like.demands[key].last if like is not None else session.facts.last(key[1])

    for cut in dict.fromkeys((*([job.at] if job.at is not None else []), *job.wrt)):
        if cut.layer:
            own = values if cut == job.at else None
            demands["place", cut] = Placed(cut, last(("place", cut)), recorder=recorder, source=cut == job.at, values=own)
        elif cut != job.at:
            raise CutError(f"{cut!r} is before the references at {job.at!r}", try_="references at asc.INPUT", code="E-CUT-BEFORE")
    for cut in job.read if like is None else ():
        demands["read", cut] = Read(cut, last(("read", cut)))
    demands["on", job.on] = Read(job.on, last(("on", job.on)), live=True)
    return demands


def started(session: TorchSession, job: Job, values: Sequence[Tensor] | None, run: Recorded) -> tuple[Any, Any]:
    """The arguments, those that the references are for known on the tape and seen by whoever reads the inputs."""
    news = {}
    if job.at is not None and not job.at.layer:
        rows = values if values is not None else [session.inputs.own_rows(s.path, job.index) for s in job.spots]
        news = {s.path: t.clone() for s, t in zip(job.spots, rows, strict=True)}
    args, kwargs = session.inputs.rows(job.index, 1, news)
    for t in news.values():
        run.recorder.source(t)
    for (_, cut), demand in run.demands.items():
        if isinstance(demand, Read) and not cut.layer and cut.anchor == "in":
            demand.seen = [(0, p, t.clone()) for p, t in news.items() if p in input_paths(session, cut)]
            demand.tree = (args, kwargs)
    return args, kwargs


def prepared(session: TorchSession, job: Job, values: Sequence[Tensor] | None) -> Recorded:
    """The records' run, ready to go back over: regions found, the way to the targets known."""
    found = run_recorded(session, job, values)
    find(found.tape)
    assert isinstance(job.by, OperationRule)
    reached(found.tape, [var for cut in job.wrt for var in found.targets(cut)], job.by)
    placed = [d for d in found.demands.values() if isinstance(d, Placed)]
    if any(d.written() for d in placed):
        plain = session.run(replace(job, wrt=(), by=None, reference=(), points=1), "single")
        assert plain.value is not None and found.value is not None
        if not close(plain.value[:, 0], found.value.detach()):
            raise CutError(
                f"something works in place on the value at {', '.join(map(repr, job.wrt))}, and another branch relies on it",
                try_="the cut where that value is made, or the model without inplace=True",
                code="E-CUT-ALIAS",
            )
    return found


class Ruled:
    """A job's points under a rule on operations; where the rule compares, each with a reference of its own beside one run."""

    def __init__(self, session: TorchSession, job: Job) -> None:
        rule = job.by
        assert isinstance(rule, OperationRule)
        self.rule: OperationRule = rule
        if rule.compares and not job.reference:
            raise RuleError(
                f"by={job.by!r} compares", there="no reference", try_="over=asc.Reference(0.0) or asc.Background(rows)"
            )
        job = rooted(session, job)
        self.session, self.job = session, job
        self.alone = rule.compares and job.at is not None and session.splits() and session.replaces_all(job.at)
        self.forward = 0
        self.unruled: dict[str, str] = {}
        self.formulas = formulas(rule)
        if session.dtype in SHORT:
            kind = str(session.dtype).removeprefix("torch.")
            session.notes.append(f"the rule was computed in {kind}, like the model: sums are as rough as that; model.float() for better")

    def evidence(self) -> Evidence:
        """Everything that was asked, for all points."""
        job = self.job
        values, starts, grads, begins, mains = [], [], [], [], []
        for k in range(job.points):
            write = tuple(w[k : k + 1] for w in job.write)
            one = replace(job, points=1, write=write, reference=tuple(r[k : k + 1] for r in job.reference))
            main = self._main(one)
            found = self._against(main, one) if self.rule.compares else self._by_itself(main, one)
            assert main.value is not None
            values.append(main.value)
            starts.append(found[0])
            grads.append(found[1])
            begins.append(found[2])
            mains += [main] if job.write or not k else []
        if self.unruled and self.rule.strict:
            raise RuleError(
                f"{self.rule!r} has no exact rule for all", there=told(self.unruled), try_="strict=False: named in the checks"
            )
        reads = {cut: self._reading(mains, cut) for cut in job.read}
        return Evidence(
            torch.stack(values, 1),
            {c: [torch.stack([g[c][i] for g in grads], 1) for i in range(len(grads[0][c]))] for c in job.wrt},
            reads,
            self.forward,
            job.points,
            torch.stack(starts, 1),
            {c: [torch.cat([b[c][i] for b in begins]) for i in range(len(begins[0][c]))] for c in begins[0]},
            dict(self.unruled),
        )

    def _main(self, job: Job) -> Recorded:
        """The records' run: the last one where nothing but the references has changed."""
        key = (job.index.tobytes(), job.at, job.wrt, job.read, job.on)
        kept = self.session.kept
        if not job.write and kept is not None and kept[0] == key and kept[1].job.of is job.of:
            return kept[1]
        self.session.kept = None
        values = [flat(w, s) for w, s in zip(job.write, job.spots, strict=True)] if job.write else None
        found = prepared(self.session, job, values)
        self.forward += 1
        if not job.write and self.rule.compares:
            self.session.kept = (key, found)
        return found

    def _by_itself(self, main: Recorded, job: Job) -> Pulled:
        """Multipliers without a reference: the record stands for it."""
        assert main.value is not None
        reverse = self._reverse(main, lambda v: v.value)
        grads, _ = self._grads(main, job, reverse, len(main.value))
        if self.rule.treats["elementwise"] in NEEDS_RECTIFIERS and main.out is not None and not reverse.rectifiers:
            raise RuleError(f"{self.rule!r} found no rectifier", there="nothing that computes max(x, 0)", try_="asc.Gradient()")
        return main.value.detach(), grads, {}

    def _reverse(self, main: Recorded, refer: Callable[[Var], Tensor]) -> Reverse:
        treats = self.rule.treats
        named = treats["other"] != "gradient"
        return Reverse(main.tape, self.formulas, refer, self.rule.points, treats["elementwise"], named, books=self.session.books)

    def _against(self, main: Recorded, job: Job) -> Pulled:
        """The quantity at one reference, multipliers against it, and what the cuts held there."""
        reference, refer = self._reference(main, job)
        n = job.records
        if reference is not None and len(reference.job.index) == n:
            assert job.of is not None
            start = explained_rows(self.session, job.of, reference.read, job.index)
        elif reference is not None:
            assert job.across is not None
            start = explained_rows(self.session, job.across, reference.read, job.index[:1])
            start = start.reshape(-1, n)
        else:
            start = self._plain(job)
        grads, begins = self._grads(main, job, self._reverse(main, refer), len(start))
        return start.detach(), grads, begins

    def _grads(
        self, main: Recorded, job: Job, reverse: Reverse, quantities: int
    ) -> tuple[dict[Cut, list[Tensor]], dict[Cut, list[Tensor]]]:
        """Multipliers at every cut, and what it held at the reference."""
        every = [v for cut in job.wrt for v in main.targets(cut)]
        found = [self._pulled(main, reverse, q, every) for q in range(quantities)]
        self._tell(main.tape, reverse)
        grads: dict[Cut, list[Tensor]] = {}
        begins: dict[Cut, list[Tensor]] = {}
        first = 0
        for cut in job.wrt:
            mine = main.targets(cut)
            axes = [spot_axis(self.session, cut, i) for i in range(len(mine))]
            stacked = [torch.stack([f[first + i] for f in found]) for i in range(len(mine))]
            grads[cut] = [canonical(t, axis, 1, 1, job.records)[:, 0] for t, axis in zip(stacked, axes, strict=True)]
            begins[cut] = [self._begin(reverse.refer(v), v, axis) for v, axis in zip(mine, axes, strict=True)]
            first += len(mine)
        return grads, begins

    def _begin(self, value: Tensor, var: Var, axis: int | None) -> Tensor:
        """A reference value as ``[1, 1 or records, ...]``."""
        if axis is None:
            return value.expand(var.value.shape).reshape(1, 1, -1, *var.value.shape[1:])
        return value.movedim(axis, 0)[None]

    def _pulled(self, main: Recorded, reverse: Reverse, q: int, every: list[Var]) -> list[Tensor]:
        if main.out is None:
            return [torch.zeros_like(v.value) for v in every]
        g = torch.zeros_like(main.out.value)
        g[q] = 1
        found = reverse(main.out, g, every)
        return [torch.zeros_like(v.value) if c is None else c for v, c in zip(every, found, strict=True)]

    def _reference(self, main: Recorded, job: Job) -> tuple[Recorded | None, References]:
        """The reference run: of one row where that can stand for all, of as many as records, or none."""
        given = list(zip(job.reference, job.spots, strict=True))
        starts = [flat(r.expand(1, 1 if r.shape[1] == 1 else job.records, *r.shape[2:]), s) for r, s in given]
        if main.tape.routed:
            return None, References(main.tape, starts, None)
        one = all(r.shape[1] == 1 for r in job.reference)
        for rows in ([1] if one and self.alone else []) + ([job.records] if job.records > 1 or not self.alone else []):
            values = [flat(r.expand(1, rows, *r.shape[2:]), s) for r, s in given]
            try:
                found = run_recorded(self.session, replace(job, index=job.index[:rows]), values, like=main)
            finally:
                self.forward += 1
            refer = References(main.tape, [v.value for v in found.tape.sources], found.tape)
            if refer.match is not None:
                return found, refer
        self.unruled["the order of operations"] = "differs between record and reference: as in the record"
        return None, References(main.tape, starts, None)

    def _plain(self, job: Job) -> Tensor:
        """The quantity at the reference, run as any other point."""
        write = tuple(r.expand(1, job.records, *r.shape[2:]) for r in job.reference)
        found = self.session.run(replace(job, write=write, wrt=(), read=(), by=None, reference=()), "single")
        self.forward += 1
        assert found.value is not None
        return found.value[:, 0]

    def _tell(self, tape: Tape, reverse: Reverse) -> None:
        for name, times in reverse.unruled.items():
            self.unruled[name] = f"by {self.rule.points} points of its own derivative, {times} times"
        for name, times in tape.choices.items():
            self.unruled[name] = f"its choice kept as it is for the record, {times} times"
        for name, times in tape.opaque.items():
            self.unruled[name] = f"not seen through, {times} times"

    def _reading(self, mains: Sequence[Recorded], cut: Cut) -> Reading:
        """What a cut held in the records' runs, ``[runs, records, ...]``."""
        reading = Reading()
        for i, (call, path, _) in enumerate(mains[0].demands["read", cut].seen):
            axis = spot_axis(self.session, cut, i)
            reading.spots.append(Spot(cut, call, path, axis))
            held = [main.demands["read", cut].seen[i][2].detach() for main in mains]
            reading.arrays.append(torch.cat([canonical(t, axis, 0, 1, self.job.records) for t in held]))
        return reading


def flat(value: Tensor, spot: Spot) -> Tensor:
    """``[1, rows, ...]`` as the layer has it."""
    rows = value.reshape(-1, *value.shape[2:])
    if spot.axis is None:
        return rows.reshape(-1, *rows.shape[2:]).detach()
    return (rows.movedim(0, spot.axis) if spot.axis else rows).detach()


def told(unruled: dict[str, str]) -> str:
    """Operations without a rule, and what was done about them."""
    return "; ".join(f"{name} ({what})" for name, what in sorted(unruled.items()))


def rooted(session: TorchSession, job: Job) -> Job:
    """A job without points, as one whose dependence starts at the inputs that are asked for; at layers it starts by itself."""
    cut = next((c for c in job.wrt if not c.layer), None)
    if job.at is not None or cut is None:
        return job
    return replace(job, at=cut, spots=tuple(Spot(cut, 0, path, 0) for path in input_paths(session, cut)))


def ruled(session: TorchSession, job: Job) -> Evidence:
    """Evaluate a job whose rule treats operations."""
    return Ruled(session, job).evidence()


def kept_bytes(session: TorchSession) -> int:
    """What the kept run of the records holds."""
    kept: Any = session.kept
    return 0 if kept is None else kept[1].tape.bytes()
