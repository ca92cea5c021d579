"""What every ``over=`` of coalitions can do: say which subsets of features to look at next, and estimate from what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from ..errors import CoalitionError
from ..values import Value

Tree = Any
"""A hierarchy of features: an int is a feature, a tuple is a group of trees."""


@dataclass(frozen=True, repr=False)
class Players(Value):
    """Whom a game is played by: ``count`` features, in a ``tree`` of groups and on a grid of that ``shape`` where they are."""

    count: int
    tree: Tree = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class GameEstimate:
    """What came of a game.

    ``values`` are ``[quantities, records, features]`` (``[..., features, features]`` for interactions), ``error`` their standard
    errors: None where all are exact, NaN where they are not known. ``complete`` promises that values add up to the quantity with
    all features there less that with none; ``notes`` is what the user should know of.
    """

    values: np.ndarray
    error: np.ndarray | None = None
    complete: bool = False
    notes: tuple[str, ...] = ()


class Game(Protocol):
    """A run of an estimator: it asks for coalitions and gets their values, until it asks no more. NumPy only; keeps sums, no rows.

    Values come in the order of the coalitions, in any number of pieces. Results do not depend on the sizes asked for.
    """

    def ask(self, most: int) -> np.ndarray | None:
        """The next coalitions, ``[at most that many, features]``: bool (there or not) or float (how much of it is); None when done.

        No rows come while the next coalitions depend on some whose values are not known yet.
        """

    def tell(self, coalitions: np.ndarray, values: np.ndarray) -> None:
        """The values of the coalitions just asked for, in their order: float64 ``[quantities, coalitions, records]``."""

    def estimate(self) -> GameEstimate:
        """The values so far; also before the end, from what there is. Raises CoalitionError while that is too little."""


@runtime_checkable
class Coalitions(Protocol):
    """Subsets of features, as a frozen value: ``over=`` of the removal engine.

    ``rows`` is how many coalitions a game of that many features will ask for, at most. Where what is asked depends on what is told,
    a method ``is_adaptive(players)`` says so, or a ``tolerance`` that is not None (:func:`adapts`).
    """

    def rows(self, players: Players) -> int: ...

    def game(self, players: Players, seed: int) -> Game: ...


def are_coalitions(over: object) -> TypeGuard[Coalitions]:
    """Whether ``over=`` is a value that plays games; asked several times in every call, which a protocol answers slowly."""
    return hasattr(over, "game") and not isinstance(over, type)


def is_adaptive(over: Coalitions, players: Players) -> bool:
    """Whether a game chooses coalitions by the values of earlier ones: then each record needs its own, or depends on the other records."""
    own = getattr(over, "adapts", None)
    return bool(own(players)) if own is not None else getattr(over, "tolerance", None) is not None


def check_players(players: Players, least: int = 1) -> int:
    """How many players there are. Raises CoalitionError for fewer than ``least``."""
    if players.count < least:
        raise CoalitionError(
            f"a game of {players.count} features", there=f"an estimator for {least} or more", try_="features=", code="E-COALITION-FEW"
        )
    return players.count
