"""Max-pooling over windows: the positions of the winners come from the kernel, and cotangents are scattered to them."""

from __future__ import annotations

import torch

from ....tape.step import Back, Formula, Step
from .kernels import change_share

Tensor = torch.Tensor


def windows(s: Step, axes: int, y: Tensor, places: Tensor, y0: Tensor, places0: Tensor) -> Back:
    """Max-pooling: ``places`` number the positions behind the channels."""
    v = s.entry.ins[0]
    x, x0 = v.value.flatten(-axes), s.reference(v).flatten(-axes)
    y, y0, g, here, there = (t.expand(y.shape).flatten(-axes) for t in (y, y0, s.g, places, places0))
    dy = y - y0
    won = (dy >= 0).to(dy.dtype)  # as numbers: choosing between places takes longer than to gather and scatter at both
    mine, other = y - x0.expand(x.shape).gather(-1, here), x.gather(-1, there).sub_(y0)
    m = change_share(None, dy, other.lerp_(mine, won)).mul_(g)
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


POOL: dict[str, Formula] = {
    "max_pool1d": pooled_line,
    "max_pool2d_with_indices": pooled(2),
    "max_pool3d_with_indices": pooled(3),
    "adaptive_max_pool2d": pooled(2),
    "adaptive_max_pool3d": pooled(3),
    "fractional_max_pool2d": pooled(2),
}
"""Winner takes the change; windows may overlap."""
