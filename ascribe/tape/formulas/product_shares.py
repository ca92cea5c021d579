"""Products of two values without a reference: which factor receives the relevance.

In a product with a signal, a gate receives none (:mod:`ascribe.tape.gates`). Of two of one rank each receives half, or, where an
activation is a gate too, the one that is no activation receives all. A product passes on twice the relevance that it received, so each
factor receives a share of the derivative with the other factor fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...arrays import Array
from ..gates import activated, resolved, shifted
from ..step import Back, Formula, Step
from ..tape import Var, fold, turned
from .products import convolved, halves, with_mean

Shares = Callable[[Any, Any], tuple[float, float]]


def rank(a: Any) -> int:
    """The rank of an argument; 0 of a constant."""
    return resolved(a) if isinstance(a, Var) else 0


def half(a: Any, b: Any) -> tuple[float, float]:
    """All to the factor of higher rank; half each where they are equal."""
    left, right = rank(a), rank(b)
    return (0.5, 0.5) if left == right else (float(left > right), float(right > left))


def signal(a: Any, b: Any) -> tuple[float, float]:
    """As :func:`half`, but an activation receives none with what is none, and ``1 + scale`` none with what has nothing added."""
    left, right = half(a, b)
    if left == right:
        for yields in (activated, shifted):
            if yields(a) != yields(b):
                return float(yields(b)), float(yields(a))
    return left, right


def times(g: Array, share: float) -> Array:
    return g if share == 1 else g * share


def some(s: Step, *parts: tuple[Any, float, Callable[[float], Array]]) -> Back:
    """The cotangents of the factors that receive a share."""
    return [(a, fold(s.xp, make(share), a.shape)) for a, share, make in parts if share and isinstance(a, Var) and a.wanted]


def product(shares: Shares, s: Step) -> Back:
    """``multiply``."""
    xp = s.xp
    a, b = s.entry.args[:2]
    left, right = shares(a, b)
    g = times(s.g, left or right)
    return some(s, (a, left, lambda _: g * turned(xp, s.value(b))), (b, right, lambda _: g * turned(xp, s.value(a))))


def matrices(shares: Shares, s: Step, a: Any, b: Any, g: Array) -> Back:
    """``a @ b``."""
    xp = s.xp
    left, right = shares(a, b)
    return some(
        s,
        (a, left, lambda w: times(g @ xp.matrix_transpose(turned(xp, s.value(b))), w)),
        (b, right, lambda w: times(xp.matrix_transpose(turned(xp, s.value(a))) @ g, w)),
    )


def multiplied(shares: Shares, s: Step) -> Back:
    """``matmul``."""
    a, b = s.arguments
    return matrices(shares, s, a, b, s.g)


def multiplied_added(shares: Shares, s: Step) -> Back:
    """``addmatmul``: the addend receives its whole cotangent."""
    c, a, b, beta, alpha = s.arguments
    return [*s.to((c, lambda: times(s.g, beta))), *matrices(shares, s, a, b, times(s.g, alpha))]


def factors(first: int) -> Callable[[Shares, Step], Back | None]:
    """Any operation with two factors, from this argument on; the arguments before them are added, and no factors themselves."""

    def formula(shares: Shares, s: Step) -> Back | None:
        a, b = s.entry.args[first : first + 2]
        if any(v is a or v is b for v in s.entry.args[:first] if isinstance(v, Var)):
            return None
        left, right = shares(a, b)
        share = {**({b: right} if isinstance(b, Var) else {}), **({a: left} if isinstance(a, Var) else {})}
        return [(v, times(g, share.get(v, 1.0))) for v, g in s.vjp(lambda v: v.value) if share.get(v, 1.0)]

    return formula


def convolution(shares: Shares, s: Step) -> Back | None:
    """``convolution``."""
    return convolved(s) or factors(0)(shares, s)


def squared(shares: Shares, s: Step) -> Back:
    """``quadratic``: quadratic in one value."""
    return [(v, g / 2) for v, g in s.vjp(lambda v: v.value)]


def solved(shares: Shares, s: Step) -> Back | None:
    """``solve``: (a, b), ``x`` in ``a x = b``: all to ``b``."""
    b = s.entry.args[1]
    return [(v, g) for v, g in s.vjp(lambda v: v.value) if v is b] if s.wants(b) else None


def mixed(shares: Shares, s: Step) -> Back:
    """``lerp``: (a, b, w) for ``(1 - w) a + w b``, with the weight a gate."""
    a, b, w = s.entry.args[:3]
    if rank(a) or rank(b):
        return s.to((a, lambda: s.g * (1 - s.value(w))), (b, lambda: s.g * s.value(w)))
    return s.vjp(lambda v: v.value)


def gated(shares: Shares, s: Step) -> Back:
    """``glu``: one half times the sigmoid of the other, which is a gate."""
    v, axis = s.arguments
    _, b = halves(v.value, axis)
    return [(v, s.xp.concat([s.g * s.xp.sigmoid(b), s.xp.zeros_like(b)], axis))]


def table(shares: Shares) -> dict[str, Formula]:
    """Formulas for every form that is a product, with relevance shared in one way."""
    forms: dict[str, Callable[[Shares, Step], Back | None]] = {
        "multiply": product,
        "matmul": multiplied,
        "addmatmul": multiplied_added,
        "convolution": convolution,
        "glu": gated,
        "lerp": mixed,
        "solve": solved,
        "matvec": factors(0),
        "bilinear": factors(0),
        "added_bilinear": factors(1),
        "quadratic": squared,
        "var_mean": lambda shares, s: with_mean(partial(squared, shares))(s),
    }
    return {form: partial(formula, shares) for form, formula in forms.items()}


HALF, SIGNAL = table(half), table(signal)
"""Half to each of two signals; and all to the one of them that is no activation."""
