"""The largest of several: all of the change goes to the winner of the run whose largest is larger, in a share between 0 and 1.

``m = Dy / Dx`` at that winner. It is what SHAP's DeepExplainer computes by unpooling twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ...arrays import Array, Namespace
from ..kernels import Kernel
from ..step import Back, Formula, Step
from ..tape import Framework


@Kernel
def change_share(framework: Framework, dy: Array, dx: Array) -> Array:
    """``dy / dx``, and 1 where nothing moves."""
    return framework.xp.nan_to_num(dy / dx, 1.0)


def reduced(s: Step, axes: Sequence[int], sign: int) -> Back:
    """The largest (or smallest) along axes, all of them taken together."""
    xp = s.xp
    v = s.entry.ins[0]
    rank = len(v.shape)
    axes = sorted(d % rank for d in axes)
    rest = [d for d in range(rank) if d not in axes]
    order = [*rest, *axes]
    shape = [v.shape[d] for d in order]
    x, x0 = (lined(xp, z, order, len(rest), sign) for z in (v.value, xp.broadcast_to(s.reference(v), v.shape)))
    (y, i), (y0, i0) = (xp.max_and_place(z) for z in (x, x0))
    winner = xp.where(y >= y0, i, i0)
    m = change_share(s.entry.framework, y - y0, xp.take_along(x - x0, winner, -1))
    back = xp.scatter(m * xp.reshape(s.g, y.shape), winner, x.shape)
    return [(v, xp.permute(xp.reshape(back, shape), [order.index(d) for d in range(rank)]))]


def lined(xp: Namespace, z: Array, order: list[int], kept: int, sign: int) -> Array:
    """A value times the sign, its axes from ``kept`` on in this order as one last axis."""
    z = xp.permute(z * sign, order)
    return xp.reshape(z, (*z.shape[:kept], prod(z.shape[kept:])))


def along(sign: int) -> Formula:
    """``largest``, ``smallest``: (x, axes or None)."""

    def formula(s: Step) -> Back:
        v, axes = s.arguments
        return reduced(s, axes or range(len(v.shape)), sign)

    return formula


POOL: dict[str, Formula] = {"largest": along(1), "smallest": along(-1)}
"""The winner takes the change. Windows are the framework's own."""
