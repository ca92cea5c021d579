"""Norms with a fixed scale, quotients with a fixed denominator: for rules without a reference."""

from __future__ import annotations

import torch

from .norms import BATCHED, NORM, constant, per_channel, scaled
from .products import LEIBNIZ
from .step import Back, Formula, Step
from .tape import Tensor, fold, weighed


def divided(x: Tensor, g: Tensor, dims: tuple[int, ...], eps: float, centred: bool) -> Tensor:
    """``(x - mean) / scale`` with the scale as it is at the record; ``g`` is already times the weight."""
    back = g / scaled(x, dims, eps, centred)[1]
    return back.sub_(back.mean(dims, keepdim=True)) if centred else back


def layer_norm(s: Step) -> Back | None:
    x, shape, weight, bias, eps = s.entry.args[:5]
    if not constant(weight, bias):
        return None
    g = s.g if weight is None else s.g * weight
    s.absorbed.append(weighed(s.g, 0.0 if bias is None else bias))
    return [(x, divided(x.value, g, tuple(range(-len(shape), 0)), eps, True))]


def rms_norm(s: Step) -> Back | None:
    x, shape, weight, eps = s.entry.args[:4]
    if not constant(weight):
        return None
    g = s.g if weight is None else s.g * weight
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    s.absorbed.append(s.g.new_zeros(()))
    return [(x, divided(x.value, g, tuple(range(-len(shape), 0)), eps, False))]


def group_norm(s: Step) -> Back | None:
    x, weight, bias, records, _, _, groups, eps = s.entry.args
    if not constant(weight, bias):
        return None
    g = s.g if weight is None else s.g * per_channel(weight, x.value)
    back = divided(x.value.reshape(records, groups, -1), g.reshape(records, groups, -1), (-1,), eps, True)
    return [(x, back.view(x.shape))]


def batch_norm(s: Step) -> Back | None:
    """With statistics of its own an affine map; with those of the batch a norm over it."""
    x, weight, bias = s.entry.args[:3]
    if not constant(weight, bias):
        return None
    if s.entry.name == "_native_batch_norm_legit_no_training" or not s.entry.args[5]:
        return NORM[s.entry.name](s)
    g = s.g if weight is None else s.g * per_channel(weight, x.value)
    return [(x, divided(x.value, g, tuple(d for d in range(len(x.shape)) if d != 1), s.entry.args[-1], True))]


def quotient(s: Step) -> Back | None:
    """``a / b``: all to ``a``."""
    a, b = s.entry.args[:2]
    if len(s.entry.args) > 2 or s.entry.kwargs:
        return None
    return s.to((a, lambda: fold(s.g / s.value(b), a.shape)))


DETACHED: dict[str, Formula] = {
    "native_layer_norm": layer_norm,
    "_fused_rms_norm": rms_norm,
    "native_group_norm": group_norm,
    **dict.fromkeys(BATCHED, batch_norm),
}
"""Norms, their scale fixed."""

DIVIDED: dict[str, Formula] = {**LEIBNIZ, "div": quotient}
"""Quotients, their denominator fixed; lengths and deviations as they are: twice as long for values twice as large."""
