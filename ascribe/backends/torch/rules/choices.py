"""Larger or smaller of two, comparisons, and ``where``: complete through the condition too, which has a cotangent of its own."""

from __future__ import annotations

import torch

from .regions import step_secant
from .step import Back, Formula, Step
from .tape import Var


def larger(sign: int) -> Formula:
    """``maximum(a, b) = a + relu(b - a)``, by the secant of the ReLU."""

    def formula(s: Step) -> Back:
        a, b = s.entry.args[:2]
        d = sign * (s.value(b) - s.value(a))
        d0 = sign * (s.reference(b) - s.reference(a))
        m = (d.relu() - d0.relu()) / (d - d0)
        m = torch.where(m.isfinite(), m, (d > 0).to(m.dtype))
        return s.to((a, lambda: s.g * (1 - m)), (b, lambda: s.g * m))

    return formula


def compared(s: Step) -> Back:
    """A step in the difference of two values."""
    a, b = s.entry.args[:2]
    out = s.entry.out()
    d = (s.value(a) - s.value(b)) - (s.reference(a) - s.reference(b))
    m = step_secant(d, out.value, s.reference(out)) * s.g
    return s.to((a, lambda: m), (b, lambda: -m))


def where(s: Step) -> Back:
    """``c a + (1 - c) b`` as products of two values."""
    c, a, b = s.entry.args[:3]
    middle = s.middle(c) if isinstance(c, Var) else c.to(s.g.dtype)
    return s.to(
        (a, lambda: s.g * middle),
        (b, lambda: s.g * (1 - middle)),
        (c, lambda: s.g * (s.middle(a) - s.middle(b))),
    )


CHOICE: dict[str, Formula] = {
    "maximum": larger(1),
    "minimum": larger(-1),
    "fmax": larger(1),
    "fmin": larger(-1),
    **dict.fromkeys(("gt", "lt", "ge", "le", "eq", "ne"), compared),
    "where": where,
}
"""By secants of ReLUs and steps."""
