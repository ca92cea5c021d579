"""The values that a quantity reads in a run, and its numbers: one for each record."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array
from ...cuts import accessor_path
from ...errors import AscribeError, CutError, InputError, ModelError, QuantityError
from ...tree import follow, map_leaves, walk
from ..protocol import Job
from .context import Context
from .demands import Read
from .record_axes import axis_at


def evaluate_quantities(ctx: Context, job: Job, reads: Sequence[Read]) -> list[Array]:
    """The numbers of each quantity, ``[rows]``, from the value that was read (of several the tuple of them).

    A function that the user wrote may look at all rows: it is given one point after the other, unless it is known that it does not.
    """
    values = [value_read(ctx, read, len(job.rows)) for read in reads]
    tree = values[0] if len(values) == 1 else tuple(values)
    key, facts = (job.quantity_key, job.on), ctx.facts
    apart = facts.call.quantities_independent.get(key) or facts.weights.quantities_independent.get(key)
    if not job.quantity_key or apart or job.points == 1:
        return numbers(ctx, job, tree, job.rows)
    each = [numbers(ctx, job, point_of(tree, k, job), job.index) for k in range(job.points)]
    return [tf.concat(list(column), 0) for column in zip(*each, strict=True)]


def point_of(tree: Any, k: int, job: Job) -> Any:
    """The rows of one point."""
    rows = len(job.rows)

    def change(_: Any, leaf: Any) -> Any:
        ours = isinstance(leaf, tf.Tensor) and leaf.shape.rank and leaf.shape[0] == rows
        return leaf[k * job.records : (k + 1) * job.records] if ours else leaf

    return map_leaves(tree, change)


def numbers(ctx: Context, job: Job, tree: Any, rows: np.ndarray) -> list[Array]:
    """The numbers of each quantity. Raises QuantityError for what a quantity raises, and ModelError or InputError for other results."""
    assert job.of is not None
    try:
        found = job.of(tree, rows)
    except (AscribeError, MemoryError):
        raise
    except Exception as wrong:
        if ctx.device.out_of_memory(wrong):
            raise
        first = (str(wrong).splitlines() or [""])[0]
        part = next((path[0] for path, leaf in walk(tree) if isinstance(leaf, tf.Tensor) and path), None)
        problem, there = f"The quantity raised {type(wrong).__name__}: {first}", f"a value of type {type(tree).__name__}"
        advice = "" if part is None else f"one of its tensors, y[{part!r}], in place of y"
        method = re.search(r"has no attribute '(mean|sum|max|min|prod|std)'", first)
        if method is not None and isinstance(tree, tf.Tensor):
            advice = f"tf.math.reduce_{method[1]}(y, axis): tensors have no such method"
        raise QuantityError(problem, found=there, advice=advice, code="E-QUANTITY-RAISED") from wrong
    return [one_per_row(ctx, value, len(rows)) for value in found]


def value_read(ctx: Context, read: Read, rows: int) -> Any:
    """The value at a cut: one tensor with its records first, several as the layer gave them. Raises CutError and InputError."""
    cut = read.cut
    if len({call for call, _, _ in read.seen}) > 1:
        problem = f"The quantity must be read at one use of the layer, and `{cut!r}` is used several times"
        raise CutError(problem, found=f"{read.calls} uses in this call", advice=f"Cut({cut.layer!r}, call=0)", code="E-CUT-CALLS")
    if not cut.layer and cut.anchor == "in":
        leaves = [ctx.inputs.axis_of(path).first(follow(read.tree, path)) for path in ctx.inputs.explained(accessor_path(cut))]
        return leaves[0] if len(leaves) == 1 else tuple(leaves)
    tree = follow(read.tree, accessor_path(cut))
    if not isinstance(tree, tf.Tensor) or not tree.dtype.is_floating:
        return tree
    if tree.shape.rank and tree.shape[0] == rows and ctx.records == 1 == rows:
        return tree
    axis = axis_at(ctx, cut, 0)
    if axis.rows is not None:
        tree = tf.convert_to_tensor(tree)
        if tree.shape[0] != axis.rows.records:
            return tf.gather(tree, axis.rows.source)
        return tree
    value = axis.first(tree)
    if axis.at is None or value.shape[0] != rows:
        problem, there = f"The value at {cut!r} must have one row for each record", f"shape {tuple(tree.shape)}, and {rows} records"
        advice = "asc.Call(..., records=1) if the whole call is one record; x[None] for a single record without a batch dimension"
        raise InputError(problem, found=there, advice=advice, code="E-RECORDS")
    return value


def one_per_row(ctx: Context, value: Any, rows: int) -> Array:
    """A quantity's numbers as ``[rows]``. Raises InputError or ModelError where there is not one for each."""
    if not isinstance(value, tf.Tensor):
        there = f"an object of type {type(value).__name__}"
        advice = "a tensor with one number per record; asc.BlackBox(model) for perturbation methods of a function of arrays"
        raise ModelError("The quantity must return a tensor", found=there, advice=advice, code="E-QUANTITY-TYPE")
    if value.shape.rank == 2 and value.shape[1] == 1:
        value = value[:, 0]
    if value.shape.rank == 0 and rows == ctx.records == 1:
        value = tf.reshape(value, [1])
    if tuple(value.shape) != (rows,):
        there = f"a quantity of shape {tuple(value.shape)}, and {rows} records"
        advice = "of=lambda y: y[:, 0], one number per record; asc.Call(..., records=1) for one number of the whole call"
        raise InputError("The quantity must have one number for each record", found=there, advice=advice, code="E-RECORDS")
    return value
