"""Games to play in tests, values written as their formulas, and a referee."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb, factorial
from typing import Any

import numpy as np

from ascribe.coalitions import GameEstimate, Players

Worth = Callable[[np.ndarray], np.ndarray]
"""Coalitions ``[rows, features]`` to ``[quantities, rows, records]``."""


def table(features: int, seed: int = 0, quantities: int = 1, records: int = 1) -> np.ndarray:
    """The worth of every coalition, by its binary number, at random: ``[quantities, 2^n, records]``."""
    return np.random.default_rng(seed).normal(size=(quantities, 2**features, records))


def looked_up(values: np.ndarray) -> Worth:
    """The game that a table describes."""
    return lambda there: values[:, there @ (1 << np.arange(there.shape[1])), :]


def network(features: int, seed: int = 0, records: int = 1, quantities: int = 1) -> Worth:
    """A small network on the features that are there: interactions of every order, most of it additive."""
    rng = np.random.default_rng((seed, 77))
    first, shift = rng.normal(size=(records, features, 24)) * 0.7, rng.normal(size=24)
    second = rng.normal(size=(24, quantities))
    return lambda there: np.moveaxis(np.tanh(np.einsum("kf,rfh->krh", np.asarray(there, float), first) + shift) @ second, 2, 0)


def polynomial(features: int, terms: dict[tuple[int, ...], float]) -> Worth:
    """A sum of products of features."""
    return lambda there: sum(c * np.prod(there[:, list(t)], axis=1, dtype=float) for t, c in terms.items())[None, :, None]


def play(over: Any, players: Players | int, worth: Worth, seed: int = 0, most: int = 1000) -> GameEstimate:
    """A whole game; the referee also looks that no more is asked than was said."""
    return referee(over, players, worth, seed, most)[0]


def referee(over: Any, players: Players | int, worth: Worth, seed: int = 0, most: int = 1000) -> tuple[GameEstimate, np.ndarray]:
    """The estimate of a whole game, and all coalitions that were asked for."""
    players = Players(players) if isinstance(players, int) else players
    game = over.game(players, seed)
    asked = []
    while (there := game.ask(most)) is not None:
        assert 0 < len(there) <= most
        assert there.shape[1] == players.count
        asked.append(there)
        game.tell(there, worth(there))
    rows = np.concatenate(asked)
    assert len(rows) <= over.rows(players)
    assert game.ask(1) is None
    return game.estimate(), rows


def shapley(worth: Worth, features: int) -> np.ndarray:
    """Shapley's formula, subset by subset: ``[quantities, records, features]``."""
    return by_formula(worth, features, lambda s: factorial(s) * factorial(features - s - 1) / factorial(features))


def banzhaf(worth: Worth, features: int) -> np.ndarray:
    return by_formula(worth, features, lambda s: 0.5 ** (features - 1))


def by_formula(worth: Worth, features: int, weight: Callable[[int], float]) -> np.ndarray:
    """The sum over all coalitions of a weight of their size times what a feature adds to them."""
    everyone = range(features)

    def of(*members: int) -> np.ndarray:
        return worth(np.isin(np.arange(features), members)[None])[:, 0, :]

    values = []
    for i in everyone:
        others = [j for j in everyone if j != i]
        gains = (weight(s) * (of(*c, i) - of(*c)) for s in range(features) for c in combinations(others, s))
        values.append(sum(gains))
    return np.stack(values, axis=-1)


def change(worth: Worth, features: int) -> np.ndarray:
    """What all features together bring: ``[quantities, records]``."""
    both = worth(np.repeat([[False], [True]], features, axis=1))
    return both[:, 1] - both[:, 0]


def pair_index(worth: Worth, features: int, i: int, j: int) -> float:
    """The Shapley interaction index of a pair (Grabisch and Roubens 1999), subset by subset; one quantity, one record."""
    others = [k for k in range(features) if k not in (i, j)]

    def of(*members: int) -> float:
        return float(worth(np.isin(np.arange(features), members)[None])[0, 0, 0])

    total = 0.0
    for t in range(features - 1):
        for c in combinations(others, t):
            total += (of(*c, i, j) - of(*c, i) - of(*c, j) + of(*c)) / ((features - 1) * comb(features - 2, t))
    return total
