"""Products of two values without a reference: who gets the relevance.

A gate yields to a signal (:mod:`.gates`). Of two of one rank each gets half, or, where an activation is a gate too, the one that
is not an activation gets all. A product passes on twice what came, so a share is taken of the derivative with the other factor fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from .gates import activated, resolved, shifted
from .linear import convolved
from .products import with_mean
from .step import Back, Formula, Step
from .tape import Tensor, Var, fold, turned

Shares = Callable[[Any, Any], tuple[float, float]]


def rank(a: Any) -> int:
    return resolved(a) if isinstance(a, Var) else 0


def half(a: Any, b: Any) -> tuple[float, float]:
    """Everything to the one of higher rank; half each where they are equal."""
    left, right = rank(a), rank(b)
    return (0.5, 0.5) if left == right else (float(left > right), float(right > left))


def signal(a: Any, b: Any) -> tuple[float, float]:
    """As :func:`half`, and an activation yields to what is none, ``1 + scale`` to what has nothing added."""
    left, right = half(a, b)
    if left == right:
        for yields in (activated, shifted):
            if yields(a) != yields(b):
                return float(yields(b)), float(yields(a))
    return left, right


def scaled(g: Tensor, share: float) -> Tensor:
    return g if share == 1 else g * share


def some(*parts: tuple[Any, float, Callable[[float], Tensor]]) -> Back:
    """What goes to the factors that get a share."""
    return [(a, fold(make(share), a.shape)) for a, share, make in parts if share and isinstance(a, Var) and a.wanted]


def product(shares: Shares, s: Step) -> Back:
    """``a b``, number by number."""
    a, b = s.entry.args[:2]
    left, right = shares(a, b)
    g = scaled(s.g, left or right)
    return some((a, left, lambda _: g * turned(s.value(b))), (b, right, lambda _: g * turned(s.value(a))))


def matrices(shares: Shares, s: Step, a: Any, b: Any, g: Tensor) -> Back:
    """``a @ b``."""
    left, right = shares(a, b)
    return some(
        (a, left, lambda w: scaled(g @ turned(s.value(b)).transpose(-1, -2), w)),
        (b, right, lambda w: scaled(turned(s.value(a)).transpose(-1, -2) @ g, w)),
    )


def multiplied(shares: Shares, s: Step) -> Back:
    return matrices(shares, s, s.entry.args[0], s.entry.args[1], s.g)


def multiplied_added(shares: Shares, s: Step) -> Back:
    """``beta c + alpha a @ b``: the addend passes whole."""
    c, a, b = s.entry.args[:3]
    beta, alpha = s.entry.kwargs.get("beta", 1), s.entry.kwargs.get("alpha", 1)
    return [*s.to((c, lambda: scaled(s.g, beta))), *matrices(shares, s, a, b, scaled(s.g, alpha))]


def factors(first: int) -> Callable[[Shares, Step], Back | None]:
    """Any operation with two factors, from this argument on; what is before them is added, and no factor itself."""

    def formula(shares: Shares, s: Step) -> Back | None:
        a, b = s.entry.args[first : first + 2]
        if any(v is a or v is b for v in s.entry.args[:first] if isinstance(v, Var)):
            return None
        left, right = shares(a, b)
        share = {**({b: right} if isinstance(b, Var) else {}), **({a: left} if isinstance(a, Var) else {})}
        return [(v, scaled(g, share.get(v, 1.0))) for v, g in s.vjp(lambda v: v.value) if share.get(v, 1.0)]

    return formula


def convolution(shares: Shares, s: Step) -> Back | None:
    return convolved(s) or factors(0)(shares, s)


def squared(shares: Shares, s: Step) -> Back:
    """What is quadratic in one value."""
    return [(v, g / 2) for v, g in s.vjp(lambda v: v.value)]


def solved(shares: Shares, s: Step) -> Back | None:
    """``x`` in ``a x = b``: all to ``b``."""
    b = s.entry.args[1]
    return [(v, g) for v, g in s.vjp(lambda v: v.value) if v is b] if s.wants(b) else None


def mixed(shares: Shares, s: Step) -> Back:
    """``lerp``: ``(1 - w) a + w b`` with the weight a gate."""
    a, b, w = s.entry.args[:3]
    if rank(a) or rank(b):
        return s.to((a, lambda: s.g * (1 - s.value(w))), (b, lambda: s.g * s.value(w)))
    return s.vjp(lambda v: v.value)


def gated(shares: Shares, s: Step) -> Back:
    """``glu``: one half times the sigmoid of the other, which is a gate."""
    v, dim = s.entry.ins[0], s.entry.arg(1, "dim", -1)
    _, b = v.value.chunk(2, dim)
    return [(v, torch.cat([s.g * b.sigmoid(), torch.zeros_like(b)], dim))]


def table(shares: Shares) -> dict[str, Formula]:
    """Formulas for every operation that is a product, with relevance shared in one way."""
    kinds: dict[str, Callable[[Shares, Step], Back | None]] = {
        "mul": product,
        "mm": multiplied,
        "bmm": multiplied,
        "addmm": multiplied_added,
        "baddbmm": multiplied_added,
        "convolution": convolution,
        "glu": gated,
        "lerp": mixed,
        "linalg_solve_triangular": solved,
        **dict.fromkeys(("dot", "vdot", "mv", "ger"), factors(0)),
        **dict.fromkeys(("addmv", "addcmul", "addr", "addbmm"), factors(1)),
        **dict.fromkeys(("var", "square"), squared),
        "var_mean": lambda shares, s: with_mean(partial(squared, shares))(s),
    }
    return {name: partial(formula, shares) for name, formula in kinds.items()}


HALF, SIGNAL = table(half), table(signal)
"""Half to each of two signals; and all to the one of them that is no activation."""
