"""A model is touched only inside ``with`` and left as found, also after an exception and beside other threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from operator import is_
from typing import Any

import torch
from torch import nn

from ...tree import walk
from .hosts import Parts

MODE_DEPENDENT = ("Dropout", "BatchNorm", "InstanceNorm", "RReLU", "StochasticDepth", "DropPath")
RECURRENT = (nn.RNNBase,)
REGISTERS = ("_parameters", "_buffers", "_modules")


class Lease:
    """Attributes set to False while at least one session wants them so; the last to leave puts the first value back.

    ``requires_grad`` and ``training`` belong to an object, not to a thread: two sessions on one model must not restore them
    under each other's feet.
    """

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        self.lock = threading.Lock()
        self.held: dict[int, tuple[int, Any, bool]] = {}

    @contextmanager
    def off(self, objects: list[Any]) -> Iterator[None]:
        """Hold the attribute at False; a model that sets it as it runs is undone too."""
        taken = [obj for obj in objects if hasattr(obj, self.attribute)]  # parts of a frozen script have no mode
        with self.lock:
            for obj in taken:  # all are read before any is set: a compiled module's mode is that of the one inside
                count, _, first = self.held.get(id(obj), (0, obj, getattr(obj, self.attribute)))
                self.held[id(obj)] = (count + 1, obj, first)
            for obj in taken:
                if getattr(obj, self.attribute):
                    setattr(obj, self.attribute, False)
        try:
            yield
        finally:
            with self.lock:
                for obj in taken:
                    count, _, first = self.held.pop(id(obj))
                    if count > 1:
                        self.held[id(obj)] = (count - 1, obj, first)
                    elif getattr(obj, self.attribute) != first:
                        setattr(obj, self.attribute, first)


class Switch:
    """A setting of the whole process that is on while at least one session wants it; the last to leave puts it back."""

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self.make, self.count, self.lock, self.stack = make, 0, threading.Lock(), ExitStack()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Hold the setting."""
        with self.lock:
            if not self.count:
                self.stack.enter_context(self.make())
            self.count += 1
        try:
            yield
        finally:
            with self.lock:
                self.count -= 1
                if not self.count:
                    self.stack.close()


FREEZE = Lease("requires_grad")
EVALUATE = Lease("training")
NO_CUDNN = Switch(lambda: torch.backends.cudnn.flags(enabled=False))
EAGER = Switch(lambda: torch.compiler.set_stance("force_eager"))


@contextmanager
def untouched(parts: Parts) -> Iterator[tuple[list[str], State]]:
    """Run in evaluation mode with frozen parameters, outside inference mode, and undo everything afterwards.

    Yields notes for the user (what was different from the state they left the model in), and that state.
    """
    notes: list[str] = []
    modules = parts.modules
    parameters = [p for p in parts.parameters if not p.is_inference()]  # those cannot be thawed again
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(_default_dtype())
        stack.enter_context(_random_state())
        training = [m for m in modules if getattr(m, "training", False)]
        if depend := sorted({kind(m) for m in training if _depends_on_mode(m)}):
            notes.append(f"the model was in training mode; explained in evaluation mode ({', '.join(depend)})")
        stack.enter_context(EVALUATE.off(modules))
        stack.enter_context(FREEZE.off(parameters))
        state = State(modules)
        stack.enter_context(state.restored())
        if any(isinstance(m, RECURRENT) for m in modules) and any(p.is_cuda for p in parameters):
            stack.enter_context(NO_CUDNN.on())  # its kernels have no backward in evaluation mode
        if any(type(m).__name__ == "OptimizedModule" or getattr(m, "_compiled_call_impl", None) for m in modules):
            stack.enter_context(EAGER.on())  # compiled code does not see hooks added later
            notes.append("compiled parts were run uncompiled")
        yield notes, state


def kind(module: nn.Module) -> str:
    """What a module is: its class, before it was scripted."""
    return str(getattr(module, "original_name", type(module).__name__))


def _depends_on_mode(module: nn.Module) -> bool:
    rate = getattr(module, "dropout", 0.0)  # nn.LSTM and nn.MultiheadAttention keep theirs as a number
    named = any(part in kind(module) for part in MODE_DEPENDENT)
    return (named and getattr(module, "p", 1.0) != 0) or (isinstance(rate, float) and rate > 0)


@contextmanager
def _default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    try:
        yield
    finally:
        if torch.get_default_dtype() != before:
            torch.set_default_dtype(before)


@contextmanager
def _random_state() -> Iterator[None]:
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        if not torch.equal(torch.get_rng_state(), cpu):
            torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


class State:
    """What a model's forward pass may write to: its buffers (running statistics, counters), and what a first run registers."""

    def __init__(self, modules: list[nn.Module]) -> None:
        found = [b for m in modules for b in m._buffers.values() if b is not None and not b.is_inference()]
        self.buffers = [(b, b.clone()) for b in found]
        self.versions = [b._version for b in found]
        self.kept = [(m, m.__dict__.copy(), [dict(getattr(m, name).items()) for name in REGISTERS]) for m in modules]

    def rewind(self) -> None:
        """Buffers as the user left them, so that every run starts from there."""
        for i, (buffer, copy) in enumerate(self.buffers):
            if buffer._version != self.versions[i]:
                with torch.no_grad():
                    buffer.copy_(copy)
                self.versions[i] = buffer._version

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put everything back at the end: buffers, and parameters, buffers and children that were replaced or added."""
        try:
            yield
        finally:
            self.rewind()
            for module, attributes, registers in self.kept:
                _put_back(module, attributes, registers)


def _put_back(module: nn.Module, attributes: dict[str, Any], registers: list[dict[str, Any]]) -> None:
    """A module's parameters, buffers and children as they were.

    Its plain attributes too, where it registered others than those or keeps a tensor of a run: a whole chunk would live on with it.
    """
    live = [getattr(module, name) for name in REGISTERS]
    if _same(module.__dict__, attributes) and all(map(_same, live, registers)):
        return
    news = [value for name, value in module.__dict__.items() if value is not attributes.get(name)]
    grown = any(dict(a.items()).keys() != b.keys() for a, b in zip(live, registers, strict=True))
    if grown or any(isinstance(leaf, torch.Tensor) for _, leaf in walk(news)):
        for name in set(module.__dict__) - set(attributes):
            del module.__dict__[name]
        module.__dict__.update(attributes)
    for register, before in zip(live, registers, strict=True):
        found = dict(register.items())
        for key in found.keys() - before.keys():
            del register[key]
        for key, value in before.items():
            if key not in found or found[key] is not value:
                register[key] = value


def _same(now: Any, before: dict[str, Any]) -> bool:
    """Whether a dictionary holds the very things it held."""
    return len(now) == len(before) and (not before or all(map(is_, now.values(), before.values())))
