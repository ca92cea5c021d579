"""Linear operations, by form: their transposes written out where they are frequent, their own vector-Jacobian product otherwise.

The list is explicit, so that an operation that is not listed is never taken as linear. Arguments are named in each docstring.
"""

from __future__ import annotations

from math import prod

from ...arrays import Array
from ..step import Back, Formula, Step
from ..tape import Var, fold


def reshaped(s: Step) -> Back:
    """``reshape``: (x)."""
    v = s.entry.ins[0]
    return [(v, s.xp.reshape(s.g, v.shape))]


def identity(s: Step) -> Back:
    """``identity``: (x)."""
    return [(s.entry.ins[0], s.g)]


def cast(s: Step) -> Back:
    """``cast``: (x)."""
    v = s.entry.ins[0]
    return [(v, s.xp.astype(s.g, v.dtype) if v.continuous else s.g)]


def permuted(s: Step) -> Back:
    """``permute``: (x, order)."""
    v, order = s.arguments
    back = [0] * len(order)
    for i, d in enumerate(order):
        back[d % len(order)] = i
    return [(v, s.xp.permute(s.g, back))]


def expanded(s: Step) -> Back:
    """``expand``: (x)."""
    v = s.entry.ins[0]
    return [(v, fold(s.xp, s.g, v.shape))]


def copied(s: Step) -> Back:
    """``copy``: (old, new)."""
    return s.to((s.entry.args[1], lambda: s.g))


def nothing(s: Step) -> Back:
    """``fill``: the result does not depend on what was there before."""
    return []


def negated(s: Step) -> Back:
    """``negative``: (x)."""
    return [(s.entry.ins[0], -s.g)]


def added(s: Step) -> Back:
    """``add``: (a, b, factor) for ``a + factor b``."""
    a, b, factor = s.arguments
    return s.to((a, lambda: s.g), (b, lambda: s.g if factor == 1 else s.g * factor))


def summed(s: Step) -> Back:
    """``sum``: (x, axes or None, keepdims)."""
    v, axes, keep = s.arguments
    g = s.g
    if not keep and len(v.shape):
        for d in sorted(d % len(v.shape) for d in axes or range(len(v.shape))):
            g = s.xp.expand_dims(g, d)
    return [(v, s.xp.broadcast_to(g, v.shape))]


def averaged(s: Step) -> Back:
    """``mean``: (x, axes or None, keepdims)."""
    v = s.entry.ins[0]
    return [(v, summed(s)[0][1] / (v.size // max(1, s.entry.out().size)))]


def joined(s: Step) -> Back:
    """``concat``: (parts, axis)."""
    parts, axis = s.arguments
    back: Back = []
    start = 0
    for part in parts:
        size = part.shape[axis] if prod(part.shape) else 0  # an empty vector joins anything: caches start as one
        if s.wants(part):
            back.append((part, along(s.g, axis, slice(start, start + size))))
        start += size
    return back


def along(g: Array, axis: int, part: int | slice) -> Array:
    """A part along an axis."""
    return g[tuple(part if d == axis % len(g.shape) else slice(None) for d in range(len(g.shape)))]


def stacked(s: Step) -> Back:
    """``stack``: (parts, axis)."""
    parts, axis = s.arguments
    return [(part, along(s.g, axis, i)) for i, part in enumerate(parts) if s.wants(part)]


def selected(s: Step) -> Back:
    """``getitem``: (x, index), a view of a part: nothing for the rest."""
    v, index = s.arguments
    return [(v, s.xp.put(s.xp.zeros(v.shape, s.g), index, s.g))]


def split(s: Step) -> Back:
    """``split``: (x, axis), pieces along an axis: put together again."""
    v, axis = s.arguments
    return [(v, s.xp.concat([s.g_or_zero(k) for k in range(len(s.entry.outs))], axis))]


def unbound(s: Step) -> Back:
    """``unstack``: (x, axis)."""
    v, axis = s.arguments
    return [(v, s.xp.stack([s.g_or_zero(k) for k in range(len(s.entry.outs))], axis))]


def masked(s: Step) -> Back:
    """``masked_fill``: (x, mask, fill). A product with the mask, where that depends on the record too."""
    xp = s.xp
    v, mask, fill = s.arguments
    if not isinstance(mask, Var):
        return s.to((v, lambda: xp.where(mask, 0, s.g)), (fill, lambda: s.g * mask))
    c, c0 = s.value(mask), s.reference(mask)
    share = (xp.cast(c, s.g) + xp.cast(c0, s.g)) / 2
    return s.to(
        (v, lambda: s.g * (1 - share)),
        (fill, lambda: s.g * share),
        (mask, lambda: xp.where(c == c0, 0.0, s.g * (s.middle(fill) - s.middle(v)))),
    )


def own(s: Step) -> Back:
    """``linear``: any other, by its own vector-Jacobian product."""
    return s.vjp(lambda v: v.value)


def partly(s: Step) -> Back | None:
    """``partly_linear``: linear in some arguments (:attr:`Operation.linear_in`), as long as no other is on the tape."""
    positions = s.entry.op.linear_in or ()
    others = [a for i, a in enumerate(s.entry.args) if i not in positions and isinstance(a, Var)]
    return None if others or any(isinstance(a, Var) for a in s.entry.kwargs.values()) else own(s)


LINEAR: dict[str, Formula] = {
    "reshape": reshaped,
    "identity": identity,
    "cast": cast,
    "permute": permuted,
    "expand": expanded,
    "copy": copied,
    "fill": nothing,
    "negative": negated,
    "add": added,
    "reverse_subtract": own,
    "sum": summed,
    "mean": averaged,
    "average": own,
    "concat": joined,
    "stack": stacked,
    "getitem": selected,
    "split": split,
    "unstack": unbound,
    "masked_fill": masked,
    "cumulative_sum": own,
    "linear": own,
    "partly_linear": partly,
    "lerp": partly,
}
"""By their transposes."""

AVERAGES = {form: LINEAR[form] for form in ("average", "mean", "sum")}
"""Sums of elements of one value, with equal weights."""
