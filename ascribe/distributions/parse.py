"""Conversion of ``over=`` to a distribution."""

from __future__ import annotations

from typing import Any

from .draws import Distribution
from .members import DistributionLike, Point, list_factors


def as_distribution(over: DistributionLike | Any) -> Distribution:
    """Returns ``over=`` as a distribution; None is ``Point()``. Raises DistributionError for other values."""
    if over is None:
        return Point()
    factors = list_factors(over)
    distribution: Distribution = factors[0] if len(factors) == 1 else over
    return distribution
