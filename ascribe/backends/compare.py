"""Comparison of two results of a model, for arrays of any framework."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, namespace

TOLERANCES = ((1e-12, 1e-7), (1e-5, 1e-4), (5e-3, 2e-2), (np.inf, 1e-1))
"""The difference that rounding may make, as a share of the largest number, by the precision of the type: float64, float32, float16, and
bfloat16."""
TELLING = 10
"""Times the tolerance by which two results must differ to say something about other records too."""


def tolerance(a: Array) -> float:
    """The difference that rounding may make in results of this type, as a share of the largest number."""
    eps = namespace(a).eps(a)
    return next(share for limit, share in TOLERANCES if eps < limit) if eps else 1e-4


def largest(a: np.ndarray) -> float:
    """The largest absolute value, of numbers that are any."""
    return float(np.abs(np.nan_to_num(a)).max(initial=0.0))


def close(a: Array, b: Array) -> bool:
    """True if two results are equal up to rounding."""
    x, y = namespace(a).numpy(a), namespace(b).numpy(b)
    return x.shape == y.shape and np.allclose(x, y, rtol=0.0, atol=tolerance(b) * largest(y) + 1e-30, equal_nan=True)


def clearly_unlike(a: Array, b: Array) -> bool:
    """True if two results differ by far more than rounding."""
    x, y = namespace(a).numpy(a), namespace(b).numpy(b)
    if x.shape != y.shape:
        return True
    return bool(x.size) and bool(np.abs(x - y).max() > TELLING * tolerance(b) * largest(y))
