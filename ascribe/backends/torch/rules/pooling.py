"""The largest of several: all of the change goes to the winner of the run whose largest is larger, in a share between 0 and 1.

``m = Dy / Dx`` at that winner. Windows may overlap. It is what SHAP's DeepExplainer computes by unpooling twice.
"""

from __future__ import annotations

import torch

from .step import Back, Formula, Step
from .tape import Tensor, Var


def share(dy: Tensor, dx: Tensor) -> Tensor:
    """``dy / dx`` (worked out in place), and all of it where nothing moves."""
    m = dy.div_(dx)
    return m.nan_to_num_(1.0) if m.sum().isnan() else m


def windows(s: Step, axes: int, y: Tensor, places: Tensor, y0: Tensor, places0: Tensor) -> Back:
    """Max-pooling: ``places`` number the positions behind the channels."""
    v = s.entry.ins[0]
    x, x0 = v.value.flatten(-axes), s.reference(v).flatten(-axes)
    y, y0, g, here, there = (t.expand(y.shape).flatten(-axes) for t in (y, y0, s.g, places, places0))
    dy = y - y0
    won = (dy >= 0).to(dy.dtype)  # as numbers: choosing between places takes longer than to gather and scatter at both
    mine, other = y - x0.expand(x.shape).gather(-1, here), x.gather(-1, there).sub_(y0)
    m = share(dy, other.lerp_(mine, won)).mul_(g)
    left = m * won
    back = torch.zeros_like(x).scatter_add_(-1, here, left).scatter_add_(-1, there, m.sub_(left))
    return [(v, back.view(v.shape))]


def pooled(axes: int) -> Formula:
    def formula(s: Step) -> Back:
        out, places = s.entry.out(0), s.entry.out(1)
        if s.reference(out) is out.value:  # no reference: all to the winner
            v = s.entry.ins[0]
            lines = s.g.new_zeros(v.shape).flatten(-axes)
            return [(v, lines.scatter_add_(-1, places.value.flatten(-axes), s.g.flatten(-axes)).view(v.shape))]
        return windows(s, axes, out.value, places.value, s.reference(out), s.reference(places))

    return formula


def pooled_line(s: Step) -> Back:
    """``max_pool1d`` in its form without places: they are looked up."""
    v = s.entry.ins[0]
    (y, i), (y0, i0) = (torch.max_pool1d_with_indices(z, *s.entry.args[1:]) for z in (v.value, s.reference(v)))
    return windows(s, 1, y, i, y0, i0)


def reduced(s: Step, dims: list[int], sign: int) -> Back:
    """The largest (or smallest) along axes, all of them taken together."""
    v = s.entry.ins[0]
    rank = len(v.shape)
    dims = sorted(d % rank for d in dims)
    rest = [d for d in range(rank) if d not in dims]

    def lined(z: Tensor) -> Tensor:
        return (z * sign).permute(*rest, *dims).flatten(len(rest)) if dims else z[..., None]

    x, x0 = lined(v.value), lined(s.reference(v).expand(v.shape))
    (y, i), (y0, i0) = x.max(-1, keepdim=True), x0.max(-1, keepdim=True)
    winner = torch.where(y >= y0, i, i0)
    m = share(y - y0, (x - x0).gather(-1, winner))
    back = torch.zeros_like(x).scatter_add_(-1, winner, m * s.g.reshape(y.shape))
    order = [*rest, *dims]
    shape = [v.shape[d] for d in order]
    return [(v, back.view(shape).permute([order.index(d) for d in range(rank)]))]


def along(sign: int) -> Formula:
    """``amax``, ``max(dim)`` and ``max()``, or their opposites."""

    def formula(s: Step) -> Back | None:
        v = s.entry.ins[0]
        dims = s.entry.arg(1, "dim")
        if isinstance(dims, (Var, torch.Tensor)) or len(s.entry.ins) > 1:
            return None
        dims = list(range(len(v.shape))) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
        return reduced(s, dims, sign)

    return formula


POOL: dict[str, Formula] = {
    "max_pool1d": pooled_line,
    "max_pool2d_with_indices": pooled(2),
    "max_pool3d_with_indices": pooled(3),
    "adaptive_max_pool2d": pooled(2),
    "adaptive_max_pool3d": pooled(3),
    "fractional_max_pool2d": pooled(2),
    "amax": along(1),
    "amin": along(-1),
    "max": along(1),
    "min": along(-1),
}
"""Winner takes the change."""
