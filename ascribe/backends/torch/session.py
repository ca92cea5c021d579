"""PyTorch: a model bound to one call of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from ...arrays import Array
from ...calls.call import Call, argument_name
from ...cuts import Cut, JointCut
from ...errors import RuleError
from ...rules import treats_operations
from ..protocol import ArrayAt, Bias, Evidence, Job, Place, Session, Traits
from .context import Context
from .cut_info import TorchCutInfo
from .model.facts import ModelFacts
from .model.generators import GeneratorStates
from .model.removable_hooks import PLACED, Hooks
from .model.restore import UndoStack, prepare_model
from .namespace import xp
from .places import class_names, places, resolve
from .rules.evaluate import evaluate_rule
from .rules.store import TapeStore
from .run.call import draws_numbers
from .run.cast import run_as_cast
from .run.evaluate import evaluate_counted, evaluate_gradients
from .run.hooks import RUNNING
from .run.independence import trial

Tensor = torch.Tensor


class TorchSession(Session):
    """See :class:`ascribe.backends.protocol.Session`."""

    xp = xp

    def __init__(self, model: Any, call: Call, memory: ModelFacts | None = None) -> None:
        self.ctx = ctx = Context(model, call, memory)
        self.call, self.records, self.notes = call, ctx.records, ctx.notes
        self.facts, self.device = ctx.facts, ctx.device
        regresses = getattr(getattr(ctx.host, "config", None), "problem_type", None) == "regression"
        self.traits = Traits(class_names(ctx.host), regresses)
        self.tapes = TapeStore()
        self.guard = UndoStack()
        self.chance: GeneratorStates | None = None
        self.placed: list[Hooks] = []
        self.others: list[TorchSession] = []
        self.outer: TorchSession | None = None

    def __enter__(self) -> TorchSession:
        ctx = self.ctx
        try:
            if bad := ctx.inputs.nonfinite():
                self.notes.append(f"NaN in {', '.join(bad)}")
            signature = ctx.look()
            self.chance = GeneratorStates(ctx.sight.generators, ctx.sight.draws)
            ctx.number = ctx.memory.state(ctx.sight)
            written = ctx.memory.may_write(ctx.number, ctx.parts.parameters)
            notes, ctx.state = prepare_model(self.guard, ctx.parts, self.chance, written)
            self.notes += notes
            self.guard.note(partial(RUNNING.set, RUNNING.get()), partial(PLACED.set, PLACED.get()), local=True)
            self.guard.note(self._unhook, self._close_others)
            PLACED.set(self.placed)
            ctx.recall(signature)
        except BaseException:
            self.guard.release()
            raise
        return self

    def _close_others(self) -> None:
        for other in [*self.others]:  # an interrupt has kept them from being left
            other.close()

    def _unhook(self) -> None:
        for hooks in self.placed:
            hooks.unhook()

    def __exit__(self, *exc: object) -> None:
        ctx = self.ctx
        try:
            if self.guard.back and self.chance is not None and self.chance.unsure():
                stopped = isinstance(exc[1], BaseException) and not isinstance(exc[1], Exception)
                self.chance.ours = ctx.facts.shapes.draws if stopped else draws_numbers(ctx)  # who interrupts does not want to wait
        finally:
            self.close()
        if exc[0] is None and ctx.state is not None and ctx.state.runs:
            ctx.memory.wrote(ctx.number, ctx.parts.parameters, ctx.state.touched)

    def close(self) -> None:
        """Let go of everything, and leave the model as it was; once more where an interrupt came in between."""
        try:
            if self.guard.back:
                self.guard.release()
        except BaseException:
            self.guard.release()
            raise
        finally:
            if self.tapes.open:
                self.tapes.clear()
            if self.outer is not None and self in self.outer.others:
                self.outer.others.remove(self)

    def another(self, call: Call) -> TorchSession:
        other = TorchSession(self.ctx.model, call, self.ctx.memory)
        other.outer = self
        self.others.append(other)
        return other

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        return resolve(self.ctx, cut, wrt)

    def cut_info(self, cut: Cut) -> TorchCutInfo:
        return TorchCutInfo(self.ctx, cut)

    def evaluate(self, job: Job) -> Evidence:
        if job.wrt and treats_operations(job.by):
            if isinstance(job.on, JointCut):
                problem, there = "A rule for operations needs a quantity at a single cut", f"by={job.by!r}, on={job.on!r}"
                raise RuleError(problem, found=there, advice="on= a single cut, or by=asc.rules.Gradient()")
            return run_as_cast(self.ctx, job, self._evaluate_rule)
        run = partial(run_as_cast, self.ctx, run=evaluate_gradients)
        return evaluate_counted(job, run) if job.count_bytes else run(job)

    def _evaluate_rule(self, ctx: Context, job: Job) -> Evidence:
        return evaluate_rule(ctx, self.tapes, job)

    def places(self) -> list[Place]:
        return places(self.ctx)

    def names(self, spots: Sequence[ArrayAt]) -> list[str]:
        return [argument_name(s.path) if s.cut.anchor == "in" and not s.cut.layer else f"{s.cut!r}[{i}]" for i, s in enumerate(spots)]

    def given(self, array: Array, spot: ArrayAt | None = None) -> Any:
        return xp.numpy(array) if self.ctx.inputs.numpy else array

    def parameter_count(self) -> int:
        return 0 if self.ctx.host is None else sum(p.numel() for p in self.ctx.parts.parameters)

    def may_vary(self) -> bool:
        """True if a generator moved, or if rows did not give together what they give apart: so do answers that differ each time."""
        if self.chance is not None and self.chance.has_moved():
            return True
        return self.facts.doubted and not self.facts.weights.repeatable

    def independence_trial(self) -> Job | bool:
        return trial(self.ctx)

    def biases(self, layers: Sequence[str]) -> tuple[dict[str, Bias], list[str]]:
        return self.ctx.layers.biases(layers)
