"""The networks and the native programs in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .networks import BLOCKS, EPSILON, HEADS, WIDTH, inputs, masks, positions
from .subject import Program, Subject

CHUNKS = (1, 2, 4, 8, 16, 32)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in "qkvo")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(x).reshape(*x.shape[:2], HEADS, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = torch.softmax(q @ k.mT / np.sqrt(WIDTH // HEADS), -1) @ v
        return self.o(mixed.transpose(1, 2).reshape(x.shape))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(Attention() for _ in range(BLOCKS))
        self.up = nn.ModuleList(nn.Linear(WIDTH, 4 * WIDTH, bias=False) for _ in range(BLOCKS))
        self.down = nn.ModuleList(nn.Linear(4 * WIDTH, WIDTH, bias=False) for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for attention, up, down in zip(self.attention, self.up, self.down, strict=True):
            x = x + attention(functional.layer_norm(x, (WIDTH,), eps=EPSILON))
            x = x + down(functional.gelu(up(functional.layer_norm(x, (WIDTH,), eps=EPSILON)), approximate="tanh"))
        return self.head(functional.layer_norm(x, (WIDTH,), eps=EPSILON).mean(1))


def build(network: str) -> nn.Module:
    if network == "transformer":
        return Transformer()
    if network == "mlp":
        return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    convolutions = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(1568, 64), nn.ReLU(), nn.Linear(64, 10))


def module(network: str) -> Subject:
    """A module; images have their channels first."""
    made = []
    for seed in (0, 2):
        torch.manual_seed(seed)
        made.append(build(network).eval().requires_grad_(False))
    x = torch.tensor(inputs(network))
    x = x.permute(0, 3, 1, 2).contiguous() if network == "cnn" else x
    covers = torch.tensor(masks()).permute(0, 1, 4, 2, 3)
    return Subject(made[0], made[1], x, programs(made[0], x, covers))


def programs(model: Callable[..., Any], x: torch.Tensor, covers: torch.Tensor) -> dict[str, Callable[[int], Program]]:
    """The programs written by hand: loops over chunks of points; the first call of each chooses its chunk."""
    shares, records = torch.tensor(positions()), len(x)

    def integrated(label: int, chunk: int) -> Any:
        total = torch.zeros_like(x)
        for some in shares.split(chunk):
            rows = (some.reshape(-1, *[1] * x.ndim) * x).reshape(-1, *x.shape[1:]).requires_grad_()
            (grad,) = torch.autograd.grad(model(rows)[:, label].sum(), rows)
            total += grad.reshape(-1, *x.shape).sum(0)
        return total / len(shares) * x

    def removed(label: int, chunk: int) -> Any:
        with torch.no_grad():
            before = model(x)[:, label]
            rows = [model((some * x).reshape(-1, *x.shape[1:]))[:, label].reshape(-1, records) for some in covers.split(chunk)]
            return before - torch.cat(rows)

    def gradient(label: int, chunk: int) -> Any:
        rows = x.clone().requires_grad_()
        return torch.autograd.grad(model(rows)[:, label].sum(), rows)[0]

    def made(program: Any, chunks: tuple[int, ...] = CHUNKS) -> Callable[[int], Program]:
        return lambda label: Chunked(program, label, chunks)

    return {"IG": made(integrated), "Occlusion": made(removed, CHUNKS[:-1]), "gradient": made(gradient, (1,))}


class Chunked:
    """A loop at its best chunk: the first call runs all at once, the next ones try each chunk three times."""

    def __init__(self, program: Callable[[int, int], Any], label: int, chunks: tuple[int, ...]) -> None:
        self.program, self.label, self.chunks, self.chunk = program, label, chunks, 0

    def __call__(self) -> np.ndarray:
        if not self.chunk:
            self.chunk = self.chunks[-1]
        return self.program(self.label, self.chunk).numpy()

    def settle(self, seconds: Callable[[Program], float]) -> None:
        """Chooses the best chunk."""
        took = {}
        for chunk in self.chunks:
            self.chunk = chunk
            took[chunk] = min(seconds(self) for _ in range(4))
        self.chunk = min(took, key=took.__getitem__)
