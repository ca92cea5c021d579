"""Owen values: Shapley values within a hierarchy of features."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import CoalitionError
from ..values import Value
from .base import GameEstimate, Players, check_players
from .exact import contribution_weights, decode_coalitions
from .games import CoalitionBlock, SequentialGame, check_budget, check_count, check_tolerance, make_empty_and_full
from .hierarchies import Group, build_groups, count_exact_coalitions, draw_order
from .permutations import PermutationEstimator


@dataclass(frozen=True, repr=False)
class Owen(Value):
    """Computes Owen values: Shapley values in which features are added group by group, and within a group by its own groups.

    *Use it when* features form a hierarchy (image regions, words in sentences, correlated columns): groups keep evaluations few.

    The hierarchy is the tree of the features; without a tree, the grid or the sequence of features is halved repeatedly. If the
    ``budget`` covers the tree, values are exact: about n^2 coalitions for a tree of halves. Otherwise ``opened`` selects the estimate:

    - ``"largest"``: groups with the largest contribution are opened first. A group that stays closed shares its value equally among its
      features, and their errors are NaN. Works for any number of features.
    - ``"random"``: random orders that keep groups together, each with its reverse. Unbiased, with standard errors; ``tolerance`` as in
      :class:`Permutations`.

    The values add up. Cost: at most ``budget`` model evaluations. Raises CoalitionError for a tolerance with ``"largest"``, and for a
    budget below the groups at the top of the tree. Source: Owen 1977; Winter 1989 for hierarchies of any depth.
    """

    budget: int = 2048
    opened: Literal["largest", "random"] = "largest"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_count("budget", self.budget)
        check_tolerance(self.tolerance)
        if self.opened not in ("largest", "random"):
            raise CoalitionError("`opened=` must be 'largest' or 'random'", found=f"opened={self.opened!r}", advice="opened='random'")
        if self.tolerance is not None and self.opened == "largest":
            there = "opened='largest', whose values have no standard errors"
            raise CoalitionError("`tolerance=` needs standard errors", found=there, advice="opened='random'")

    def rows(self, players: Players) -> int:
        root = build_groups(players)
        rows = count_exact_coalitions(root, self.budget)
        if rows <= self.budget or self.opened == "largest":
            return min(rows, self.budget)
        return 2 + self._pairs(players.count) * 2 * (players.count - 1)

    def adapts(self, players: Players) -> bool:
        """True if the budget ends before the tree does, or a tolerance before the budget."""
        is_exact = count_exact_coalitions(build_groups(players), self.budget) <= self.budget
        return not is_exact and (self.opened == "largest" or self.tolerance is not None)

    def game(self, players: Players, seed: int) -> SequentialGame:
        n = check_players(players)
        root = build_groups(players)
        if self.opened == "random" and count_exact_coalitions(root, self.budget) > self.budget:
            rng = np.random.default_rng((seed, 13))
            return SequentialGame(PermutationEstimator(n, self._pairs(n), "antithetic", lambda: draw_order(root, rng)), self.tolerance)
        least = 2 + (2 ** len(root.parts) - 2 if root.parts else 0)
        check_budget(self.budget, least, f"the {len(root.parts)} groups at the top of the tree")
        return SequentialGame(_OpeningEstimator(n, root, self.budget))

    def _pairs(self, n: int) -> int:
        rows = 2 * (n - 1)
        return (check_budget(self.budget, 2 + rows, f"orders of {n} features") - 2) // rows


@dataclass(frozen=True, eq=False)
class _ClosedGroup:
    """A closed group next to other present features: the weight of this case, and the values without and with the group."""

    group: Group
    others: np.ndarray
    weight: float
    without: np.ndarray
    with_: np.ndarray

    @property
    def change(self) -> np.ndarray:
        return self.weight * (self.with_ - self.without)


class _OpeningEstimator:
    """Opens groups, those with the largest contribution first, until single features are left or the budget is spent."""

    def __init__(self, features: int, root: Group, budget: int) -> None:
        self.features, self.root, self.budget = features, root, budget
        self.heap: list[tuple[float, int, _ClosedGroup]] = []
        self.opening: list[_ClosedGroup] = []
        self.too_large: list[_ClosedGroup] = []
        self.pushed = 0
        self.values: np.ndarray | None = None

    def blocks(self) -> Iterator[CoalitionBlock | None]:
        yield CoalitionBlock(make_empty_and_full(self.features))
        yield None
        rows = 2
        while chosen := self._choose_groups(self.budget - rows, max(16, rows // 4)):
            for case in chosen:  # all are chosen before a value of any is known, for any size of the pieces
                yield CoalitionBlock(self._inner_coalitions(case), case)
                rows += 2 ** len(case.group.parts) - 2
            yield None

    def _choose_groups(self, left: int, room: int) -> list[_ClosedGroup]:
        """Returns the groups to open together: enough for one run, few enough to choose well."""
        chosen = []
        used = 0
        while self.heap and used < room:
            case = heapq.heappop(self.heap)[2]
            cost = 2 ** len(case.group.parts) - 2
            if used + cost > left:  # it will never fit; groups with fewer parts may
                self.too_large.append(case)
                continue
            used += cost
            chosen.append(case)
        self.opening += chosen
        return chosen

    def _inner_coalitions(self, case: _ClosedGroup) -> np.ndarray:
        """Returns the other present features combined with some but not all parts of the group."""
        parts = case.group.parts
        present = np.repeat(case.others[None], 2 ** len(parts) - 2, axis=0)
        part_presence = decode_coalitions(np.arange(1, 2 ** len(parts) - 1), len(parts))
        for i, part in enumerate(parts):
            present[np.ix_(part_presence[:, i], part.members)] = True
        return present

    def add_block(self, block: CoalitionBlock, values: np.ndarray) -> None:
        if block.key is None:
            self.values = np.zeros((self.features, values.shape[1]))
            self._add_case(_ClosedGroup(self.root, np.zeros(self.features, dtype=bool), 1.0, values[0], values[1]))
            return
        case: _ClosedGroup = block.key
        self.opening.remove(case)
        parts = case.group.parts
        inner_values = np.concatenate([case.without[None], values, case.with_[None]])
        part_presence = decode_coalitions(np.arange(2 ** len(parts)), len(parts))
        weights = contribution_weights(len(parts))
        for number, present in enumerate(part_presence):
            others = case.others.copy()
            for part, is_there in zip(parts, present, strict=True):
                others[part.members] |= is_there
            for i in np.flatnonzero(~present):
                weight = case.weight * weights[present.sum()]
                self._add_case(_ClosedGroup(parts[i], others, weight, inner_values[number], inner_values[number | 1 << int(i)]))

    def _add_case(self, case: _ClosedGroup) -> None:
        assert self.values is not None
        if not case.group.parts:
            self.values[case.group.members[0]] += case.change
            return
        self.pushed += 1
        heapq.heappush(self.heap, (-float(np.abs(case.change).sum()), self.pushed, case))

    def result(self) -> GameEstimate:
        if self.values is None:
            raise CoalitionError("No estimate is known before the empty and the full coalition are known", code="E-COALITION-EARLY")
        closed = [case for _, _, case in self.heap] + self.opening + self.too_large
        if not closed:
            return GameEstimate(self.values, complete=True)
        values, unknown = self.values.copy(), np.zeros(self.features, dtype=bool)
        for case in closed:
            values[case.group.members] += case.change / len(case.group.members)
            unknown[case.group.members] = True
        error = np.where(unknown[:, None], np.nan, np.zeros_like(values))
        note = f"{int(unknown.sum())} of {self.features} features share what their groups bring: {self.budget} coalitions left these closed"
        return GameEstimate(values, error, True, (note,))
