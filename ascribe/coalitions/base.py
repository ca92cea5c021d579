"""The protocols of coalitions: a game asks for subsets of features, receives their values v(S), and estimates feature values."""

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
    """The features of a game: their ``count``, their ``tree`` of groups if any, and the ``shape`` of their grid if any."""

    count: int
    tree: Tree = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class GameEstimate:
    """The result of a game.

    ``values`` are ``[quantities, records, features]``, or ``[..., features, features]`` for interactions. ``error`` holds standard errors:
    None if all values are exact, NaN if an error is unknown. ``complete`` is True if the values add up to v(all features) - v(none).
    ``notes`` are messages to the user.
    """

    values: np.ndarray
    error: np.ndarray | None = None
    complete: bool = False
    notes: tuple[str, ...] = ()


class Game(Protocol):
    """One run of an estimator: it asks for coalitions and receives their values, until it is done. NumPy only; keeps sums, no rows.

    Values come in the order of the coalitions, in any number of pieces. Results do not depend on the sizes asked for.
    """

    def ask(self, most: int) -> np.ndarray | None:
        """Returns the next coalitions, ``[at most that many, features]``: bool (present), or float (share that is present); None when done.

        The array is empty while the next coalitions depend on values that are not known yet.
        """

    def tell(self, coalitions: np.ndarray, values: np.ndarray) -> None:
        """Receives the values of the coalitions asked for, in their order: float64 ``[quantities, coalitions, records]``."""

    def estimate(self) -> GameEstimate:
        """Returns the estimate from the values so far. Raises CoalitionError if too few are known."""


@runtime_checkable
class Coalitions(Protocol):
    """Subsets of features, as a frozen value: the protocol of ``over=`` for perturbation methods.

    ``rows`` returns the largest number of coalitions that a game asks for. If the coalitions depend on earlier values, a method
    ``adapts(players)`` returns True, or the field ``tolerance`` is not None (see :func:`is_adaptive`).
    """

    def rows(self, players: Players) -> int: ...

    def game(self, players: Players, seed: int) -> Game: ...


def are_coalitions(over: object) -> TypeGuard[Coalitions]:
    """True if ``over=`` is a value of this protocol. Checks an attribute, because ``isinstance`` with a protocol is slow."""
    return hasattr(over, "game") and not isinstance(over, type)


def is_adaptive(over: Coalitions, players: Players) -> bool:
    """True if a game chooses coalitions by earlier values: then each record needs its own game, or depends on the other records."""
    own = getattr(over, "adapts", None)
    return bool(own(players)) if own is not None else getattr(over, "tolerance", None) is not None


def check_players(players: Players, least: int = 1) -> int:
    """Returns the number of features. Raises CoalitionError if it is below ``least``."""
    if players.count < least:
        raise CoalitionError(
            f"A game needs at least {least} feature{'s' if least > 1 else ''}",
            found=f"{players.count} features",
            advice="features=asc.features.EachElement()",
            code="E-COALITION-FEW",
        )
    return players.count
