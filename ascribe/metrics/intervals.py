"""Bootstrap intervals of means over records."""

from __future__ import annotations

import numpy as np

DRAWS = 2000
"""The number of resamples: the limits of a 95 % interval then differ by about 2 % of its width between seeds."""


def bootstrap_means(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Returns the means of ``draws`` resamples of the records, ``[draws, ...]`` for values ``[records, ...]``; NaN is left out.

    The same seed draws the same records, so that differences of two metrics or methods over the same records are paired.
    """
    records = len(values)
    weights = np.random.default_rng(seed).multinomial(records, np.full(records, 1 / records), size=draws).astype(np.float64)
    known = ~np.isnan(values)
    counts = weights @ known.reshape(records, -1)
    sums = weights @ np.where(known, values, 0.0).reshape(records, -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: np.ndarray = (sums / counts).reshape(draws, *values.shape[1:])
    return means


def interval_of_mean(values: np.ndarray, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean over the records; NaN for fewer than two records that have a number.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.
    """
    if int((~np.isnan(values)).sum()) < 2:
        return float("nan"), float("nan")
    means = bootstrap_means(values, draws, seed)
    tail = (1 - level) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return float(low), float(high)
