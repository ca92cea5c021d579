"""PyTorch's own formulas: kernels with hidden parts, windows, order statistics, views of memory, and faster forms of neutral ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ....tape.formulas.softmax import softmax as neutral_softmax
from ....tape.step import Back, Formula, Step
from . import attention, order_statistics, pooling
from .attention import BLOCK
from .cache_blocks import at_once
from .framework import TorchFramework
from .kernels import KERNELS, centred, logarithmic_mean

Tensor = torch.Tensor
aten = torch.ops.aten


def scattered(s: Step) -> Back:
    """``as_strided_scatter``: autograd's own leaks where the source is not contiguous."""
    flat, v, size, stride, offset = s.entry.args
    g = s.g.contiguous()
    back: Back = []
    if s.wants(v):
        back.append((v, g.as_strided(size, stride, offset).clone()))
    if s.wants(flat):
        rest = g.clone()
        rest.as_strided(size, stride, offset).zero_()
        back.append((flat, rest))
    return back


def softmax(s: Step) -> Back:
    """By the logarithmic mean, in blocks that fit the cache."""
    v, dim = s.arguments
    z, z0 = v.value, s.reference(v)
    if dim % z.dim() != z.dim() - 1 or z.numel() <= at_once(z, BLOCK):
        return neutral_softmax(s)
    g = s.g.to(z.dtype)
    back = torch.empty_like(z, memory_format=torch.contiguous_format)
    wide = z.shape[-1]
    lines = [t.reshape(-1, wide).split(max(1, at_once(z, BLOCK) // wide)) for t in (z, z0.expand(z.shape), g, back)]
    for part, part0, c, out in zip(*lines, strict=True):
        out.copy_(centred(None, logarithmic_mean(None, part.log_softmax(-1), part0.log_softmax(-1)), c, -1))
    return [(v, back)]


def softmax_derivative(s: Step) -> Back:
    """At the record, in one kernel."""
    v, dim = s.arguments
    p = s.entry.out().value
    return [(v, aten._softmax_backward_data(s.g.to(p.dtype), p, dim, p.dtype).to(v.dtype))]


def log_softmax_derivative(s: Step) -> Back:
    """At the record, in one kernel."""
    v, dim = s.arguments
    y = s.entry.out().value
    return [(v, aten._log_softmax_backward_data(s.g.to(y.dtype), y, dim, y.dtype).to(v.dtype))]


TAYLOR: dict[str, Formula] = {"softmax": softmax_derivative, "log_softmax": log_softmax_derivative, "attention": attention.attended}

FORMULAS: Mapping[tuple[str, str], Mapping[str, Callable[[Any], Any]]] = {
    ("linear", "vjp"): {"as_strided_scatter": scattered},
    ("softmax", "logmean"): {"softmax": softmax, "attention": attention.attention},
    ("softmax", "vjp"): TAYLOR,
    ("softmax", "fixed"): {**TAYLOR, "attention": attention.values_only},
    ("softmax", "tempered"): {"attention": attention.tempered},
    ("pool", "winner"): pooling.POOL,
    ("choice", "secant"): order_statistics.ORDER,
}

TORCH = TorchFramework(FORMULAS, KERNELS)
"""PyTorch, with its formulas and kernels."""
