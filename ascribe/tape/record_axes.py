"""Where the records are in a value: not always in the first axis, as steps of a sequence may come before them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .tape import Entry, Var

MATRICES = frozenset({"matmul", "addmatmul", "matvec"})
"""Forms of matrix products."""
SHAPED = frozenset({"norm", "softmax"})
"""Kinds of operations that keep the axes of their input, in addition to element-wise ones."""


def count_before(v: Var, records: int) -> int | None:
    """Returns ``n`` such that the value, seen as ``[n, records, elements]``, has its records along the second axis; None if not known.

    The operations that made the value are followed back through those that keep or move axes. Of the values on the way, the earliest whose
    first axis has the length of the batch has its records there, as the arguments of the model do.
    """
    steps = list[tuple[Entry, Var]]()
    known = 0 if v.shape[:1] == (records,) else None
    while v.entry is not None and (source := same_rows(v.entry)) is not None:
        steps.append((v.entry, source))
        v = source
        known = len(steps) if v.shape[:1] == (records,) else known
    before = None if known is None else 1
    for entry, source in reversed(steps[:known]):
        before = None if before is None else before_after(entry, source, before, records)
    return before


def same_rows(entry: Entry) -> Var | None:
    """Returns the input whose axes the result has, in another order or shape if need be; None for other operations."""
    op, out = entry.op, entry.outs[0]
    if out is None or len(entry.outs) > 1:
        return None
    if op.form in ("permute", "reshape"):
        return entry.ins[0] if entry.ins[0].size == out.size else None
    if op.form in MATRICES:
        x = left_factor(entry)
        return x if x is not None and x.shape[:-1] == out.shape[: len(x.shape) - 1] else None
    if op.pointwise or op.same or op.kind in SHAPED or op.form == "expand":
        return next((x for x in entry.ins if x.shape == out.shape), None)
    return None


def left_factor(entry: Entry) -> Var | None:
    """Returns the left factor of a matrix product, if it is on the tape."""
    arguments = entry.framework.arguments(entry)
    factor = None if arguments is None else arguments[1 if entry.op.form == "addmatmul" else 0]
    return factor if isinstance(factor, Var) else None


def before_after(entry: Entry, source: Var, before: int, records: int) -> int | None:
    """Returns :func:`count_before` of the result of an operation of :func:`same_rows`, given that of its input."""
    if entry.op.form != "permute" and entry.op.form not in MATRICES:
        return before
    axis, arguments = axis_of(source.shape, before, records), entry.framework.arguments(entry)
    if axis is None or arguments is None:
        return None
    if entry.op.form in MATRICES:
        return before if axis < len(source.shape) - 1 else None
    order = [d % len(source.shape) for d in arguments[1]]
    ahead = [source.shape[d] for d in order[: order.index(axis)]]
    return prod(ahead) * (before // prod(source.shape[:axis]))


def axis_of(shape: Sequence[int], before: int, records: int) -> int | None:
    """Returns the axis that holds the records, with ``before`` elements ahead of them; None where they are spread over several axes."""
    ahead = 1
    for axis, length in enumerate(shape):
        if before % ahead == 0 and length and ahead * length % (before * records) == 0:
            return axis
        ahead *= length
    return None
