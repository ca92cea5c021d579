"""What stands in for a removed feature: what ``by=`` can be where ``over=`` is coalitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..arrays import Array, namespace
from ..baselines import Here
from ..features.base import Groups

Leaves = list[Array]


@dataclass(frozen=True, eq=False)
class Removing:
    """What a removal is fitted to: the values of some records at the cut, and which feature their coordinates belong to.

    ``everyone`` reads the values of other records of the call, by their numbers.
    """

    here: Here
    groups: Groups
    everyone: Callable[[np.ndarray], Leaves]

    @property
    def values(self) -> Sequence[Array]:
        return self.here.values


class StandIn(Protocol):
    """What is put in the place of removed coordinates of some records.

    ``draws`` is how many versions there are, over which the quantity is averaged; ``random`` says that they are a sample of more.
    """

    @property
    def draws(self) -> int: ...
    @property
    def random(self) -> bool: ...

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> Leaves:
        """For points with this presence of cells ``[points, cells + 1]`` and these draws: ``[points or 1, records or 1, ...]`` each."""


@runtime_checkable
class Removal(Protocol):
    """A way to take features out of records: a value."""

    def stand_in(self, scene: Removing) -> StandIn:
        """What to put in their place. Raises FeatureError or DistributionError where it does not fit."""


@dataclass(frozen=True, eq=False)
class Fixed:
    """The same stand-ins whatever is removed: one array ``[draws, records or 1, ...]`` for each at the cut."""

    arrays: Leaves
    random: bool = False

    @property
    def draws(self) -> int:
        return int(self.arrays[0].shape[0])

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> Leaves:
        return self.arrays if self.draws == 1 else [a[draw] for a in self.arrays]


def blend(presence: np.ndarray, cells: np.ndarray, x: Array, instead: Array) -> Array:
    """``x`` where its cells are there and ``instead`` where they are not, ``[points, records, ...]``; in between where they are in part."""
    xp = namespace(x)
    keep = xp.asarray(presence, x)[:, xp.asarray(cells, x)]
    if presence.dtype == bool:
        return xp.where(keep, x[None], instead)
    return instead + keep * (x[None] - instead)


def standing(given: Any) -> Removal:
    """``by=`` as a removal: a number, an array or a name is what :class:`Replace` puts there."""
    from .stand_ins import Replace

    return given if isinstance(given, Removal) and not isinstance(given, type) else Replace(given)
