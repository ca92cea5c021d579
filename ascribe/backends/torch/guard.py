"""A model is touched only inside ``with`` and left as found, also after an exception and beside other threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import compress
from operator import attrgetter, is_
from typing import Any, NamedTuple

import torch
from torch import nn

from ...tree import walk
from .hosts import Parts

MODE_DEPENDENT = ("Dropout", "BatchNorm", "InstanceNorm", "RReLU", "StochasticDepth", "DropPath")
RECURRENT = (nn.RNNBase,)
REGISTERS = ("_parameters", "_buffers", "_modules")
"""What a module keeps its parameters, buffers and children in."""


class Lease:
    """Attributes set to False while at least one session wants them so; the last to leave puts the first value back.

    ``requires_grad`` and ``training`` belong to an object, not to a thread: two sessions on one model must not restore them
    under each other's feet.
    """

    def __init__(self, attribute: str) -> None:
        self.attribute, self.read = attribute, attrgetter(attribute)
        self.lock = threading.Lock()
        self.holds: list[Hold] = []

    def off(self, objects: list[Any]) -> Hold:
        """Hold the attribute at False; a model that sets it as it runs is undone too."""
        return Hold(self, objects)


class Hold:
    """One session's share of a lease, as a context; ``first`` is what each object's attribute was before any session came."""

    def __init__(self, lease: Lease, objects: list[Any]) -> None:
        self.lease, self.objects = lease, objects
        self.first: dict[int, Any] = {}

    def __enter__(self) -> Hold:
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
        return self

    def __exit__(self, *exc: object) -> None:
        with self.lease.lock:
            self.lease.holds.remove(self)
            for obj, first, now in zip(self.objects, self.first.values(), map(self.lease.read, self.objects), strict=True):
                if now != first and not any(id(obj) in other.first for other in self.lease.holds):
                    setattr(obj, self.lease.attribute, first)

    @property
    def held(self) -> list[Any]:
        """The objects whose attribute was True."""
        return [obj for obj in self.objects if self.first[id(obj)]]


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
    kinds = set(map(type, parts.modules))
    parameters = [p for p in parts.parameters if not p.is_inference()]  # those cannot be thawed again
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.callback(_process().put_back)
        modes = stack.enter_context(EVALUATE.off(parts.modules))
        if depend := sorted({kind(m) for m in modes.held if _depends_on_mode(m)}):
            notes.append(f"the model was in training mode; explained in evaluation mode ({', '.join(depend)})")
        stack.enter_context(FREEZE.off(parameters))
        state = State(parts.modules)
        stack.callback(state.put_back)
        if any(issubclass(k, RECURRENT) for k in kinds) and any(p.is_cuda for p in parameters):
            stack.enter_context(NO_CUDNN.on())  # its kernels have no backward in evaluation mode
        if any(k.__name__ == "OptimizedModule" for k in kinds) or any(getattr(m, "_compiled_call_impl", None) for m in parts.modules):
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


class Process(NamedTuple):
    """What belongs to the process: the default type, and the random states."""

    dtype: torch.dtype
    cpu: torch.Tensor
    cuda: list[torch.Tensor] | None

    def put_back(self) -> None:
        """All of it as it was."""
        if torch.get_default_dtype() != self.dtype:
            torch.set_default_dtype(self.dtype)
        if not torch.equal(torch.get_rng_state(), self.cpu):
            torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)


def _process() -> Process:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    return Process(torch.get_default_dtype(), torch.get_rng_state(), cuda)


class State:
    """What a model's forward pass may write to: its buffers (running statistics, counters), and what a first run registers.

    Everything that hangs on the modules is held in one list, so that a model that did nothing of the kind, as most, is known by a
    single comparison.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self.modules = modules
        self.live: list[Any] = []
        for m in modules:
            self.live += (m.__dict__, m._parameters, m._buffers, m._modules)
        self.before = [d.copy() if type(d) is dict else dict(d.items()) for d in self.live]
        self.sizes = list(map(len, self.before))
        self.things = _things(compress(self.before, self.sizes))
        found = [b for buffers in self.before[2::4] for b in buffers.values() if b is not None and not b.is_inference()]
        self.buffers = [(b, b.clone()) for b in found]
        self.versions = [b._version for b in found]

    def rewind(self) -> None:
        """Buffers as the user left them, so that every run starts from there."""
        for i, (buffer, copy) in enumerate(self.buffers):
            if buffer._version != self.versions[i]:
                with torch.no_grad():
                    buffer.copy_(copy)
                self.versions[i] = buffer._version

    def put_back(self) -> None:
        """Everything as it was: buffers, and parameters, buffers and children that were replaced or added."""
        self.rewind()
        if list(map(len, self.live)) == self.sizes and all(map(is_, _things(compress(self.live, self.sizes)), self.things)):
            return
        for i, module in enumerate(self.modules):
            attributes, *registers = self.before[4 * i : 4 * i + 4]
            _put_back(module, attributes, registers)


def _things(registers: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for register in registers:
        found += register.values()
    return found


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
