"""What a model's forward pass may write to or draw from, wherever it is kept: as it was after every call, beside other threads too."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from tests.support.odd_models import rows, seeded
from tests.support.snapshots import unchanged

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
LINE = asc.Line(0.0, steps=3)
ASKED: list[Callable[[Any, Tensor], Any]] = [
    lambda m, x: asc.influence(m, x, of=1),
    lambda m, x: asc.attribute(m, x, of=1, over=LINE),
    lambda m, x: asc.attribute(m, x, of=1, over=asc.coalitions.LeaveOneOut()),
    lambda m, x: asc.activation(m, x, at="fc"),
]


class Writes(nn.Module):
    """A layer that writes to its weight, and buffers written through ``data``."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.fc, self.table = kind, nn.Linear(4, 3), nn.Embedding(5, 3, max_norm=0.2 if kind == "max_norm" else None)
        self.bag = nn.EmbeddingBag(5, 3, max_norm=0.2 if kind == "max_norm" else None)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        h = x + self.mean
        if self.kind == "data":
            self.mean.data += 0.1 * (x.detach().mean(0) + 1)
        if self.kind == "clipped":
            with torch.no_grad():
                self.fc.weight.clamp_(-0.1, 0.1)
        if self.kind == "clipped data":
            self.fc.weight.data.clamp_(-0.1, 0.1)
        if self.kind == "replaced data":
            self.mean.data = self.mean.data + 0.1 * (x.detach().mean(0) + 1)
        ids = torch.arange(5)[None].expand(len(x), 5)
        return self.fc(h) + self.table(ids).sum(1) + self.bag(ids)


@pytest.mark.parametrize("kind", ["max_norm", "data", "replaced data", "clipped", "clipped data"])
@pytest.mark.parametrize("ask", ASKED)
def test_what_a_forward_pass_writes_to_is_as_it_was(kind: str, ask: Callable[[Any, Tensor], Any]) -> None:
    model, x = seeded(Writes(kind)), rows(3, 4)
    for _ in range(3):
        with unchanged(model, arguments=x):
            ask(model, x)


def test_every_run_starts_from_the_buffers_that_the_user_left() -> None:
    model, x = seeded(Writes("data")), rows(3, 4)
    plain = seeded(Writes("none"))
    for over in (LINE, asc.Gaussian(0.1, 4)):
        assert torch.allclose(asc.attribute(model, x, of=1, over=over).values, asc.attribute(plain, x, of=1, over=over).values, atol=1e-6)


class Draws(nn.Module):
    """A model that draws, in evaluation mode too."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.fc = kind, nn.Linear(4, 3)
        self.torch, self.numpy = torch.Generator().manual_seed(0), np.random.default_rng(0)
        self.old, self.python = np.random.RandomState(0), random.Random(0)

    def noise(self) -> float:
        match self.kind:
            case "torch":
                return float(torch.rand(()))
            case "random":
                return random.random()
            case "numpy":
                return float(np.random.rand())
        own = {
            "own torch": lambda: torch.rand((), generator=self.torch),
            "own numpy": self.numpy.random,
            "own old numpy": self.old.rand,
            "own random": self.python.random,
        }
        return float(own[self.kind]())

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) * (1 + 0 * self.noise())


def generators(model: Draws) -> list[Any]:
    return [
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2],  # type: ignore[index, union-attr]
        model.torch.get_state().tolist(), str(model.numpy.bit_generator.state), str(model.old.get_state()), model.python.getstate(),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["torch", "random", "numpy", "own torch", "own numpy", "own old numpy", "own random"])
@pytest.mark.parametrize("idle", [False, True])
def test_generators_are_where_they_were(kind: str, idle: bool) -> None:
    """Also beside a thread that does nothing, as progress bars and notebooks have one."""
    model, x, stop = seeded(Draws(kind)), rows(3, 4), threading.Event()
    thread = threading.Thread(target=stop.wait)
    if idle:
        thread.start()
    try:
        for ask in ASKED:
            before = generators(model)  # type: ignore[arg-type]
            ask(model, x)
            assert generators(model) == before  # type: ignore[arg-type]
            ask(lambda z: model(z), x) if ask is not ASKED[-1] else None
            assert generators(model) == before  # type: ignore[arg-type]
    finally:
        stop.set()
        if idle:
            thread.join()


@pytest.mark.parametrize("kind", ["torch", "random", "numpy"])
def test_generators_are_where_they_were_after_an_error_beside_an_idle_thread(kind: str) -> None:
    """A notebook always has other threads: whose draws those were is asked of the model after an error too."""
    model, x, stop = seeded(Draws(kind)), rows(3, 4), threading.Event()
    model.register_forward_hook(lambda module, given, out: 1 / 0)
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        before = generators(model)  # type: ignore[arg-type]
        with pytest.raises(asc.AscribeError, match="ZeroDivisionError"):
            asc.influence(model, x, of=1)
        assert generators(model) == before  # type: ignore[arg-type]
    finally:
        stop.set()
        thread.join()


def test_no_number_is_drawn_twice_beside_an_attribution() -> None:
    model, x, stop = seeded(nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))), rows(64, 4), threading.Event()
    drawn: list[float] = []

    def draw() -> None:
        while not stop.is_set():
            drawn.append(float(torch.rand((), dtype=torch.float64)))
            stop.wait(1e-4)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        while len(drawn) < 300:
            asc.attribute(model, x, of=1, over=LINE)
    finally:
        stop.set()
        thread.join()
    assert len(set(drawn)) == len(drawn)


class Slotted:
    __slots__ = ("parts",)

    def __init__(self, parts: list[nn.Module]) -> None:
        self.parts = parts

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


class Teacher(nn.Module):
    """A network kept where PyTorch does not see it, so that it is not trained along."""

    def __init__(self, hidden: Any) -> None:
        super().__init__()
        self.fc, self.hidden = nn.Linear(4, 3), hidden

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden
        for part in hidden.values() if isinstance(hidden, dict) else [hidden] if callable(hidden) else hidden:
            x = part(x)
        return self.fc(x)


def many(count: int) -> list[nn.Module]:
    return [nn.BatchNorm1d(4) if i % 10 == 0 else nn.Linear(4, 4) if i % 2 else nn.Dropout(0.1) for i in range(count)]


HIDDEN: dict[str, Callable[[list[nn.Module]], Any]] = {
    "a list": lambda parts: lambda x, parts=parts: Slotted(parts)(x),
    "slots": Slotted,
    "a module's list": Teacher,
    "a module's dictionary": lambda parts: Teacher(dict(enumerate(parts))),
    "a module's object": lambda parts: Teacher(Slotted(parts)),
    "a module's module in a list": lambda parts: Teacher([nn.Sequential(*parts)]),
}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("count", [3, 100, 300])
def test_modules_are_found_wherever_they_are_kept(name: str, count: int) -> None:
    parts, x = many(count), rows(6, 4)
    for part in parts:
        part.train()
    model = HIDDEN[name](parts)
    with unchanged(*parts), pytest.warns(asc.AscribeWarning, match="training mode"):
        found = asc.influence(model, x, of=1).values
    for part in parts:
        part.eval()
    z = x.clone().requires_grad_()
    truth = torch.autograd.grad(model(z)[:, 1].sum(), z)[0]
    assert torch.allclose(found, truth, atol=1e-6)


class Padded(nn.Module):
    """An encoder with a padding mask, which PyTorch runs in another way where nothing needs a gradient."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder, self.fc = nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.fc(self.encoder(x, src_key_padding_mask=mask).mean(1))


@pytest.mark.parametrize("wrapped", [False, True])
def test_runs_without_gradients_are_of_the_same_function(wrapped: bool) -> None:
    model, x = seeded(Padded()), rows(3, 5, 8)
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 2 + [True] * 3])
    called: Any = (lambda x, mask: model(x, mask)) if wrapped else model
    fused = torch.backends.mha.get_fastpath_enabled()
    z = x.clone().requires_grad_()
    score = model(z, mask)[:, 1]
    truth = torch.autograd.grad(score.sum(), z)[0]
    found = asc.attribute(called, x, mask, of=1)
    assert torch.allclose(found.values, truth * x, atol=1e-5)
    assert np.allclose(found.explained, score.detach(), atol=1e-6)
    start = model((x * 0).requires_grad_(), mask)[:, 1]
    line = asc.attribute(called, x, mask, of=1, over=asc.Line(0.0, steps=64))
    change = (score - start).detach()
    assert np.allclose(np.asarray(line.gap.absolute), line.values.sum((1, 2)).double() - change.double(), atol=1e-5)
    removed = asc.attribute(
        called, x, mask, of=1, over=asc.coalitions.LeaveOneOut(), by=asc.Replace(0.0), features=asc.features.Windows((1, 8))
    )
    gone = x.clone()
    gone[:, 0] = 0
    truth = (score - model(gone.requires_grad_(), mask)[:, 1]).detach()
    assert np.allclose(np.asarray(removed.features.values)[:, 0], truth, atol=1e-5)
    if not wrapped:
        inner = asc.influence(model, x, mask, of=1, at="encoder.layers.1.linear1").values
        assert inner.shape == (3, 5, 16)
        assert len(asc.cuts_of(model, x, mask)) > 10
        assert asc.activation(model, x, mask, at="encoder.layers.0.self_attn").values.shape == (3, 5, 8)
    assert torch.backends.mha.get_fastpath_enabled() == fused
