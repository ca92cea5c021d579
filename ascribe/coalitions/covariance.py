"""The prior covariance between the values of two coalitions, for regression by a Gaussian process.

The game is modelled as a sum of products of signs (1 for a present feature, -1 for an absent one). A product of an odd number of
features has a random coefficient with mean 0; its variance is the product of the features' ``rates``. The covariance of two
coalitions, and the Shapley values of that covariance as a game, have closed forms, so that no product is enumerated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REACH = 2.0
"""The sum of the rates in the default covariance: each feature has REACH / n. The best of 1, 2 and 4 on networks, forests and sums of
unanimity games of 12 to 60 features; the three gave similar errors."""
NOISE = 0.1
"""The variance of the noise as a share of the prior variance. With a tenth of it, errors on games of pure noise are larger."""
LARGEST = 0.9
"""The largest rate. At 1, a product with the feature would have the same variance as the product without it."""
NODES = 16
"""Gauss-Legendre points of an integral whose integrand has terms of at most R^k / k! with R the sum of the rates: at R = 4 the rest is
below 1e-16."""
REACHES, POWERS, MIDDLE, NOISES = (1.0, 4.0), (0.0, 0.5, 1.0), 0.01, (0.1, 0.001)
"""The candidates for a covariance: sums of the rates, powers of a feature's share that its rate is proportional to, the noise used for
the first choice, and the noises compared afterwards."""
FLOOR = 1e-3
"""A feature's share is at least this part of the largest share, so that a feature that acts in products only has a rate."""


@dataclass(frozen=True, eq=False)
class PriorCovariance:
    """The covariance of products of 3, 5, 7, ... features, scaled so that the variance of the full coalition is 1."""

    rates: np.ndarray
    noise: float = NOISE

    def with_other_noise(self) -> Sequence[PriorCovariance]:
        """Returns the same rates with more and with less noise."""
        return [PriorCovariance(self.rates, noise) for noise in NOISES]

    @property
    def unit(self) -> float:
        """Returns the unscaled variance of the full coalition."""
        return float(self._between(np.ones((1, len(self.rates))), np.ones((1, len(self.rates))))[0, 0])

    def between(self, signs: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Returns the covariance ``[units, others]`` of coalitions given by signs ``[units, features]`` and ``[others, features]``."""
        return self._between(signs, others) / self.unit

    def _between(self, signs: np.ndarray, others: np.ndarray) -> np.ndarray:
        # half of prod(1 + rate a b) less that of prod(1 - rate a b), as a b = 1 or -1, less the products of one feature
        scale = np.exp(0.5 * np.log1p(-(self.rates**2)).sum())
        return scale * np.sinh((signs * np.arctanh(self.rates)) @ others.T) - (signs * self.rates) @ others.T

    def shapley_covariance(self, signs: np.ndarray) -> np.ndarray:
        """Returns half of the Shapley values of the game that a unit's covariance with all coalitions defines: ``[units, features]``.

        A product of k features gives 1/k of itself to each of them; 1/k is the integral of t^(k - 1) over t from 0 to 1.
        """
        nodes, weights = np.polynomial.legendre.leggauss(min(NODES, len(self.rates) // 2 + 1))
        damped = (nodes[:, None] + 1) / 2 * self.rates
        inner = signs @ np.arctanh(damped).T
        scale = (weights / 2 * np.exp(0.5 * np.log1p(-(damped**2)).sum(axis=1)))[:, None] * self.rates / (1 - damped**2)
        values = signs * (np.cosh(inner) @ scale) - np.sinh(inner) @ (scale * damped)
        return (values - signs * self.rates) / self.unit


def make_uniform(features: int) -> PriorCovariance:
    """Returns the covariance with the same rate for all features."""
    return PriorCovariance(np.full(features, min(REACH / features, LARGEST)))


def make_candidates(values: np.ndarray) -> Sequence[PriorCovariance]:
    """Returns covariances to choose from, given first estimates of the features' values.

    The rate of a feature is proportional to a power of its share in the values (power 0: equal rates), so that features with large
    values are expected to interact.
    """
    size = np.abs(values)
    if not (np.isfinite(size).all() and size.max(initial=0.0) > 0):
        return [make_uniform(len(values))]
    results = []
    for power in POWERS:
        share = (size / size.max() + FLOOR) ** power
        rates = [np.minimum(reach * share / share.sum(), LARGEST) for reach in REACHES]
        results += [PriorCovariance(rate, MIDDLE) for rate in rates]
    return results
