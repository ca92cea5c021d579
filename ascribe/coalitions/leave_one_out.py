"""Leave-one-out values: each feature removed alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame

BLOCK_CELLS = 1 << 20
"""The largest number of elements of a block: with a feature for each pixel, all rows together would not fit into memory."""
BLOCK_ROWS = 16
"""The largest number of rows of a block; an incomplete block is lost if the model raises an error."""


@dataclass(frozen=True, repr=False)
class LeaveOneOut(Value):
    """Computes v(all) - v(all without i) for each feature i; with ``alone``, v(only i) - v(none).

    *Use it when* you want the effect of a single feature at the lowest cost (ablation, occlusion). If features are redundant, removing
    one has no effect; use Shapley values then. The values add up only without interactions.

    Cost: n + 1 model evaluations for n features. Exact, without standard errors.
    """

    alone: bool = False

    def rows(self, players: Players) -> int:
        return players.count + 1

    def game(self, players: Players, seed: int) -> SequentialGame:
        return SequentialGame(_LeaveOneOutEstimator(check_players(players), self.alone))


class _LeaveOneOutEstimator:
    def __init__(self, features: int, alone: bool) -> None:
        self.features, self.alone = features, alone
        self.values: list[np.ndarray] = []

    def blocks(self) -> Iterator[CoalitionBlock]:
        yield CoalitionBlock(np.full((1, self.features), not self.alone))
        step = max(1, min(BLOCK_ROWS, BLOCK_CELLS // self.features))
        for start in range(0, self.features, step):
            ones = np.arange(start, min(start + step, self.features))
            yield CoalitionBlock((ones[:, None] == np.arange(self.features)) == self.alone, ones)

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.reference, self.effects = values, np.full((self.features, values.shape[1]), np.nan)
        else:
            self.effects[block.key] = values - self.reference if self.alone else self.reference - values

    def result(self) -> GameEstimate:
        return GameEstimate(self.effects)
