"""JAX: a model bound to one call of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ...arrays import Array
from ...calls.call import Call, argument_name
from ...cuts import INPUT, OUTPUT, Cut
from ...errors import RuleError
from ...rules import Gradient, treats_operations
from ..compare import close
from ..protocol import ArrayAt, Bias, Evidence, Job, Place, Session, Traits
from ..sums import PathPoints, Totals
from .arguments import Inputs
from .cut_info import JaxCutInfo
from .device import JaxDevice
from .evaluate import evaluate_gradients
from .families import model_of
from .memory import facts_of
from .namespace import host, is_floating, xp
from .places import places, resolve
from .rules.evaluate import evaluate_rule
from .spots import Spots
from .summed import evaluate_sum


class JaxSession(Session):
    """See :class:`ascribe.backends.protocol.Session`."""

    compiles = True

    def __init__(self, model: Any, call: Call) -> None:
        self.given_model, self.call = model, call
        self.inputs = Inputs(call)
        self.model = model_of(model, self.inputs.whole)
        self.records, self.notes = self.inputs.records, list(self.inputs.notes)
        if self.model.training:
            kinds = ", ".join(self.model.training)
            self.notes.append(
                f"the model is in training mode, and explained so ({kinds}): model.eval() or inference_mode(model) changes it"
            )
        self.spots = Spots(self.model, self.inputs)
        self.facts = facts_of(self.model, (self.inputs.signature, self.records))
        self.runs = JaxDevice(list(self.inputs.leaves.values()))
        self.device = self.runs
        self.xp = host if self.runs.host else xp
        self.traits = Traits()

    def another(self, call: Call) -> JaxSession:
        return JaxSession(self.given_model, call)

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        return resolve(self.spots, cut, wrt, self.notes)

    def cut_info(self, cut: Cut) -> JaxCutInfo:
        return JaxCutInfo(self.spots, cut)

    def evaluate(self, job: Job) -> Evidence:
        if job.wrt and treats_operations(job.by):
            return self.runs.given_evidence(evaluate_rule(self.spots, self.runs, job))
        if job.by is not None and not isinstance(job.by, Gradient):
            advice = "by=asc.rules.Gradient(), or no by="
            raise RuleError("JAX models do not support this rule", found=f"by={job.by!r}", advice=advice)
        return evaluate_gradients(self.spots, self.runs, job)

    def summed(self, job: Job, points: PathPoints, totals: Totals) -> Evidence:
        plain = job.by is None or isinstance(job.by, Gradient)
        found = evaluate_sum(self.spots, self.runs, job, points, totals) if plain else None
        return super().summed(job, points, totals) if found is None else found

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        return super().biases(layers) if self.model.biases is None else self.model.biases(layers, self.call)

    def places(self) -> list[Place]:
        return places(self.spots)

    def names(self, spots: Sequence[ArrayAt]) -> list[str]:
        return [argument_name(s.path) if s.cut.anchor == "in" and not s.cut.layer else f"{s.cut!r}[{i}]" for i, s in enumerate(spots)]

    def given(self, array: Array, spot: ArrayAt | None = None) -> Any:
        return xp.numpy(array) if self.inputs.numpy else jnp.asarray(array)

    def parameter_count(self) -> int:
        return sum(int(np.prod(a.shape)) for a in self.model.arrays())

    def sizes(self, rows: int) -> int:
        """All records at the next power of two of points: so many are run, and no other number needs a program."""
        points = -(-rows // self.records)
        return self.records * (1 << (points - 1).bit_length())

    def may_vary(self) -> bool:
        """True if rows did not give together what they give apart."""
        return self.facts.doubted and not self.facts.weights.repeatable

    def independence_trial(self) -> bool:
        """True if other numbers in all records but the first leave the first one's output as it is: the same program, run twice."""
        if self.model.vmapped or self.inputs.whole:
            return self.model.vmapped
        index = np.arange(self.records)
        own = self.evaluate(Job(index, read=(INPUT, OUTPUT)))
        spots, values = own.reads[INPUT].spots, own.reads[INPUT].arrays
        write = tuple(with_other_records(a) for a in values)
        other = self.evaluate(Job(index, 1, INPUT, tuple(spots), write, read=(OUTPUT,)))
        pairs = list(zip(own.reads[OUTPUT].arrays, other.reads[OUTPUT].arrays, strict=True))
        pairs = [(a, b) for a, b in pairs if a.shape[1] == self.records]
        return bool(pairs) and all(close(a[:, :1], b[:, :1]) for a, b in pairs)


def with_other_records(values: Array) -> Array:
    """``[1, records, ...]`` with other numbers in all records but the first."""
    found: Any = np if isinstance(values, np.ndarray) else jnp
    others = found.broadcast_to(values[:, :1], values.shape)
    others = 0.5 - values / 3 if is_floating(values) else others
    first = np.arange(values.shape[1]).reshape(1, -1, *[1] * (values.ndim - 2)) == 0
    return found.where(first, values, others)
