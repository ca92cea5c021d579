"""Products, quotients, and other operations that are quadratic: the discrete Leibniz rule, exact.

``D(ab) = b' Da + a' Db`` with the means of reference and record for ``a'`` and ``b'``; a quotient ``y = a / b`` is the product
``a = y b`` read the other way, ``Dy = (Da - y' Db) / b'``, with no logarithm and bounded coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from .autograd import pulled
from .linear import convolved
from .step import Back, Formula, Step
from .tape import SAME, Tensor, Var, fold, turned

CARRIES = frozenset({"expand", "unsqueeze", "view", "_unsafe_view", "reshape", "_to_copy", "neg", "mul", "div", *SAME})
"""Operations that leave an inverse one, where nothing but a constant is in them."""


def inverse(a: Any) -> bool:
    """Whether a value is a constant over a power of something: a product with it is a quotient, however it is written."""
    while isinstance(a, Var) and a.entry is not None and not a.dtype.is_complex:
        entry = a.entry
        if entry.name in ("rsqrt", "reciprocal") or (entry.name == "div" and not isinstance(entry.args[0], Var)):
            return True
        if entry.name == "pow" and isinstance(entry.args[0], Var) and isinstance(entry.args[1], (int, float)):
            return bool(entry.args[1] < 0)
        if entry.name == "exp":
            return falling_power(entry.ins[0])
        if entry.name not in CARRIES or len(entry.ins) != 1:
            return False
        a = entry.ins[0]
    return False


def falling_power(a: Var) -> bool:
    """Whether a value is a negative number times a logarithm."""
    sign = 1.0
    while a.entry is not None and a.entry.name in CARRIES and len(a.entry.ins) == 1:
        numbers = [c for c in a.entry.args[:2] if isinstance(c, (int, float))] if a.entry.name in ("mul", "div") else []
        if a.entry.name in ("mul", "div") and len(numbers) != 1:
            return False
        sign *= -1.0 if a.entry.name == "neg" else math.copysign(1.0, numbers[0]) if numbers else 1.0
        a = a.entry.ins[0]
    return a.entry is not None and a.entry.name == "log" and sign < 0


def product(s: Step) -> Back:
    """``a b``: each times the other's mean."""
    a, b = s.entry.args[:2]
    if isinstance(a, Var) and isinstance(b, Var):
        if inverse(a):
            a, b = b, a
        if inverse(b) and not a.dtype.is_complex:
            return scaled(s, a, b)
    return s.to((a, lambda: s.g * turned(s.middle(b))), (b, lambda: s.g * turned(s.middle(a))))


def scaled(s: Step, a: Var, r: Var) -> Back:
    """``a r`` with ``r = 1 / b``: as the quotient ``a / b``, the same numbers as the fused norms; a product where ``r`` changes sign."""
    p, q = r.value, s.reference(r)
    x, x0 = a.value, s.reference(a)
    crossed = p * q <= 0
    twice = torch.where(crossed, 1.0, p + q)
    over = torch.where(crossed, (p + q) / 2, 2 * p * q / twice)
    under = torch.where(crossed, (x + x0) / 2, (x * p + x0 * q) / twice)
    return s.to((a, lambda: s.g * over), (r, lambda: s.g * under))


def quotient(s: Step) -> Back | None:
    """``a / b``, by reciprocals where ``b`` changes its sign."""
    if len(s.entry.args) > 2 or s.entry.kwargs:
        return None
    a, b = s.entry.args[:2]
    if not isinstance(b, Var):
        return s.to((a, lambda: s.g / turned(b)))
    if s.entry.out().dtype.is_complex:
        return None
    p, q = b.value, s.reference(b)
    x, x0 = s.value(a), s.reference(a)
    middle = (p + q) / 2
    crossed = p * q < 0
    safe = torch.where(crossed, 1.0, middle)
    over = torch.where(crossed, (1 / p + 1 / q) / 2, 1 / safe)
    under = torch.where(crossed, -(x + x0) / 2 / (p * q), -(x / p + x0 / q) / 2 / safe)
    return s.to((a, lambda: s.g * over), (b, lambda: s.g * under))


def matrix(s: Step, a: Any, b: Any, g: Tensor) -> Back:
    """``a @ b``."""
    return s.to(
        (a, lambda: g @ turned(s.middle(b)).transpose(-1, -2)),
        (b, lambda: turned(s.middle(a)).transpose(-1, -2) @ g),
    )


def multiplied(s: Step) -> Back:
    return matrix(s, s.entry.args[0], s.entry.args[1], s.g)


def multiplied_added(s: Step) -> Back:
    """``beta c + alpha a @ b``."""
    c, a, b = s.entry.args[:3]
    beta, alpha = s.entry.kwargs.get("beta", 1), s.entry.kwargs.get("alpha", 1)
    g = s.g
    return [*s.to((c, lambda: g * beta if beta != 1 else g)), *matrix(s, a, b, g * alpha if alpha != 1 else g)]


def halfway(s: Step) -> Back:
    """The operation's own vector-Jacobian product at the mean of reference and record: exact for what is at most quadratic."""
    return s.vjp(s.middle)


def convolution(s: Step) -> Back:
    """Linear where the kernel is fixed, a product where it depends on the record."""
    return convolved(s) or halfway(s)


def spread(s: Step) -> Back:
    """Standard deviation: the root of the variance, ``Ds = Dv / (s + s0)``."""
    v, out = s.entry.ins[0], s.entry.out()
    twice = (out.value + s.reference(out)).clamp_min(torch.finfo(out.dtype).tiny)
    with torch.enable_grad():
        x = s.middle(v).expand(v.shape).detach().clone().requires_grad_()
        variance = torch.ops.aten.var.correction(x, *s.entry.args[1:], **s.entry.kwargs)
        (found,) = pulled([variance], [s.g / twice], [x])
    return [] if found is None else [(v, found)]


def gated(s: Step) -> Back:
    """``glu``: one half times the sigmoid of the other."""
    v, dim = s.entry.ins[0], s.entry.arg(1, "dim", -1)
    (a, b), (a0, b0) = (z.chunk(2, dim) for z in (v.value, s.reference(v)))
    p, p0 = b.sigmoid(), b0.sigmoid()
    d = b - b0
    middle = ((b + b0) / 2).sigmoid()
    near = d.abs() < torch.finfo(d.dtype).eps ** (1 / 3)
    slope = torch.where(near, middle * (1 - middle), (p - p0) / torch.where(near, 1.0, d))
    return [(v, torch.cat([s.g * (p + p0) / 2, s.g * (a + a0) / 2 * slope], dim))]


def length_of(s: Step) -> Back | None:
    """The Euclidean norm: ``Dn = (x + x0) Dx / (n + n0)``."""
    v = s.entry.ins[0]
    dims = s.entry.arg(2, "dim") or list(range(len(v.shape)))
    if s.entry.arg(1, "ord", 2) != 2:
        return None
    x, x0 = v.value, s.reference(v)
    n, n0 = (z.square().sum(dims, keepdim=True).sqrt() for z in (x, x0))
    g = s.g.reshape(n.shape)
    return [(v, fold(g * (x + x0) / (n + n0).clamp_min(torch.finfo(x.dtype).tiny), x.shape))]


def with_mean(formula: Callable[[Step], Back]) -> Formula:
    """``var_mean`` and ``std_mean``: the mean beside what there is a formula for."""

    def both(s: Step) -> Back:
        first, second = s.back[:2]
        found = formula(replace(s, back=[first, None])) if first is not None else []
        return found + (replace(s, back=[None, second]).vjp(lambda v: v.value) if second is not None else [])

    return both


MIDPOINT: dict[str, Formula] = {
    "mul": product,
    "mm": multiplied,
    "bmm": multiplied,
    "addmm": multiplied_added,
    "baddbmm": multiplied_added,
    **dict.fromkeys(("dot", "vdot", "mv", "addmv", "addcmul", "addr", "addbmm", "var", "square", "ger"), halfway),
    "convolution": convolution,
    "glu": gated,
    "var_mean": with_mean(halfway),
}
"""Products under the mean of reference and record."""

LEIBNIZ: dict[str, Formula] = {"div": quotient, "std": spread, "std_mean": with_mean(spread), "linalg_vector_norm": length_of}
"""Quotients and roots of sums of squares."""
