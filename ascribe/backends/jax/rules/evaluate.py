"""Evaluates a job under a rule: records the run of the records, and passes multipliers back against one reference after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp

from ....cuts import Cut
from ....errors import RuleError
from ....rules import OperationRule, treats_operations
from ....tape import Var
from ....tape.alignment import References
from ....tape.assignment import assign
from ....tape.conservation import Ledger
from ....tape.formulas.elementwise import RECTIFYING
from ....tape.report import RuleReport
from ....tape.reveal_cancel import PartedReverse
from ....tape.reverse import Reverse
from ...protocol import Evidence, Job, Reading
from ..device import JaxDevice
from ..evaluate import evaluate_gradients
from ..spots import Spots
from .framework import JAX
from .recorded import Recorded, key_at, native, record_run

Array = Any


@dataclass
class Pulled:
    """The result of one backward pass, by cut: see :class:`ascribe.backends.protocol.Evidence`."""

    start: Array
    grads: dict[Cut, list[Array]] = field(default_factory=dict)
    begins: dict[Cut, list[Array]] = field(default_factory=dict)
    shares: dict[Cut, list[Array]] = field(default_factory=dict)
    direct: dict[Cut, list[Array]] = field(default_factory=dict)


class RuleEvaluation:
    """The points of a job under a rule; where the rule compares, each point is a reference, and the records run once."""

    def __init__(self, spots: Spots, device: JaxDevice, job: Job) -> None:
        rule = job.by
        assert treats_operations(rule)
        if rule.compares and not job.reference:
            problem = "The rule compares each record with a reference, and this call has none"
            advice = "over=asc.Reference(0.0), or over=asc.Background(rows)"
            raise RuleError(problem, found=f"by={job.by!r}", advice=advice)
        self.rule: OperationRule = rule
        self.spots, self.device, self.job = spots, device, job
        self.rules = assign(rule, JAX)
        trace = spots.trace(job.records)
        self.report = RuleReport(rule, list(dict.fromkeys(key.layer for key in trace.marks)))
        self.forward = 0

    def evidence(self) -> Evidence:
        """The answer to the job."""
        job = self.job
        mains: list[Recorded] = []
        pulls: list[Pulled] = []
        for k in range(job.points):
            write = tuple(w[k : k + 1] for w in job.write)
            one = replace(job, points=1, write=write, reference=tuple(r[k : k + 1] for r in job.reference))
            if job.write or not k:
                mains.append(record_run(self.spots, one, self.rules))
                self.forward += 1
            pulls.append(self._against(mains[-1], one) if self.rule.compares else self._by_itself(mains[-1]))
        self.report.check_strict()
        value = jnp.stack([(mains[k] if job.write else mains[0]).value for k in range(job.points)], 1)
        readings = {cut: joined([main.reads[cut] for main in mains]) for cut in job.read}
        begins = pulls[0].begins
        starts = {c: [jnp.stack(list(parts)) for parts in zip(*(p.begins[c] for p in pulls), strict=True)] for c in begins}
        return Evidence(
            value,
            stacked([p.grads for p in pulls]),
            readings,
            self.forward,
            job.points,
            jnp.stack([p.start for p in pulls], 1),
            starts,
            dict(self.report.without_formula),
            stacked([p.shares for p in pulls]),
            direct_relevance=stacked([p.direct for p in pulls]),
            trace=self.report.trace,
        )

    def _by_itself(self, main: Recorded) -> Pulled:
        """Multipliers without a reference: the record replaces it."""
        reverse = Reverse(JAX, main.tape, main.rules, lambda v: v.value)
        reverse.ledger = Ledger() if self.rule.treats["elementwise"] == "zero" else None
        pulled = self._pulled(reverse, main)
        if self.rule.treats["elementwise"] in RECTIFYING and not reverse.relus:
            problem, there = f"`{self.rule!r}` needs a model with a ReLU", "no operation that computes max(x, 0)"
            raise RuleError(problem, found=there, advice="by=asc.rules.Gradient()")
        return replace(pulled, start=main.value, begins={})

    def _against(self, main: Recorded, job: Job) -> Pulled:
        """The quantity at one reference, multipliers against it, and the values at the cuts there."""
        refer = self._reference(main, job)
        start = self._plain(job) if main.tape.routed else refer(main.out)
        return replace(self._pulled(Reverse(JAX, main.tape, main.rules, refer), main), start=start)

    def _reference(self, main: Recorded, job: Job) -> References:
        """The values of the reference run: every operation of the record again, on the reference."""
        starts = [var.value for var in main.tape.sources]
        for spot, value in zip(job.spots, job.reference, strict=True):
            slot = main.starts.get(key_at(spot))
            if slot is not None:
                whole = native(self.spots, key_at(spot), value[0], job.records)
                starts[slot] = jnp.broadcast_to(whole, starts[slot].shape).astype(starts[slot].dtype)
        self.forward += 1
        return References(main.tape, starts, None)

    def _plain(self, job: Job) -> Array:
        """The quantity at the reference, run as any other point: choices are those of the reference."""
        write = tuple(jnp.broadcast_to(r, (1, job.records, *r.shape[2:])) for r in job.reference)
        found = evaluate_gradients(self.spots, self.device, replace(job, write=write, wrt=(), read=(), by=None, reference=()))
        assert found.value is not None
        return found.value[:, 0]

    def _pulled(self, reverse: Reverse, main: Recorded) -> Pulled:
        """Multipliers at every cut, and its value at the reference."""
        parted = PartedReverse(reverse) if self.rule.treats.get("parts") == "orders" else None
        pairs = [pair for cut in self.job.wrt for pair in main.wrt[cut]]
        every = [v for _, v in pairs]
        found: list[list[Array]] = []
        shares: list[list[Array]] = []
        direct: list[list[Array | None]] = []
        for q in range(main.out.shape[0]):
            g = jnp.zeros_like(main.out.value).at[q].set(1)
            passed = self._once(reverse, parted, main.out, g, every)
            found.append([jnp.zeros_like(v.value) if m is None else m for v, (m, _) in zip(every, passed, strict=True)])
            direct.append([r for _, r in passed])
            shares.append(parted.shares if parted is not None else found[-1])
        self.report.add(main.tape, main.out, reverse)
        sent = any(r is not None for row in direct for r in row)
        full = [[jnp.zeros_like(m) if r is None else r for m, r in zip(*rows, strict=True)] for rows in zip(found, direct, strict=True)]
        pulled, first = Pulled(found[0][0]), 0
        for cut in self.job.wrt:
            part = slice(first, first + len(main.wrt[cut]))
            pulled.grads[cut] = arranged(main, pairs[part], [row[part] for row in found])
            pulled.begins[cut] = [main.canonical(key, jnp.broadcast_to(reverse.refer(v), v.shape)) for key, v in pairs[part]]
            if parted is not None:
                pulled.shares[cut] = arranged(main, pairs[part], [row[part] for row in shares])
            if sent:
                pulled.direct[cut] = arranged(main, pairs[part], [row[part] for row in full])
            first = part.stop
        return pulled

    def _once(
        self, reverse: Reverse, parted: PartedReverse | None, out: Var, g: Array, every: list[Var]
    ) -> list[tuple[Array | None, Array | None]]:
        """One quantity's multipliers, and direct relevance."""
        if parted is not None:
            return [(m, None) for m in parted(out, g, every)]
        found = reverse(out, g, every)
        return [folded(v, m, r) for v, (m, r) in zip(every, found, strict=True)] if self.job.multipliers_only else found


def arranged(main: Recorded, pairs: Sequence[tuple[Any, Var]], rows: Sequence[Sequence[Array]]) -> list[Array]:
    """The arrays of one cut for all quantities: ``[quantities, records, ...]``."""
    return [jnp.stack([main.canonical(key, row[i]) for row in rows]) for i, (key, _) in enumerate(pairs)]


def stacked(found: Sequence[dict[Cut, list[Array]]]) -> dict[Cut, list[Array]]:
    """The points as the second axis; zeros where a point has nothing and another has."""
    like = next((f for f in found if f), {})
    full = [f or {c: [jnp.zeros_like(t) for t in leaves] for c, leaves in like.items()} for f in found]
    return {c: [jnp.stack(list(leaves), 1) for leaves in zip(*(f[c] for f in full), strict=True)] for c in like}


def joined(readings: Sequence[Reading]) -> Reading:
    """The values at a cut in several runs, ``[runs, records, ...]``."""
    return Reading(readings[0].spots, [jnp.concatenate(list(parts)) for parts in zip(*(r.arrays for r in readings), strict=True)])


def folded(v: Var, m: Array | None, r: Array | None) -> tuple[Array | None, None]:
    """Direct relevance as a multiplier; 0 where the value is 0."""
    if r is None:
        return m, None
    zero = v.value == 0
    more = jnp.where(zero, 0, r / jnp.where(zero, 1, v.value))
    return (more if m is None else m + more), None


def evaluate_rule(spots: Spots, device: JaxDevice, job: Job) -> Evidence:
    """Evaluates a job whose rule treats operations. Raises RuleError for operations that cannot be followed."""
    return RuleEvaluation(spots, device, job).evidence()
