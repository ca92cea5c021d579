"""Element-wise regions: the slope that a rule takes for a function of one number."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from ...arrays import Array, Namespace
from ..kernels import Kernel
from ..regions import derivative, evaluated, inside, is_relu, rectifies
from ..tape import Entry, Framework, Var

RECTIFYING = frozenset({"guided", "deconvolution", "smooth"})
"""Treatments of ReLUs alone."""


def slope(top: Var, refer: Callable[[Var], Array], treatment: str, g: Array, beta: float = 0.0) -> tuple[Array, bool]:
    """The cotangent of a region's root under a treatment, and whether the region is a ReLU.

    ``"secant"`` is the slope between reference and record, ``"zero"`` that between zero and the record (``f(x) / x`` where ``f(0) = 0``);
    ``"smooth"`` takes a ReLU for a softplus of this ``beta``.
    """
    assert top.entry is not None
    framework = top.entry.framework
    if treatment == "secant":
        return secant(framework, top, refer, g), False
    x = top.root.value
    entries = list(islice(inside(top), 2))
    if treatment == "derivative":
        return (active(framework, g, x) if is_relu(entries) else derivative(top, x) * g), False
    if treatment == "zero":
        return between_zero(framework, top, entries, g), False
    if rectifies(top):
        return rectified(framework, treatment, g, x, beta), True
    return derivative(top, x) * g, False


def rectified(framework: Framework, treatment: str, g: Array, x: Array, beta: float) -> Array:
    """The cotangent of a ReLU's input under a treatment of ReLUs alone."""
    xp = framework.xp
    if treatment == "smooth":
        return xp.sigmoid(x * beta) * g
    if treatment == "guided":  # in this order one buffer is enough, and no number is another
        return xp.clip(active(framework, g, x), 0, None)
    return xp.clip(g, 0, None)


def between_zero(framework: Framework, top: Var, entries: list[Entry], g: Array) -> Array:
    """A cotangent times the region's slope between zero and the record."""
    xp, x = framework.xp, top.root.value
    if is_relu(entries):
        return active(framework, g, x)
    direct = from_zero(top, entries)
    if direct is not None:
        direct *= g
        return direct
    zero = {top.root: xp.zeros_like(x[:1]) if x.shape else xp.zeros_like(x)}
    zero[top] = evaluated(top, xp.zeros_like(x))
    return secant(framework, top, lambda v: zero[v], g)


def from_zero(top: Var, entries: list[Entry]) -> Array | None:
    """``f(x) / x`` of a single operation that is zero at zero and rounds well near it, its derivative at zero; None for others."""
    x, first = top.root.value, entries[0]
    xp = first.framework.xp
    if len(entries) > 1 or not first.op.from_zero or first.op.form == "multiply":
        return None
    if first.op.form == "silu":
        return xp.sigmoid(x)
    m = top.value / x
    return xp.where(x == 0, derivative(top, xp.zeros_like(x)), m) if xp.has_nan(m) else m


@Kernel
def active(framework: Framework, g: Array, x: Array) -> Array:
    """A cotangent where a ReLU is active."""
    return framework.xp.where(x > 0, framework.xp.cast(g, x), 0.0)


@Kernel
def secant(framework: Framework, top: Var, refer: Callable[[Var], Array], g: Array) -> Array:
    """A cotangent times the region's average slope between the reference and the record."""
    x, x0, y, y0 = top.root.value, refer(top.root), top.value, refer(top)
    return slope_between(framework, top, list(inside(top)), x, x0, y, y0) * g


@Kernel
def slope_between(framework: Framework, top: Var, entries: list[Entry], x: Array, x0: Array, y: Array, y0: Array) -> Array:
    """The average slope between ``x0`` and ``x``, where the region has the values ``y0`` and ``y``.

    Where the two meet, a difference quotient is rounding noise, and the derivative half way replaces it: for smooth regions within the
    cube root of the type's precision, where both are equally good, for those with kinks within rounding.
    """
    xp = framework.xp
    d = x - x0
    if xp.kind(y) != "f":
        return step_secant(framework, d, y, y0)
    eps = coarsest(xp, x, entries)
    smooth = all(e.op.smooth for e in entries)
    near = xp.abs(d) < eps ** (1 / 3) if smooth else xp.abs(d) <= 64 * eps * xp.abs(x)
    m = (y - y0) / xp.where(near, xp.ones_like(d), d)
    m = xp.where(near, derivative(top, x - d / 2), m)
    return xp.where(xp.isnan(m) & (y == y0), 0.0, m)  # none where a region is at the same infinity at both ends: masked scores


def coarsest(xp: Namespace, x: Array, entries: list[Entry]) -> float:
    """The relative precision of a region that starts at ``x``: that of its coarsest type, because casts belong to regions."""
    return max(xp.eps(x), *(xp.eps(e.out()) for e in entries if e.out().kind == "f"))


def step_secant(framework: Framework, d: Array, y: Array, y0: Array) -> Array:
    """The slope of a boolean; 0 where nothing moves."""
    xp = framework.xp
    change = xp.cast(y, d) - xp.cast(y0, d)
    return xp.where(d == 0, 0.0, change / xp.where(d == 0, 1.0, d))


def slope_of_sigmoid(xp: Namespace, b: Array, b0: Array, p: Array, p0: Array) -> Array:
    """The slope of a sigmoid between two values, where it is ``p`` and ``p0``."""
    d = b - b0
    middle = xp.sigmoid((b + b0) / 2)
    near = xp.abs(d) < xp.eps(d) ** (1 / 3)
    return xp.where(near, middle * (1 - middle), (p - p0) / xp.where(near, 1.0, d))
