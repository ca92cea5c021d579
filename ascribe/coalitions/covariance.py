"""How alike the values of two coalitions are expected to be, before more than a few numbers of the game are known.

The game is thought of as a sum of products of signs (1 for a feature that is there, -1 for one that is not). A product of an odd
number of features has a random coefficient with mean 0 and the product of its features' ``rates`` as variance. The covariance of two
coalitions, and the Shapley values of that covariance as a game, have closed forms: no product is ever written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REACH = 2.0
"""The rates of all features together in a covariance that is not chosen: each has REACH / n. The best of 1, 2 and 4 on nets, forests
and sums of unanimity games of 12 to 60 features; all were near each other."""
NOISE = 0.1
"""What no such expectation covers, as a share of what it does. With a tenth of it, games that are nothing but noise come out worse."""
LARGEST = 0.9
"""The largest rate: at 1 a feature's own products would count as much as what they multiply."""
NODES = 16
"""Gauss-Legendre points of an integral whose integrand has terms of at most R^k / k! with R the sum of the rates: at R = 4 the rest is
below 1e-16."""
REACHES, POWERS, MIDDLE, NOISES = (1.0, 4.0), (0.0, 0.5, 1.0), 0.01, (0.1, 0.001)
"""What a covariance is chosen from: the sum of the rates, the power of a feature's share that its rate goes with, and the noise: in the
middle at first."""
FLOOR = 1e-3
"""A feature's share is at least this part of the largest: one that acts in products only still has a rate."""


@dataclass(frozen=True, eq=False)
class PriorCovariance:
    """The covariance of the products of 3, 5, 7, ... features, in units in which that of all features with themselves is 1."""

    rates: np.ndarray
    noise: float = NOISE

    def with_other_noise(self) -> Sequence[PriorCovariance]:
        """The same rates with more and with less noise."""
        return [PriorCovariance(self.rates, noise) for noise in NOISES]

    @property
    def unit(self) -> float:
        """The variance of the products at the coalition of all features."""
        return float(self._between(np.ones((1, len(self.rates))), np.ones((1, len(self.rates))))[0, 0])

    def between(self, signs: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The covariance of coalitions given by signs ``[units, features]``, ``[units, others]``."""
        return self._between(signs, others) / self.unit

    def _between(self, signs: np.ndarray, others: np.ndarray) -> np.ndarray:
        # half of prod(1 + rate a b) less that of prod(1 - rate a b), as a b = 1 or -1, less the products of one feature
        scale = np.exp(0.5 * np.log1p(-(self.rates**2)).sum())
        return scale * np.sinh((signs * np.arctanh(self.rates)) @ others.T) - (signs * self.rates) @ others.T

    def shapley_covariance(self, signs: np.ndarray) -> np.ndarray:
        """The Shapley values, half of them, of the game that a unit's covariance with all coalitions is: ``[units, features]``.

        A product of k features gives a k-th of itself to each. The k-ths are the integral over t from 0 to 1 of t^(k - 1).
        """
        nodes, weights = np.polynomial.legendre.leggauss(min(NODES, len(self.rates) // 2 + 1))
        damped = (nodes[:, None] + 1) / 2 * self.rates
        inner = signs @ np.arctanh(damped).T
        scale = (weights / 2 * np.exp(0.5 * np.log1p(-(damped**2)).sum(axis=1)))[:, None] * self.rates / (1 - damped**2)
        found = signs * (np.cosh(inner) @ scale) - np.sinh(inner) @ (scale * damped)
        return (found - signs * self.rates) / self.unit


def make_uniform(features: int) -> PriorCovariance:
    """All features alike."""
    return PriorCovariance(np.full(features, min(REACH / features, LARGEST)))


def make_candidates(values: np.ndarray) -> Sequence[PriorCovariance]:
    """Likenesses to choose from, given first estimates of the features' values: how much of the rates each feature gets is a power of
    its share in them (0: all alike), so that features that do much are expected to act together.
    """
    size = np.abs(values)
    if not (np.isfinite(size).all() and size.max(initial=0.0) > 0):
        return [make_uniform(len(values))]
    found = []
    for power in POWERS:
        share = (size / size.max() + FLOOR) ** power
        rates = [np.minimum(reach * share / share.sum(), LARGEST) for reach in REACHES]
        found += [PriorCovariance(rate, MIDDLE) for rate in rates]
    return found
