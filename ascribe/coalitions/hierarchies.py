"""Hierarchies of features: groups of groups, down to single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CoalitionError
from .base import Players, Tree, check_players


@dataclass(frozen=True, eq=False)
class Group:
    """A node of a hierarchy: whose features are in it, and the groups it is made of (none for a single feature)."""

    members: np.ndarray
    parts: tuple[Group, ...] = ()


def build_groups(players: Players) -> Group:
    """The root of the players' tree; without one, of halve_grid of their grid, or of their row.

    Raises CoalitionError where there is no feature, and for a tree that does not have every feature just once.
    """
    check_players(players)
    tree = halve_grid(players.shape or (players.count,)) if players.tree is None else players.tree
    root = _build_group(tree)
    if not np.array_equal(np.sort(root.members), np.arange(players.count)):
        raise CoalitionError(
            "a tree that does not have every feature once", there=f"{len(root.members)} places for {players.count} features",
            try_="each of 0 ... n - 1 once, such as ((0, 1), (2, 3))", code="E-COALITION-TREE",
        )  # fmt: skip
    return root


def _build_group(tree: Tree) -> Group:
    """Nested sequences as groups, with a stack of its own: clusterings can be deeper than Python's."""
    results: list[Group] = []
    todo: list[tuple[Any, int]] = [(tree, -1)]
    while todo:
        node, parts = todo.pop()
        if parts >= 0:
            found = tuple(results[len(results) - parts :])
            del results[len(results) - parts :]
            results.append(found[0] if parts == 1 else Group(np.concatenate([g.members for g in found]), found))
        elif isinstance(node, (int, np.integer)) and not isinstance(node, bool):
            results.append(Group(np.array([int(node)])))
        elif isinstance(node, Sequence) and not isinstance(node, (str, bytes)) and len(node):
            todo.append((node, len(node)))
            todo.extend((part, -1) for part in reversed(node))
        else:
            raise CoalitionError(
                f"{type(node).__name__} in a tree of features", try_="whole numbers in nested tuples", code="E-COALITION-TREE"
            )
    return results[0]


def halve_grid(shape: tuple[int, ...]) -> Tree:
    """A grid cut in two along its longest side, again and again: a tree of the numbers of its cells."""

    def cut(cells: np.ndarray) -> Tree:
        if cells.size == 1:
            return int(cells.reshape(-1)[0])
        axis = int(np.argmax(cells.shape))
        return tuple(cut(part) for part in np.array_split(cells, 2, axis=axis))

    return cut(np.arange(int(np.prod(shape))).reshape(shape))


def draw_order(root: Group, rng: np.random.Generator) -> np.ndarray:
    """A random order of the features in which every group stays together."""
    order: list[int] = []
    todo = [root]
    while todo:
        group = todo.pop()
        if group.parts:
            todo.extend(group.parts[i] for i in rng.permutation(len(group.parts)))
        else:
            order.append(int(group.members[0]))
    return np.array(order)


def count_exact_coalitions(root: Group, enough: int) -> int:
    """How many coalitions exact Owen values take, nobody and all included; counts no further than ``enough``."""
    rows, todo = 2, [(root, 1)]
    while todo and rows <= enough:
        group, contexts = todo.pop()
        k = len(group.parts)
        if k:
            rows += contexts * (2**k - 2)
            todo.extend((part, contexts * 2 ** (k - 1)) for part in group.parts)
    return rows
