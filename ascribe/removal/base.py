"""The protocols of removal: a removal is a value of ``by=``; its replacement holds the values that removed features take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from ..arrays import Array, ArrayLike, as_numpy, cast_numbers, is_array
from ..distributions.baselines import CutValues
from ..errors import FeatureError
from ..features.base import Groups

Leaves = list[Array]


@dataclass(frozen=True, eq=False)
class RemovalContext:
    """The values of some records at the cut, and the feature of each coordinate: the argument of a removal.

    ``here`` holds the values, ``[records, ...]`` for each array. ``read_records`` returns the values of other records of the call by
    their positions. ``layer`` is True if the cut is inside the model.
    """

    here: CutValues
    groups: Groups
    read_records: Callable[[np.ndarray], Leaves]
    layer: bool = False
    ids: Leaves | None = None
    """The token ids, if ``values`` are their masks."""

    @property
    def values(self) -> Sequence[Array]:
        return self.here.values

    def check_one_scale(self, arrays: Sequence[int], what: str) -> None:
        """Raises FeatureError if one of the arrays, given by position, is a table: its columns have no common mean or range."""
        if not self.layer and (tables := [k for k in arrays if self.values[k].ndim == 2]):
            there = f"{self.here.names[tables[0]]}, a table of {self.values[tables[0]].shape[1]} columns, each with its own scale"
            advice = "by=x_train.mean(0) for the mean of each column, by=asc.Resample(x_train) for rows that occur, "
            advice += "by=x.mean(1, keepdims=True) if the columns are positions of one signal"
            raise FeatureError(f"`{what}` cannot be computed over the columns of a row", found=there, advice=advice)

    def values_with_axes(self, axes: int, what: str) -> Sequence[Array]:
        """Returns the values. Raises FeatureError if a record has fewer than ``axes`` axes."""
        shapes = [tuple(x.shape[1:]) for x in self.values]
        if short := [s for s in shapes if len(s) < axes]:
            there, advice = f"a record of shape {short[0]}", f"by=asc.Replace(0.0), or records with at least {axes} axes"
            raise FeatureError(f"`{what}` needs records with channels and spatial positions", found=there, advice=advice)
        return self.values


class Replacement(Protocol):
    """The values that removed coordinates of some records take.

    ``draws`` is the number of versions; the quantity is averaged over them. ``random`` is True if they are a random sample, so that the
    result has a standard error. A class may set ``takes_own_presence = True`` if it accepts a presence ``[points, records, cells + 1]``
    with features of each record's own; others are then called for one record after the other.
    """

    @property
    def draws(self) -> int: ...
    @property
    def random(self) -> bool: ...

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> Leaves:
        """Returns ``[points or 1, records or 1, ...]`` for each array, from a presence ``[points, cells + 1]`` and draws ``[points]``."""


@runtime_checkable
class Removal(Protocol):
    """A way to remove features from records: the protocol of ``by=`` for coalitions."""

    def replacement_for(self, context: RemovalContext) -> Replacement:
        """Returns the replacement values. Raises FeatureError or DistributionError if the removal does not fit the records."""


RemovalLike = Removal | float | str | ArrayLike | Sequence[Any] | Mapping[str, Any] | Callable[..., Any] | None
"""The type of ``by=`` for coalitions: a removal, or the value of a removed feature (a number, an array, a name such as "mean", a function
of the model's arguments, or one of these for each input in a tuple or a dict). None takes the default."""


@dataclass(frozen=True, eq=False)
class FixedReplacement:
    """Replacements that do not depend on which features are removed: an array ``[draws, records or 1, ...]`` for each array at the cut."""

    arrays: Leaves
    random: bool = False
    takes_own_presence: ClassVar[bool] = True

    @property
    def draws(self) -> int:
        return int(self.arrays[0].shape[0])

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> Leaves:
        return self.arrays if self.draws == 1 else [a[draw] for a in self.arrays]


def check_replacement(given: Any, removal: Removal, values: Sequence[Array]) -> Replacement:
    """Returns what a removal gave as a replacement for values ``[records, ...]``; arrays of NumPy become those of the framework.

    Raises FeatureError if it is no replacement, and if fixed arrays are not ``[draws, records or 1, ...]``.
    """
    if not isinstance(given, FixedReplacement) and not (callable(given) and hasattr(given, "draws") and hasattr(given, "random")):
        problem = "`replacement_for` must return a replacement"
        there = f"{type(given).__name__} from {removal!r}"
        raise FeatureError(problem, found=there, advice="return asc.removal.FixedReplacement(arrays)")
    if not isinstance(given, FixedReplacement):
        replacement: Replacement = given
        return replacement
    arrays = list(given.arrays) if isinstance(given.arrays, (list, tuple)) else [given.arrays]
    shapes = [tuple(getattr(a, "shape", ())) for a in arrays]
    wanted = [tuple(x.shape) for x in values]
    fits = [len(s) == len(w) + 1 and s[1] in (1, w[0]) and s[2:] == w[1:] for s, w in zip(shapes, wanted, strict=False)]
    if len(shapes) != len(wanted) or not all(fits) or len({s[0] for s in shapes}) > 1:
        raise FeatureError(
            "The arrays of a replacement must have the shape [draws, records or 1, ...]",
            found=f"shapes {', '.join(map(str, shapes))} from {removal!r}, for values of shape {', '.join(map(str, wanted))}",
            advice=f"arrays of shape {', '.join(str((1, *w)) for w in wanted)}",
            code="E-FEATURES-SHAPE",
        )
    arrays = [a if type(a) is type(x) or not is_array(a) else cast_numbers(as_numpy(a), x) for a, x in zip(arrays, values, strict=True)]
    return FixedReplacement(arrays, given.random)
