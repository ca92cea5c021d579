"""DeepLIFT's rules: the average Jacobian of every operation between a reference and the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from ..errors import RuleError
from ..values import Value, format_value
from .treatments import AVERAGES


class Comparing(Value):
    """Base class of the rules with a reference."""

    points: int
    compares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.points, bool) or not isinstance(self.points, int) or self.points < 1:
            raise RuleError("`points` must be an integer >= 1", found=f"points={format_value(self.points)}", advice="points=8")


@dataclass(frozen=True, repr=False)
class Rescale(Comparing):
    """DeepLIFT's Rescale rule: the average Jacobian of every operation, ``(f(x) - f(x')) / (x - x')`` for functions of one number.

    *Use it when* gradients saturate and one pass for each reference is affordable: it approximates integrated gradients at lower cost.

    Products, quotients, norms, softmax and max-pooling have closed forms. Other smooth operations use ``points`` (>= 1) Gauss-Legendre
    points of their derivative and are reported in the checks. Multipliers times differences therefore sum to the change of the quantity in
    any architecture. Indices computed in the run (top-k routing) are those of the record, and reported too.

    Needs ``over=Reference(...)`` or ``over=Background(...)``. Cost: one forward pass for the records, one for each reference, one backward
    pass for each pair. Raises RuleError for ``points < 1``, and with ``strict`` instead of reporting. Source: Shrikumar et al. 2017.
    """

    strict: bool = False
    points: int = 8

    treats: ClassVar[Mapping[str, str]] = MappingProxyType(AVERAGES)


@dataclass(frozen=True, repr=False)
class RevealCancel(Comparing):
    """DeepLIFT's RevealCancel rule: positive and negative contributions have separate effects at every nonlinear operation.

    *Use it when* contributions of opposite sign cancel under :class:`Rescale`, for instance in minima, maxima and logical AND.

    The effect of each part is the mean of its effects alone and after the other part, its Shapley value at that operation. Sums with fixed
    weights split their inputs by sign (the Linear rule). The rule is complete in any architecture. An operation whose domain the parts
    leave (a logarithm) is treated as a whole and reported in the checks; ``strict`` raises RuleError instead.

    Cost: that of :class:`Rescale` and two more evaluations of each operation for each pair, about four times as much. Raises RuleError for
    ``points < 1``. Source: Shrikumar et al. 2017, section 3.5.3.
    """

    strict: bool = False
    points: int = 8

    treats: ClassVar[Mapping[str, str]] = MappingProxyType({**AVERAGES, "parts": "orders"})
