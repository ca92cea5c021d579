"""Softmax and its kin: the average Jacobian is the Jacobian with the logarithmic mean of both runs' probabilities in place of ``p``.

``L = (p - p0) / (log p - log p0)``; ``g_z = L (g - sum(L g) / sum L)``: symmetric, blind to shifts, exact. Quadrature is no way out: on
saturated scores 32 points still miss 2 %.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from .entries import Tensor, Var, fold
from .step import Back, Formula, Step


def logarithmic_mean(lp: Tensor, lq: Tensor) -> Tensor:
    """The logarithmic mean of two numbers given by their logarithms; 0 where one of them is 0.

    As ``max(p, q) (1 - exp(-|d|)) / |d|`` with ``d = lp - lq``: no series where they meet, nothing that overflows.
    """
    d = (lp - lq).abs_().nan_to_num_(0.0, posinf=torch.inf).clamp_min_(torch.finfo(lp.dtype).tiny * 1e4)
    return torch.expm1(-d).div_(d).neg_().mul_(torch.maximum(lp, lq).exp_())


def centred(mean: Tensor, g: Tensor, dim: int) -> Tensor:
    """The softmax Jacobian with these probabilities."""
    h = mean * g
    return h.sub_(mean * (h.sum(dim, keepdim=True) / total(mean, dim)))


def total(mean: Tensor, dim: int) -> Tensor:
    return mean.sum(dim, keepdim=True).clamp_min_(torch.finfo(mean.dtype).tiny)


def means(s: Step, v: Var, dim: int) -> Tensor:
    return logarithmic_mean(v.value.log_softmax(dim), s.reference(v).log_softmax(dim))


def softmax(s: Step) -> Back:
    v, dim = s.entry.args[:2]
    mean = means(s, v, dim)
    return [(v, centred(mean, s.g.to(mean.dtype), dim))]


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
    q, k, v = s.entry.args[:3]
    names = [a.name for a in s.entry.call._schema.arguments]

    def given(name: str, default: Any = None) -> Any:
        return s.entry.arg(names.index(name), name, default) if name in names else default

    mask = given("attn_mask") if "attn_mask" in names else given("attn_bias")
    if isinstance(mask, Var) or given("dropout_p", 0.0) or any(g is not None for g in s.back[1:]):
        return None
    scale = given("scale")
    scale = 1 / math.sqrt(s.value(q).shape[-1]) if scale is None else scale
    groups = s.value(q).shape[-3] // s.value(k).shape[-3]

    def heads(t: Tensor) -> Tensor:
        return t.repeat_interleave(groups, -3) if groups > 1 else t

    def logs(of: Any) -> Tensor:
        return scores(of(q), heads(of(k)), scale, mask, bool(given("is_causal", False))).log_softmax(-1)

    lp, lq = logs(s.value), logs(s.reference)
    p = (lp.exp() + lq.exp()).div_(2)
    gp = s.g @ heads(s.middle(v)).transpose(-1, -2)
    found = s.to((v, lambda: together(p.nan_to_num(0.0).transpose(-1, -2) @ s.g, s.value(v))))
    if s.wants(q) or s.wants(k):
        gz = centred(logarithmic_mean(lp, lq), gp, -1).mul_(scale)
        found += s.to(
            (q, lambda: gz @ heads(s.middle(k))),
            (k, lambda: together(gz.transpose(-1, -2) @ s.middle(q), s.value(k))),
        )
    return found


def scores(q: Tensor, k: Tensor, scale: float, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention's scores before the softmax."""
    z = (q * scale) @ k.transpose(-1, -2)
    if causal:
        z = z.masked_fill(torch.ones(z.shape[-2:], dtype=torch.bool, device=z.device).triu(1), -torch.inf)
    if mask is not None:
        z = z.masked_fill(mask.logical_not(), -torch.inf) if mask.dtype is torch.bool else z + mask
    return z


def together(g: Tensor, like: Tensor) -> Tensor:
    """The cotangent of keys or values that several heads share."""
    if g.shape[-3] == like.shape[-3]:
        return fold(g, like.shape)
    return g.unflatten(-3, (like.shape[-3], -1)).sum(-3)


SOFTMAX: dict[str, Formula] = {
    "_softmax": softmax,
    "_safe_softmax": softmax,
    "_log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "_scaled_dot_product_flash_attention_for_cpu": attention,
    "_scaled_dot_product_flash_attention": attention,
    "_scaled_dot_product_efficient_attention": attention,
    "_scaled_dot_product_cudnn_attention": attention,
    "_scaled_dot_product_fused_attention_overrideable": attention,
}
"""By the logarithmic mean."""
