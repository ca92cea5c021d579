"""What the first call of a process loads: PyTorch's compiler takes a second or more to import, and nothing here needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
    root = str(Path(__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "light"
