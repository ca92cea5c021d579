"""Fused recurrent kernels split into the operations that they are equal to, when the recorder sees them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Tensor = torch.Tensor
LSTM = 2


class Unfused(TorchFunctionMode):
    """While entered (in this thread), attention and encoder layers take their path in single operations.

    Their fused inference path is for calls that no Python mode is looking at; to be there is enough.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


FUSES = (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer, torch.nn.TransformerEncoder)


def unfused(host: torch.nn.Module | None) -> AbstractContextManager[object]:
    """:class:`Unfused` where a model has such layers, or its modules are unknown."""
    needed = host is None or any(isinstance(m, FUSES) for m in host.modules())
    return Unfused() if needed else nullcontext()


def lstm_layer(
    x: Tensor, w_in: Tensor, w_back: Tensor, b_in: Tensor, b_back: Tensor, h: Tensor, c: Tensor, reverse: bool, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``mkldnn_rnn_layer`` for an LSTM: one direction of one layer, ``[steps, records, numbers]``."""
    biased = bool(rest[4])
    shape_h, shape_c = h.shape, c.shape
    h, c = h.reshape(x.shape[1], -1), c.reshape(x.shape[1], -1)
    every = torch.nn.functional.linear(x, w_in, b_in + b_back if biased else None)
    found: list[Tensor] = []
    order = range(len(x))
    for t in reversed(order) if reverse else order:
        i, f, g, o = (every[t] + torch.nn.functional.linear(h, w_back)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        found.append(h)
    out = torch.stack(found[::-1] if reverse else found)
    return out, h.reshape(shape_h), c.reshape(shape_c), x.new_empty(0)


def rnn_layer(*args: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A fused recurrent layer: an LSTM is all that PyTorch builds it for."""
    if args[9] != LSTM:
        return torch.ops.aten.mkldnn_rnn_layer.default(*args)
    return lstm_layer(*args)


UNFUSED: dict[str, Callable[..., Any]] = {"mkldnn_rnn_layer": rnn_layer}


def bounded(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """``clamp`` between tensors."""
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def added_quotient(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    """``addcdiv``."""
    return x + (a / b if value == 1 else a / b * value)


def length(x: Tensor, order: float = 2, dim: Any = None, keepdim: bool = False, **rest: Any) -> Any:
    """A norm by sums or extremes. That of squares has a rule of its own."""
    if x.is_complex() or rest or order not in (1, float("inf"), -float("inf")):
        return NotImplemented
    dims = list(range(x.dim())) if dim is None else dim
    size = x.abs()
    return size.sum(dims, keepdim) if order == 1 else size.amax(dims, keepdim) if order > 0 else size.amin(dims, keepdim)


MADE_OF: dict[str, Callable[..., Any]] = {
    "aten.clamp.Tensor": bounded,
    "aten.clamp_min.Tensor": bounded,
    "aten.clamp_max.Tensor": torch.minimum,
    "aten.addcdiv.default": added_quotient,
    "aten.linalg_vector_norm.default": length,
}
"""Operations that are made of others which have rules; NotImplemented where they are not with these arguments."""
