"""PyTorch: a model bound to one call of it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from ...calls.call import Call, named
from ...cuts import INPUT, Cut, Together, input_at
from ...errors import CutError, InputError, ModelError, RuleError
from ...rules import Gradient, treats_operations
from ...utils.entry import out_of_memory
from ..protocol import ArrayAt, Evidence, Job, Place
from . import places as placing
from .model.arguments import Inputs
from .model.dependencies import Sight, around
from .model.errors import differentiates_inside, wrong_dtype
from .model.facts import SHAPES, Facts, Memory, memory_of
from .model.generators import Chance, Draws
from .model.modules import Parts, modules_behind
from .model.removable_hooks import PLACED, Hooks
from .model.restore import Guard, secured
from .model.state import State
from .namespace import xp
from .rules.evaluate import evaluate_rule
from .rules.store import TapeStore
from .run.axes import Axis, ones
from .run.batching import SINGLE, TILE, VMAP, choose
from .run.channels_last import could_be, laid_out
from .run.hooks import RUNNING, Run, accessor_path, module_named
from .run.independence import runs_apart
from .run.record_axes import axes_at, shapes_of
from .run.single import call_model, input_paths, joined, kept_for_gradients, run_once
from .run.vmapped import run_vmapped

Tensor = torch.Tensor


class TorchSession:
    """See :class:`ascribe.backends.protocol.Session`."""

    xp = xp
    integers = False
    sight: Sight
    known: Facts
    number: int

    def __init__(self, model: Any, call: Call, memory: Memory | None = None) -> None:
        self.model, self.call = model, call
        self.runs = getattr(model, "_orig_mod", model)  # compiled code does not see hooks added later
        self.modules = modules_behind(model)
        self.host = self.modules[0] if len(self.modules) == 1 else None
        self.parts = Parts(self.modules)
        self.memory = memory or memory_of(self.host if self.host is not None else model)
        weights = self.parts.parameters if self.host is not None else []
        self.dtype = next((p.dtype for p in weights if p.is_floating_point()), None)
        self.inputs = Inputs(call, self.dtype)
        if weights and not weights[0].is_meta and any(leaf.is_meta for leaf in self.inputs.leaves.values()):
            home = str(weights[0].device)  # an embedding would read numbers that are not there
            raise InputError(f"the model is on {home}", there="inputs on meta", try_=f'x.to("{home}")', code="E-DEVICE")
        if any(map(is_lazy, {type(p): p for p in weights}.values())):
            raise ModelError("a layer of the model has no weights yet", try_="model(x) once, to make its lazy layers", code="E-MODEL-LAZY")
        self.records = self.inputs.records
        self.class_names = placing.class_names(self.host)
        self.regresses = getattr(getattr(self.host, "config", None), "problem_type", None) == "regression"
        self.notes: list[str] = []
        self.wanted: list[Cut] = []
        self.settled: dict[Cut, tuple[Axis, ...]] = {}
        self.guard = Guard()
        self.chance: Chance | None = None
        self.placed: list[Hooks] = []
        self.others: list[TorchSession] = []
        self.outer: TorchSession | None = None
        self.state: State | None = None
        self.recalled = False
        self.passing: dict[Any, Any] = {}
        self.tapes = TapeStore()
        self.unlike = False

    def __enter__(self) -> TorchSession:
        try:
            if bad := self.inputs.nonfinite():
                self.notes.append(f"NaN in {', '.join(bad)}")
            signature = self._look()
            self.chance = Chance(self.sight.generators, self.sight.draws)
            self.number = self.memory.state(self.sight)
            written = self.memory.may_write(self.number, self.parts.parameters)
            notes, self.state = secured(self.guard, self.parts, self.chance, written)
            self.notes += notes
            self.guard.note(partial(RUNNING.set, RUNNING.get()), local=True)
            self.guard.note(partial(PLACED.set, PLACED.get()), local=True)
            self.guard.note(self._unhook)
            self.guard.note(self._close_others)
            PLACED.set(self.placed)
            self._recall(signature)
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

    def _look(self) -> tuple[Any, ...]:
        """See all that the way the model runs can depend on; the call's signature."""
        signature, others = self.inputs.signature()
        self.sight = sight = Sight(self.modules)
        sight.of_modules(self.parts.modules)
        sight.add((None if self.model is self.host else self.model, *around(), *others))
        while sight.finish().modules:  # they are not registered in others: in plain lists, in objects, in what the function can see
            known = len(self.parts.modules)
            self.parts.extend(sight.modules)
            sight.modules = []
            sight.of_modules(self.parts.modules[known:])
        return signature

    def _recall(self, signature: tuple[Any, ...]) -> None:
        """What is known of calls like this one, of a model in this state."""
        self.known, self.recalled = self.memory.of((self.number, *signature)), False

    @property
    def facts(self) -> Facts:
        """What is known of calls like this one, but for what was learnt from other weights."""
        if not self.recalled and self.state is not None:
            self.known.under([*self.parts.parameters, *self.state.buffers, *self.sight.tensors])
            self.recalled = True
        return self.known

    def __exit__(self, *exc: object) -> None:
        try:
            if self.guard.back and self.chance is not None and self.chance.unsure():
                stopped = isinstance(exc[1], BaseException) and not isinstance(exc[1], Exception)
                self.chance.ours = self.remembered("draws", None) if stopped else self._draws()  # who interrupts does not want to wait
        finally:
            self.close()
        if exc[0] is None and self.state is not None and self.state.runs:
            self.memory.wrote(self.number, self.parts.parameters, self.state.touched)

    def close(self) -> None:
        """Let go of everything, and leave the model as it was; once more where an interrupt came in between."""
        try:
            if self.guard.back:
                self.guard.release()
        except BaseException:
            self.guard.release()
            raise
        finally:
            self.tapes.clear()
            if self.outer is not None and self in self.outer.others:
                self.outer.others.remove(self)

    def _draws(self) -> bool:
        """Whether the model draws from a generator of the process: found out in a run of one record, where other threads draw too."""
        known = self.remembered("draws", None)
        if known is None:
            args, kwargs = self.inputs.rows(np.arange(1 if self.remembered("splits", None) else self.records), 1, {})
            with suppress(Exception), torch.no_grad(), Draws() as draws:
                call_model(self, Run(None, [], stop=False), args, kwargs)
            known = draws.found
            self.remember("draws", None, known)
        return bool(known)

    def another(self, call: Call) -> TorchSession:
        other = TorchSession(self.model, call, self.memory)
        other.outer = self
        self.others.append(other)
        return other

    def remembered(self, what: str, key: Any) -> Any:
        found = self.passing.get((what, key))
        return self._kept(what).get((what, key)) if found is None else found

    def remember(self, what: str, key: Any, value: Any, lasting: bool = True) -> None:
        (self._kept(what) if lasting else self.passing)[what, key] = value

    def last(self, cut: Cut) -> int | None:
        """The number of a layer's last use in such a call, if it has been seen."""
        return self.facts.last(cut) if cut.layer else None

    def _kept(self, what: str) -> dict[Any, Any]:
        return self.known.shapes if what in SHAPES else self.facts.ways

    def resolve(self, cut: Cut, wrt: bool) -> Cut:
        found = placing.resolved(self, cut, wrt)
        if found.layer or found.anchor == "out":
            self.wanted.append(found)
        return found

    def source(self, at: Cut) -> Cut:
        if at.anchor == "out" and self.host is not None and isinstance(next(iter(module_named(self.host, at.layer)), None), placing.TABLES):
            if self.inputs.explained:
                return at  # what is given to it are whole numbers: nothing that moves at the inputs reaches it
            with suppress(CutError):
                return self.resolve(INPUT, True)
            return at
        return self.resolve(INPUT, True)

    def given(self, array: Tensor) -> Any:
        return xp.numpy(array) if self.inputs.numpy else array

    def names(self, spots: Sequence[ArrayAt]) -> list[str]:
        return [named(s.path) if s.cut.anchor == "in" and not s.cut.layer else f"{s.cut!r}[{i}]" for i, s in enumerate(spots)]

    def places(self) -> list[Place]:
        return placing.places(self)

    def weights(self) -> int:
        return 0 if self.host is None else sum(p.numel() for p in self.parts.parameters)

    def axes(self, cut: Cut) -> tuple[Axis, ...]:
        """Where each array at a cut keeps its records."""
        known = self.settled.get(cut)
        if known is None:
            known = self.remembered("axes", cut)
            if known is None:
                known, lasting = axes_at(self, cut)
                self.remember("axes", cut, known, lasting)
            self.settled[cut] = known
        return known

    def doubtful(self) -> bool:
        """Whether a generator moved, or rows did not give together what they give apart: so do answers that are different each time."""
        if self.chance is not None and self.chance.has_moved():
            return True
        return self.unlike and not self.remembered("steady", None)

    def left_out(self, cut: Cut) -> tuple[Cut, ...]:
        inputs = self.inputs
        if cut.layer or cut.anchor == "out" or inputs.only is not None:
            return ()
        start = accessor_path(cut)
        if not any(p[: len(start)] == start for p in inputs.explained):
            return ()
        return tuple(input_at(p) for p in inputs.beside if p[: len(start)] == start)

    def replaces_all(self, cut: Cut) -> bool:
        if self.inputs.counted.together:
            return False
        return not cut.layer and cut.anchor == "in" and set(input_paths(self, cut)) == set(self.inputs.own)

    def shared(self, cut: Cut, sure: bool = True) -> bool | None:
        if not cut.layer:
            return False
        known = sure or cut in self.settled or self.remembered("axes", cut) is not None
        if not known and all(map(ones, shapes_of(self, cut, 1) or [()])):
            return None
        return None in [axis.told for axis in self.axes(cut)]

    def row_numbers(self, cut: Cut) -> int:
        if not cut.layer:
            return sum(self.inputs.leaves[p].numel() for p in input_paths(self, cut, whole=True)) // self.records
        return sum(map(math.prod, shapes_of(self, cut, self.records if self.inputs.counted.together else 1) or []))

    def wait(self) -> None:
        if any(leaf.is_cuda for leaf in self.inputs.leaves.values()):
            torch.cuda.synchronize()

    def out_of_memory(self, error: BaseException) -> bool:
        found = out_of_memory(error)
        if found and torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return found

    def spare_memory(self) -> int:
        device = next((leaf.device for leaf in self.inputs.leaves.values() if leaf.is_cuda), None)
        if device is not None:
            return int(torch.cuda.mem_get_info(device)[0] * 0.8)
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.5) if hasattr(os, "sysconf") else 1 << 33

    def held(self, job: Job) -> tuple[Evidence, int]:
        if treats_operations(job.by) and job.wrt:
            return self.evaluate(job), self.tapes.bytes
        return kept_for_gradients(self, job)

    def splits(self) -> bool:
        known = self.remembered("splits", None)
        if known is None:
            known, sure = (True, True) if self.records == 1 else runs_apart(self)
            self.remember("splits", None, known, sure)
        self.unlike |= not known
        return bool(known)

    def surely_apart(self) -> bool:
        """:meth:`splits`, seen on records that say something about others."""
        return self.splits() and (self.records == 1 or bool(self._kept("splits").get(("splits", None))))

    def evaluate(self, job: Job) -> Evidence:
        """Run the job in the fastest way that is known to give what one point after the other gives."""
        kind = self.inputs.kind
        try:
            return self._evaluate(self._as_cast(job))
        except ModelError as wrong:
            if self.inputs.kind is kind and (job.write or self.dtype is None or not wrong_dtype(self, wrong)):
                raise
        if self.inputs.kind is kind:  # else a look at the model inside this job has cast them
            assert self.dtype is not None
            self.inputs.cast(self.dtype)
            self.settled.clear()
            self._recall(self._look())
            self.notes.append(f"the inputs were cast to the model's {str(self.dtype).removeprefix('torch.')}")
        return self._evaluate(self._as_cast(job))

    def _as_cast(self, job: Job) -> Job:
        """A job whose arrays, made from the inputs before they were cast, are cast too."""
        if (kind := self.inputs.kind) is None or not (job.write or job.reference):
            return job
        write, reference = (tuple(a.to(kind) if a.is_floating_point() else a for a in each) for each in (job.write, job.reference))
        return replace(job, write=write, reference=reference)

    def _evaluate(self, job: Job) -> Evidence:
        if job.wrt and treats_operations(job.by):
            if isinstance(job.on, Together):
                raise RuleError(f"by={job.by!r} for a quantity on {job.on!r}", there="rules on operations go back from one place")
            return evaluate_rule(self, job)
        if job.by is not None and not isinstance(job.by, Gradient):
            raise RuleError(f"by={job.by!r} is not available for PyTorch models", there="Gradient()")
        if job.points == 1 or not job.write:
            return self.run(job, SINGLE)
        key = (job.at, job.wrt, job.read, job.on, job.quantity_key, job.records == self.records)
        mode = self.remembered("mode", key)
        self.unlike |= mode == SINGLE
        if mode is None:
            mode, sure, found = choose(self, job)
            self.unlike |= mode == SINGLE
            self.remember("mode", key, mode, sure)
            return replace(found or self.way(job, mode), probed=True)
        return laid_out(self, job, mode) if mode == TILE and could_be(self, job) else self.way(job, mode)

    def way(self, job: Job, mode: str) -> Evidence:
        """Run a job in one of the ways of :mod:`.spread`."""
        if mode == SINGLE:
            return self.one_by_one(job)
        return run_vmapped(self, job) if mode == VMAP else self.run(job, mode)

    def one_by_one(self, job: Job) -> Evidence:
        """Every point in a run of its own: always right, and slow."""
        runs = [self.run(job.at_points(slice(k, k + 1)), SINGLE) for k in range(job.points)]
        return joined(runs)

    @property
    def inner(self) -> bool:
        """Whether the model is known to take gradients of its own, as for forces: it cannot do without a graph."""
        return bool(self.known.shapes.get(("graph", None)))

    def graphs(self, wanted: object = False) -> torch.set_grad_enabled:
        """With gradients where they are wanted, or where the model takes some itself."""
        return torch.set_grad_enabled(bool(wanted) or self.inner)

    def needs_graph(self, wrong: BaseException) -> bool:
        """Whether a run failed for want of gradients and may now be made again with them."""
        if self.inner or not differentiates_inside(wrong.__cause__ or wrong):
            return False
        self.remember("graph", None, True)
        return True

    def run(self, job: Job, mode: str) -> Evidence:
        """One run of the model, with gradients inside where it takes some itself.

        Once more where it wrote to its weights in another run, before the gradient was taken: by then all is known that took that run.
        """
        try:
            return run_once(self, job, mode)
        except ModelError as wrong:
            if not self.needs_graph(wrong) and "modified by an inplace operation" not in str(wrong):
                raise
        return run_once(self, job, mode)
