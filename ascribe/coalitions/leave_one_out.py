"""One feature at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..values import Value
from .base import GameEstimate, Players, check_players
from .games import CoalitionBlock, SequentialGame

BLOCK_CELLS = 1 << 20
"""Entries of one block: with a feature for every pixel all rows together would not fit."""
BLOCK_ROWS = 16
"""Rows of one block: a block that is not whole when a model breaks down is lost."""


@dataclass(frozen=True, repr=False)
class LeaveOneOut(Value):
    """What the quantity loses when one feature is removed; with ``alone`` what it gains when only that one is there.

    One coalition for each feature, and one to compare with. Exact; does not add up where features act together.
    """

    alone: bool = False

    def rows(self, players: Players) -> int:
        return players.count + 1

    def game(self, players: Players, seed: int) -> SequentialGame:
        return SequentialGame(_Leave(check_players(players), self.alone))


class _Leave:
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
            self.whole, self.found = values, np.full((self.features, values.shape[1]), np.nan)
        else:
            self.found[block.key] = values - self.whole if self.alone else self.whole - values

    def result(self) -> GameEstimate:
        return GameEstimate(self.found)
