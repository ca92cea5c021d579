"""Matrix products and Einstein sums, written as products that the formulas know."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ....tape import Operation, Var
from ....tape.motifs import Call
from . import operations as ops
from .operations import row
from .raw import Node
from .record import Recorder, Results
from .shapes import permute, reshape

Array = Any


def multiplied(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``MatMul`` and ``BatchMatMulV2``: factors that are transposed become operations of their own."""
    flags = [any(node.settings.get(name) for name in pair) for pair in (("transpose_a", "adj_x"), ("transpose_b", "adj_y"))]
    if any(t.dtype.is_complex for t in node.inputs):
        return recorder.add(Call(row("bilinear"), node.raw), node.kind, args, node.outputs)
    a, b = (turned(recorder, x) if flag else x for x, flag in zip(args, flags, strict=True))
    return recorder.add(ops.MATMUL, node.kind, (a, b), node.outputs)


def turned(recorder: Recorder, x: Any) -> Any:
    """A matrix with its last two axes exchanged."""
    rank = len(x.shape)
    return permute(recorder, x, (*range(rank - 2), rank - 1, rank - 2))


def contracted(recorder: Recorder, node: Node, args: list[Any]) -> Results:
    """``Einsum``: a fixed factor is the weight of a layer, two values are a product of matrices; others by their own derivative."""
    given, _, result = node.text("equation").replace(" ", "").partition("->")
    labels = given.split(",")
    plain = "." not in given and all(len(set(part)) == len(part) for part in (*labels, result))
    if (
        not plain
        or len(labels) != 2
        or any((label in result) + (label in labels[0]) + (label in labels[1]) < 2 for label in set(given) - {","})
    ):
        operation = row("bilinear") if len(args) > 1 else Operation("linear", "linear")
        return recorder.add(Call(operation, node.raw), node.kind, args, node.outputs)
    pair = list(zip(args, labels, strict=True))
    value, fixed = pair if isinstance(args[0], Var) else pair[::-1]
    batch = [label for label in labels[0] if label in labels[1] and label in result]
    sizes = {label: size for x, part in pair for label, size in zip(part, x.shape, strict=True)}
    y, order = (batched if batch or isinstance(fixed[0], Var) else dense)(recorder, value, fixed, batch, sizes)
    last = node.outputs if order != result else None
    return [permute(recorder, y, [order.index(label) for label in result], last)]


def arranged(recorder: Recorder, pair: tuple[Any, str], groups: Sequence[Sequence[str]], sizes: dict[str, int], wide: int) -> Any:
    """A value with its axes in groups: each is one axis, but for the axes of the first, ``wide`` of which stay."""
    x, labels = pair
    x = permute(recorder, x, [labels.index(label) for group in groups for label in group])
    whole = [sizes[label] for label in groups[0]] if wide else []
    return reshape(recorder, x, [*whole, *(prod(sizes[label] for label in group) for group in groups[bool(wide) :])])


def dense(recorder: Recorder, value: Any, fixed: Any, batch: list[str], sizes: dict[str, int]) -> tuple[Any, str]:
    """``x @ w`` with a fixed ``w``: the free axes of the value, then those of the weight."""
    over = [label for label in value[1] if label in fixed[1]]
    rows, columns = ([label for label in part if label not in over] for part in (value[1], fixed[1]))
    left = arranged(recorder, value, (rows or [], over), sizes, 1)
    left = left if rows else reshape(recorder, left, (1, left.shape[-1]))
    right = arranged(recorder, fixed, (over, columns), sizes, 0)
    (y,) = recorder.add(ops.MATMUL, "Einsum", (left, right))
    order = [*rows, *columns]
    return reshape(recorder, y, [sizes[label] for label in order]), "".join(order)


def batched(recorder: Recorder, value: Any, fixed: Any, batch: list[str], sizes: dict[str, int]) -> tuple[Any, str]:
    """A product of matrices for each element of the axes that both have and keep."""
    over = [label for label in value[1] if label in fixed[1] and label not in batch]
    rows, columns = ([label for label in part if label not in (*over, *batch)] for part in (value[1], fixed[1]))
    left = arranged(recorder, value, (batch, rows, over), sizes, len(batch))
    right = arranged(recorder, fixed, (batch, over, columns), sizes, len(batch))
    (y,) = recorder.add(ops.MATMUL, "Einsum", (left, right))
    order = [*batch, *rows, *columns]
    return reshape(recorder, y, [sizes[label] for label in order]), "".join(order)
