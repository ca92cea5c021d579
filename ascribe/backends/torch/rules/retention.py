"""Which activations the backward pass needs; all others are released while the model runs.

A tape then holds about what autograd would. A mistake here costs time and changes no number: values that are missing are computed again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ....rules import OperationRule
from ....tape import Entry
from ....tape.regions import linear, pointwise
from ....tape.tape import Var

Reads = Callable[[Entry], tuple[bool, bool]]
EVERYTHING = (True, True)
SHAPES = frozenset(
    {"reshape", "identity", "cast", "permute", "expand", "copy", "fill", "negative", "add", "sum", "mean", "concat", "stack"}
)
SHAPES |= {"getitem", "split", "unstack", "as_strided_scatter", "masked_fill", "reverse_subtract"}
"""Forms whose backward pass needs shapes only."""


def everything(entry: Entry) -> tuple[bool, bool]:
    """For rules that need the contributions of all inputs."""
    return EVERYTHING


def derivatives(entry: Entry) -> tuple[bool, bool]:
    """For rules at the record alone."""
    if (known := common(entry)) is not None:
        return known
    if pointwise(entry):
        return True, False
    if entry.op.form in ("softmax", "log_softmax", "logsumexp"):
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
    """What any rule needs: the inputs, and the results; None where the rule decides."""
    if entry.call is not None and torch.Tag.nondeterministic_seeded in entry.call.tags:
        return EVERYTHING
    if entry.op.form in SHAPES or (pointwise(entry) and linear(entry)):
        return False, False
    if entry.op.form in ("matmul", "addmatmul", "multiply"):
        return len(entry.ins) > 1, False
    return (True, False) if entry.op.kind == "norm" else None


def reading(rule: OperationRule) -> Reads:
    """For a rule."""
    if "weights" in rule.treats or "parts" in rule.treats:
        return everything
    return averages if rule.compares else derivatives
