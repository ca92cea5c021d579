"""Any smooth operation: its average Jacobian, by a few Gauss-Legendre points of its own vector-Jacobian product."""

from __future__ import annotations

from ..arrays import Array
from ..distributions.quadrature import quadrature_nodes
from .step import Back, Step
from .tape import Var


def average_vjp(points: int, s: Step) -> Back:
    """The vector-Jacobian product averaged over the straight line between the inputs' reference and record."""
    total: dict[Var, Array] = {}
    for position, weight in zip(*quadrature_nodes("gauss-legendre", points), strict=True):

        def at(v: Var, t: float = float(position)) -> Array:
            x0 = s.refer(v)
            return x0 + t * (v.value - x0) if v.continuous else v.value

        for v, g in s.vjp(at):
            total[v] = total[v] + float(weight) * g if v in total else float(weight) * g
    return list(total.items())
