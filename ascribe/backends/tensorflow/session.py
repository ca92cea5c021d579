"""TensorFlow: a model bound to one call of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array
from ...calls.call import Call, argument_name
from ...cuts import OUTPUT, Cut
from ...errors import RuleError
from ...rules import Gradient, treats_operations
from ..independence import records_independent
from ..numpy.host import HostNamespace
from ..protocol import ArrayAt, Bias, Evidence, Job, Place, Session, Traits
from ..sums import PathPoints, Totals
from .context import Context
from .cut_info import TensorflowCutInfo
from .evaluate import OneRun, evaluate_apart
from .places import places, resolve
from .rules.evaluate import evaluate_rule
from .summed import evaluate_sum


class TensorflowSession(Session):
    """See :class:`ascribe.backends.protocol.Session`.

    The engine's arrays are NumPy's: TensorFlow has no indexing by arrays and no writing in place, and its eager operations cost more
    than NumPy's. Only the model, its quantities and its gradients are TensorFlow's.
    """

    xp = HostNamespace()

    def __init__(self, model: Any, call: Call) -> None:
        self.ctx = ctx = Context(model, call)
        self.call, self.records, self.notes = ctx.call, ctx.records, ctx.notes
        self.facts, self.device, self.traits = ctx.facts, ctx.device, Traits()
        self.kept = [(v, np.array(v.numpy())) for v in ctx.variables if not getattr(v, "trainable", True)]

    def close(self) -> None:
        """Puts back variables that are not trained (moving means, counters) and that a run has changed."""
        for variable, before in self.kept:
            if not np.array_equal(variable.numpy(), before, equal_nan=before.dtype.kind == "f"):
                variable.assign(before)

    def another(self, call: Call) -> TensorflowSession:
        return TensorflowSession(self.ctx.model, call)

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        return resolve(self.ctx, cut, wrt)

    def cut_info(self, cut: Cut) -> TensorflowCutInfo:
        return TensorflowCutInfo(self.ctx, cut)

    def evaluate(self, job: Job) -> Evidence:
        if job.wrt and treats_operations(job.by):
            return evaluate_rule(self.ctx, job)
        if job.by is not None and not isinstance(job.by, Gradient):
            advice = "by=asc.rules.Gradient(), or no by="
            raise RuleError("TensorFlow models do not support this rule", found=f"by={job.by!r}", advice=advice)
        if job.points > 1 and job.write and (self.ctx.inputs.counted.together or not records_independent(self)):
            return evaluate_apart(self.ctx, job)
        return OneRun(self.ctx, job).run()

    def summed(self, job: Job, points: PathPoints, totals: Totals) -> Evidence:
        plain = (job.by is None or isinstance(job.by, Gradient)) and not self.ctx.inputs.counted.together
        found = evaluate_sum(self.ctx, job, points, totals) if plain and (job.points == 1 or records_independent(self)) else None
        return super().summed(job, points, totals) if found is None else found

    def places(self) -> list[Place]:
        return places(self.ctx)

    def names(self, spots: Sequence[ArrayAt]) -> list[str]:
        return [argument_name(s.path) if s.cut.anchor == "in" and not s.cut.layer else f"{s.cut!r}[{i}]" for i, s in enumerate(spots)]

    def given(self, array: Array, spot: ArrayAt | None = None) -> Any:
        inputs = self.ctx.inputs
        at_input = spot is not None and not spot.cut.layer and spot.cut.anchor == "in"
        if inputs.numpy:
            short = inputs.short.get(spot.path) if at_input and spot is not None else None
            return array if short is None else np.asarray(array).astype(short)
        tensor, kind = tf.convert_to_tensor(array), None
        if spot is not None and tensor.dtype.is_floating:
            kind = inputs.kinds.get(spot.path) if at_input else self.ctx.kinds.get((spot.cut, spot.path))
        return tf.cast(tensor, kind) if kind is not None and kind.is_floating else tensor

    def parameter_count(self) -> int:
        return sum(int(np.prod(v.shape)) for v in self.ctx.variables)

    def may_vary(self) -> bool:
        """True if rows did not give together what they give apart: so do answers that differ each time."""
        return self.facts.doubted and not self.facts.weights.repeatable

    def independence_trial(self) -> Job | bool:
        if self.ctx.inputs.counted.together:
            return False
        return Job(np.arange(2), read=(OUTPUT,))

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        return self.ctx.runner.biases(layers)
