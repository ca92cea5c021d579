"""Positions on a line from 0 to 1, and weights that sum to 1."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from ..errors import DistributionError

Quadrature = Literal["gauss-legendre", "trapezoid", "riemann-left", "riemann-right", "riemann-middle", "even", "random"]
QUADRATURES = ("gauss-legendre", "trapezoid", "riemann-left", "riemann-right", "riemann-middle", "even", "random")


@lru_cache(maxsize=64)
def quadrature_nodes(quadrature: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights of a rule with ``steps`` points.

    Gauss-Legendre is exact for polynomials of degree 2 steps - 1; the trapezoid includes both ends, and needs two points;
    the Riemann sums sit at the left, right or middle of ``steps`` equal pieces; "even" weighs points alike, both ends among them (one
    point is the record), and misses by O(1/steps).

    Raises DistributionError for a rule of another name, or too few steps.
    """
    least = 2 if quadrature == "trapezoid" else 1
    if steps < least:
        raise DistributionError(f"{steps} steps of {quadrature}", try_=f"at least {least}")
    k = np.arange(steps)
    even = np.full(steps, 1.0 / steps)
    if quadrature == "gauss-legendre":
        x, w = np.polynomial.legendre.leggauss(steps)
        return (x + 1) / 2, w / 2
    if quadrature == "trapezoid":
        w = np.full(steps, 1.0 / (steps - 1))
        w[[0, -1]] /= 2
        return k / (steps - 1), w
    if quadrature == "even":
        return (k / (steps - 1) if steps > 1 else np.ones(1)), even
    shift = {"riemann-left": 0.0, "riemann-right": 1.0, "riemann-middle": 0.5}
    if quadrature not in shift:
        raise DistributionError(f"quadrature {quadrature!r} is not known", there=", ".join(QUADRATURES))
    return (k + shift[quadrature]) / steps, even
