"""Softmax and its kin: the average Jacobian is the Jacobian with the logarithmic mean of both runs' probabilities in place of ``p``.

``L = (p - p0) / (log p - log p0)``; ``g_z = L (g - sum(L g) / sum L)``: symmetric, independent of shifts, exact. Quadrature is no
alternative: on saturated scores 32 points still miss 2 %. Without a reference ``L`` is ``p``, and the formula the derivative.
"""

from __future__ import annotations

from ...arrays import Array, Namespace
from ..kernels import Kernel
from ..step import Back, Formula, Step
from ..tape import Framework, Var


@Kernel
def logarithmic_mean(framework: Framework, lp: Array, lq: Array, mean: Array | None = None) -> Array:
    """The logarithmic mean of two numbers given by their logarithms; 0 where one of them is 0. ``mean`` is their mean, if known.

    As the mean times ``tanh(d) / d`` with ``d`` half the difference of the logarithms, for ``p - q = (p + q) tanh(d)``: no series
    where they meet, nothing that overflows, and no comparison, which would take longer than all the rest.
    """
    xp = framework.xp
    mean = (xp.exp(lp) + xp.exp(lq)) / 2 if mean is None else mean
    d = xp.clip(xp.abs((lp - lq) / 2), xp.tiny(lp) * 1e4, None)
    return xp.nan_to_num(xp.tanh(d) / d * mean, 0.0)


@Kernel
def centred(framework: Framework, mean: Array, g: Array, axis: int) -> Array:
    """The softmax Jacobian with these probabilities."""
    xp = framework.xp
    return mean * (g - xp.sum(mean * g, (axis,), True) / total(xp, mean, axis))


def total(xp: Namespace, mean: Array, axis: int) -> Array:
    """The sum of the probabilities, away from zero."""
    return xp.clip(xp.sum(mean, (axis,), True), xp.tiny(mean), None)


def means(s: Step, v: Var, axis: int) -> Array:
    """The logarithmic means of both runs' probabilities."""
    xp = s.xp
    return logarithmic_mean(s.entry.framework, xp.log_softmax(v.value, axis), xp.log_softmax(s.reference(v), axis))


def softmax(s: Step) -> Back:
    """``softmax``: (x, axis)."""
    v, axis = s.arguments
    return [(v, centred(s.entry.framework, means(s, v, axis), s.xp.astype(s.g, v.dtype), axis))]


def log_softmax(s: Step) -> Back:
    """``log_softmax``: (x, axis)."""
    xp = s.xp
    v, axis = s.arguments
    mean = means(s, v, axis)
    return [(v, s.g - mean / total(xp, mean, axis) * xp.sum(s.g, (axis,), True))]


def logsumexp(s: Step) -> Back:
    """``logsumexp``: (x, axis, keepdims)."""
    v, axis, keep = s.arguments
    mean = means(s, v, axis)
    g = s.g if keep else s.xp.expand_dims(s.g, axis)
    return [(v, g * mean / total(s.xp, mean, axis))]


def softmax_derivative(s: Step) -> Back:
    """``softmax`` at the record: its derivative, which is its Taylor expansion."""
    v, axis = s.arguments
    p = s.entry.out().value
    g = s.xp.cast(s.g, p)
    return [(v, s.xp.astype(p * (g - s.xp.sum(p * g, (axis,), True)), v.dtype))]


def log_softmax_derivative(s: Step) -> Back:
    """``log_softmax`` at the record."""
    v, axis = s.arguments
    y = s.entry.out().value
    g = s.xp.cast(s.g, y)
    return [(v, s.xp.astype(g - s.xp.exp(y) * s.xp.sum(g, (axis,), True), v.dtype))]


def tempered(temperature: float) -> dict[str, Formula]:
    """Softmax with the derivative ``p (g - sum(p g))`` at the probabilities of scores divided by a temperature."""

    def formula(s: Step) -> Back:
        v, axis = s.arguments
        return [(v, pulled_through(s.xp, v.value / temperature, s.xp.astype(s.g, v.dtype), axis))]

    return {**TAYLOR, "softmax": formula}


def pulled_through(xp: Namespace, z: Array, g: Array, axis: int) -> Array:
    """The softmax derivative at scores; 0 in rows that are masked whole."""
    p = xp.nan_to_num(xp.softmax(z, axis), 0.0)
    return p * (g - xp.sum(p * g, (axis,), True))


SOFTMAX: dict[str, Formula] = {"softmax": softmax, "log_softmax": log_softmax, "logsumexp": logsumexp}
"""By the logarithmic mean."""

TAYLOR: dict[str, Formula] = {**SOFTMAX, "softmax": softmax_derivative, "log_softmax": log_softmax_derivative}
"""By the derivative at the record."""
