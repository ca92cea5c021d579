"""What rules do about each kind of operation: the tables that they start from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from ..values import Value

AVERAGES = {
    "linear": "vjp",
    "elementwise": "secant",
    "product": "midpoint",
    "quotient": "leibniz",
    "norm": "leibniz",
    "softmax": "logmean",
    "pool": "winner",
    "choice": "secant",
    "other": "quadrature",
}
"""The average Jacobian of every kind of operation."""

REST = {
    "linear": "vjp",
    "elementwise": "zero",
    "product": "half",
    "quotient": "detached",
    "norm": "detached",
    "softmax": "vjp",
    "pool": "winner",
    "choice": "secant",
    "other": "quadrature",
}
"""What relevance rules have in common; weights are what they differ in."""


def with_rest(**own: str) -> Mapping[str, str]:
    """The table of relevance rules with some treatments of its own."""
    return MappingProxyType({**REST, **own})


def derivatives(elementwise: str) -> Mapping[str, str]:
    """The plain derivative of everything but element-wise functions: without a reference, averages are taken at the record."""
    return MappingProxyType({**AVERAGES, "elementwise": elementwise, "other": "gradient"})


class Unreferenced(Value):
    """What rules without a reference share: an operation that they have no formula for is taken at one point, the record."""

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
