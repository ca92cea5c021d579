"""Ctrl-C at any line of what touches the model: everything is as it was, at once, and later calls are as ever."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import _len_torch_function_stack  # type: ignore[attr-defined]

import ascribe as asc
from ascribe.backends.torch import context, session
from ascribe.backends.torch.model import generators as chance
from ascribe.backends.torch.model import internals, state
from ascribe.backends.torch.model import removable_hooks as hooks
from ascribe.backends.torch.model import restore as guard
from ascribe.backends.torch.rules import module_paths
from ascribe.backends.torch.run import hooks as taps
from ascribe.backends.torch.run import layers
from tests.support.odd_models import rows
from tests.support.snapshots import unchanged

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
FILES = {module.__file__ for module in (chance, guard, internals, session, context, state, taps, hooks, layers, module_paths)}


class Touched(nn.Module):
    """Whatever a session touches: modes, statistics, weights that a layer writes to, an LSTM, attention, a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.rnn, self.attend = nn.LSTM(6, 6, batch_first=True), nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
        self.last, self.table = nn.Linear(6, 3), nn.Embedding(4, 3, max_norm=0.1)
        self.register_buffer("steps", torch.zeros(()))
        self.noise = torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        h = self.drop(self.norm(self.first(x)))
        h = self.attend(self.rnn(h[:, None].expand(-1, 2, -1))[0])[:, -1]
        self.steps += 1
        h = h + 0 * torch.rand(()) + 0 * torch.rand((), generator=self.noise)
        if not hasattr(self, "late"):
            self.register_buffer("late", torch.zeros(6))
        return self.last(h) + self.table(torch.arange(3))[:, 0]


def touched() -> Touched:
    torch.manual_seed(0)
    model = Touched().train()
    model.first.weight.requires_grad_(False)
    model.drop.eval()
    model.last.register_forward_hook(lambda *a: None)
    return model


LINE = asc.Line(0.0, steps=3)
ASKED: dict[str, Callable[[Any, Tensor], Any]] = {
    "gradient": lambda m, x: asc.influence(m, x, of=1),
    "layer": lambda m, x: asc.influence(m, x, of=1, at="norm"),
    "line": lambda m, x: asc.attribute(m, x, of=1, over=LINE),
    "rule": lambda m, x: asc.influence(m, x, of=1, by=asc.rules.Epsilon()),
    "removal": lambda m, x: asc.attribute(m, x, of=1, over=asc.coalitions.LeaveOneOut()),
    "another call": lambda m, x: asc.attribute(m, x, of=1, over=asc.Line(asc.Call(x * 0), steps=2, at=asc.Cut("norm")), at="norm"),
}


class Injected:
    """A tracer that raises at the n-th line that is run in some files; ``lines`` counts them."""

    def __init__(self, at: int | None, names: tuple[str, ...] = ()) -> None:
        self.at, self.names, self.lines, self.where = at, names, 0, ""
        self.met: dict[tuple[str, int], list[int]] = {}

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        wanted = code.co_filename in FILES and (not code.co_filename.endswith(("session.py", "context.py")) or code.co_name in self.names)
        return self.line if wanted else None

    def line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            if self.lines == self.at:
                self.where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
                self.lines += 1
                raise KeyboardInterrupt
            self.met.setdefault((frame.f_code.co_filename, frame.f_lineno), []).append(self.lines)
            self.lines += 1
        return self.line

    def moments(self) -> list[int]:
        """The first and the last time that each line is run."""
        return sorted({times[k] for times in self.met.values() for k in (0, -1)})


@contextmanager
def traced(tracer: Injected) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)


SESSION = ("__enter__", "__exit__", "close", "look", "recall", "_unhook")


def left() -> list[Any]:
    """What sessions hold of the process: nothing between calls."""
    switches = [s.users for s in (guard.UNFUSED, guard.NO_CUDNN, guard.EAGER)]
    return [guard.FREEZE.holds, guard.EVALUATE.holds, *switches, taps.RUNNING.get(), hooks.PLACED.get()]


@pytest.mark.parametrize("name", ASKED)
def test_an_interrupt_at_any_line_leaves_everything_as_it_was(name: str) -> None:
    ask, model, x = ASKED[name], touched(), rows(3, 4)
    truth = ask(model, x).values
    empty, fused = left(), torch.backends.mha.get_fastpath_enabled()
    counting = Injected(None, SESSION)
    with traced(counting):
        ask(model, x)
    caught = []
    moments = counting.moments()
    for at in moments:
        tracer = Injected(at, SESSION)
        with unchanged(model, arguments=x):
            try:
                with traced(tracer):
                    ask(model, x)
            except KeyboardInterrupt as interrupt:
                caught.append(interrupt)  # a live traceback keeps every frame alive: nothing may wait for a frame to go
        assert left() == empty, tracer.where
        assert torch.backends.mha.get_fastpath_enabled() == fused, tracer.where
        assert torch._C._len_torch_dispatch_stack() == _len_torch_function_stack() == 0, tracer.where
    assert len(caught) > 0.9 * len(moments)
    assert torch.equal(ask(model, x).values, truth)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such signals here")
def test_real_interrupts_leave_everything_as_it_was() -> None:
    """Signals of a clock at moments that walk through a short call."""
    ask, model, x = ASKED["layer"], touched(), rows(3, 4)
    ask(model, x)
    empty, start = left(), time.perf_counter()
    ask(model, x)
    took, caught = time.perf_counter() - start, 0
    for k in range(40):
        with unchanged(model, arguments=x):
            try:
                signal.signal(signal.SIGALRM, signal.default_int_handler)
                signal.setitimer(signal.ITIMER_REAL, max(1e-6, took * k / 40))
                for _ in range(3):
                    ask(model, x)
            except KeyboardInterrupt:
                caught += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
        assert left() == empty
    assert caught


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_beside_an_explaining_thread_has_the_model_as_it_was() -> None:
    """The child looks at modes, frozen weights and hooks, and explains; it must neither hang nor inherit what the thread holds."""
    inside, done = threading.Event(), threading.Event()
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 3)).train(), rows(3, 4)

    def wait(module: nn.Module, args: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            done.wait(10)

    model[1].register_forward_pre_hook(wait)
    thread = threading.Thread(target=lambda: asc.influence(model, x, of=1, at="2"))
    thread.start()
    inside.wait(10)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
            fine = all(m.training for m in model.modules()) and all(p.requires_grad for p in model.parameters()) and hooks == 1
            asc.influence(model, x, of=1)
            status = 0 if fine and model.training and torch.is_grad_enabled() else 2
        finally:
            os._exit(status)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert model.training
