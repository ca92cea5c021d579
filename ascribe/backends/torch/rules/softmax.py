"""Softmax and its kin: the average Jacobian is the Jacobian with the logarithmic mean of both runs' probabilities in
place of ``p``.

``L = (p - p0) / (log p - log p0)``; ``g_z = L (g - sum(L g) / sum L)``: symmetric, blind to shifts, exact. Quadrature is
no way out: on saturated scores 32 points still miss 2 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from .cache_blocks import at_once
from .step import Back, Formula, Step
from .tape import Tensor, Var, fold

BLOCK = 1 << 18
"""Scores that a core works on at once: a dozen passes over them stay in its cache."""


def logarithmic_mean(lp: Tensor, lq: Tensor, mean: Tensor | None = None) -> Tensor:
    """The logarithmic mean of two numbers given by their logarithms; 0 where one of them is 0. ``mean`` is their mean, if known.

    As the mean times ``tanh(d) / d`` with ``d`` half the difference of the logarithms, for ``p - q = (p + q) tanh(d)``: no series
    where they meet, nothing that overflows, and no comparison, which would take longer than all the rest.
    """
    mean = lp.exp().add_(lq.exp()).div_(2) if mean is None else mean
    d = (lp - lq).div_(2).abs_().clamp_min_(torch.finfo(lp.dtype).tiny * 1e4)
    return d.tanh().div_(d).mul_(mean).nan_to_num_(0.0)


def centred(mean: Tensor, g: Tensor, dim: int) -> Tensor:
    """The softmax Jacobian with these probabilities."""
    return (g - (mean * g).sum(dim, keepdim=True) / total(mean, dim)).mul_(mean)


def total(mean: Tensor, dim: int) -> Tensor:
    return mean.sum(dim, keepdim=True).clamp_min_(torch.finfo(mean.dtype).tiny)


def means(s: Step, v: Var, dim: int) -> Tensor:
    return logarithmic_mean(v.value.log_softmax(dim), s.reference(v).log_softmax(dim))


def softmax(s: Step) -> Back:
    v, dim = s.entry.args[:2]
    z, z0 = v.value, s.reference(v)
    g = s.g.to(z.dtype)
    if dim % z.dim() != z.dim() - 1 or z.numel() <= at_once(z, BLOCK):
        return [(v, centred(means(s, v, dim), g, dim))]
    back = torch.empty_like(z, memory_format=torch.contiguous_format)
    wide = z.shape[-1]
    lines = [t.reshape(-1, wide).split(max(1, at_once(z, BLOCK) // wide)) for t in (z, z0.expand(z.shape), g, back)]
    for part, part0, c, out in zip(*lines, strict=True):
        out.copy_(centred(logarithmic_mean(part.log_softmax(-1), part0.log_softmax(-1)), c, -1))
    return [(v, back)]


def log_softmax(s: Step) -> Back:
    v, dim = s.entry.args[:2]
    mean = means(s, v, dim)
    return [(v, s.g - mean / total(mean, dim) * s.g.sum(dim, keepdim=True))]


def logsumexp(s: Step) -> Back | None:
    v, dims = s.entry.args[:2]
    dims = [dims] if isinstance(dims, int) else dims
    if len(dims) != 1:
        return None
    mean = means(s, v, dims[0])
    g = s.g if s.entry.arg(2, "keepdim", False) else s.g.unsqueeze(dims[0])
    return [(v, g * mean / total(mean, dims[0]))]


def attention(s: Step) -> Back | None:
    """Scaled dot-product attention in one kernel: its probabilities are computed again from the scores of both runs."""
    asked = options(s)
    if asked is None or isinstance(asked.mask, Var):
        return None
    q, k, v = s.entry.args[:3]
    found = blockwise(s, (q, k, v), asked)
    return s.to(*((a, partial(together, g, s.value(a))) for a, g in zip((q, k, v), found, strict=True)))


@dataclass
class Options:
    """What a kernel was called with."""

    scale: float
    mask: Any
    causal: bool


def options(s: Step) -> Options | None:
    """What attention was called with; None for a call that no formula is for."""
    names = [a.name for a in s.entry.call._schema.arguments]

    def given(name: str, default: Any = None) -> Any:
        return s.entry.arg(names.index(name), name, default) if name in names else default

    mask = given("attn_mask") if "attn_mask" in names else given("attn_bias")
    sizes = {s.value(t).dim() for t in s.entry.args[:3]}
    if given("dropout_p", 0.0) or any(g is not None for g in s.back[1:]) or sizes != {4}:
        return None
    scale = given("scale")
    scale = 1 / math.sqrt(s.value(s.entry.args[0]).shape[-1]) if scale is None else scale
    return Options(scale, mask, bool(given("is_causal", False)))


def blockwise(s: Step, qkv: Sequence[Any], asked: Options) -> list[Tensor]:
    """The cotangents of queries, keys and values, ``[records, heads, steps, numbers]``, some heads or records at a time."""
    value = [s.value(a) for a in qkv]
    n, heads, steps, _ = value[0].shape
    wide = value[1].shape[-2]

    def whole(t: Tensor) -> Tensor:
        t = t.expand(n, *t.shape[1:])
        return t.repeat_interleave(heads // t.shape[1], 1) if t.shape[1] != heads else t

    ends = [whole(t) for t in value]
    starts = [whole(s.reference(a)) for a in qkv]
    mask, totals = asked.mask, log_sums(s, n)
    if asked.causal:
        mask = torch.ones(steps, wide, dtype=torch.bool, device=value[0].device).tril()
    mask = mask.expand(n, heads, steps, wide) if mask is not None else None
    found = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in ends]
    some = max(1, at_once(value[0], BLOCK) // (steps * wide))
    for i in range(0, n, max(1, some // heads)):
        for j in range(0, heads, some):
            part = (slice(i, i + max(1, some // heads)), slice(j, j + some))
            inner = [None if t is None else t[part] for t in (mask, *totals)]
            block = one_block([t[part] for t in ends], [t[part] for t in starts], s.g[part], asked.scale, inner)
            for out, t in zip(found, block, strict=True):
                out[part] = t
    return found


def log_sums(s: Step, records: int) -> list[Tensor | None]:
    """The logarithm of each query's sum in both runs, where the kernel has kept it."""
    out = s.entry.outs[1] if len(s.entry.outs) > 1 else None
    if s.entry.name != KERNELS[0] or out is None or out.dtype != s.entry.out().dtype:
        return [None, None]
    return [t.expand(records, *t.shape[1:])[..., None] for t in (out.value, s.reference(out))]


def one_block(ends: Sequence[Tensor], starts: Sequence[Tensor], g: Tensor, scale: float, inner: Sequence[Tensor | None]) -> list[Tensor]:
    """Attention's pull-back for a block of heads; ``inner`` are the mask and the logarithms of both runs' sums, where there are any."""
    mask, *totals = inner
    q, k, v = ((a + b) / 2 for a, b in zip(ends, starts, strict=True))
    raw = [scores(t[0], t[1], scale, mask) for t in (ends, starts)]
    lp, lq = (z.log_softmax(-1) if t is None else z.sub_(t) for z, t in zip(raw, totals, strict=True))
    p = lp.exp().add_(lq.exp()).div_(2)
    gz = centred(logarithmic_mean(lp, lq, p), g @ v.transpose(-1, -2), -1)
    if mask is not None:
        p.nan_to_num_(0.0)  # rows that see nothing
    return [(gz @ k).mul_(scale), (gz.transpose(-1, -2) @ q).mul_(scale), p.transpose(-1, -2) @ g]


def scores(q: Tensor, k: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """Attention's scores before the softmax."""
    z = (q * scale) @ k.transpose(-1, -2)
    if mask is None:
        return z
    return z.masked_fill_(mask.logical_not(), -torch.inf) if mask.dtype is torch.bool else z.add_(mask)


def together(g: Tensor, like: Tensor) -> Tensor:
    """The cotangent of keys or values that several heads share."""
    if g.shape[1] == like.shape[1]:
        return fold(g, like.shape)
    return g.unflatten(1, (like.shape[1], -1)).sum(2)


KERNELS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
"""Attention in one operation."""

SOFTMAX: dict[str, Formula] = {
    "_softmax": softmax,
    "_safe_softmax": softmax,
    "_log_softmax": log_softmax,
    "logsumexp": logsumexp,
    **dict.fromkeys(KERNELS, attention),
}
"""By the logarithmic mean."""
