"""Evaluates a job under a rule: one compiled program for its form, called once, or once for each point that is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....cuts import Cut
from ....rules.trace import RuleTrace
from ....tape.conservation import trace_of
from ....tape.report import RuleReport
from ...protocol import ArrayAt, Evidence, Job, Reading
from ...rule_of_job import rule_of
from ..decisions import answers, traced
from ..device import JaxDevice
from ..evaluate import Layout, evaluate_gradients, padded
from ..programs import Arguments, Form, Program, trees
from ..quantities import evaluate_outside
from ..spots import Spots
from ..traces import Trace, compiled, counts
from .forms import Plan, Quantity, RuleArguments, RuleForm, form_of, keyed_quantity, plan_of, traced_quantity
from .programs import Answer, Leaves, RuleProgram, Structure
from .recorded import WithoutPath, without_path

Array = Any
ROUNDS = 8
"""How often decisions are corrected before a run is evaluated operation by operation."""
NEEDS_NUMBERS = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError, jax.errors.TracerIntegerConversionError)
"""The errors of JAX where code looks at a number while it is traced."""


@dataclass
class Compiled:
    """The programs of one form, by the decisions that they were traced with."""

    plan: Plan
    latest: tuple[int, ...] = ()
    programs: dict[tuple[int, ...], RuleProgram] = field(default_factory=dict)
    eager: bool = False
    """True if code of the rule looks at numbers: the form is then evaluated operation by operation."""


class RuleEvaluation:
    """The points of a job under a rule; where the rule compares, each point is a reference, and the records run once."""

    def __init__(self, spots: Spots, device: JaxDevice, job: Job) -> None:
        self.rule = rule_of(job)
        self.spots, self.device, self.job = spots, device, job
        self.bound = spots.bound(job.records)
        self.report = RuleReport(self.rule, list(dict.fromkeys(key.layer for key in self.trace.marks)))
        self.routed = False

    @property
    def trace(self) -> Trace:
        """The trace of the model."""
        return self.bound.trace

    def evidence(self) -> Evidence:
        """The answer to the job."""
        job, before = self.job, counts.programs
        found = [self._answer(one) for one in self._parts()]
        self.report.check_strict()
        evidence = Evidence(self._values(found), {}, self._readings(found), self._forward(found), job.points)
        evidence.probed = counts.programs != before
        pulled = [answer.pulled for answer in found]
        evidence.grads = self._by_cut([p.grads for p in pulled])
        evidence.shares = self._by_cut([p.shares for p in pulled])
        evidence.direct_relevance = self._by_cut([p.direct for p in pulled])
        evidence.starts = self._by_cut([p.begins for p in pulled], 0)
        evidence.start = self._starts(found)
        evidence.without_formula, evidence.trace = dict(self.report.without_formula), self.report.trace
        self.device.started((evidence.value, evidence.grads))
        return evidence

    def _parts(self) -> list[Job]:
        """The job by its calls of the program: one for each written point, otherwise one for all references.

        Parts of differences that are separated by sign decide by the numbers of one reference.
        """
        job = self.job
        apart = bool(job.write) or (self.rule.compares and self.rule.treats.get("parts") == "orders")
        if not apart:
            return [replace(job, points=1)]
        return [
            replace(job, points=1, write=tuple(w[k : k + 1] for w in job.write), reference=tuple(r[k : k + 1] for r in job.reference))
            for k in range(job.points)
        ]

    def _answer(self, job: Job) -> Answer:
        """The results for one call of a program."""
        wanted = len(job.reference[0]) if self.rule.compares else 0
        size = 1 << (wanted - 1).bit_length() if wanted else 0
        given = RuleArguments(
            self.spots.model.weights,
            self.bound.consts,
            self.spots.inputs.rows(job.index),
            tuple(w[0] for w in job.write),
            tuple(padded(r, size) for r in job.reference) if wanted else (),
            (),
        )
        quantity = self._quantity(job)
        form = form_of(self.spots, job, quantity.key, size)
        answer, structure = self._run(form, given._replace(labels=quantity.labels), quantity)
        self.report.without_formula.update(structure.report.without_formula)
        flows = structure.report.trace if answer.flows is None else trace_of(structure.flows, *map(np.asarray, answer.flows))
        applied = structure.report.trace
        self.report.trace.add(
            replace(flows, applied=applied.applied, unused=applied.unused) if answer.flows is not None else copied(applied)
        )
        self.routed |= structure.routed
        return answer if size in (0, wanted) else answer._replace(pulled=jax.tree.map(lambda a: a[:wanted], answer.pulled))

    def _quantity(self, job: Job) -> Quantity:
        """The quantities. A user's, and those that look at numbers when they are bound, are evaluated on a plain run before."""
        layout = Layout(self.spots, self.trace, job, bool(job.write))
        found = keyed_quantity(job, layout.on, self.trace) or self._bound_by_shapes(job, layout)
        if found is not None:
            return found
        form = Form(int(bool(job.write)), job.records, layout.written, (False,) * len(layout.written), on=layout.on)
        given = Arguments(
            self.spots.model.weights, self.bound.consts, self.spots.inputs.rows(job.index), job.write, (None,) * len(job.write)
        )
        values, _, _ = compiled(self.trace, form, lambda: Program(self.spots, self.trace, form).forward)(given)
        assert job.of is not None
        evaluate_outside(job.of, trees(layout.on, values, self.trace), job.rows)
        return keyed_quantity(job, layout.on, self.trace) or traced_quantity(job, layout.on, self.trace, values)

    def _bound_by_shapes(self, job: Job, layout: Layout) -> Quantity | None:
        """Quantities that are bound without a run of the model, as labels are; None for those that need its numbers."""
        bind: Any = getattr(job.of, "bind", None)
        if bind is None:
            return None
        keys = [key for group in layout.on for key in group.keys]
        marks = [(self.spots.at(key, self.trace), self.spots.axis(key)) for key in keys]
        if any(axis is None for _, axis in marks):
            return None
        shapes = [
            jax.ShapeDtypeStruct((job.records, *(n for d, n in enumerate(mark.shape) if d != axis)), mark.dtype) for mark, axis in marks
        ]
        try:
            jax.eval_shape(lambda *rows: bind(trees(layout.on, rows, self.trace), job.rows), *shapes)
        except NEEDS_NUMBERS:
            return None
        found = keyed_quantity(job, layout.on, self.trace)
        return None if found is None or traced(*jax.tree.leaves(found.labels)) else found

    def _run(self, form: RuleForm, given: RuleArguments, quantity: Quantity) -> tuple[Answer, Structure]:
        """The results of the program whose decisions hold, and its structure."""
        made = self.trace.programs.get((form, "rule"))
        if made is None:
            made = self.trace.programs.setdefault((form, "rule"), Compiled(plan_of(self.spots, form, self.rule)))
        for _ in range(0 if made.eager else ROUNDS):
            try:
                answer, structure = self._compiled(made, form, given, quantity)
            except NEEDS_NUMBERS:
                made.eager = True
                break
            true = answers(answer.asked)
            if true == structure.taken:
                return answer, structure
            made.latest = true
        return self._by_operations(made.plan, given, quantity)

    def _compiled(self, made: Compiled, form: RuleForm, given: RuleArguments, quantity: Quantity) -> tuple[Answer, Structure]:
        """The results of the program for the latest decisions, which may turn out not to hold."""
        program = made.programs.setdefault(made.latest, RuleProgram(made.plan, made.latest))
        key: Any = (form, "rule", made.latest)
        try:
            run: Any = compiled(self.trace, key, lambda: program.traced(quantity))
            if program.structure is None:
                run.trace(given)
            assert program.structure is not None
            if program.structure.doubtful:
                decisions = compiled(self.trace, (*key, "decisions"), lambda: program.decided(quantity))
                program.structure.doubtful = False
                true = answers(decisions(given))
                if true != program.structure.taken[: len(true)]:
                    made.latest = true
                    return self._compiled(made, form, given, quantity)
            return run(given), program.structure
        except WithoutPath:
            raise without_path(self.job.wrt) from None

    def _by_operations(self, plan: Plan, given: RuleArguments, quantity: Quantity) -> tuple[Answer, Structure]:
        """The results of a run that is not compiled: every operation is evaluated when it is met, so that code may look at numbers."""
        program = RuleProgram(replace(plan, form=replace(plan.form, references=min(plan.form.references, 1))))
        try:
            found = [program.evaluate(given._replace(references=one), quantity) for one in one_by_one(given.references)]
        except WithoutPath:
            raise without_path(self.job.wrt) from None
        assert program.structure is not None
        pulled = jax.tree.map(lambda *parts: jnp.concatenate(parts), *(answer.pulled for answer in found))
        return found[0]._replace(pulled=pulled), program.structure

    def _forward(self, found: Sequence[Answer]) -> int:
        """The number of forward passes."""
        return len(found) + (self.job.points if self.rule.compares else 0)

    def _values(self, found: Sequence[Answer]) -> Array:
        """The quantities, ``[quantities, points, records]``."""
        value = found[0].value[:, None] if len(found) == 1 else jnp.stack([answer.value for answer in found], 1)
        return value if value.shape[1] == self.job.points else jnp.broadcast_to(value[:, :1], (len(value), self.job.points, value.shape[2]))

    def _readings(self, found: Sequence[Answer]) -> dict[Cut, Reading]:
        """The values at the cuts that are read, ``[runs, records, ...]``; one run where nothing is written."""
        runs = found if self.job.write else found[:1]
        readings: dict[Cut, Reading] = {}
        for number, cut in enumerate(self.job.read):
            keys = self.spots.keys(cut, self.trace)
            arrays = [joined(list(parts), 0) for parts in zip(*(run.reads[number] for run in runs), strict=True)]
            readings[cut] = Reading([ArrayAt(cut, k.call, k.path, self.spots.axis(k)) for k in keys], arrays)
        return readings

    def _by_cut(self, found: Sequence[Leaves | None], axis: int = 1) -> dict[Cut, list[Array]]:
        """Arrays with the points along an axis, by cut; zeros where one part has nothing and another has."""
        like = next((leaves for leaves in found if leaves is not None), None)
        if like is None:
            return {}
        full = [jax.tree.map(jnp.zeros_like, like) if leaves is None else leaves for leaves in found]
        return {
            cut: [self._points(joined(list(parts), 0), axis) for parts in zip(*(leaves[number] for leaves in full), strict=True)]
            for number, cut in enumerate(self.job.wrt)
        }

    def _points(self, array: Array, axis: int) -> Array:
        """An array of points with these along an axis; repeated where the points do not matter."""
        if len(array) != self.job.points:
            array = jnp.broadcast_to(array, (self.job.points, *array.shape[1:]))
        return jnp.moveaxis(array, 0, axis) if axis else array

    def _starts(self, found: Sequence[Answer]) -> Array:
        """The quantities at the references, ``[quantities, points, records]``: run as any other points where the model chooses."""
        if self.rule.compares and self.routed:
            job = self.job
            write = tuple(jnp.broadcast_to(r, (len(r), job.records, *r.shape[2:])) for r in job.reference)
            plain = replace(job, write=write, wrt=(), read=(), by=None, reference=())
            return evaluate_gradients(self.spots, self.device, plain).value
        return self._points(joined([answer.pulled.start for answer in found], 0), 1)


def copied(trace: RuleTrace) -> RuleTrace:
    """A trace that may be added to."""
    return replace(trace, flows=dict(trace.flows))


def joined(arrays: list[Array], axis: int) -> Array:
    """Arrays one after the other."""
    return arrays[0] if len(arrays) == 1 else jnp.concatenate(arrays, axis)


def one_by_one(references: Sequence[Array]) -> list[tuple[Array, ...]]:
    """The references of each point by themselves; nothing once where there are none."""
    return [tuple(r[k : k + 1] for r in references) for k in range(len(references[0]))] if references else [()]


def evaluate_rule(spots: Spots, device: JaxDevice, job: Job) -> Evidence:
    """Evaluates a job whose rule treats operations. Raises RuleError for operations that cannot be followed."""
    return RuleEvaluation(spots, device, job).evidence()
