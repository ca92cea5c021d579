"""Layer, RMS, group, instance and batch norm: the quotient ``y = c / s`` by the discrete Leibniz rule.

``c`` is the value, less its mean where the norm centres, and ``s`` the root of the mean square of ``c``: ``Ds = mean(c'
Dc) / s'``. The product form with ``1 / s`` is as exact on paper and explodes where the reference is near zero.
"""

from __future__ import annotations

from typing import Any

import torch

from .step import Back, Formula, Step
from .tape import Tensor, Var


def leibniz(x: Tensor, x0: Tensor, g: Tensor, dims: tuple[int, ...], eps: float, centred: bool) -> Tensor:
    """What comes back through ``c / s``; ``g`` is already times the weight."""
    (c, s), (c0, s0) = (scaled(z, dims, eps, centred) for z in (x, x0))
    over = 2 / (s + s0)
    h = g * over
    along = ((c * h).mean(dims, keepdim=True) / s + (c0 * h).mean(dims, keepdim=True) / s0) / 4
    back = (c + c0).mul_(along * over).neg_().add_(h)
    return back.sub_(back.mean(dims, keepdim=True)) if centred else back


def scaled(z: Tensor, dims: tuple[int, ...], eps: float, centred: bool) -> tuple[Tensor, Tensor]:
    """``c`` and ``s``."""
    c = z - z.mean(dims, keepdim=True) if centred else z
    return c, (c.square().mean(dims, keepdim=True) + eps).sqrt()


def constant(*parts: Any) -> bool:
    return not any(isinstance(p, Var) for p in parts)


def per_channel(weight: Tensor, like: Tensor) -> Tensor:
    """A weight for each channel, shaped to multiply ``[records, channels, ...]``."""
    return weight.view([1, -1] + [1] * (like.dim() - 2))


def layer_norm(s: Step) -> Back | None:
    x, shape, weight, bias, eps = s.entry.args[:5]
    if not constant(weight, bias):
        return None
    g = s.g if weight is None else s.g * weight
    dims = tuple(range(-len(shape), 0))
    return [(x, leibniz(x.value, s.reference(x), g, dims, eps, True))]


def rms_norm(s: Step) -> Back | None:
    x, shape, weight, eps = s.entry.args[:4]
    if not constant(weight):
        return None
    g = s.g if weight is None else s.g * weight
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return [(x, leibniz(x.value, s.reference(x), g, tuple(range(-len(shape), 0)), eps, False))]


def group_norm(s: Step) -> Back | None:
    x, weight, bias, records, _, _, groups, eps = s.entry.args
    if not constant(weight, bias):
        return None
    g = s.g if weight is None else s.g * per_channel(weight, x.value)
    x0 = s.reference(x)
    parts = (x.value.reshape(records, groups, -1), x0.reshape(x0.shape[0], groups, -1), g.reshape(records, groups, -1))
    return [(x, leibniz(*parts, (-1,), eps, True).view(x.shape))]


def batch_norm(s: Step) -> Back | None:
    """With statistics of its own (evaluation) an affine map; with those of the batch (instance norm is built on it) a norm."""
    x, weight, bias, _, variance = s.entry.args[:5]
    if not constant(weight, bias):
        return None
    eps = s.entry.args[-1]
    g = s.g if weight is None else s.g * per_channel(weight, x.value)
    if s.entry.name != "_native_batch_norm_legit_no_training" and s.entry.args[5]:
        dims = tuple(d for d in range(len(x.shape)) if d != 1)
        return [(x, leibniz(x.value, s.reference(x), g, dims, eps, True))]
    return [(x, g * per_channel((variance + eps).rsqrt(), x.value))]


BATCHED = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "miopen_batch_norm")

NORM: dict[str, Formula] = {
    "native_layer_norm": layer_norm,
    "_fused_rms_norm": rms_norm,
    "native_group_norm": group_norm,
    **dict.fromkeys(BATCHED, batch_norm),
}
