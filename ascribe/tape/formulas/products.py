"""Products, quotients, and other operations that are quadratic: the discrete Leibniz rule, exact.

``D(ab) = b' Da + a' Db`` with the means of reference and record for ``a'`` and ``b'``; a quotient ``y = a / b`` is the product
``a = y b`` read the other way, ``Dy = (Da - y' Db) / b'``, with no logarithm and bounded coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...arrays import Array
from ..step import Back, Formula, Step
from ..tape import Var, fold, turned
from .elementwise import slope_of_sigmoid

CARRIES = frozenset({"expand", "reshape", "identity", "cast", "negative", "multiply", "divide"})
"""Forms that leave an inverse one, where all else in them is constant."""


def inverse(a: Any) -> bool:
    """True if a value is a constant over a power of something: a product with it is a quotient, however it is written."""
    while isinstance(a, Var) and a.entry is not None and a.kind != "c":
        entry, form = a.entry, a.entry.op.form
        if form in ("rsqrt", "reciprocal") or (form == "divide" and not isinstance(entry.args[0], Var)):
            return True
        if form == "power" and isinstance(entry.args[0], Var) and isinstance(entry.args[1], (int, float)):
            return bool(entry.args[1] < 0)
        if form == "exp":
            return falling_power(entry.ins[0])
        if form not in CARRIES or len(entry.ins) != 1:
            return False
        a = entry.ins[0]
    return False


def falling_power(a: Var) -> bool:
    """True if a value is a negative number times a logarithm."""
    sign = 1.0
    while a.entry is not None and a.entry.op.form in CARRIES and len(a.entry.ins) == 1:
        form = a.entry.op.form
        numbers = [c for c in a.entry.args[:2] if isinstance(c, (int, float))] if form in ("multiply", "divide") else []
        if form in ("multiply", "divide") and len(numbers) != 1:
            return False
        sign *= -1.0 if form == "negative" else math.copysign(1.0, numbers[0]) if numbers else 1.0
        a = a.entry.ins[0]
    return a.entry is not None and a.entry.op.form == "log" and sign < 0


def product(s: Step) -> Back:
    """``multiply``: (a, b), each times the other's mean."""
    a, b = s.entry.args[:2]
    if isinstance(a, Var) and isinstance(b, Var):
        if inverse(a):
            a, b = b, a
        if inverse(b) and a.kind != "c":
            return scaled(s, a, b)
    return s.to((a, lambda: s.g * turned(s.xp, s.middle(b))), (b, lambda: s.g * turned(s.xp, s.middle(a))))


def scaled(s: Step, a: Var, r: Var) -> Back:
    """``a r`` with ``r = 1 / b``: as the quotient ``a / b``, the same numbers as the fused norms; a product where ``r`` changes sign."""
    xp = s.xp
    p, q = r.value, s.reference(r)
    x, x0 = a.value, s.reference(a)
    crossed = p * q <= 0
    twice = xp.where(crossed, 1.0, p + q)
    over = xp.where(crossed, (p + q) / 2, 2 * p * q / twice)
    under = xp.where(crossed, (x + x0) / 2, (x * p + x0 * q) / twice)
    return s.to((a, lambda: s.g * over), (r, lambda: s.g * under))


def quotient(s: Step) -> Back | None:
    """``divide``: (a, b), by reciprocals where ``b`` changes its sign."""
    xp = s.xp
    a, b = s.arguments
    if not isinstance(b, Var):
        return s.to((a, lambda: s.g / turned(xp, b)))
    if s.entry.out().kind == "c":
        return None
    p, q = b.value, s.reference(b)
    x, x0 = s.value(a), s.reference(a)
    middle = (p + q) / 2
    crossed = p * q < 0
    safe = xp.where(crossed, 1.0, middle)
    over = xp.where(crossed, (1 / p + 1 / q) / 2, 1 / safe)
    under = xp.where(crossed, -(x + x0) / 2 / (p * q), -(x / p + x0 / q) / 2 / safe)
    return s.to((a, lambda: s.g * over), (b, lambda: s.g * under))


def matrix(s: Step, a: Any, b: Any, g: Array) -> Back:
    """``a @ b``."""
    xp = s.xp
    return s.to(
        (a, lambda: g @ xp.matrix_transpose(turned(xp, s.middle(b)))),
        (b, lambda: xp.matrix_transpose(turned(xp, s.middle(a))) @ g),
    )


def multiplied(s: Step) -> Back:
    """``matmul``: (a, b)."""
    a, b = s.arguments
    return matrix(s, a, b, s.g)


def multiplied_added(s: Step) -> Back:
    """``addmatmul``: (c, a, b, beta, alpha) for ``beta c + alpha a @ b``."""
    c, a, b, beta, alpha = s.arguments
    g = s.g
    return [*s.to((c, lambda: g * beta if beta != 1 else g)), *matrix(s, a, b, g * alpha if alpha != 1 else g)]


def halfway(s: Step) -> Back:
    """``bilinear``, ``quadratic``: the operation's own vector-Jacobian product at the mean of reference and record, which is exact."""
    return s.vjp(s.middle)


def convolution(s: Step) -> Back:
    """``convolution``: linear where the kernel is fixed, a product where it depends on the record."""
    return convolved(s) or halfway(s)


def convolved(s: Step) -> Back | None:
    """The transpose of a convolution with a fixed kernel; None for others."""
    layer = s.entry.framework.layer(s.entry)
    return None if layer is None else [(layer.source, layer.transpose(s.xp.astype(s.g, layer.source.dtype), layer.weight))]


def spread(s: Step) -> Back:
    """``std``: (x, axes or None, correction), the root of the variance, ``Ds = Dv / (s + s0)``."""
    xp = s.xp
    v, axes, correction = s.arguments
    out = s.entry.out()
    axes = tuple(axes or range(len(v.shape)))
    shape = [1 if d in {a % len(v.shape) for a in axes} else n for d, n in enumerate(v.shape)]
    twice = xp.clip(out.value + s.reference(out), xp.tiny(out.value), None)
    x = s.middle(v)
    count = max(math.prod(v.shape[a] for a in axes) - correction, 0) if v.shape else 0
    g = xp.reshape(s.g / twice, shape)
    return [(v, g * xp.broadcast_to((x - xp.mean(x, axes, True)) * (2 / count if count else math.inf), v.shape))]


def gated(s: Step) -> Back:
    """``glu``: (x, axis), one half times the sigmoid of the other."""
    xp = s.xp
    v, axis = s.arguments
    (a, b), (a0, b0) = (halves(z, axis) for z in (v.value, s.reference(v)))
    p, p0 = xp.sigmoid(b), xp.sigmoid(b0)
    slope = slope_of_sigmoid(xp, b, b0, p, p0)
    return [(v, xp.concat([s.g * (p + p0) / 2, s.g * (a + a0) / 2 * slope], axis))]


def halves(z: Array, axis: int) -> tuple[Array, Array]:
    """Both halves along an axis."""
    rank = len(z.shape)
    half = z.shape[axis] // 2

    def part(s: slice) -> Array:
        return z[tuple(s if d == axis % rank else slice(None) for d in range(rank))]

    return part(slice(None, half)), part(slice(half, None))


def length_of(s: Step) -> Back | None:
    """``norm``: (x, axes), the Euclidean norm, ``Dn = (x + x0) Dx / (n + n0)``."""
    xp = s.xp
    v, axes = s.arguments
    axes = tuple(axes or range(len(v.shape)))
    x, x0 = v.value, s.reference(v)
    n, n0 = (xp.sqrt(xp.sum(z * z, axes, True)) for z in (x, x0))
    g = xp.reshape(s.g, n.shape)
    return [(v, fold(xp, g * (x + x0) / xp.clip(n + n0, xp.tiny(x), None), x.shape))]


def with_mean(formula: Callable[[Step], Back]) -> Formula:
    """``var_mean`` and ``std_mean``: the mean in addition to what there is a formula for."""

    def both(s: Step) -> Back:
        first, second = s.back[:2]
        found = formula(replace(s, back=[first, None])) if first is not None else []
        return found + (replace(s, back=[None, second]).vjp(lambda v: v.value) if second is not None else [])

    return both


MIDPOINT: dict[str, Formula] = {
    "multiply": product,
    "matmul": multiplied,
    "addmatmul": multiplied_added,
    "matvec": halfway,
    "bilinear": halfway,
    "added_bilinear": halfway,
    "quadratic": halfway,
    "convolution": convolution,
    "glu": gated,
    "var_mean": with_mean(halfway),
}
"""Products under the mean of reference and record."""

LEIBNIZ: dict[str, Formula] = {"divide": quotient, "std": spread, "std_mean": with_mean(spread), "norm": length_of}
"""Quotients and roots of sums of squares."""
