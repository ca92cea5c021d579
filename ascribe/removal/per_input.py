"""A removal of its own for each of several inputs, or for each of several cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import FeatureError
from ..values import Value, written
from .base import Removal, Removing, StandIn, standing


@dataclass(frozen=True, eq=False, repr=False)
class PerInput(Value):
    """A removal for each input: in order in a tuple, or by name or number in a dict. ``{"numbers": Replace(0.0), "ids": MaskToken(103)}``.

    Where features are removed at several cuts there is one for each cut. Removals that average over several values, such as
    :class:`Resample`, must have equally many: value i of one goes with value i of the others.
    """

    by_input: Any

    def __repr__(self) -> str:
        """As ``by=`` is written."""
        return written(self.by_input)

    def stand_in(self, scene: Removing) -> StandIn:
        """Raises FeatureError: it is taken apart before anything is removed."""
        raise FeatureError(f"{self!r} in another removal", try_="one removal for each input")

    def each(self, names: Sequence[str], what: str = "input") -> list[Removal]:
        """The removal for each name. Raises FeatureError where one is missing or there are too many."""
        given = self.by_input
        if isinstance(given, Mapping):
            keys = [name if name in given else k for k, name in enumerate(names)]
            missing = [name for name, key in zip(names, keys, strict=True) if key not in given]
            unknown = [repr(key) for key in given if key not in keys]
            if missing or unknown:
                asked = [*(f"none for {name!r}" for name in missing), *(f"one for {key}" for key in unknown)]
                raise FeatureError(f"removals for each {what}: {', '.join(asked)}", there=", ".join(names), try_="one for each")
            given = [given[key] for key in keys]
        if len(given) != len(names):
            there = f"{len(names)}: {', '.join(names)}"
            raise FeatureError(f"{len(given)} removals, one for each {what}", there=there, try_="as many of each")
        return [standing(one) for one in given]


def has_removals(given: Any) -> bool:
    """Whether something is a tuple, a list or a dict with removals in it."""
    parts = given.values() if isinstance(given, Mapping) else given if isinstance(given, (tuple, list)) else ()
    return any(isinstance(one, Removal) and not isinstance(one, type) for one in parts)
