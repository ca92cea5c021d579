"""The networks of :mod:`.networks` in PyTorch: the numbers that every other framework is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .networks import EPSILON, WIDTH, inputs, weights


def dense(w: np.ndarray, b: np.ndarray | None = None) -> nn.Linear:
    layer = nn.Linear(w.shape[0], w.shape[1], bias=b is not None)
    fill(layer, weight=w.T, bias=b)
    return layer


def fill(layer: nn.Module, **arrays: np.ndarray | None) -> None:
    for name, array in arrays.items():
        if array is not None:
            getattr(layer, name).data = torch.tensor(np.ascontiguousarray(array), dtype=torch.float64)


class Network(nn.Module):
    """A network whose layers have the same names in every framework."""

    def __init__(self, w: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.build(w)

    def build(self, w: Mapping[str, np.ndarray]) -> None:
        raise NotImplementedError


class Mlp(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.first, self.second, self.head = dense(w["w1"], w["b1"]), dense(w["w2"], w["b2"]), dense(w["w3"], w["b3"])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.second(F.gelu(self.first(x), approximate="tanh"))))


class Cnn(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.conv1, self.conv2 = nn.Conv2d(2, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        fill(self.conv1, weight=w["k1"].transpose(3, 2, 0, 1), bias=w["b1"])
        fill(self.conv2, weight=w["k2"].transpose(3, 2, 0, 1), bias=w["b2"])
        self.norm = nn.BatchNorm2d(WIDTH, eps=EPSILON)
        fill(self.norm, weight=w["scale"], bias=w["shift"], running_mean=w["mean"], running_var=w["var"])
        self.head = dense(w["w"], w["b"])

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv1(x))), 2)
        return self.head(F.relu(self.conv2(x)).mean((2, 3)))


class Residual(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.stem, self.up, self.down = dense(w["w0"], w["b0"]), dense(w["w1"], w["b1"]), dense(w["w2"], w["b2"])
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        fill(self.norm, weight=w["scale"], bias=w["shift"])
        self.head = dense(w["w"], w["b"])

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        return self.head(self.norm(y + self.down(F.silu(self.up(y)))))


class Attention(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        fill(self.norm, weight=w["scale"], bias=w["shift"])
        self.query, self.key, self.value, self.out = (dense(w[name]) for name in "qkvo")
        self.head = dense(w["w"], w["b"])

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (layer(y).unflatten(-1, (2, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        scores = (q @ k.transpose(-1, -2) / 2).softmax(-1)
        return self.head((x + self.out((scores @ v).transpose(1, 2).flatten(2))).mean(1))


class Gru(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.gru = nn.GRU(4, WIDTH, batch_first=True)
        fill(self.gru, weight_ih_l0=w["wi"].T, weight_hh_l0=w["wh"].T, bias_ih_l0=w["bi"], bias_hh_l0=w["bh"])
        self.head = dense(w["w"], w["b"])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x)[0][:, -1])


class TwoInputs(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.left, self.right, self.head = dense(w["w1"], w["b1"]), dense(w["w2"], w["b2"]), dense(w["w"], w["b"])

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.head(F.relu(self.left(x)) * torch.tanh(self.right(z)))


class Embedding(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.table = nn.Embedding(10, WIDTH)
        fill(self.table, weight=w["table"])
        self.hidden, self.head = dense(w["w1"], w["b1"]), dense(w["w"], w["b"])

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(F.relu(self.hidden(self.table(ids))).mean(1))


KINDS: Mapping[str, type[Network]] = {
    "mlp": Mlp, "cnn": Cnn, "residual": Residual, "attention": Attention, "gru": Gru, "two_inputs": TwoInputs, "embedding": Embedding,
}  # fmt: skip


def torch_network(name: str, double: bool = False) -> tuple[nn.Module, tuple[Any, ...]]:
    """A network and the arguments of a call."""
    net = KINDS[name](weights(name)).eval()
    args = tuple(torch.tensor(a) for a in inputs(name))
    kind = torch.float64 if double else torch.float32
    return net.to(kind), tuple(a.to(kind) if a.is_floating_point() else a for a in args)
