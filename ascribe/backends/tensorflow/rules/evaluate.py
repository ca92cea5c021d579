"""Evaluates a job under a rule: records the run of the records, and passes multipliers back against one reference after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from ....arrays import Array
from ....cuts import Cut
from ....tape.alignment import References
from ....tape.assignment import assign
from ....tape.conservation import Ledger
from ....tape.passes import Passed, check_relus, pass_back
from ....tape.report import RuleReport
from ....tape.reverse import Reverse
from ...protocol import Evidence, Job, Reading
from ...rule_of_job import rule_of
from ..axes import Axis
from ..context import Context
from ..evaluate import OneRun
from ..namespace import xp
from .framework import TENSORFLOW
from .recorded import Recorded, RecordedRun


class RuleEvaluation:
    """The points of a job under a rule; where the rule compares, each point is a reference, and the records run once."""

    def __init__(self, ctx: Context, job: Job) -> None:
        self.rule = rule_of(job)
        self.ctx, self.job = ctx, job
        self.rules = assign(self.rule, TENSORFLOW)
        self.report = RuleReport(self.rule, list(ctx.runner.layers()))
        self.forward = 0

    def evidence(self) -> Evidence:
        """The answer to the job."""
        job = self.job
        mains: list[Recorded] = []
        pulls: list[Pulled] = []
        for k in range(job.points):
            write = tuple(w[k : k + 1] for w in job.write)
            keep = tuple(None if share is None else share[k : k + 1] for share in job.keep)
            one = replace(job, points=1, write=write, keep=keep, reference=tuple(r[k : k + 1] for r in job.reference))
            if job.write or not k:
                mains.append(RecordedRun(self.ctx, one, self.rules).record())
                self.forward += 1
            pulls.append(self._against(mains[-1], one) if self.rule.compares else self._by_itself(mains[-1]))
        self.report.check_strict()
        value = np.stack([(mains[k] if job.write else mains[0]).value for k in range(job.points)], 1)
        readings = {cut: joined([main.reads[cut] for main in mains]) for cut in job.read}
        begins = {c: [np.stack(list(parts)) for parts in zip(*(p.begins[c] for p in pulls), strict=True)] for c in pulls[0].begins}
        evidence = Evidence(
            value,
            stacked([p.grads for p in pulls]),
            readings,
            self.forward,
            job.points,
            np.stack([p.start for p in pulls], 1),
            begins,
            dict(self.report.without_formula),
            stacked([p.shares for p in pulls]),
            direct_relevance=stacked([p.direct for p in pulls]),
            trace=self.report.trace,
        )
        for main in mains:
            main.tape.forget()
        return evidence

    def _by_itself(self, main: Recorded) -> Pulled:
        """Multipliers without a reference: the record replaces it."""
        reverse = Reverse(TENSORFLOW, main.tape, main.rules, lambda v: v.value)
        reverse.ledger = Ledger() if self.rule.treats["elementwise"] == "zero" else None
        pulled = self._pulled(reverse, main, main.value)
        check_relus(self.rule, reverse)
        pulled.begins = {}
        return pulled

    def _against(self, main: Recorded, job: Job) -> Pulled:
        """The quantity at one reference, multipliers against it, and the values at the cuts there."""
        refer = self._reference(main, job)
        start = self._plain(job) if main.tape.routed else xp.numpy(refer(main.out))
        return self._pulled(Reverse(TENSORFLOW, main.tape, main.rules, refer), main, start)

    def _reference(self, main: Recorded, job: Job) -> References:
        """The values of the reference run: every operation of the record again, on the reference."""
        starts = [var.value for var in main.tape.sources]
        for (slot, axis), value in zip(main.starts, job.reference, strict=True):
            rows = axis.native(np.broadcast_to(np.asarray(value), (1, job.records, *value.shape[2:])))
            starts[slot] = tf.broadcast_to(tf.cast(tf.convert_to_tensor(rows), starts[slot].dtype), starts[slot].shape)
        self.forward += 1
        return References(main.tape, starts, None)

    def _plain(self, job: Job) -> np.ndarray:
        """The quantity at the reference, run as any other point: choices are those of the reference."""
        write = tuple(np.broadcast_to(np.asarray(r), (1, job.records, *r.shape[2:])) for r in job.reference)
        found = OneRun(self.ctx, replace(job, write=write, keep=(), wrt=(), read=(), by=None, reference=())).run()
        assert found.value is not None
        plain: np.ndarray = found.value[:, 0]
        return plain

    def _pulled(self, reverse: Reverse, main: Recorded, start: np.ndarray) -> Pulled:
        """Multipliers at every cut, and its value at the reference."""
        pairs = [pair for cut in self.job.wrt for pair in main.wrt[cut]]
        passed = pass_back(reverse, main.out, [v for _, v in pairs], self.job.multipliers_only)
        self.report.add(main.tape, main.out, reverse)
        pulled, first = Pulled(start), 0
        for cut in self.job.wrt:
            part = slice(first, first + len(main.wrt[cut]))
            axes = [axis for axis, _ in pairs[part]]
            pulled.add(main, cut, axes, part, passed)
            pulled.begins[cut] = [main.canonical(axis, tf.broadcast_to(reverse.refer(v), v.shape)) for axis, v in pairs[part]]
            first = part.stop
        return pulled


class Pulled:
    """The result of one backward pass, by cut: see :class:`ascribe.backends.protocol.Evidence`."""

    def __init__(self, start: np.ndarray) -> None:
        self.start = start
        self.grads: dict[Cut, list[np.ndarray]] = {}
        self.begins: dict[Cut, list[np.ndarray]] = {}
        self.shares: dict[Cut, list[np.ndarray]] = {}
        self.direct: dict[Cut, list[np.ndarray]] = {}

    def add(self, main: Recorded, cut: Cut, axes: Sequence[Axis], part: slice, passed: Passed) -> None:
        """The arrays of one cut for all quantities: ``[quantities, records, ...]``."""

        def arranged(rows: Sequence[Sequence[Array]]) -> list[np.ndarray]:
            return [np.stack([main.canonical(axis, row[part][i]) for row in rows]) for i, axis in enumerate(axes)]

        self.grads[cut] = arranged(passed.multipliers)
        if passed.shares is not None:
            self.shares[cut] = arranged(passed.shares)
        if passed.direct is not None:
            self.direct[cut] = arranged(passed.direct)


def stacked(found: Sequence[dict[Cut, list[np.ndarray]]]) -> dict[Cut, list[Any]]:
    """The points as the second axis; zeros where a point has nothing and another has."""
    like = next((f for f in found if f), {})
    full = [f or {c: [np.zeros_like(t) for t in leaves] for c, leaves in like.items()} for f in found]
    return {c: [np.stack(list(leaves), 1) for leaves in zip(*(f[c] for f in full), strict=True)] for c in like}


def joined(readings: Sequence[Reading]) -> Reading:
    """The values at a cut in several runs, ``[runs, records, ...]``."""
    return Reading(readings[0].spots, [np.concatenate(list(parts)) for parts in zip(*(r.arrays for r in readings), strict=True)])


def evaluate_rule(ctx: Context, job: Job) -> Evidence:
    """Evaluates a job whose rule treats operations. Raises RuleError for operations that cannot be followed."""
    return RuleEvaluation(ctx, job).evidence()
