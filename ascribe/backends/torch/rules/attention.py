"""Softmax and attention in one kernel at the record, for rules without a reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from .cache_blocks import at_once
from .product_shares import half, rank
from .softmax import BLOCK, KERNELS, SOFTMAX, Options, attention, options, scores, together
from .step import Back, Formula, Step
from .tape import Tensor, Var, aten

CPU = "_scaled_dot_product_flash_attention_for_cpu"


def softmax(s: Step) -> Back:
    """Its derivative, which is its Taylor expansion at the record."""
    v, dim = s.entry.args[:2]
    p = s.entry.out().value
    return [(v, aten._softmax_backward_data(s.g.to(p.dtype), p, dim, p.dtype).to(v.dtype))]


def log_softmax(s: Step) -> Back:
    v, dim = s.entry.args[:2]
    y = s.entry.out().value
    return [(v, aten._log_softmax_backward_data(s.g.to(y.dtype), y, dim, y.dtype).to(v.dtype))]


def attended(s: Step, whole: Callable[[Step], Back | None] | None = None) -> Back | None:
    """As the two products that it is made of: half to the values, half through the probabilities, half of that to either side.

    ``whole`` is the way back that is shared out, the kernel's own if left out.
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
    """The kernel's own way back."""
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
    """The transposed probabilities times what comes back, some heads at a time."""
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


def tempered(temperature: float) -> dict[str, Formula]:
    """Softmax goes back with the probabilities of scores divided by a temperature, ``p (g - sum(p g))``; what it is used for does not."""

    def one(s: Step) -> Back:
        v, dim = s.entry.args[:2]
        return [(v, pulled_through(v.value / temperature, s.g.to(v.dtype), dim))]

    def kernel(s: Step) -> Back | None:
        return attended(s, partial(by_heads, temperature))

    return {**TAYLOR, "_softmax": one, "_safe_softmax": one, **dict.fromkeys(KERNELS, kernel)}


def pulled_through(z: Tensor, g: Tensor, dim: int) -> Tensor:
    p = z.softmax(dim).nan_to_num_(0.0)  # rows that see nothing
    return p * (g - (p * g).sum(dim, keepdim=True))


def by_heads(temperature: float, s: Step) -> Back | None:
    """Attention's way back with a temperature in its softmax's, one record and some heads at a time."""
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
            back = pulled_through(z / temperature, g @ v[part].transpose(-1, -2), -1).mul_(asked.scale)
            p = z.softmax(-1).nan_to_num_(0.0)
            rows = (back @ k[part], back.transpose(-1, -2) @ q[part], p.transpose(-1, -2) @ g)
            for out, t in zip(found, rows, strict=True):
                out[part] = t
    return s.to(*((a, partial(together, g, like)) for a, g, like in zip(s.entry.args[:3], found, values, strict=True)))


TAYLOR: dict[str, Formula] = {**SOFTMAX, "_softmax": softmax, "_safe_softmax": softmax, "_log_softmax": log_softmax,
                              **dict.fromkeys(KERNELS, attended)}  # fmt: skip
FIXED: dict[str, Formula] = {**TAYLOR, **dict.fromkeys(KERNELS, values_only)}
"""Attention's probabilities fixed. Where a softmax is no factor of anything it is a function like others."""
