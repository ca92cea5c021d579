"""Shapley values of the game that is most likely between the coalitions seen."""

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
"""Pairs fitted at once, or five for each feature: the time grows with the third power. More are fitted apart and averaged."""
MOST_CHOSEN = 100
"""Up to this many features every game has a covariance of its own. It takes one inversion more for each game, where others share one."""
TRIED = 160
"""Pairs, or two for each feature, on which covariances are compared: enough to tell them apart, and a twentieth of the time of 500."""


class Fitted(NamedTuple):
    """Values from some of the groups, how far each of these groups pulls them, and how many of the additive terms nothing was seen of."""

    values: np.ndarray
    pulls: np.ndarray
    unseen: int


class GaussianProcessEstimator:
    """A Gaussian process on pairs of a coalition and its complement, with the additive part left free (universal kriging).

    Half the difference of a pair's values has products of 1, 3, 5, ... features in it. Those of one are fitted as they are; the others
    are taken to be small at random (see :class:`~ascribe.coalitions.covariance.PriorCovariance`), so that near coalitions have nearly
    the same value. The game found goes through the change from none to all, and its values are read off it exactly.

    With ``chosen`` each game gets the covariance under which each pair is predicted best from all the others (the smallest
    leave-one-out error); without, all games have the same, and the values are linear in the game.
    """

    def __init__(self, units: CoalitionSample, index: Index, chosen: bool = False) -> None:
        self.units, self.index, self.chosen = units, index, chosen and units.coalitions.shape[1] <= MOST_CHOSEN
        self.features = units.coalitions.shape[1]
        self.told = np.zeros(len(units.group), dtype=bool)
        self.groups: list[int] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        return self.units.blocks(paired=True)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.total = (values[1] - values[0]) / 2
            self.values = np.zeros((len(self.told), values.shape[1]))
            return
        self.values[block.key] = (values[::2] - values[1::2]) / 2
        self.told[block.key] = True
        group = int(self.units.group[block.key[0]])
        if group >= 0:
            self.groups.append(group)

    def result(self) -> GameEstimate:
        if not self.told.any() or (self.units.groups and not self.groups):
            raise CoalitionError("an estimate before any coalition but the empty and the full one is known", code="E-COALITION-EARLY")
        parts = max(1, min(-(-int(self.told.sum()) // max(ROOM, 5 * self.features)), len(self.groups)))
        fits = [self._fit(self.groups[part::parts]) for part in range(parts)]
        values = np.mean([fit.values for fit in fits], axis=0)
        adds_up = self.index == "shapley"
        unseen = max(fit.unseen for fit in fits)
        notes = (f"{unseen} of {self.features} terms were not determined by these coalitions",) if unseen else ()
        if not self.units.groups:
            return GameEstimate(values, None, adds_up, notes)
        spread = [((fit.pulls - fit.pulls.mean(axis=0)) ** 2).sum(axis=0) / parts**2 for fit in fits]
        counts = [len(fit.pulls) for fit in fits]
        if min(counts) < 2:
            return GameEstimate(values, np.full_like(values, np.nan), adds_up, notes)
        return GameEstimate(values, np.sqrt(sum(s * c / (c - 1) for s, c in zip(spread, counts, strict=True))), adds_up, notes)

    def _fit(self, groups: list[int]) -> Fitted:
        """The values from these groups, together with all that came before any group."""
        group = self.units.group
        used = np.flatnonzero(self.told & ((group < 0) | np.isin(group, groups)))
        weight = self.units.weight[used] * np.where(group[used] >= 0, self.units.groups / max(1, len(groups)), 1)
        pairs = Pairs(2.0 * self.units.coalitions[used] - 1, self.values[used], self.total, weight)
        # of a size drawn to a share, what is still unknown is the rest
        unknown = np.sqrt(np.maximum(1 - self.units.chance[used] * len(self.groups) / max(1, self.units.groups), 0))
        parts = [np.flatnonzero(group[used] == one) for one in groups]
        alone = [pairs.determined(without=at) for at in parts]
        if self.chosen and pairs.determined():
            games = [pairs.of(game) for game in range(pairs.values.shape[1])]
            systems = [KrigingSystem(game, choose_covariance(game, self.index), self.index) for game in games]
        else:
            systems = [KrigingSystem(pairs, make_uniform(self.features), self.index)]
        values = np.concatenate([system.values() for system in systems], axis=1)
        pulls = np.concatenate([system.pulls(parts, alone, unknown) for system in systems], axis=2)
        return Fitted(values, pulls, systems[0].unseen)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Units seen: signs ``[units, features]``, half the differences of value ``[units, games]``, that of the ends, and weights."""

    signs: np.ndarray
    values: np.ndarray
    total: np.ndarray
    weight: np.ndarray

    def of(self, game: int) -> Pairs:
        """One of the games."""
        return Pairs(self.signs, self.values[:, game : game + 1], self.total[game : game + 1], self.weight)

    def some(self, index: np.ndarray) -> Pairs:
        """Some of the units."""
        return Pairs(self.signs[index], self.values[index], self.total, self.weight[index])

    def determined(self, without: Sequence[int] | np.ndarray = ()) -> bool:
        """Whether the units, without some, and the ends determine every additive term."""
        signs, left = np.concatenate([self.signs, np.ones((1, self.signs.shape[1]))]), self.signs[np.asarray(without, dtype=int)]
        return pseudo_inverse(signs.T @ signs - left.T @ left)[1] == signs.shape[1]


class KrigingSystem:
    """The linear system of one fit, invert_symmetric: the precision of what is seen, and how values are read off it."""

    def __init__(self, pairs: Pairs, like: PriorCovariance, index: Index) -> None:
        self.pairs, self.like, self.index = pairs, like, index
        self.signs = np.concatenate([pairs.signs, np.ones((1, pairs.signs.shape[1]))])
        rows, n = self.signs.shape
        noise = np.concatenate([like.noise * pairs.weight.mean() / pairs.weight, [0.0]])
        self.unseen = n - pseudo_inverse(self.signs.T @ self.signs)[1]
        invert = partial(np.linalg.pinv, hermitian=True) if self.unseen else np.linalg.inv
        alike = like.between(self.signs, self.signs) + np.diag(noise)
        self.inverse = invert(np.block([[alike, self.signs], [self.signs.T, np.zeros((n, n))]]))
        self.precision = self.inverse[:rows, :rows]
        self.left = self.precision @ np.concatenate([pairs.values, pairs.total[None]])

    def loo_error(self) -> float:
        """The weighted mean squared leave-one-out error: each pair's value less its prediction from all the others."""
        off = self.left[:-1] / np.diagonal(self.precision)[:-1, None]
        return float((self.pairs.weight @ off**2).sum() / self.pairs.weight.sum())

    @cached_property
    def readout(self) -> np.ndarray:
        """``[features, units]``: the values are linear in the game."""
        rows = len(self.signs)
        found = 2 * self.inverse[rows:, :rows]
        return found + 2 * self.like.shapley_covariance(self.signs).T @ self.precision if self.index == "shapley" else found

    def values(self) -> np.ndarray:
        """``[features, games]``."""
        return self.readout @ np.concatenate([self.pairs.values, self.pairs.total[None]])

    def pulls(self, parts: Sequence[np.ndarray], alone: Sequence[bool], unknown: np.ndarray) -> np.ndarray:
        """How far each part's units move the values: their leave-one-out errors, shapley_covariance over to the values.

        NaN for a part without which the fit would not be determined: there are no such errors there.
        """
        readout, found = self.readout, []
        for at, known in zip(parts, alone, strict=True):
            if not known:
                found.append(np.full((len(readout), self.left.shape[1]), np.nan))
                continue
            found.append((readout[:, at] * unknown[at]) @ np.linalg.solve(self.precision[np.ix_(at, at)], self.left[at]))
        return np.array(found).reshape(len(parts), len(readout), self.left.shape[1])


def choose_covariance(game: Pairs, index: Index) -> PriorCovariance:
    """Returns the covariance with the smallest leave-one-out error on a subset of a game's pairs of all sizes: rates first, then noise."""
    units, features = game.signs.shape
    most = max(TRIED, 2 * features)
    some = game if units <= most else game.some(np.linspace(0, units - 1, most).round().astype(int))
    first = KrigingSystem(some, make_uniform(features), index).values()[:, 0]
    loo_errors = {like: KrigingSystem(some, like, index).loo_error() for like in make_candidates(first)}
    best = _argmin(loo_errors)
    return _argmin({best: loo_errors[best], **{like: KrigingSystem(some, like, index).loo_error() for like in best.with_other_noise()}})


def _argmin(loo_errors: dict[PriorCovariance, float]) -> PriorCovariance:
    """The first of those with the smallest number, which NaN is not."""
    return min(loo_errors, key=lambda like: (np.isnan(loo_errors[like]), loo_errors[like]))
