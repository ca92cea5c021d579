"""The tables from which rules start: the treatment of each kind of operation."""

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
"""The treatments that relevance rules share; they differ in the treatment of weights."""


def with_rest(**own: str) -> Mapping[str, str]:
    """Returns the table of relevance rules with some treatments replaced."""
    return MappingProxyType({**REST, **own})


def derivatives(elementwise: str) -> Mapping[str, str]:
    """Returns the table of plain derivatives with another treatment of element-wise functions."""
    return MappingProxyType({**AVERAGES, "elementwise": elementwise, "other": "gradient"})


class Unreferenced(Value):
    """Base class of the rules without a reference: an operation without a formula is differentiated at the record."""

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    strict: bool = False
