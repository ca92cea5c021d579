"""What rules without a reference do about each kind of operation, but for what they differ in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
"""What the members of the family have in common; weights are what they differ in."""

DERIVATIVES = {
    "linear": "vjp",
    "product": "midpoint",
    "quotient": "leibniz",
    "norm": "leibniz",
    "softmax": "logmean",
    "pool": "winner",
    "choice": "secant",
    "other": "gradient",
}
"""The plain derivative of everything: without a reference, what averages over a line is taken at the record."""


def with_rest(**own: str) -> Mapping[str, str]:
    """A table with some treatments of its own."""
    return MappingProxyType({**REST, **own})
