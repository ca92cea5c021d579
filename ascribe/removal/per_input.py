"""A separate removal for each of several inputs, or for each of several cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import FeatureError
from ..values import Value, format_value
from .base import RemovalContext, Replacement


@dataclass(frozen=True, eq=False, repr=False)
class PerInput(Value):
    """Uses a separate removal for each input: a tuple in the order of the inputs, or a dict by name or position.

    *Use it when* the model has inputs of different kinds, such as numbers and token ids:
    ``by={"numbers": asc.Replace(0.0), "ids": asc.MaskToken(103)}``. A plain tuple or dict is converted to this class. If features are
    removed at several cuts, there is one removal for each cut.

    Removals with several replacements, such as :class:`Resample`, must have the same number of them: replacement i of one input is
    combined with replacement i of the others.

    Raises FeatureError if an input has no removal, or a removal has no input.
    """

    by_input: Any

    def __repr__(self) -> str:
        """Returns the value as it is written in ``by=``."""
        return format_value(self.by_input)

    def replacement_for(self, context: RemovalContext) -> Replacement:
        """Raises FeatureError: the engine splits this removal by input, so it cannot be nested in another one."""
        raise FeatureError(
            f"`by={self!r}` is nested in another removal",
            found="a tuple or dict inside a tuple or dict",
            advice="one removal for each input, such as by=(asc.Replace(0.0), asc.Blur())",
        )
