"""DeepLIFT's Rescale rule, as the average Jacobian of every operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from ..errors import RuleError
from ..values import Value, format_value
from .treatments import AVERAGES


class Comparing(Value):
    """What the rules with a reference share."""

    points: int
    compares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.points, bool) or not isinstance(self.points, int) or self.points < 1:
            raise RuleError(f"points={format_value(self.points)}", try_="a whole number from 1 up")


@dataclass(frozen=True, repr=False)
class Rescale(Comparing):
    """Every operation's average Jacobian between a reference and the record (DeepLIFT; Shrikumar et al. 2017).

    For a function of one number that is the difference quotient, the paper's Rescale rule; for products, quotients,
    norms, softmax and max-pooling a closed form; for any other smooth operation ``points`` Gauss-Legendre points of its
    own derivative, and it is named in the checks. So multipliers times differences add up to the change of the quantity,
    in any architecture. Sorted values and extremes count as such; places that other values are picked by (routing by top-k, computed
    indices) are those of the record, and named too.
    ``strict`` raises RuleError instead of naming. Raises RuleError for less than one of the ``points``.

    Costs one run for the records, one for each reference, one reverse pass for each pair; give ``over=Reference(...)`` or
    ``over=Background(...)``.
    """

    strict: bool = False
    points: int = 8

    treats: ClassVar[Mapping[str, str]] = MappingProxyType(AVERAGES)


@dataclass(frozen=True, repr=False)
class RevealCancel(Comparing):
    """What pushes values up and what pushes them down, apart (DeepLIFT's second rule; Shrikumar et al. 2017, section 3.5.3).

    Where positive and negative contributions meet, :class:`Rescale` lets them cancel before it looks at a non-linear operation. Here
    each of the two has the mean of its effects alone and after the other: its Shapley value at that operation. Sums with fixed
    weights part what goes into them by sign (the Linear rule); any other operation is a function of the two parts, in closed
    form wherever Rescale has one. Adds up to the change of the quantity in any architecture. An operation whose domain the
    parts leave (a logarithm) is taken whole and named in the checks; ``strict`` raises RuleError instead.

    Costs what :class:`Rescale` costs and, for each pair, two more evaluations of each operation: about four times as much.
    """

    strict: bool = False
    points: int = 8

    treats: ClassVar[Mapping[str, str]] = MappingProxyType({**AVERAGES, "parts": "orders"})
