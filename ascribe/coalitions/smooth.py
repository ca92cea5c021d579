"""Shapley values of the game that is most likely between the coalitions seen."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from ..errors import CoalitionError
from .base import Estimate
from .exact import Index
from .play import Block
from .regression import pseudo_inverse
from .strata import Sample

REACH = 2.0
"""How much is expected of products of features: one of k has a variance of (REACH / n)^k. The best of 1, 2 and 4 on nets, forests
and sums of unanimity games of 12 to 60 features; all were near each other."""
NOISE = 0.1
"""What no such expectation covers, as a share of what it does. With a tenth of it, games that are nothing but noise come out worse."""
ROOM = 2000
"""Pairs fitted at once, or five for each feature: the time grows with the third power. More are fitted apart and averaged."""


class Fitted(NamedTuple):
    """Values from some of the groups, how far each of these groups pulls them, and how many of the additive terms nothing was seen of."""

    values: np.ndarray
    pulls: np.ndarray
    unseen: int


class Smooth:
    """A Gaussian process on pairs of a coalition and its complement, with the additive part left free (universal kriging).

    Half the difference of a pair's worth has products of 1, 3, 5, ... features in it. Those of one are fitted as they are; the others
    are taken to be small at random, the smaller the more features they have, so that near coalitions are worth nearly the
    same. The game found goes through the change from nobody to all, and its values are read off it exactly. Linear in the worth.
    """

    def __init__(self, units: Sample, index: Index) -> None:
        self.units, self.index = units, index
        self.features = units.coalitions.shape[1]
        self.told = np.zeros(len(units.group), dtype=bool)
        self.groups: list[int] = []

    def blocks(self) -> Iterator[Block]:
        return self.units.blocks(paired=True)

    def take(self, block: Block, worth: np.ndarray) -> None:
        if block.about is None:
            self.total = (worth[1] - worth[0]) / 2
            self.worth = np.zeros((len(self.told), worth.shape[1]))
            return
        self.worth[block.about] = (worth[::2] - worth[1::2]) / 2
        self.told[block.about] = True
        group = int(self.units.group[block.about[0]])
        if group >= 0:
            self.groups.append(group)

    def result(self) -> Estimate:
        if not self.told.any() or (self.units.groups and not self.groups):
            raise CoalitionError("an estimate before anything but the ends was told", code="E-COALITION-EARLY")
        parts = max(1, min(-(-int(self.told.sum()) // max(ROOM, 5 * self.features)), len(self.groups)))
        fits = [self._fit(self.groups[part::parts]) for part in range(parts)]
        values = np.mean([fit.values for fit in fits], axis=0)
        adds_up = self.index == "shapley"
        unseen = max(fit.unseen for fit in fits)
        notes = (f"{unseen} of {self.features} terms were not determined by these coalitions",) if unseen else ()
        if not self.units.groups:
            return Estimate(values, None, adds_up, notes)
        spread = [((fit.pulls - fit.pulls.mean(axis=0)) ** 2).sum(axis=0) / parts**2 for fit in fits]
        counts = [len(fit.pulls) for fit in fits]
        if min(counts) < 2:
            return Estimate(values, np.full_like(values, np.nan), adds_up, notes)
        return Estimate(values, np.sqrt(sum(s * c / (c - 1) for s, c in zip(spread, counts, strict=True))), adds_up, notes)

    def _fit(self, groups: list[int]) -> Fitted:
        """The values from these groups, together with all that came before any group."""
        group = self.units.group
        used = np.flatnonzero(self.told & ((group < 0) | np.isin(group, groups)))
        weight = self.units.weight[used] * np.where(group[used] >= 0, self.units.groups / max(1, len(groups)), 1)
        signs = np.concatenate([2.0 * self.units.coalitions[used] - 1, np.ones((1, self.features))])
        worth = np.concatenate([self.worth[used], self.total[None]])
        n, rows = self.features, len(signs)
        like, carry = likeness(n), carried(n)
        alike = like[((n + signs @ signs.T) / 2).round().astype(int)] / like[n]
        noise = np.concatenate([NOISE * weight.mean() / weight, [0.0]])
        seen = signs.T @ signs
        unseen = n - pseudo_inverse(seen)[1]
        invert = partial(np.linalg.pinv, hermitian=True) if unseen else np.linalg.inv
        inverse = invert(np.block([[alike + np.diag(noise), signs], [signs.T, np.zeros((n, n))]]))
        precision, readout = inverse[:rows, :rows], 2 * inverse[rows:, :rows]
        if self.index == "shapley":
            there = (signs > 0).astype(int)
            readout = readout + 2 * carry[there.sum(axis=1)[:, None], there].T @ precision / like[n]
        left = precision @ worth
        # of a size drawn to a share, what is still unknown is the rest
        unknown = np.sqrt(np.maximum(1 - self.units.chance[used] * len(self.groups) / max(1, self.units.groups), 0))
        pulls = []
        for one in groups:
            at = np.flatnonzero(group[used] == one)
            if pseudo_inverse(seen - signs[at].T @ signs[at])[1] < n:  # the others fit whatever it says: that they agree says nothing
                pulls.append(np.full((n, worth.shape[1]), np.nan))
                continue  # else worth less what the others say of it, carried over to the values
            pulls.append((readout[:, at] * unknown[at]) @ np.linalg.solve(precision[np.ix_(at, at)], left[at]))
        return Fitted(readout @ worth, np.array(pulls), unseen)


def likeness(features: int) -> np.ndarray:
    """How alike two coalitions are by the number of features on which they agree: products of 3, 5, ... features, ``[n + 1]``."""
    rho = min(REACH / features, 0.9)
    agree = np.arange(features + 1)
    apart = features - agree
    odd = ((1 + rho) ** agree * (1 - rho) ** apart - (1 - rho) ** agree * (1 + rho) ** apart) / 2
    return odd - rho * (agree - apart)


def carried(features: int) -> np.ndarray:
    """What a unit's share in products of 3, 5, ... features is worth to a feature, by the unit's size and whether it is there.

    A product of k features is worth a k-th of itself to each. The k-ths are the integral of t^(k - 1) over t in products in
    which every feature but the one is damped by t: a polynomial, integrated exactly.
    """
    rho = min(REACH / features, 0.9)
    nodes, weights = np.polynomial.legendre.leggauss(features // 2 + 1)
    t, weights = (nodes + 1) / 2 * rho, weights / 2
    size = np.arange(features + 1)[:, None]
    with_ = rho * ((1 + t) ** np.maximum(size - 1, 0) * (1 - t) ** (features - size)) @ weights
    without = -rho * ((1 + t) ** size * (1 - t) ** np.maximum(features - size - 1, 0)) @ weights
    odd = np.stack([without - with_[::-1], with_ - without[::-1]], axis=1) / 2  # those of even order cancel with the complement's
    return odd - rho * np.array([-1.0, 1.0])
