"""What the way back reads of an operation's numbers, for rules that treat an operation at the record alone.

What is read nowhere is let go while the model runs on: a tape then holds about what autograd would. A mistake here costs time and
not truth, for numbers that are missing are computed again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ....rules import OperationRule
from .attention import TAYLOR
from .entries import Entry
from .linear import LINEAR, OWN
from .norms import NORM
from .regions import linear, pointwise
from .softmaxes import KERNELS

Reads = Callable[[Entry], tuple[bool, bool]]
EVERYTHING = (True, True)
ONE_FACTOR = frozenset({"mm", "bmm", "addmm", "baddbmm", "mul"})
"""Products that read the other factor."""

SHAPES = frozenset(LINEAR).difference(OWN, ("_convolution", "_grouped_mm", "grid_sampler_2d", "grid_sampler_3d", "lerp"))
"""Operations whose way back knows all it needs from shapes."""


def everything(entry: Entry) -> tuple[bool, bool]:
    """For rules that compare, or that ask what share of an output an input makes."""
    return EVERYTHING


def derivatives(entry: Entry) -> tuple[bool, bool]:
    """The numbers that went in, and those that came out."""
    if entry.call is not None and torch.Tag.nondeterministic_seeded in entry.call.tags:
        return EVERYTHING
    if entry.name in SHAPES:
        return False, False
    if entry.name in ONE_FACTOR:
        return len(entry.ins) > 1, False
    if entry.name in NORM:
        return True, False
    if pointwise(entry):
        return not linear(entry), False
    if entry.name in TAYLOR and entry.name not in KERNELS:
        return False, True
    return EVERYTHING


def reading(rule: OperationRule) -> Reads:
    """For a rule."""
    return everything if rule.compares or "weights" in rule.treats or "parts" in rule.treats else derivatives
