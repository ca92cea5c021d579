"""Sampling designs of coalitions: for each size a random sample without repetition, small and large sizes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from math import comb
from typing import Literal

import numpy as np

from .games import CoalitionBlock, make_empty_and_full

BLOCK_UNITS = 512
"""The number of units in a block of those before the groups."""
MOST_PER_SIZE = 10**300
"""An upper limit for the number of coalitions of one size that is still a float; from 1,030 features on, some sizes have more."""

Sizes = Literal["kernel", "leverage", "uniform"]


@dataclass(frozen=True)
class CoalitionSample:
    """The units of a design in groups that each represent the whole; a unit is a coalition, or a coalition and its complement.

    ``coalitions`` are ``[units, features]``. ``weight`` is the weight of a unit: that of its size, divided by the share of the size that is
    drawn; ``chance`` is that share. ``group`` is -1 for sizes that are drawn completely, else 0, 1, ...; groups are balanced over sizes.
    """

    coalitions: np.ndarray
    weight: np.ndarray
    chance: np.ndarray
    group: np.ndarray

    @property
    def groups(self) -> int:
        return int(self.group.max(initial=-1)) + 1

    def blocks(self, paired: bool) -> Iterator[CoalitionBlock]:
        """Yields the empty and the full coalition, then units without a group, then each group; ``paired`` adds each complement."""
        yield CoalitionBlock(make_empty_and_full(self.coalitions.shape[1]))
        for group in range(-1, self.groups):
            whole = np.flatnonzero(self.group == group)
            pieces = max(1, len(whole) if group >= 0 else BLOCK_UNITS)
            for start in range(0, len(whole), pieces):
                index = whole[start : start + pieces]
                present = self.coalitions[index]
                yield CoalitionBlock(np.stack([present, ~present], axis=1).reshape(-1, present.shape[1]) if paired else present, index)


def compute_size_weights(features: int, sizes: Sizes) -> np.ndarray:
    """Returns the total weight of each size 1 ... n - 1: by the Shapley kernel, equal for all sizes, or by the number of coalitions."""
    size = np.arange(1, features)
    if sizes == "kernel":
        return (features - 1) / (size * (features - size))
    if sizes == "leverage":
        return np.ones(features - 1)
    return np.array([comb(features, s) / 2**features for s in size.tolist()])  # a ratio of integers does not overflow


def allocate_draws(counts: np.ndarray, weights: np.ndarray, total: int) -> np.ndarray:
    """Returns how many of each stratum's ``counts`` to draw: in proportion to ``weights``, at most the count, ``total`` in sum."""
    drawn = np.zeros(len(counts))
    free = np.ones(len(counts), dtype=bool)
    left = float(min(total, counts.sum()))
    while free.any() and left > 0:
        want = np.where(free, weights / weights[free].sum() * left, 0)
        full = free & (want >= counts * (1 - 1e-9))
        if not full.any():
            return np.where(free, want, drawn)
        drawn[full] = counts[full]
        left -= float(counts[full].sum())
        free &= ~full
    return drawn


def draw_subsets(features: int, size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws distinct random subsets of one size, ``[count, features]``."""
    present = np.zeros((count, features), dtype=bool)
    if not count:
        return present
    number = comb(features, size)
    if number <= 4 * count:
        every = np.fromiter(chain.from_iterable(combinations(range(features), size)), dtype=int).reshape(number, size)
        np.put_along_axis(present, every[rng.permutation(number)[:count]], True, axis=1)
        return present
    drawn: dict[bytes, np.ndarray] = {}
    while len(drawn) < count:
        draw = np.zeros((count - len(drawn), features), dtype=bool)
        draw[:, :size] = True
        drawn.update((row.tobytes(), row) for row in rng.permuted(draw, axis=1))
    return np.stack(list(drawn.values()))


@dataclass(frozen=True)
class SamplingPlan:
    """A sampling design: ``units`` coalitions, or pairs of a coalition and its complement, in ``groups``.

    ``weights`` are the weights of sizes 1 ... n - 1 in the fit; ``chances`` are proportional to how often each size is drawn. Sizes that
    ``first`` units would cover completely come before all groups. Other sizes that ``units`` cover completely are divided among the
    groups, so that a game may end early.
    """

    features: int
    weights: np.ndarray
    chances: np.ndarray
    units: int
    first: int
    paired: bool
    groups: int

    def counts(self) -> np.ndarray:
        """Returns the number of units of each size, as floats, at most MOST_PER_SIZE."""
        last = self.features // 2 if self.paired else self.features - 1
        halves = [1 + (self.paired and 2 * size == self.features) for size in range(1, last + 1)]
        return np.array([min(comb(self.features, size), MOST_PER_SIZE) / half for size, half in enumerate(halves, 1)])

    def draw(self, rng: np.random.Generator) -> CoalitionSample:
        counts, chances = self.counts(), fold_pairs(self.chances, self.paired)
        expected, at_first = (allocate_draws(counts, chances, units) for units in (self.units, min(self.first, self.units)))
        whole = expected >= counts * (1 - 1e-9)
        drawn = np.where(whole, counts, round_at_random(np.where(whole, 0, expected), rng)).astype(int)
        present = np.concatenate([self._draw_size(size, number, rng) for size, number in enumerate(drawn.tolist(), 1)])
        group = np.repeat(np.where(at_first >= counts * (1 - 1e-9), -1, 0), drawn)
        dealt = group == 0
        groups = max(1, min(self.groups, int(dealt.sum())))  # no group is empty
        group[dealt] = (np.arange(dealt.sum()) + rng.integers(groups)) % groups
        weight = fold_pairs(self.weights, self.paired) / np.where(expected > 0, expected, 1)
        return CoalitionSample(present, np.repeat(weight, drawn), np.repeat(np.minimum(expected / counts, 1), drawn), group)

    def _draw_size(self, size: int, number: int, rng: np.random.Generator) -> np.ndarray:
        """Draws units of one size; of two complementary halves, the one with feature 0."""
        if not (self.paired and 2 * size == self.features):
            return draw_subsets(self.features, size, number, rng)
        half = draw_subsets(self.features - 1, size - 1, number, rng)
        return np.concatenate([np.ones((number, 1), dtype=bool), half], axis=1)


def fold_pairs(weights: np.ndarray, paired: bool) -> np.ndarray:
    """Returns the weights of sizes; for pairs, the sum of a size's weight and its complement's."""
    if not paired:
        return weights
    both = weights + weights[::-1]
    half = both[: (len(weights) + 1) // 2].copy()
    if len(weights) % 2:
        half[-1] /= 2
    return half


def round_at_random(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns random integers next to ``expected``, with that mean, and with the same sum up to one."""
    ends = np.floor(np.concatenate([[0.0], np.cumsum(expected)]) + rng.random())
    return np.minimum(np.diff(ends), np.ceil(expected))
