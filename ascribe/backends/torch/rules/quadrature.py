"""Any smooth operation: its average Jacobian, by a few Gauss-Legendre points of its own vector-Jacobian product."""

from __future__ import annotations

from ....distributions.quadrature import nodes
from .step import Back, Step
from .tape import Tensor, Var


def average(points: int, s: Step) -> Back:
    """The vector-Jacobian product averaged over the straight line between the inputs' reference and record."""
    found: dict[Var, Tensor] = {}
    for position, weight in zip(*nodes("gauss-legendre", points), strict=True):

        def at(v: Var, t: float = float(position)) -> Tensor:
            x0 = s.refer(v)
            return x0 + t * (v.value - x0) if v.continuous else v.value

        for v, g in s.vjp(at):
            found[v] = found[v] + float(weight) * g if v in found else float(weight) * g
    return list(found.items())
