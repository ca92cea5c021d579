"""Replacements for removed features: what ``by=`` can be where ``over=`` is coalitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..arrays import Array, ArrayLike
from ..distributions.baselines import CutValues
from ..errors import FeatureError
from ..features.base import Groups, check_layout

Leaves = list[Array]


@dataclass(frozen=True, eq=False)
class RemovalContext:
    """What a removal is fitted to: the values of some records at the cut, and which feature their coordinates belong to.

    ``everyone`` reads the values of other records of the call, by their numbers; ``layer`` says that the cut is inside the model.
    """

    here: CutValues
    groups: Groups
    read_records: Callable[[np.ndarray], Leaves]
    layer: bool = False
    ids: Leaves | None = None
    """The token ids, where ``values`` are their masks."""

    @property
    def values(self) -> Sequence[Array]:
        return self.here.values

    def check_one_scale(self, arrays: Sequence[int], what: str) -> None:
        """Raise FeatureError where some of the arrays, by number, are tables: a row's columns have no mean or range in common."""
        if not self.layer and (tables := [k for k in arrays if self.values[k].ndim == 2]):
            there = f"{self.here.names[tables[0]]}, a table of {self.values[tables[0]].shape[1]} columns, each with a scale of its own"
            try_ = "by=x_train.mean(0) for the mean of each column, by=asc.Resample(x_train) for rows that occur, "
            try_ += "by=x.mean(1, keepdims=True) if columns are places of one signal"
            raise FeatureError(f"{what} of a row", there=there, try_=try_)

    def values_with_axes(self, axes: int, what: str) -> Sequence[Array]:
        """The values, each a record's channels and places. Raises FeatureError where axes lack, or where channels come last."""
        shapes = [tuple(x.shape[1:]) for x in self.values]
        if short := [s for s in shapes if len(s) < axes]:
            raise FeatureError(what, there=f"a record of shape {short[0]}", try_="records with channels and places")
        if not self.layer:
            check_layout(shapes, what)
        return self.values


class Replacement(Protocol):
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

    def replacement_for(self, context: RemovalContext) -> Replacement:
        """What to put in their place. Raises FeatureError or DistributionError where it does not fit."""


RemovalLike = Removal | float | str | ArrayLike | Sequence[Any] | Mapping[str, Any] | Callable[..., Any] | None
"""What ``by=`` accepts for coalitions: a removal, or the value that replaces a removed feature (a number, an array, a name such as
"mean", a function of the model's arguments, one for each input in a tuple or a dict); None for the default."""


@dataclass(frozen=True, eq=False)
class FixedReplacement:
    """The same stand-ins whatever is removed: one array ``[draws, records or 1, ...]`` for each at the cut."""

    arrays: Leaves
    random: bool = False

    @property
    def draws(self) -> int:
        return int(self.arrays[0].shape[0])

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> Leaves:
        return self.arrays if self.draws == 1 else [a[draw] for a in self.arrays]
