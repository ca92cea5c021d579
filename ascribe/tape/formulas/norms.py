"""Layer, RMS, group, instance and batch norm: the quotient ``y = c / s`` by the discrete Leibniz rule, or with ``s`` fixed.

``c`` is the value, less its mean where the norm centres, and ``s`` the root of the mean square of ``c``: ``Ds = mean(c' Dc) / s'``. The
product form with ``1 / s`` is as exact on paper and explodes where the reference is near zero. Without a reference, rules take ``s`` as
it is at the record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...arrays import Array, Namespace
from ..kernels import Kernel
from ..step import Back, Formula, Step
from ..tape import Framework, Var, fold, weighed


@Kernel
def leibniz(framework: Framework, x: Array, x0: Array, g: Array, axes: tuple[int, ...], eps: float, centred: bool) -> Array:
    """The cotangent of ``x`` through ``c / s`` between the reference and the record; ``g`` is already times the weight."""
    xp = framework.xp
    (c, s), (c0, s0) = (centre_and_scale(xp, z, axes, eps, centred) for z in (x, x0))
    over = 2 / (s + s0)
    h = g * over
    along = (xp.mean(c * h, axes, True) / s + xp.mean(c0 * h, axes, True) / s0) / 4
    back = h - (c + c0) * (along * over)
    return back - xp.mean(back, axes, True) if centred else back


@Kernel
def divided(framework: Framework, x: Array, g: Array, axes: tuple[int, ...], eps: float, centred: bool) -> Array:
    """``(x - mean) / scale`` with the scale as it is at the record; ``g`` is already times the weight."""
    xp = framework.xp
    back = g / centre_and_scale(xp, x, axes, eps, centred)[1]
    return back - xp.mean(back, axes, True) if centred else back


def centre_and_scale(xp: Namespace, z: Array, axes: tuple[int, ...], eps: float, centred: bool) -> tuple[Array, Array]:
    """``c`` and ``s``."""
    c = z - xp.mean(z, axes, True) if centred else z
    return c, xp.sqrt(xp.mean(c * c, axes, True) + eps)


def constant(*parts: Any) -> bool:
    """True if none of them is on the tape."""
    return not any(isinstance(p, Var) for p in parts)


def per_channel(xp: Namespace, weight: Array, rank: int) -> Array:
    """A weight for each channel, shaped to multiply ``[records, channels, ...]``."""
    return xp.reshape(weight, [1, -1] + [1] * (rank - 2))


def between(s: Step, x: Var, shape: Any, g: Array, axes: tuple[int, ...], eps: float, centred: bool) -> Array:
    """By the Leibniz rule. ``shape`` reshapes a value, where the norm is over groups."""
    return leibniz(s.entry.framework, shape(x.value), shape(s.reference(x)), g, axes, eps, centred)


def fixed(s: Step, x: Var, shape: Any, g: Array, axes: tuple[int, ...], eps: float, centred: bool) -> Array:
    """With the scale fixed."""
    return divided(s.entry.framework, shape(x.value), g, axes, eps, centred)


def unchanged(z: Array) -> Array:
    return z


def layer_norm(through: Callable[..., Array], s: Step) -> Back | None:
    """``layer_norm``: (x, axes, weight, bias, eps)."""
    x, axes, weight, bias, eps = s.arguments
    if not constant(weight, bias):
        return None
    g = s.g if weight is None else s.g * weight
    if through is fixed:
        s.absorbed.append(weighed(s.xp, s.g, 0.0 if bias is None else bias))
    return [(x, through(s, x, unchanged, g, axes, eps, True))]


def rms_norm(through: Callable[..., Array], s: Step) -> Back | None:
    """``rms_norm``: (x, axes, weight, eps)."""
    x, axes, weight, eps = s.arguments
    if not constant(weight):
        return None
    g = s.g if weight is None else s.g * weight
    if through is fixed:
        s.absorbed.append(s.xp.zeros((), s.g))
    return [(x, through(s, x, unchanged, g, axes, eps, False))]


def group_norm(through: Callable[..., Array], s: Step) -> Back | None:
    """``group_norm``: (x, groups, weight, bias, eps)."""
    xp = s.xp
    x, groups, weight, bias, eps = s.arguments
    if not constant(weight, bias):
        return None
    g = s.g if weight is None else s.g * per_channel(xp, weight, len(x.shape))

    def grouped(z: Array) -> Array:
        return xp.reshape(z, (z.shape[0], groups, -1))

    return [(x, xp.reshape(through(s, x, grouped, grouped(g), (-1,), eps, True), x.shape))]


def batch_norm(through: Callable[..., Array], s: Step) -> Back | None:
    """``batch_norm``: (x, weight, bias, mean, variance, eps), an affine map; with ``mean`` None a norm over the batch."""
    xp = s.xp
    x, weight, bias, mean, variance, eps = s.arguments
    if not constant(weight, bias):
        return None
    g = s.g if weight is None else s.g * per_channel(xp, weight, len(x.shape))
    if mean is None:
        return [(x, through(s, x, unchanged, g, tuple(d for d in range(len(x.shape)) if d != 1), eps, True))]
    return [(x, g * per_channel(xp, 1 / xp.sqrt(variance + eps), len(x.shape)))]


def quotient(s: Step) -> Back | None:
    """``divide``: (a, b), with the denominator fixed: all to ``a``."""
    a, b = s.arguments
    return s.to((a, lambda: fold(s.xp, s.g / s.value(b), a.shape)))


def table(through: Callable[..., Array]) -> dict[str, Formula]:
    """Every norm, with ``c / s`` treated in one way."""
    forms = {"layer_norm": layer_norm, "rms_norm": rms_norm, "group_norm": group_norm, "batch_norm": batch_norm}

    def bound(formula: Callable[[Callable[..., Array], Step], Back | None]) -> Formula:
        return lambda s: formula(through, s)

    return {form: bound(formula) for form, formula in forms.items()}


NORM = table(between)
"""As quotients between the reference and the record."""

DETACHED = table(fixed)
"""With their scale fixed."""
