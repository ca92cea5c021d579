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
    """A node of a hierarchy: the features in it, and the groups that it consists of (none for a single feature)."""

    members: np.ndarray
    parts: tuple[Group, ...] = ()


def build_groups(players: Players) -> Group:
    """Returns the root of the players' tree. Without a tree, the grid, or the sequence of features, is halved repeatedly.

    Raises CoalitionError if there is no feature, or if the tree does not contain each feature exactly once.
    """
    check_players(players)
    tree = halve_grid(players.shape or (players.count,)) if players.tree is None else players.tree
    root = _build_group(tree)
    if not np.array_equal(np.sort(root.members), np.arange(players.count)):
        raise CoalitionError(
            "The tree of features must contain each feature once", found=f"{len(root.members)} leaves for {players.count} features",
            advice="each of 0 ... n - 1 once, such as ((0, 1), (2, 3))", code="E-COALITION-TREE",
        )  # fmt: skip
    return root


def _build_group(tree: Tree) -> Group:
    """Returns nested sequences as groups. Uses its own stack: clusterings can be deeper than Python's recursion limit."""
    results: list[Group] = []
    todo: list[tuple[Any, int]] = [(tree, -1)]
    while todo:
        node, parts = todo.pop()
        if parts >= 0:
            inner = tuple(results[len(results) - parts :])
            del results[len(results) - parts :]
            results.append(inner[0] if parts == 1 else Group(np.concatenate([g.members for g in inner]), inner))
        elif isinstance(node, (int, np.integer)) and not isinstance(node, bool):
            results.append(Group(np.array([int(node)])))
        elif isinstance(node, Sequence) and not isinstance(node, (str, bytes)) and len(node):
            todo.append((node, len(node)))
            todo.extend((part, -1) for part in reversed(node))
        else:
            raise CoalitionError(
                "A tree of features consists of integers in nested tuples",
                found=f"{type(node).__name__} in the tree",
                advice="((0, 1), (2, 3))",
                code="E-COALITION-TREE",
            )
    return results[0]


def halve_grid(shape: tuple[int, ...]) -> Tree:
    """Returns a tree of the cells of a grid: the grid is halved along its longest side, repeatedly."""

    def cut(cells: np.ndarray) -> Tree:
        if cells.size == 1:
            return int(cells.reshape(-1)[0])
        axis = int(np.argmax(cells.shape))
        return tuple(cut(part) for part in np.array_split(cells, 2, axis=axis))

    return cut(np.arange(int(np.prod(shape))).reshape(shape))


def draw_order(root: Group, rng: np.random.Generator) -> np.ndarray:
    """Returns a random order of the features in which each group stays together."""
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
    """Returns the number of coalitions of exact Owen values, with the empty and the full one; stops counting above ``enough``."""
    rows, todo = 2, [(root, 1)]
    while todo and rows <= enough:
        group, contexts = todo.pop()
        k = len(group.parts)
        if k:
            rows += contexts * (2**k - 2)
            todo.extend((part, contexts * 2 ** (k - 1)) for part in group.parts)
    return rows
