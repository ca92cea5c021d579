"""Several threads on one model: the same numbers as one after the other, and everything as it was when all are done."""

from __future__ import annotations

import asyncio
import threading
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.backends.torch.model.restore import SharedAttribute
from tests.support.odd_models import rows, seeded
from tests.support.snapshots import of_process, unchanged

Tensor = torch.Tensor

pytestmark = [pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning"), pytest.mark.filterwarnings("ignore:.*no_grad")]


class Shared(nn.Module):
    """What can go wrong between threads: a mode, statistics, an in-place layer, an LSTM, a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.act, self.rnn, self.last = nn.ReLU(inplace=True), nn.LSTM(6, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.norm(self.first(x)))
        h = self.rnn(self.drop(h)[:, None].expand(-1, 2, -1))[0][:, -1]
        return self.last(torch.sin(self.act(h.clone() + 0.2)))


def shared() -> Shared:
    model = seeded(Shared())
    model.norm.running_mean.add_(0.1)  # type: ignore[union-attr, operator]
    return model  # type: ignore[return-value]


LINE = asc.Line(0.0, steps=7)
ASKED: list[Callable[[Any, Tensor], Any]] = [
    lambda m, x: asc.attribute(m, x, of=1, over=LINE),
    lambda m, x: asc.influence(m, x, of=2, at="first"),
    lambda m, x: asc.attribute(m, x, of=0, at="first", over=asc.Line(0.0, steps=5, at=asc.Cut("first"))),
    lambda m, x: asc.attribute(m, x, of=1, at="act", over=LINE),
    lambda m, x: asc.influence(m, x, of=1, over=asc.Gaussian(0.1, 5), seed=3),
    lambda m, x: asc.attribute(m, x, of=[asc.Unit(0), asc.Unit(2)], over=asc.Background(torch.zeros(2, 4))),
    lambda m, x: asc.influence(m, x, of=asc.Unit(1, on=asc.Cut("norm", call=0))),
    lambda m, x: asc.activation(m, x, at=asc.Cut("rnn", accessor=0)),
]


def flat(values: Any) -> list[Tensor]:
    return [leaf for v in values for leaf in flat(v)] if isinstance(values, tuple) else [values]


def same(a: Any, b: Any) -> bool:
    return all(torch.allclose(p, q, rtol=0, atol=1e-5) for p, q in zip(flat(a), flat(b), strict=True))


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_threads_give_what_one_gives(train: bool, grad: bool) -> None:
    jobs = [(ask, rows(3, 4, seed=i)) for i in range(4) for ask in ASKED]
    truth = [ask(shared(), x).values for ask, x in jobs]
    model = shared().train(train)
    start = threading.Barrier(4)

    def work(share: list[int]) -> list[Any]:
        start.wait()
        return [(i, jobs[i][0](model, jobs[i][1]).values) for i in share]

    with torch.set_grad_enabled(grad), unchanged(model, arguments=[x for _, x in jobs]), ThreadPoolExecutor(4) as pool:
        found = [pair for pairs in pool.map(work, [list(range(k, len(jobs), 4)) for k in range(4)]) for pair in pairs]
    assert len(found) == len(jobs)
    assert [i for i, values in found if not same(values, truth[i])] == []


def test_a_plain_call_beside_an_attribution_is_a_plain_call() -> None:
    model, x, y = shared(), rows(3, 4), rows(3, 4, seed=9)
    truth, stop, wrong, calls = model(y).detach(), threading.Event(), [], [0]

    def plain() -> None:
        while not stop.is_set():
            calls[0] += 1
            if not torch.allclose(model(y), truth, atol=1e-6):
                wrong.append(calls[0])

    thread = threading.Thread(target=plain)
    thread.start()
    try:
        for _ in range(5):
            for ask in ASKED:
                ask(model, x)
    finally:
        stop.set()
        thread.join()
    assert calls[0] > 5
    assert not wrong


def test_a_failing_thread_beside_a_working_one() -> None:
    model, x = shared().train(), rows(3, 4)
    truth = ASKED[0](shared(), x).values

    def fails() -> None:
        for _ in range(10):
            with pytest.raises(asc.AscribeError):
                asc.attribute(model, x, of=77, over=LINE)
            with pytest.raises(asc.AscribeError):
                asc.attribute(model, x[:, :2], over=LINE)

    def works() -> list[Any]:
        return [ASKED[0](model, x).values for _ in range(10)]

    with unchanged(model, arguments=x), ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(fails), pool.submit(works)
        first.result()
        assert all(same(v, truth) for v in second.result())


def test_the_first_to_leave_does_not_thaw_the_model_for_the_others() -> None:
    """Deterministic, with no luck in it: two sessions that overlap, closed in either order."""
    for order in ([0, 1], [1, 0]):
        model = shared().train()
        before = [(p.requires_grad, m.training) for m in model.modules() for p in m.parameters(recurse=False)]
        lease, parameters = SharedAttribute("requires_grad"), list(model.parameters())
        parameters[0].requires_grad_(False)
        holds = [lease.off(parameters) for _ in range(2)]
        for hold in holds:
            hold.__enter__()
        for i, k in enumerate(order):
            assert not any(p.requires_grad for p in parameters), i
            holds[k].__exit__(None, None, None)
        assert [p.requires_grad for p in parameters] == [False] + [True] * (len(parameters) - 1)
        parameters[0].requires_grad_()
        assert before == [(p.requires_grad, m.training) for m in model.modules() for p in m.parameters(recurse=False)]


def interleaved(model: nn.Module, x: Tensor, run: int) -> None:
    """Two attributions of which each is inside its ``run``-th run of the model while the other is, and the first to begin ends first."""
    first_inside, second_inside, first_done = threading.Event(), threading.Event(), threading.Event()
    mine = threading.local()

    def pause(module: nn.Module, args: Any) -> None:
        mine.runs = getattr(mine, "runs", 0) + 1
        if mine.runs == run and getattr(mine, "first", False):
            first_inside.set()
            second_inside.wait(0.5)
        elif mine.runs == run:
            second_inside.set()
            first_done.wait(0.5)

    def first() -> None:
        mine.first = True
        asc.attribute(model, x, of=1, over=LINE)
        first_done.set()

    handle = model.register_forward_pre_hook(pause)
    thread = threading.Thread(target=first)
    try:
        thread.start()
        first_inside.wait(10)
        asc.attribute(model, x, of=1, over=LINE)
        thread.join()
    finally:
        handle.remove()


@pytest.mark.parametrize("run", range(1, 8))
def test_overlapping_attributions_leave_the_process_as_it_was(run: int) -> None:
    model = nn.Sequential(torch.compile(shared(), backend="eager"), nn.Identity()).train()
    before = of_process()
    filters = list(warnings.filters)
    interleaved(model, rows(3, 4), run)
    assert {key for key, value in of_process().items() if before[key] != value} == set()
    assert [f for f in warnings.filters if f not in filters] == []
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_overlapping_attributions_leave_the_warnings_as_they_were() -> None:
    model, x = shared(), rows(3, 4)
    filters = list(warnings.filters)
    first_tries, second_tries, first_done = threading.Event(), threading.Event(), threading.Event()
    second = threading.Thread(target=lambda: (first_tries.wait(10), asc.attribute(model, x, of=1, over=LINE)))

    def linger(module: nn.Module, args: Any) -> None:
        if not {"choose", "way"} <= {frame.name for frame in traceback.extract_stack()}:  # where a way to run is tried out
            return
        if threading.current_thread() is second:
            second_tries.set()
            first_done.wait(1)
        else:
            first_tries.set()
            second_tries.wait(1)

    model.register_forward_pre_hook(linger)
    second.start()
    asc.attribute(model, x, of=1, over=LINE)
    first_tries.set()
    first_done.set()
    second.join()
    assert [f for f in warnings.filters if f not in filters] == []


def test_tasks_of_one_event_loop() -> None:
    model = shared()
    jobs = [(ask, rows(3, 4, seed=i)) for i, ask in enumerate(ASKED)]
    truth = [ask(shared(), x).values for ask, x in jobs]

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(ask, model, x) for ask, x in jobs))

    with unchanged(model):
        found = asyncio.run(all_at_once())
    assert all(same(f.values, t) for f, t in zip(found, truth, strict=True))


def test_hooks_added_meanwhile_stay() -> None:
    model, x = shared(), rows(3, 4)
    added: list[Any] = []

    def meddle(module: nn.Module, args: Any, output: Any) -> None:
        if not added:
            added.append(model.act.register_forward_hook(lambda *a: None))

    handle = model.first.register_forward_hook(meddle)
    asc.attribute(model, x, of=1, at="act", over=LINE)
    handle.remove()
    assert len(model.act._forward_hooks) == 1
