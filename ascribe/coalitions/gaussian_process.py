"""Shapley values by Gaussian process regression on sampled coalitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from ..errors import CoalitionError
from .base import GameEstimate
from .covariance import PriorCovariance, make_candidates, make_uniform
from .exact import Index
from .games import CoalitionBlock
from .regression import pseudo_inverse
from .sampling import CoalitionSample

ROOM = 2000
"""The number of pairs fitted at once, or five for each feature: time grows with its third power. More pairs are split and averaged."""
MOST_CHOSEN = 100
"""Up to this many features, each game has its own covariance, which costs one matrix inversion for each game."""
TRIED = 160
"""The number of pairs, or two for each feature, on which covariances are compared: enough to rank them, and 20 times faster than 500."""


class Fitted(NamedTuple):
    """Values from some groups, the influence of each group on them, and the number of undetermined additive terms."""

    values: np.ndarray
    influences: np.ndarray
    unseen: int


class GaussianProcessEstimator:
    """A Gaussian process on pairs of a coalition and its complement, with a free additive part (universal kriging).

    Half the difference of a pair's values is a sum of products of 1, 3, 5, ... features. Products of one feature are free terms; the
    others have the prior of :class:`~ascribe.coalitions.covariance.PriorCovariance`, so that similar coalitions have similar values.
    The fitted game matches v(all) - v(none) exactly, and its Shapley values have a closed form.

    With ``per_game``, each game gets the covariance with the smallest leave-one-out error. Otherwise all games share one covariance, and
    the values are linear in the game.
    """

    def __init__(self, units: CoalitionSample, index: Index, per_game: bool = False) -> None:
        self.units, self.index, self.per_game = units, index, per_game and units.coalitions.shape[1] <= MOST_CHOSEN
        self.features = units.coalitions.shape[1]
        self.received = np.zeros(len(units.group), dtype=bool)
        self.groups: list[int] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        return self.units.blocks(paired=True)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.total = (values[1] - values[0]) / 2
            self.values = np.zeros((len(self.received), values.shape[1]))
            return
        self.values[block.key] = (values[::2] - values[1::2]) / 2
        self.received[block.key] = True
        group = int(self.units.group[block.key[0]])
        if group >= 0:
            self.groups.append(group)

    def result(self) -> GameEstimate:
        if not self.received.any() or (self.units.groups and not self.groups):
            raise CoalitionError("No estimate is known before a coalition between empty and full is known", code="E-COALITION-EARLY")
        parts = max(1, min(-(-int(self.received.sum()) // max(ROOM, 5 * self.features)), len(self.groups)))
        fits = [self._fit(self.groups[part::parts]) for part in range(parts)]
        values = np.mean([fit.values for fit in fits], axis=0)
        adds_up = self.index == "shapley"
        unseen = max(fit.unseen for fit in fits)
        notes = (f"{unseen} of {self.features} terms were not determined by these coalitions",) if unseen else ()
        if not self.units.groups:
            return GameEstimate(values, None, adds_up, notes)
        spread = [((fit.influences - fit.influences.mean(axis=0)) ** 2).sum(axis=0) / parts**2 for fit in fits]
        counts = [len(fit.influences) for fit in fits]
        if min(counts) < 2:
            return GameEstimate(values, np.full_like(values, np.nan), adds_up, notes)
        return GameEstimate(values, np.sqrt(sum(s * c / (c - 1) for s, c in zip(spread, counts, strict=True))), adds_up, notes)

    def _fit(self, groups: list[int]) -> Fitted:
        """Fits these groups together with all coalitions that belong to no group."""
        group = self.units.group
        used = np.flatnonzero(self.received & ((group < 0) | np.isin(group, groups)))
        weight = self.units.weight[used] * np.where(group[used] >= 0, self.units.groups / max(1, len(groups)), 1)
        pairs = Pairs(2.0 * self.units.coalitions[used] - 1, self.values[used], self.total, weight)
        # for a size of which a share is drawn, the rest is unknown
        unknown = np.sqrt(np.maximum(1 - self.units.chance[used] * len(self.groups) / max(1, self.units.groups), 0))
        parts = [np.flatnonzero(group[used] == one) for one in groups]
        alone = [pairs.is_determined(without=at) for at in parts]
        if self.per_game and pairs.is_determined():
            games = [pairs.for_game(game) for game in range(pairs.values.shape[1])]
            systems = [KrigingSystem(game, choose_covariance(game, self.index), self.index) for game in games]
        else:
            systems = [KrigingSystem(pairs, make_uniform(self.features), self.index)]
        values = np.concatenate([system.values() for system in systems], axis=1)
        influences = np.concatenate([system.influences(parts, alone, unknown) for system in systems], axis=2)
        return Fitted(values, influences, systems[0].unseen)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Evaluated pairs: signs ``[units, features]``, half differences of values ``[units, games]``, that of full and empty, and weights."""

    signs: np.ndarray
    values: np.ndarray
    total: np.ndarray
    weight: np.ndarray

    def for_game(self, game: int) -> Pairs:
        """Returns the pairs of one game."""
        return Pairs(self.signs, self.values[:, game : game + 1], self.total[game : game + 1], self.weight)

    def take(self, index: np.ndarray) -> Pairs:
        """Returns some of the pairs."""
        return Pairs(self.signs[index], self.values[index], self.total, self.weight[index])

    def is_determined(self, without: Sequence[int] | np.ndarray = ()) -> bool:
        """True if the pairs, without some of them, and the full coalition determine each additive term."""
        signs, left = np.concatenate([self.signs, np.ones((1, self.signs.shape[1]))]), self.signs[np.asarray(without, dtype=int)]
        return pseudo_inverse(signs.T @ signs - left.T @ left)[1] == signs.shape[1]


class KrigingSystem:
    """The inverted linear system of one fit: the precision matrix of the evaluated pairs, and the readout of the values."""

    def __init__(self, pairs: Pairs, covariance: PriorCovariance, index: Index) -> None:
        self.pairs, self.covariance, self.index = pairs, covariance, index
        self.signs = np.concatenate([pairs.signs, np.ones((1, pairs.signs.shape[1]))])
        rows, n = self.signs.shape
        noise = np.concatenate([covariance.noise * pairs.weight.mean() / pairs.weight, [0.0]])
        self.unseen = n - pseudo_inverse(self.signs.T @ self.signs)[1]
        invert = partial(np.linalg.pinv, hermitian=True) if self.unseen else np.linalg.inv
        prior = covariance.between(self.signs, self.signs) + np.diag(noise)
        self.inverse = invert(np.block([[prior, self.signs], [self.signs.T, np.zeros((n, n))]]))
        self.precision = self.inverse[:rows, :rows]
        self.left = self.precision @ np.concatenate([pairs.values, pairs.total[None]])

    def loo_error(self) -> float:
        """Returns the weighted mean squared leave-one-out error: each pair's value minus its prediction from all others."""
        off = self.left[:-1] / np.diagonal(self.precision)[:-1, None]
        return float((self.pairs.weight @ off**2).sum() / self.pairs.weight.sum())

    @cached_property
    def readout(self) -> np.ndarray:
        """Returns the matrix ``[features, units]`` from a game to its values, which are linear in the game."""
        rows = len(self.signs)
        additive = 2 * self.inverse[rows:, :rows]
        return additive + 2 * self.covariance.shapley_covariance(self.signs).T @ self.precision if self.index == "shapley" else additive

    def values(self) -> np.ndarray:
        """Returns the values, ``[features, games]``."""
        return self.readout @ np.concatenate([self.pairs.values, self.pairs.total[None]])

    def influences(self, parts: Sequence[np.ndarray], alone: Sequence[bool], unknown: np.ndarray) -> np.ndarray:
        """Returns the influence of each part on the values: its leave-one-out errors, mapped to the values by the readout.

        NaN for a part without which the fit is not determined, because it has no leave-one-out error.
        """
        readout, influences = self.readout, []
        for at, known in zip(parts, alone, strict=True):
            if not known:
                influences.append(np.full((len(readout), self.left.shape[1]), np.nan))
                continue
            influences.append((readout[:, at] * unknown[at]) @ np.linalg.solve(self.precision[np.ix_(at, at)], self.left[at]))
        return np.array(influences).reshape(len(parts), len(readout), self.left.shape[1])


def choose_covariance(game: Pairs, index: Index) -> PriorCovariance:
    """Returns the covariance with the smallest leave-one-out error on a subset of a game's pairs of all sizes: rates first, then noise."""
    units, features = game.signs.shape
    most = max(TRIED, 2 * features)
    subset = game if units <= most else game.take(np.linspace(0, units - 1, most).round().astype(int))
    first = KrigingSystem(subset, make_uniform(features), index).values()[:, 0]
    loo_errors = {one: KrigingSystem(subset, one, index).loo_error() for one in make_candidates(first)}
    best = _argmin(loo_errors)
    return _argmin({best: loo_errors[best], **{one: KrigingSystem(subset, one, index).loo_error() for one in best.with_other_noise()}})


def _argmin(loo_errors: dict[PriorCovariance, float]) -> PriorCovariance:
    """Returns the first covariance with the smallest error; NaN counts as the largest."""
    return min(loo_errors, key=lambda one: (np.isnan(loo_errors[one]), loo_errors[one]))
