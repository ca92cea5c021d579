"""Quadrature rules: positions between 0 and 1, and weights that sum to 1."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from ..errors import DistributionError

Quadrature = Literal["gauss-legendre", "trapezoid", "riemann-left", "riemann-right", "riemann-middle", "even", "random"]
QUADRATURES = ("gauss-legendre", "trapezoid", "riemann-left", "riemann-right", "riemann-middle", "even", "random")


def unknown_quadrature(quadrature: str) -> str:
    """Returns the message for an unknown rule."""
    return f"The quadrature rule {quadrature!r} is not known; the rules are {', '.join(QUADRATURES)}"


@lru_cache(maxsize=64)
def quadrature_nodes(quadrature: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions and the weights of a quadrature rule with ``steps`` points, both ``[steps]``.

    * "gauss-legendre" is exact for polynomials of degree 2 steps - 1.
    * "trapezoid" includes both ends and needs two points.
    * "riemann-left", "riemann-right" and "riemann-middle" take one point of each of ``steps`` equal intervals.
    * "even" gives equal weights to equidistant points including both ends; its error is O(1 / steps). A single point is the record.

    Raises DistributionError for an unknown rule or too few steps.
    """
    least = 2 if quadrature == "trapezoid" else 1
    if steps < least:
        raise DistributionError(
            f"`quadrature={quadrature!r}` needs at least {least} steps", found=f"steps={steps}", advice=f"steps={least}"
        )
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
        raise DistributionError(unknown_quadrature(quadrature), found=f"quadrature={quadrature!r}", advice='quadrature="trapezoid"')
    return (k + shift[quadrature]) / steps, even
