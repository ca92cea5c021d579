"""Small models that return, take or do what users' models do, and that libraries trip over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

Tensor = torch.Tensor
CLASSES = 5


def seeded(model: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.5)
    return model.eval()


def rows(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def table() -> nn.Module:
    """Four numbers to five classes; one layer that exists and never runs."""
    model = seeded(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, CLASSES)))
    model[0].spare = nn.Linear(2, 2)
    return model


class Named(nn.Module):
    """Class names as Hugging Face keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.config = SimpleNamespace(id2label={0: "cat", 1: "dog", 2: "bird"})

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


class Pictures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.conv(x)).flatten(1))


class Words(nn.Module):
    """Token ids to classes."""

    def __init__(self, tables: int = 1) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(20, 4) for _ in range(tables))
        self.fc = nn.Linear(4, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.fc(sum(t(ids) for t in self.tables).mean(1))  # type: ignore[union-attr, arg-type]


class OneHot(nn.Module):
    """Token ids without an embedding."""

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.one_hot(ids, 20).float().sum(1)


class Pair(nn.Module):
    """Two inputs, of which the second may be out of use."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, a: Tensor, b: Tensor, use_both: bool = True) -> Tensor:
        return self.left(a) * torch.tanh(self.right(b)) if use_both else self.left(a)


@dataclass
class Returned:
    logits: Tensor
    hidden: tuple[Tensor, ...] = field(default_factory=tuple)
    loss: Tensor | None = None


class Answers(nn.Module):
    """The same scores in the container asked for."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.fc, self.form = nn.Linear(4, 3), form

    def forward(self, x: Tensor) -> Any:
        y = self.fc(x)
        forms: dict[str, Callable[[], Any]] = {
            "tuple": lambda: (y,),
            "list": lambda: [y],
            "dict": lambda: {"logits": y, "loss": None},
            "other dict": lambda: {"scores": y},
            "dataclass": lambda: Returned(y, (x,)),
            "namespace": lambda: SimpleNamespace(logits=y),
            "two": lambda: (y, y * 2),
            "none": lambda: None,
            "numpy": lambda: y.detach().numpy(),
            "number": lambda: float(y.detach().sum()),
            "scalar": lambda: y.sum(),
            "whole": lambda: y.argmax(1),
            "one score": lambda: y[:, 0],
            "one column": lambda: y[:, :1],
            "sequence": lambda: y[:, None, :].expand(-1, 2, -1),
            "half as many": lambda: y[: len(y) // 2],
        }
        return forms[self.form]()


def answers(form: str) -> nn.Module:
    return seeded(Answers(form))


class ByHand(nn.Module):
    """A softmax that no layer makes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp() / x.exp().sum(1, keepdim=True)


class TokensAsRows(nn.Module):
    """A layer that sees every token as a row of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.reshape(-1, 4)).reshape(len(x), -1, 3).mean(1)


class Picked(nn.Module):
    """A layer that sees the first record and every other one."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3] + self.fc(torch.cat([x[:1], x[::2]])).mean(0)


class TimeFirst(nn.Module):
    """Records on the second axis, as nn.LSTM has them unless told."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0][-1])
