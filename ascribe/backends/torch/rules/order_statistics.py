"""Order statistics: sorting, the largest few, the k-th, the median, running extremes.

Along the straight line from reference to record a number has one rank after the other: it changes its rank where it crosses another.
So the average Jacobian has for every number and every rank the share of the line on which the one has the other. It is exact, its
entries lie between 0 and 1, and add up to 1 for a number as for a rank. Without a crossing it is the record's own permutation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ....tape.formulas.pooling import reduced
from ....tape.step import Back, Formula, Step
from .cache_blocks import at_once
from .kernels import change_share

Tensor = torch.Tensor

BLOCK = 1 << 20
"""Pairs of numbers that a core looks at at once."""

MOST = 1 << 13
"""The longest lines whose crossings are looked for: there are up to half the square of their length."""


def ranked(x: Tensor, x0: Tensor, g: Tensor) -> Tensor:
    """The cotangent through sorting in ascending order. ``g`` is that of each rank; all are ``[lines, elements]``."""
    order = torch.argsort(x, dim=-1, stable=True)
    plain = torch.zeros_like(g).scatter_(-1, order, g)
    crossed = (x0.gather(-1, order).diff(dim=-1) < 0).any(-1)
    wide = x.shape[-1]
    found = plain[crossed]
    x, x0, g = x[crossed], x0[crossed], g[crossed]
    some = max(1, at_once(x, BLOCK) // max(1, wide * wide))
    few = max(1, min(wide, at_once(x, BLOCK) // wide))
    for i in range(0, len(x), some):
        line = slice(i, i + some)
        for j in range(0, wide, few):
            found[line, j : j + few] = averaged(x[line], x0[line], g[line], j, j + few)
    plain[crossed] = found
    return plain


def averaged(x: Tensor, x0: Tensor, g: Tensor, start: int, end: int) -> Tensor:
    """The mean of ``g`` over the ranks that the numbers at ``start`` to ``end`` have along the line."""
    begins, ends = (z[:, start:end, None] - z[:, None, :] for z in (x0, x))
    places = torch.arange(x.shape[-1], device=x.device)
    tied = (places[start:end, None] > places).expand(ends.shape)
    above = torch.where(begins == 0, torch.where(ends == 0, tied, ends > 0), begins > 0)
    crosses = ((begins > 0) & (ends < 0)) | ((begins < 0) & (ends > 0))
    times = torch.where(crosses, begins / torch.where(crosses, begins - ends, 1.0), 1.0).nan_to_num_(1.0)
    times, turn = times.sort(-1)
    steps = torch.where(crosses, torch.where(begins > 0, -1, 1), 0).gather(-1, turn)
    first = above.sum(-1, keepdim=True)
    ranks = torch.cat([first, first + steps.cumsum(-1)], -1)
    edges = torch.cat([torch.zeros_like(times[..., :1]), times, torch.ones_like(times[..., :1])], -1)
    values = g[:, None, :].expand(-1, ranks.shape[1], -1).gather(-1, ranks)
    return (edges.diff(dim=-1) * values).sum(-1)


def through(s: Step, dim: int, ranks: Callable[[int], Tensor | slice]) -> Back | None:
    """The cotangent through picking these ranks (counted from the smallest) along an axis, in this order."""
    v, x0 = s.entry.ins[0], s.reference(s.entry.ins[0])
    places = s.entry.outs[1] if len(s.entry.outs) > 1 else None
    kept = len(s.entry.out().shape) == len(v.shape)
    g = (s.g if kept else s.g.unsqueeze(dim)).movedim(dim, -1)
    if places is not None and (s.entry.fixed or x0 is v.value):  # without a reference, or with choices as they are: to what was picked
        here = (places.value if kept else places.value.unsqueeze(dim)).movedim(dim, -1)
        back = g.new_zeros(v.value.movedim(dim, -1).shape).scatter_add_(-1, here, g)
        return [(v, back.movedim(-1, dim))]
    x = v.value.movedim(dim, -1)
    wide = x.shape[-1]
    if wide > MOST or not x.numel():
        return None if wide > MOST else [(v, torch.zeros_like(v.value))]
    x0 = x0.expand(v.shape).movedim(dim, -1)
    spread = g.new_zeros(x.shape)
    spread[..., ranks(wide)] = g
    back = ranked(x.reshape(-1, wide), x0.reshape(-1, wide), spread.reshape(-1, wide))
    return [(v, back.view(x.shape).movedim(-1, dim))]


def sorting(s: Step) -> Back | None:
    down = s.entry.arg(2, "descending", False)
    return through(s, s.entry.arg(1, "dim", -1), lambda wide: torch.arange(wide, device="cpu").flip(0) if down else slice(None))


def topmost(s: Step) -> Back | None:
    """The largest or smallest few; of one the winner takes the change, as in :mod:`.pooling`."""
    few, dim, largest = s.entry.args[1], s.entry.arg(2, "dim", -1), s.entry.arg(3, "largest", True)
    if few == 1 and not s.entry.fixed:
        return reduced(s, [dim], 1 if largest else -1)
    return through(s, dim, lambda wide: torch.arange(wide - 1, wide - 1 - few, -1, device="cpu") if largest else slice(few))


def numbered(s: Step) -> Back | None:
    """The k-th smallest."""
    k = s.entry.args[1]
    return through(s, s.entry.arg(2, "dim", -1), lambda wide: slice(k - 1, k))


def middle(s: Step) -> Back | None:
    """The median: of an even number of values the lower of the two in the middle."""
    dim = s.entry.arg(1, "dim")
    if dim is not None:
        return through(s, dim, lower_middle)
    v = s.entry.ins[0]
    wide = v.size
    g = s.g.new_zeros(1, wide)
    g[..., lower_middle(wide)] = s.g
    x0 = s.reference(v).expand(v.shape)
    return [(v, ranked(v.value.reshape(1, -1), x0.reshape(1, -1), g).view(v.shape))] if wide <= MOST else None


def lower_middle(wide: int) -> slice:
    return slice((wide - 1) // 2, (wide + 1) // 2)


def running(sign: int) -> Formula:
    """``cummax`` and ``cummin``: each the largest so far, to the winner of the run in which that is larger."""

    def formula(s: Step) -> Back:
        v, dim = s.entry.ins[0], s.entry.arg(1, "dim")
        y, places = s.entry.out(0), s.entry.out(1)
        if not v.shape:
            return [(v, s.g)]
        x, x0 = v.value, s.reference(v).expand(v.shape)
        y0, there = (s.reference(out).expand(v.shape) for out in (y, places))
        d = y.value - y0
        winner = torch.where(sign * d >= 0, places.value, there)
        m = change_share(None, d, (x - x0).gather(dim, winner)).mul_(s.g)
        return [(v, torch.zeros_like(m).scatter_add_(dim, winner, m))]

    return formula


def both(s: Step) -> Back:
    """``aminmax``."""
    v, dim = s.entry.ins[0], s.entry.arg(1, "dim")
    dims = list(range(len(v.shape))) if dim is None else [dim]
    found: Back = []
    for slot, sign in ((0, -1), (1, 1)):
        if s.back[slot] is not None:
            found += reduced(Step(s.entry, [s.back[slot]], s.refer), dims, sign)
    return found


ORDER: dict[str, Formula] = {
    "sort": sorting,
    "topk": topmost,
    "kthvalue": numbered,
    "median": middle,
    "nanmedian": middle,
    "cummax": running(1),
    "cummin": running(-1),
    "aminmax": both,
}
"""By ranks along the line between the runs, or by winners."""
