"""Corrected gradients: LRP's rules where a layer with weights passes the plain gradient on, for transformers and recurrent nets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from .table import with_rest


@dataclass(frozen=True)
class AttnLrp:
    """AttnLRP (Achtibat et al. 2024): products half to each side, softmax by its Taylor expansion, norms with their scale fixed.

    A linear operation passes the plain gradient on, which is LRP-epsilon in the limit; an activation passes on ``f(x) / x``.
    """

    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = with_rest()


@dataclass(frozen=True)
class CpLrp:
    """CP-LRP (Ali et al. 2022): as :class:`AttnLrp` with attention's probabilities fixed, so that all goes through the values."""

    strict: bool = False

    points: ClassVar[int] = 1
    compares: ClassVar[bool] = False
    treats: ClassVar[Mapping[str, str]] = with_rest(softmax="fixed")
