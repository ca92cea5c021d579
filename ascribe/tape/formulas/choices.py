"""Larger or smaller of two, comparisons, and ``where``: complete through the condition too, which has a cotangent of its own."""

from __future__ import annotations

from ..step import Back, Formula, Step
from ..tape import Var
from .elementwise import step_secant


def larger(sign: int) -> Formula:
    """``maximum``: (a, b), as ``a + relu(b - a)``, by the secant of the ReLU."""

    def formula(s: Step) -> Back:
        xp = s.xp
        a, b = s.entry.args[:2]
        d = sign * (s.value(b) - s.value(a))
        d0 = sign * (s.reference(b) - s.reference(a))
        m = (xp.clip(d, 0, None) - xp.clip(d0, 0, None)) / (d - d0)
        m = xp.where(xp.isfinite(m), m, xp.cast(d > 0, m))
        return s.to((a, lambda: s.g * (1 - m)), (b, lambda: s.g * m))

    return formula


def compared(s: Step) -> Back:
    """``compare``: (a, b), a step in the difference of two values."""
    a, b = s.entry.args[:2]
    out = s.entry.out()
    d = (s.value(a) - s.value(b)) - (s.reference(a) - s.reference(b))
    m = step_secant(s.entry.framework, d, out.value, s.reference(out)) * s.g
    return s.to((a, lambda: m), (b, lambda: -m))


def where(s: Step) -> Back:
    """``where``: (condition, a, b), as ``c a + (1 - c) b``: products of two values."""
    c, a, b = s.entry.args[:3]
    middle = s.middle(c) if isinstance(c, Var) else s.xp.cast(c, s.g)
    return s.to(
        (a, lambda: s.g * middle),
        (b, lambda: s.g * (1 - middle)),
        (c, lambda: s.g * (s.middle(a) - s.middle(b))),
    )


CHOICE: dict[str, Formula] = {"maximum": larger(1), "minimum": larger(-1), "compare": compared, "where": where}
"""By secants of ReLUs and steps."""
