"""Shapley values by random permutations of the features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .exact import ExactEstimator, can_enumerate
from .games import CoalitionBlock, RunningMean, SequentialGame, check_budget, check_count, check_tolerance, make_empty_and_full

Orders = Literal["antithetic", "circles", "independent"]


@dataclass(frozen=True, repr=False)
class Permutations(Value):
    """Estimates Shapley values as the mean of v(S with i) - v(S) over random orders of the features; S are the features before i.

    *Use it when* you need an unbiased estimate at any budget, or a check of :class:`ShapleyRegression`.

    ``orders`` selects how orders are drawn: ``"antithetic"``, each with its reverse (Mitchell et al. 2022); ``"independent"``; or
    ``"circles"``: features on a random circle, and all orders along it in both directions. A circle has 2 n orders for n (n - 1)
    coalitions, half the cost of pairs, and adds each feature once at each position in each direction; use it with a budget for several.

    The values add up. Cost: at most ``budget`` model evaluations (default: 2048, or 16 n if that is larger), all 2^n if the budget covers
    them; fewer if the largest standard error, as a share of the range of the values, reaches ``tolerance``.
    Raises CoalitionError for a budget below one sample. Source: Castro, Gómez and Tejada 2009.
    """

    budget: int | None = None
    orders: Orders = "antithetic"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget, optional=True)
        check_tolerance(self.tolerance)
        if self.orders not in ("antithetic", "circles", "independent"):
            problem = "`orders=` must be 'antithetic', 'circles' or 'independent'"
            raise CoalitionError(problem, found=f"orders={self.orders!r}", advice="orders='antithetic'")

    def rows(self, players: Players) -> int:
        n = check_players(players)
        if can_enumerate(n, self._budget(n)):
            return int(2**n)
        return 2 + self._units(n) * self._unit_rows(n)

    def game(self, players: Players, seed: int) -> SequentialGame:
        n = check_players(players)
        if can_enumerate(n, self._budget(n)):
            return SequentialGame(ExactEstimator(n))
        rng = np.random.default_rng((seed, 10))
        return SequentialGame(PermutationEstimator(n, self._units(n), self.orders, lambda: rng.permutation(n)), self.tolerance)

    def _budget(self, n: int) -> int:
        return max(2048, 16 * n) if self.budget is None else self.budget

    def _units(self, n: int) -> int:
        """Returns the number of independent samples that the budget covers."""
        rows = self._unit_rows(n)
        return (check_budget(self._budget(n), 2 + rows, f"{self.orders} orders of {n} features") - 2) // rows

    def _unit_rows(self, n: int) -> int:
        return (n - 1) * {"antithetic": 2, "circles": n, "independent": 1}[self.orders]


class PermutationEstimator:
    """The mean contribution over independent samples: orders from ``draw``, antithetic pairs of them, or circles."""

    def __init__(self, features: int, units: int, orders: Orders, draw: Callable[[], np.ndarray]) -> None:
        self.features, self.units, self.orders, self.draw_order = features, units, orders, draw
        self.average = RunningMean()

    def blocks(self) -> Iterator[CoalitionBlock]:
        yield CoalitionBlock(make_empty_and_full(self.features))
        make = make_arcs if self.orders == "circles" else self._order_coalitions
        for _ in range(self.units):
            order = self.draw_order()
            yield CoalitionBlock(make(order), order)

    def _order_coalitions(self, order: np.ndarray) -> np.ndarray:
        present = make_prefixes(order)
        return np.concatenate([present, ~present[::-1]]) if self.orders == "antithetic" else present

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.ends = values
            self.average = RunningMean((values[1] - values[0]) / self.features)
            return
        contributions = np.empty((self.features, values.shape[1]))
        contributions[block.key] = self._contributions(values)
        self.average.add(contributions)

    def _contributions(self, values: np.ndarray) -> np.ndarray:
        """Returns the contribution of each feature, in the order in which they are added."""
        if self.orders == "circles":
            return average_circle(values.reshape(self.features, self.features - 1, -1), self.ends)
        none, all_ = self.ends[:1], self.ends[1:]
        forward = np.diff(np.concatenate([none, values[: self.features - 1], all_]), axis=0)
        if self.orders == "independent":
            return forward
        backward = np.diff(np.concatenate([none, values[self.features - 1 :], all_]), axis=0)
        return (forward + backward[::-1]) / 2

    def result(self) -> GameEstimate:
        return self.average.estimate(True)


def make_prefixes(order: np.ndarray) -> np.ndarray:
    """Returns the coalitions of an order: the first feature, the first two, ... all but the last, ``[n - 1, n]``."""
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order))
    return place < np.arange(1, len(order))[:, None]


def make_arcs(order: np.ndarray) -> np.ndarray:
    """Returns all arcs of a circle of features, ``[n (n - 1), n]``: from each start, the arcs of 1, 2, ... n - 1 features."""
    n = len(order)
    place = np.empty(n, dtype=int)
    place[order] = np.arange(n)
    ahead = (place - np.arange(n)[:, None]) % n
    return (ahead[:, None] < np.arange(1, n)[:, None]).reshape(-1, n)


def average_circle(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns mean contributions over all orders along a circle, from the values of its arcs ``[starts, sizes, games]``.

    A feature is added to each arc that ends just before it, and to each arc that begins just after it.
    """
    n = len(values)
    starts = values.sum(axis=1) + ends[1]
    sizes = np.arange(1, n)
    stops = values[(np.arange(n)[:, None] - sizes + 1) % n, sizes - 1].sum(axis=1) + ends[1]
    forward = stops - np.roll(stops, 1, axis=0) + ends[1] - ends[0]
    backward = starts - np.roll(starts, -1, axis=0) + ends[1] - ends[0]
    return (forward + backward) / (2 * n)
