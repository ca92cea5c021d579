"""DeepLIFT's Rescale rule, as the average Jacobian of every operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar


@dataclass(frozen=True)
class Rescale:
    """Every operation's average Jacobian between a reference and the record (DeepLIFT; Shrikumar et al. 2017).

    For a function of one number that is the difference quotient, the paper's Rescale rule; for products, quotients,
    norms, softmax and max-pooling a closed form; for any other smooth operation ``points`` Gauss-Legendre points of its
    own derivative, and it is named in the checks. So multipliers times differences add up to the change of the quantity,
    in any architecture. Choices (top-k, sorting, computed indices) are those of the record; they are named too.
    ``strict`` raises RuleError instead of naming.

    Costs one run for the records, one for each reference, one reverse pass for each pair; give ``over=Reference(...)`` or
    ``over=Background(...)``.
    """

    strict: bool = False
    points: int = 8

    compares: ClassVar[bool] = True
    treats: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
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
    )
