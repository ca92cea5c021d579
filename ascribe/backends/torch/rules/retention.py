"""What the way back reads of an operation's numbers.

What is read nowhere is let go while the model runs on: a tape then holds about what autograd would. A mistake here costs time and
not truth, for numbers that are missing are computed again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ....rules import OperationRule
from .attention import TAYLOR
from .linear import LINEAR, OWN
from .norms import NORM
from .regions import linear, pointwise
from .softmax import KERNELS
from .tape import Entry, Var

Reads = Callable[[Entry], tuple[bool, bool]]
EVERYTHING = (True, True)
ONE_FACTOR = frozenset({"mm", "bmm", "addmm", "baddbmm", "mul"})
"""Products that read the other factor."""

SHAPES = frozenset(LINEAR).difference(OWN, ("_convolution", "_grouped_mm", "grid_sampler_2d", "grid_sampler_3d", "lerp"))
"""Operations whose way back knows all it needs from shapes."""


def everything(entry: Entry) -> tuple[bool, bool]:
    """For rules that ask what share of an output an input makes, or what pushes it up."""
    return EVERYTHING


def derivatives(entry: Entry) -> tuple[bool, bool]:
    """For rules at the record alone."""
    if (known := common(entry)) is not None:
        return known
    if pointwise(entry):
        return True, False
    if entry.name in TAYLOR and entry.name not in KERNELS:
        return False, True
    return EVERYTHING


def averages(entry: Entry) -> tuple[bool, bool]:
    """For rules that compare: difference quotients look at both ends."""
    if (known := common(entry)) is not None:
        return known
    if entry.name == "convolution" and isinstance(entry.args[0], Var) and len(entry.ins) == 1:
        return False, False
    return EVERYTHING


def common(entry: Entry) -> tuple[bool, bool] | None:
    """What any rule reads: the numbers that went in, and those that came out."""
    if entry.call is not None and torch.Tag.nondeterministic_seeded in entry.call.tags:
        return EVERYTHING
    if entry.name in SHAPES or (pointwise(entry) and linear(entry)):
        return False, False
    if entry.name in ONE_FACTOR:
        return len(entry.ins) > 1, False
    return (True, False) if entry.name in NORM else None


def reading(rule: OperationRule) -> Reads:
    """For a rule."""
    if "weights" in rule.treats or "parts" in rule.treats:
        return everything
    return averages if rule.compares else derivatives
