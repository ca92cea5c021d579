"""What a mean influence is, written with PyTorch's own hooks and autograd: the oracle of the documented parametrisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import nn

Tensor = torch.Tensor
Change = Callable[[Tensor], Tensor]


class Spot(NamedTuple):
    """What a module is given first, or what it returns, or one of the things that it returns."""

    path: str
    side: str = "out"
    part: int | None = None


def listen(model: nn.Module, spot: Spot, change: Change) -> Any:
    """A hook that puts ``change(value)`` in the place of a value."""
    module = model.get_submodule(spot.path)
    if spot.side == "in":
        return module.register_forward_pre_hook(lambda m, args: (change(args[0]), *args[1:]))

    def after(m: nn.Module, args: Any, output: Any) -> Any:
        if spot.part is None:
            return change(output)
        parts = list(output)
        parts[spot.part] = change(parts[spot.part])
        return tuple(parts)

    return module.register_forward_hook(after)


def run(model: nn.Module, call: dict[str, Any], changes: Sequence[tuple[Spot, Change]]) -> Any:
    """The model's output with values changed on the way."""
    with ExitStack() as stack:
        for spot, change in changes:
            stack.enter_context(listen(model, spot, change))
        return model(**call)


def held(model: nn.Module, call: dict[str, Any], spot: Spot, put: Sequence[tuple[Spot, Tensor]] = ()) -> Tensor:
    """What a place holds, with other values put elsewhere."""
    seen: list[Tensor] = []

    def look(value: Tensor) -> Tensor:
        seen.append(value.detach().clone())
        return value

    run(model, call, [*((s, lambda _, v=v: v) for s, v in put), (spot, look)])
    return seen[-1]


def slope(
    model: nn.Module, call: dict[str, Any], score: Change, at: Spot, on: Spot | None = None, put: Sequence[tuple[Spot, Tensor]] = ()
) -> Tensor:
    """The gradient of a score, read from the output or at a place, at the value at another place, with values put at a third."""
    leaves: list[Tensor] = []
    read: list[Tensor] = []

    def leaf(value: Tensor) -> Tensor:
        leaves.append(value.detach().clone().requires_grad_())
        return leaves[-1]

    def look(value: Tensor) -> Tensor:
        read.append(value)
        return value

    output = run(model, call, [*((s, lambda _, v=v: v) for s, v in put), (at, leaf), *([(on, look)] if on else [])])
    return torch.autograd.grad(score(read[-1] if on else output).sum(), leaves[-1])[0]


def even(start: Tensor, end: Tensor, steps: int) -> list[Tensor]:
    """Points evenly spaced on a line, both ends among them, the end first."""
    return [end + k / (steps - 1) * (start - end) for k in range(steps)]


def mean(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts) / len(parts)
