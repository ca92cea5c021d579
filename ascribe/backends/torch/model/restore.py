"""A model is changed only during a call and restored afterwards: after an exception, after an interrupt at any line, next to other
threads, in a fork.

A :class:`UndoStack` has a function that undoes each change, added before the change is made. Such a function may run twice,
because an interrupt can come while it runs (docs/decisions/0059).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import compress
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from .generators import GeneratorStates
from .internals import cudnn_enabled, leave_modes, mode_depths, set_cudnn_enabled
from .modules import Parts, is_keras
from .state import State

MODE_DEPENDENT = ("Dropout", "BatchNorm", "InstanceNorm", "RReLU", "StochasticDepth", "DropPath")
RECURRENT = (nn.RNNBase,)
FUSING = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
"""Layers that take another path, with other numbers at the padding and without hooks, in runs without gradients."""


class UndoStack:
    """The functions that undo all changes of a session; the last change is undone first."""

    def __init__(self) -> None:
        self.back: list[tuple[Callable[[], object], bool]] = []
        HELD[self] = threading.get_ident()

    def note(self, *ways: Callable[[], object], local: bool = False) -> None:
        """Add the functions that undo changes, before the changes are made. Each may run twice, and without the change.

        ``local`` changes belong to the thread, and are not undone in a fork.
        """
        for way in ways:
            self.back.append((way, local))

    def release(self, fork: bool = False) -> None:
        """Undo all changes. After an interrupt the rest is undone first. Raises what one of the functions raised, when all have run."""
        try:
            self._back(fork)
        except BaseException:
            self._back(fork)
            raise

    def _back(self, fork: bool) -> None:
        wrong: Exception | None = None
        while self.back:
            way, local = self.back[-1]
            try:
                None if local and fork else way()
            except Exception as error:
                wrong = error
            self.back.pop()
        if wrong is not None:
            raise wrong


HELD: WeakKeyDictionary[UndoStack, int] = WeakKeyDictionary()
"""All guards, and their threads: in the child of a fork only the thread that forked exists."""


class InterruptSafeLock:
    """One thread after the other, as a context that is never inside itself: leaving it frees all that an interrupt has kept."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *exc: object) -> None:
        with suppress(RuntimeError):  # where there is nothing left to free
            while True:
                self.lock.release()


class SharedAttribute:
    """Attributes set to False while at least one session wants them so; the last to leave puts the first value back.

    ``requires_grad`` and ``training`` belong to an object, not to a thread: two sessions on one model must not restore them
    under each other's feet.
    """

    def __init__(self, attribute: str) -> None:
        self.attribute, self.read = attribute, attrgetter(attribute)
        self.lock = InterruptSafeLock()
        self.holds: list[AttributeHold] = []
        SHARED.append(self)

    def off(self, objects: list[Any]) -> AttributeHold:
        """Hold the attribute at False; a model that sets it as it runs is undone too."""
        return AttributeHold(self, objects)


class AttributeHold:
    """One session's share of a lease, as a context; ``first`` is what each object's attribute was before any session came."""

    def __init__(self, lease: SharedAttribute, objects: list[Any]) -> None:
        self.lease, self.objects = lease, objects
        self.first: dict[int, Any] = {}

    def __enter__(self) -> AttributeHold:
        try:
            self.take()
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.leave()
        finally:
            self.leave()

    def take(self) -> None:
        """Set the attribute of all objects to False."""
        read, name = self.lease.read, self.lease.attribute
        with self.lease.lock:  # all are read before any is set: a compiled module's mode is that of the one inside
            try:
                now = list(map(read, self.objects))
            except AttributeError:  # parts of a frozen script have no mode
                self.objects = [obj for obj in self.objects if hasattr(obj, name)]
                now = list(map(read, self.objects))
            self.first = dict(zip(map(id, self.objects), now, strict=True))
            for other in self.lease.holds:
                self.first.update({key: value for key, value in other.first.items() if key in self.first})
            self.lease.holds.append(self)
            for obj in compress(self.objects, now):
                setattr(obj, name, False)

    def leave(self) -> None:
        """Put back what no other session holds, and then be no holder any more."""
        with self.lease.lock:
            if self not in self.lease.holds:
                return
            others = [other.first for other in self.lease.holds if other is not self]
            for obj, first, now in zip(self.objects, self.first.values(), map(self.lease.read, self.objects), strict=True):
                if now != first and not (others and any(id(obj) in other for other in others)):
                    setattr(obj, self.lease.attribute, first)
            self.lease.holds.remove(self)

    @property
    def held(self) -> list[Any]:
        """The objects whose attribute was True."""
        return [obj for obj in self.objects if self.first[id(obj)]]


class SharedSetting:
    """A setting of the whole process that is on while at least one session wants it; the last to leave puts it back."""

    def __init__(self, read: Callable[[], Any], on: Callable[[], object], off: Callable[[Any], object]) -> None:
        self.read, self.turn_on, self.turn_off = read, on, off
        self.lock = InterruptSafeLock()
        self.users: list[object] = []
        self.before: list[Any] = []
        SHARED.append(self)

    def hold(self, guard: UndoStack) -> None:
        """Hold the setting until the guard is released."""
        user = object()
        guard.note(partial(self.leave, user))
        with self.lock:
            self.users.append(user)
            if not self.before:
                self.before.append(self.read())
                self.turn_on()

    def leave(self, user: object) -> None:
        """Let go of the setting."""
        with self.lock:
            if user in self.users:
                if len(self.users) == 1 and self.before:
                    self.turn_off(self.before[0])
                    self.before.clear()
                self.users.remove(user)


SHARED: list[SharedAttribute | SharedSetting] = []
"""The settings that sessions of several threads share."""


MHA = torch.backends.mha
FREEZE = SharedAttribute("requires_grad")
EVALUATE = SharedAttribute("training")
UNFUSED = SharedSetting(MHA.get_fastpath_enabled, partial(MHA.set_fastpath_enabled, False), MHA.set_fastpath_enabled)
NO_CUDNN = SharedSetting(cudnn_enabled, partial(set_cudnn_enabled, False), set_cudnn_enabled)
EAGER = SharedSetting(lambda: torch.compiler.set_stance("force_eager"), lambda: None, lambda stance: stance.__exit__(None, None, None))


def in_a_fork() -> None:
    """Undo, in the child of a fork, the changes of other threads: they do not exist there."""
    for shared in SHARED:
        shared.lock = InterruptSafeLock()
    here = threading.get_ident()
    for guard, thread in list(HELD.items()):
        if thread != here:
            guard.release(fork=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=in_a_fork)


@contextmanager
def keep_untouched(parts: Parts) -> Iterator[tuple[list[str], State]]:
    """Run in evaluation mode with frozen parameters, outside inference mode, and undo everything afterwards.

    Yields notes for the user (what was different from the state they left the model in), and that state.
    """
    guard = UndoStack()
    try:
        try:
            yield prepare_model(guard, parts, GeneratorStates())
        finally:
            guard.release()
    finally:
        guard.release()


def prepare_model(guard: UndoStack, parts: Parts, chance: GeneratorStates, weights: Sequence[torch.Tensor] = ()) -> tuple[list[str], State]:
    """Make a model ready to be run; the guard undoes it. ``weights`` are those that the model may write to as it runs.

    Gives notes for the user (what was different from the state they left the model in), and that state.
    """
    notes: list[str] = []
    parameters = [p for p in parts.parameters if not p.is_inference()]  # those cannot be thawed again
    guard.note(partial(torch.set_grad_enabled, torch.is_grad_enabled()), partial(leave_modes, mode_depths()), local=True)
    if torch.is_inference_mode_enabled():
        plain = torch.inference_mode(False)
        guard.note(partial(_left, plain), local=True)
        plain.__enter__()
    modes = AttributeHold(EVALUATE, parts.modules)
    guard.note(chance.put_back, modes.leave)
    modes.take()
    if (held := modes.held) and (depend := sorted({kind(m) for m in held if _depends_on_mode(m)})):
        notes.append(f"the model was in training mode; explained in evaluation mode ({', '.join(depend)})")
    frozen, state = AttributeHold(FREEZE, parameters), State(parts.modules, weights)
    guard.note(frozen.leave, state.put_back)
    frozen.take()
    special = special_kinds(parts.modules)
    if "fusing" in special:
        UNFUSED.hold(guard)
    if "recurrent" in special and any(p.is_cuda for p in parameters):
        NO_CUDNN.hold(guard)  # its kernels have no backward in evaluation mode
    if "compiled" in special:
        EAGER.hold(guard)  # compiled code does not see hooks added later
        notes.append("compiled parts were run uncompiled")
    return notes, state


def special_kinds(modules: Sequence[nn.Module]) -> set[str]:
    """The kinds of layers among some modules that settings of the process have to be changed for."""
    found = set()
    for kind in {*map(type, modules)}:
        if issubclass(kind, FUSING):
            found.add("fusing")
        if issubclass(kind, RECURRENT):
            found.add("recurrent")
        if kind.__name__ == "OptimizedModule":
            found.add("compiled")
    for module in modules:
        if "_compiled_call_impl" in module.__dict__:
            found.add("compiled")
    return found


def _left(context: torch.inference_mode) -> None:
    """Leave ``inference_mode(False)``, which was entered in inference mode; nothing where it was not entered, or is left already."""
    if not torch.is_inference_mode_enabled():
        context.__exit__(None, None, None)


def kind(module: nn.Module) -> str:
    """The name of a module's class, before it was scripted."""
    return str(getattr(module, "original_name", type(module).__name__))


def _depends_on_mode(module: nn.Module) -> bool:
    if is_keras(module):  # whose calls say if they are for training
        return False
    rate = getattr(module, "dropout", 0.0)  # nn.LSTM and nn.MultiheadAttention keep theirs as a number
    named = any(part in kind(module) for part in MODE_DEPENDENT)
    return (named and getattr(module, "p", 1.0) != 0) or (isinstance(rate, float) and rate > 0)
