"""Norms with a fixed scale, quotients with a fixed denominator, attention at the record: for rules without a reference."""

from __future__ import annotations

from dataclasses import replace

import torch

from .entries import Var, fold
from .norms import NORM, constant, per_channel, scaled
from .products import LEIBNIZ, reciprocal_root
from .softmaxes import SOFTMAX, attention
from .step import Back, Formula, Step


def norm(s: Step) -> Back | None:
    """``(x - mean) / scale`` with the scale as it is at the record."""
    x, name = s.entry.args[0], s.entry.name
    if name == "native_group_norm" or not constant(*s.entry.args[1:]):
        return None
    if name in ("native_layer_norm", "_fused_rms_norm"):
        shape, weight = s.entry.args[1:3]
        eps = s.entry.args[4] if name == "native_layer_norm" else s.entry.args[3]
        eps = torch.finfo(x.value.dtype).eps if eps is None else eps
        dims = tuple(range(-len(shape), 0))
        centred = name == "native_layer_norm"
        back = (s.g if weight is None else s.g * weight) / scaled(x.value, dims, eps, centred)[1]
        return [(x, back - back.mean(dims, keepdim=True) if centred else back)]
    batch = name != "_native_batch_norm_legit_no_training" and s.entry.args[5]
    if batch:
        dims = tuple(d for d in range(x.value.dim()) if d != 1)
        weight = s.entry.args[1]
        g = s.g if weight is None else s.g * per_channel(weight, x.value)
        back = g / scaled(x.value, dims, s.entry.args[-1], True)[1]
        return [(x, back - back.mean(dims, keepdim=True))]
    return NORM[name](s)


def product(s: Step) -> Back:
    """``a b``: half each; all to ``a`` where ``b`` is one over a root, the scale of a norm."""
    a, b = s.entry.args[:2]
    if reciprocal_root(a):
        a, b = b, a
    if reciprocal_root(b) and isinstance(a, Var):
        return s.to((a, lambda: s.g * s.value(b)))
    g = s.g / 2 if s.wants(a) and s.wants(b) else s.g
    return s.to((a, lambda: g * s.value(b)), (b, lambda: g * s.value(a)))


def quotient(s: Step) -> Back | None:
    """``a / b``: all to ``a``; to ``b`` where nothing else is alive, as a gradient."""
    a, b = s.entry.args[:2]
    if not s.wants(a):
        return None
    return [(a, fold(s.g / s.value(b), a.value.shape))]


def attended(s: Step) -> Back | None:
    """Fused attention at the record: half to the values, a quarter each to queries and keys."""
    found = attention(replace(s, back=[None if g is None else g / 2 for g in s.back]))
    if found is None:
        return None
    values = s.entry.args[2]
    return [(v, g if v is values else g / 2) for v, g in found]


def values_only(s: Step) -> Back | None:
    """Fused attention with its probabilities fixed: all to the values."""
    found = attention(s)
    return None if found is None else [(v, g) for v, g in found if v is s.entry.args[2]]


KERNELS = [name for name in SOFTMAX if name.startswith("_scaled_dot_product")]
DETACHED: dict[str, Formula] = dict.fromkeys(NORM, norm)
HALF: dict[str, Formula] = {"mul": product}
TAYLOR: dict[str, Formula] = {**SOFTMAX, **dict.fromkeys(KERNELS, attended)}
FIXED: dict[str, Formula] = {**dict.fromkeys(SOFTMAX, lambda s: []), **dict.fromkeys(KERNELS, values_only)}
DIVIDED: dict[str, Formula] = {**LEIBNIZ, "div": quotient}
