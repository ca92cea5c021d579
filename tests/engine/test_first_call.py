"""What the first call of a process loads, and how many rows the first call of a kind runs beside those that it is about.

PyTorch's compiler takes a second or more to import, and nothing here needs it. Ways of running are tried on two records, whatever the
number of records, and then held to what came of all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.distributions.quadrature import quadrature_nodes
from tests.support.odd_models import rows, seeded

Tensor = torch.Tensor
HEAVY = ("torch._dynamo", "torch._inductor", "sympy")

CALLS = f"""
import sys
import torch
from torch import nn
import ascribe as asc

torch.manual_seed(0)


class Last(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0][:, -1]


class Looks(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0].mean(1)


models = dict(
    dense=nn.Sequential(nn.Flatten(), nn.Linear(40, 6), nn.ReLU(), nn.Linear(6, 3)),
    convolutional=nn.Sequential(nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(12, 3)),
    lstm=Last(nn.LSTM(8, 3, batch_first=True)),
    gru=Last(nn.GRU(8, 3, batch_first=True)),
    encoder=nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), nn.Flatten(), nn.LayerNorm(40), nn.Linear(40, 3)),
    attention=Looks(),
)
methods = dict(
    gradient=asc.InputXGradient(),
    line=asc.IntegratedGradients(steps=4),
    deep_lift=asc.DeepLift(),
    relevance=asc.LRP(),
    attention=asc.AttnLRP(),
    removal=asc.FeatureAblation(),
)
x = torch.randn(2, 5, 8)
for kind, model in models.items():
    for name, method in methods.items():
        method(model.eval(), x, of=1)
        found = [m for m in {HEAVY!r} if m in sys.modules]
        assert not found, f"{{name}} of {{kind}} imports {{found}}"
asc.GuidedBackprop()(models["dense"], x, of=1)
assert not any(m in sys.modules for m in {HEAVY!r})
print("light")
"""


def test_no_first_call_imports_the_compiler() -> None:
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "light"


class Ids(nn.Module):
    """Scores of token ids, by a model that does not say which of its tables is given them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.fc, self.out = nn.Embedding(50, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(torch.relu(self.fc(self.words(ids))).mean(1))


def pictures() -> nn.Module:
    seen = (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return seeded(nn.Sequential(*seen, nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)))


def line(at: Any) -> asc.Line:
    return asc.Line(0.0, steps=12, at=at)


CALLS_OF_A_KIND: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Tensor], Any], int]] = {
    "a line": (pictures, lambda m, x: asc.attribute(m, x, of=1, over=line(asc.INPUT), chunk=96), 24),
    "a line at a layer": (pictures, lambda m, x: asc.attribute(m, x, of=1, at="4", over=line("4"), chunk=96), 36),
    "conductance": (pictures, lambda m, x: asc.Conductance(steps=12)(m, x, of=1, at="0", chunk=96), 24),
    "noise": (pictures, lambda m, x: asc.influence(m, x, of=1, over=asc.Gaussian(0.1, 12), chunk=96), 24),
    "a line at embeddings": (lambda: seeded(Ids()), lambda m, x: asc.attribute(m, ids(x), of=1, at=asc.EMBEDDINGS,
                                                                               over=line(asc.EMBEDDINGS), chunk=96), 36),
    "relevance at embeddings": (lambda: seeded(Ids()), lambda m, x: asc.AttnLRP()(m, ids(x), of=1, at=asc.EMBEDDINGS, chunk=96), 2),
    "rescale": (pictures, lambda m, x: asc.DeepLift()(m, x, of=1, chunk=96), 8),
}  # fmt: skip
"""For each kind of call the rows that the first may run beside those of a later one. Chunks are given: they are measured otherwise."""


def ids(x: Tensor) -> Tensor:
    return (x.flatten(1)[:, :5].abs() * 20).long() % 50


@pytest.mark.parametrize("name", CALLS_OF_A_KIND)
@pytest.mark.parametrize("records", [12, 48])
def test_what_a_first_call_finds_out_does_not_take_all_records(name: str, records: int) -> None:
    make, ask, most = CALLS_OF_A_KIND[name]
    model, x, seen = make().eval(), torch.randn(records, 2, 8, 8, generator=torch.Generator().manual_seed(1)), [0]
    model.register_forward_pre_hook(lambda m, args: seen.__setitem__(0, seen[0] + len(args[0])))
    counts, found = [], []
    for _ in range(2):
        seen[0] = 0
        found.append(ask(model, x).values)
        counts.append(seen[0])
    assert counts[0] - counts[1] <= most
    assert torch.allclose(*found, rtol=0, atol=1e-5 * float(found[0].abs().max()))


class Crowd(nn.Module):
    """Records that meet as soon as there are more rows than some number."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.fc, self.out, self.room = nn.Linear(4, 5), nn.Linear(5, 3), room

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.fc(x))
        return self.out(h - h.mean(0) if len(h) > self.room else h)


@pytest.mark.parametrize("at", [asc.INPUT, asc.Cut("fc")])
@pytest.mark.parametrize("room", [8, 12, 30])
def test_a_way_that_is_right_for_two_records_only_is_not_taken(room: int, at: asc.Cut) -> None:
    """The rows that are really run are compared, not only those of a trial."""
    model, x = seeded(Crowd(room)).eval(), rows(8, 4)
    with torch.no_grad():
        end = model.fc(x) if at.layer else x  # type: ignore[operator]
    total = torch.zeros_like(end)
    for position, weight in zip(*quadrature_nodes("gauss-legendre", 6), strict=True):
        z = (end * position).requires_grad_()
        score = model.out(torch.tanh(z if at.layer else model.fc(z)))[:, 1].sum()  # type: ignore[operator]
        total += torch.autograd.grad(score, z)[0] * weight
    for _ in range(2):
        found = asc.attribute(model, x, of=1, at=at, over=asc.Line(0.0, steps=6, at=at), chunk=1000)
        assert torch.allclose(found.values, total * end, atol=1e-5)
