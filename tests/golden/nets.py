"""Small networks of float64 for the golden numbers; their weights are NumPy's, the same under every version of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

RECORDS = 3


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    """Normal numbers, float64."""
    return np.random.default_rng((2024, seed)).normal(size=shape)


def tensor(*shape: int, seed: int = 1) -> torch.Tensor:
    """The same numbers as a tensor."""
    return torch.as_tensor(numbers(*shape, seed=seed))


def filled(net: nn.Module, seed: int = 0) -> nn.Module:
    """The network in float64 and eval mode, with NumPy's numbers for parameters and running statistics."""
    net = net.double().eval()
    rng = np.random.default_rng((7, seed))
    with torch.no_grad():
        for name, p in sorted([*net.named_parameters(), *net.named_buffers()]):
            if not p.is_floating_point():
                continue
            drawn = rng.normal(size=tuple(p.shape))
            if name.endswith("running_var"):
                drawn = 1 + 0.5 * np.tanh(drawn)
            elif name == "place":
                drawn = 1 + 0.2 * np.tanh(drawn)
            elif "norm" in name and name.endswith("weight"):
                drawn = 1 + 0.2 * drawn
            else:
                drawn = drawn / max(1, int(np.prod(p.shape[1:]))) ** 0.5
            p.copy_(torch.as_tensor(drawn))
    return net


class Picture(nn.Module):
    """Convolutions, batch norm, max-pool before the rectifier (no ties), a rectifier that is a function, a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1, self.pool = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2)
        self.conv2, self.norm2, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(3, 4)
        self.register_buffer("place", torch.ones(1, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.pool(self.norm1(self.conv1(x)) * self.place))  # else every window of an even baseline is a tie
        x = x + F.relu(self.norm2(self.conv2(x)))
        return self.head(x.mean((2, 3)))


class Words(nn.Module):
    """Token ids under a mask, one self-attention in so many words, a norm, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(12, 4), nn.LayerNorm(4), nn.Linear(4, 3)
        self.query, self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        h = self.embed(ids)
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        scores = torch.matmul(self.query(h), self.key(h).transpose(1, 2)) / 2.0
        scores = scores + (1.0 - mask[:, None].to(h.dtype)) * -1e4
        h = self.norm(h + torch.matmul(torch.softmax(scores, -1), self.value(h)))
        weight = mask[..., None].to(h.dtype)
        return self.head((h * weight).sum(1) / weight.sum(1))


class Series(nn.Module):
    """A recurrent classifier of series."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Dense(nn.Module):
    """A score for each of three channels at every place of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.conv(x)))


W1, W2 = numbers(4, 5, seed=31), numbers(5, 3, seed=32)


def table_function(x: np.ndarray) -> np.ndarray:
    """A function of a table that is no network: three scores, with interactions."""
    x = np.asarray(x, dtype=np.float64)
    return np.tanh(x @ W1) @ W2 + (x[:, :1] * x[:, 1:2])


@dataclass(frozen=True)
class Net:
    """A model with a call of it; an inner layer, other rows for backgrounds, and whether it has gradients."""

    make: Callable[[], Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    inner: str | None = None
    rows: Any = None
    gradients: bool = True
    picture: bool = False


IDS = torch.as_tensor(np.array([[3, 5, 2, 7, 1], [4, 4, 9, 0, 0], [8, 2, 10, 6, 0]]))
MASK = torch.as_tensor(np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]))
OTHER_IDS = torch.as_tensor(np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 3, 5, 7, 9], [2, 2, 4, 8, 1]]))
X = tensor(RECORDS, 4)
PICTURES = tensor(RECORDS, 1, 8, 8, seed=2)
SERIES = tensor(RECORDS, 5, 3, seed=3)


def mlp() -> nn.Module:
    return filled(nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), 1)
