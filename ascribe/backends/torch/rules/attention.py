"""Attention in one kernel: its probabilities are computed again from the scores, some heads or records at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ....tape import Var
from ....tape.formulas.product_shares import half, rank
from ....tape.formulas.softmax import pulled_through
from ....tape.step import Back, Formula, Step
from ....tape.tape import fold
from ..namespace import xp
from .cache_blocks import at_once
from .kernels import centred, logarithmic_mean

Tensor = torch.Tensor
aten = torch.ops.aten

BLOCK = 1 << 18
"""Scores that a core works on at once: a dozen passes over them stay in its cache."""

CPU = "_scaled_dot_product_flash_attention_for_cpu"


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
    """The options of a kernel's call."""

    scale: float
    mask: Any
    causal: bool


def options(s: Step) -> Options | None:
    """The options of attention's call; None for a call without a formula."""
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
    if s.entry.name != CPU or out is None or out.dtype != s.entry.out().dtype:
        return [None, None]
    return [t.expand(records, *t.shape[1:])[..., None] for t in (out.value, s.reference(out))]


def one_block(ends: Sequence[Tensor], starts: Sequence[Tensor], g: Tensor, scale: float, inner: Sequence[Tensor | None]) -> list[Tensor]:
    """Attention's pull-back for a block of heads; ``inner`` are the mask and the logarithms of both runs' sums, where there are any."""
    mask, *totals = inner
    q, k, v = ((a + b) / 2 for a, b in zip(ends, starts, strict=True))
    raw = [scores(t[0], t[1], scale, mask) for t in (ends, starts)]
    lp, lq = (z.log_softmax(-1) if t is None else z.sub_(t) for z, t in zip(raw, totals, strict=True))
    p = lp.exp().add_(lq.exp()).div_(2)
    gz = centred(None, logarithmic_mean(None, lp, lq, p), g @ v.transpose(-1, -2), -1)
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
        return fold(xp, g, like.shape)
    return g.unflatten(1, (like.shape[1], -1)).sum(2)


def attended(s: Step, whole: Callable[[Step], Back | None] | None = None) -> Back | None:
    """As the two products that it is made of: half to the values, half through the probabilities, half of that to either side.

    ``whole`` is the backward pass that is shared, the kernel's own by default.
    """
    q, k, v = s.entry.args[:3]
    through, values = max(rank(q), rank(k)), rank(v)
    if not through:
        return values_only(s)
    found = (whole or fused)(s)
    if found is None:
        return None
    over = 0.5 if values else 1.0
    left, right = half(q, k)
    weights = {q: over * left, k: over * right, v: 1 - over}
    return [(a, g if weights[a] == 1 else g.mul_(weights[a])) for a, g in found if weights[a]]


def fused(s: Step) -> Back | None:
    """The kernel's own backward pass."""
    asked = options(s)
    if asked is None or isinstance(asked.mask, Var):
        return None
    values = [s.value(a) for a in s.entry.args[:3]]
    if s.entry.name != CPU or len({t.shape[1] for t in values}) > 1 or len(set(s.entry.args[:3])) < 3:
        return attention(s)
    back = aten._scaled_dot_product_flash_attention_for_cpu_backward
    g = s.g.to(values[0].dtype)
    outs = [s.entry.out(0).value, s.entry.out(1).value]
    found = back(g, *values, *outs, 0.0, asked.causal, attn_mask=asked.mask, scale=asked.scale)
    return s.to(*((a, partial(lambda t: t, t)) for a, t in zip(s.entry.args[:3], found, strict=True)))


def values_only(s: Step) -> Back | None:
    """All to the values: the probabilities, computed again, are weights."""
    asked = options(s)
    if asked is None:
        return None
    v = s.entry.args[2]
    return s.to((v, lambda: together(weighted(s, asked), v.value)))


def weighted(s: Step, asked: Options) -> Tensor:
    """The transposed probabilities times the cotangent, some heads at a time."""
    q, k = (s.value(a) for a in s.entry.args[:2])
    n, heads, steps, _ = q.shape
    wide = k.shape[-2]
    mask = s.value(asked.mask)
    if asked.causal:
        mask = torch.ones(steps, wide, dtype=torch.bool, device=q.device).tril()
    mask = None if mask is None else mask.expand(n, heads, steps, wide)
    k = k.expand(n, *k.shape[1:])
    k = k.repeat_interleave(heads // k.shape[1], 1) if k.shape[1] != heads else k
    g = s.g.to(q.dtype)
    found = g.new_empty(n, heads, wide, g.shape[-1])
    some_heads = max(1, at_once(q, BLOCK) // (steps * wide))
    for i in range(n):
        for j in range(0, heads, some_heads):
            part = (i, slice(j, j + some_heads))
            p = scores(q[part], k[part], asked.scale, None if mask is None else mask[part]).softmax(-1)
            p = p if mask is None else p.nan_to_num_(0.0)  # rows that see nothing
            found[part] = p.transpose(-1, -2) @ g[part]
    return found


def tempered(temperature: float) -> Formula:
    """With the probabilities of scores divided by a temperature in the softmax's derivative."""
    return lambda s: attended(s, partial(by_heads, temperature))


def by_heads(temperature: float, s: Step) -> Back | None:
    """Attention's derivative with a temperature in that of its softmax, one record and some heads at a time."""
    asked = options(s)
    if asked is None or isinstance(asked.mask, Var):
        return None
    values = [s.value(a) for a in s.entry.args[:3]]
    n, heads, steps, _ = values[0].shape
    wide = values[1].shape[-2]
    q, k, v = (t.expand(n, *t.shape[1:]).repeat_interleave(heads // t.shape[1], 1) for t in values)
    mask = torch.ones(steps, wide, dtype=torch.bool, device=q.device).tril() if asked.causal else asked.mask
    mask = None if mask is None else mask.expand(n, heads, steps, wide)
    found = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in (q, k, v)]
    some = max(1, at_once(q, BLOCK) // (steps * wide))
    for i in range(n):
        for j in range(0, heads, some):
            part = (i, slice(j, j + some))
            g, z = s.g[part].to(q.dtype), scores(q[part], k[part], asked.scale, None if mask is None else mask[part])
            back = pulled_through(xp, z / temperature, g @ v[part].transpose(-1, -2), -1).mul_(asked.scale)
            p = z.softmax(-1).nan_to_num_(0.0)
            rows = (back @ k[part], back.transpose(-1, -2) @ q[part], p.transpose(-1, -2) @ g)
            for out, t in zip(found, rows, strict=True):
                out[part] = t
    return s.to(*((a, partial(together, g, like)) for a, g, like in zip(s.entry.args[:3], found, values, strict=True)))
