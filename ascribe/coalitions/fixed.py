"""A game whose coalitions do not depend on values: the short way to a new estimator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import CoalitionError
from .base import GameEstimate


class FixedGame:
    """Evaluates a fixed list of coalitions (feature subsets), then computes the estimate from all their values at once.

    *Use it when* the coalitions are known before the first value is. ``coalitions`` are ``[coalitions, features]``: bool, True where the
    feature is present, or float, how much of it is. ``compute`` is called with the values ``[quantities, coalitions, records]`` in the
    same order and returns a :class:`GameEstimate` with values ``[quantities, records, features]``. Memory: all values at once.
    """

    def __init__(self, coalitions: np.ndarray, compute: Callable[[np.ndarray], GameEstimate]) -> None:
        self.coalitions, self.compute = coalitions, compute
        self._asked = 0
        self._values: list[np.ndarray] = []

    def ask(self, most: int) -> np.ndarray | None:
        """Returns the next coalitions, at most that many; None when all have been returned."""
        rows = self.coalitions[self._asked : self._asked + most]
        self._asked += len(rows)
        return rows if len(rows) else None

    def tell(self, coalitions: np.ndarray, values: np.ndarray) -> None:
        """Takes the values of the coalitions returned last, ``[quantities, coalitions, records]``."""
        self._values.append(np.asarray(values, np.float64))

    def estimate(self) -> GameEstimate:
        """Returns the estimate. Raises CoalitionError before the values of all coalitions are known."""
        known = sum(values.shape[1] for values in self._values)
        if known < len(self.coalitions):
            raise CoalitionError(
                "The estimate needs the values of all coalitions.",
                found=f"{known} of {len(self.coalitions)}",
                advice="game.tell(coalitions, values) for all that game.ask() returns",
                code="E-COALITION-EARLY",
            )
        return self.compute(np.concatenate(self._values, axis=1))
