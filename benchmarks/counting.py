"""Counts the rows that pass through a model with hooks of its own, independent of the cost that a library reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Rows:
    """Rows through the first layer, through the last one, and back from the last one."""

    first: int = 0
    last: int = 0
    back: int = 0

    def __str__(self) -> str:
        return f"{self.first}/{self.last}+{self.back}"


def width(value: Any) -> int:
    """How many rows a layer was given; under ``torch.vmap`` the mapped points are rows too."""
    while not isinstance(value, Tensor):
        value = value[0]
    inner, count = value, len(value)
    while torch._C._functorch.is_batchedtensor(inner):
        inner = torch._C._functorch.get_unwrapped(inner)
        count = inner.shape[0] * count
    return count


def counted(model: nn.Module, ends: tuple[str, str], call: Callable[[], Any]) -> Rows:
    """Run ``call`` twice with the model's first and last layers watched, and count the second time.

    What holds for a model is found out by its first call, and for a model with these hooks, whose counts are zero, once more.
    """
    rows = Rows()

    def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
        rows.first += width(args or next(iter(kwargs.values())))

    def leave(_: nn.Module, args: Any, output: Tensor) -> None:
        count = width(output)
        rows.last += count
        if output.requires_grad:
            output.register_hook(lambda _: setattr(rows, "back", rows.back + count))

    handles = [
        model.get_submodule(ends[0]).register_forward_pre_hook(enter, with_kwargs=True),
        model.get_submodule(ends[1]).register_forward_hook(leave),
    ]
    try:
        call()
        rows.first = rows.last = rows.back = 0
        call()
    finally:
        for handle in handles:
            handle.remove()
    return rows
