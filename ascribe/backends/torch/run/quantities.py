"""The values that a quantity reads in a run, and its numbers: one for each record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ....cuts import Cut, accessor_path
from ....errors import AscribeError, CutError, InputError, ModelError, QuantityError
from ....tree import Path, follow, normalize_path, replace_leaves, walk
from ...protocol import Explain
from ..context import Context
from .hooks import Read, outline
from .record_axes import axis_of

Tensor = torch.Tensor


def evaluate_quantities(ctx: Context, of: Explain, reads: Sequence[Read], rows: np.ndarray) -> Tensor:
    """The quantities of the value that was read (of several the tuple of them), ``[quantities, rows]``.

    Raises CutError for a value that came several times, InputError for one whose rows are not the records, and QuantityError
    for what the quantity itself raises.
    """
    tree = value_read(ctx, reads[0], len(rows)) if len(reads) == 1 else tuple(value_read(ctx, read, len(rows)) for read in reads)
    try:
        values = of(tree, rows)
    except (AscribeError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as wrong:
        first = (str(wrong).splitlines() or [""])[0]
        part = next((path[0] for path, leaf in walk(tree) if isinstance(leaf, Tensor) and path), None)
        raise QuantityError(
            f"The quantity raised {type(wrong).__name__}: {first}",
            found=f"a value of {outline(tree)}",
            advice="" if part is None else f"one of its tensors, y[{part!r}], in place of y",
            code="E-QUANTITY-RAISED",
        ) from wrong
    shape = (len(rows),)
    plain = all(type(value) is Tensor and value.shape == shape for value in values)
    checked = values if plain else [one_per_row(ctx, value, len(rows)) for value in values]
    return checked[0].unsqueeze(0) if len(checked) == 1 else torch.stack(list(checked))


def value_read(ctx: Context, read: Read, rows: int) -> Any:
    """The value at a place: one tensor with its records first, several as the layer gave them.

    A quantity that names parts of what a layer returned counts their axes as the layer does: the states of ``nn.LSTM`` have the layers
    first. Only rows that the call's ``records=`` gives to records, and rows folded into the first axis, are brought to records.
    Raises CutError and InputError as :func:`evaluate_quantities`.
    """
    if len(read.seen) > 1 and len({call for call, _, _ in read.seen}) > 1:
        raise CutError(
            f"The quantity must be read at one use of the layer, and `{read.cut!r}` is used several times",
            found=f"{read.fired} uses in this call",
            advice=f"Cut({read.cut.layer!r}, call=0) for the first use",
            code="E-CUT-CALLS",
        )
    accessor = accessor_path(read.cut) if read.cut.layer or read.cut.anchor == "out" else ()
    tree = follow(read.tree, accessor)
    if isinstance(tree, Tensor):
        return rows_first(ctx, read.cut, tree, rows) if tree.is_floating_point() else tree
    news = {}
    for i, (_, path, leaf) in enumerate(read.seen):
        axis = axis_of(ctx, read.cut, i, path)
        folded = axis.fold > 1 and axis.at == 0 and axis.count(leaf) == rows
        if folded or axis.rows is not None or (axis.whole and ctx.inputs.counted.together):
            news[path[len(normalize_path(read.tree, accessor)) :]] = axis.canonical(leaf, 0, 1, rows)[0]
        elif axis.rank is not None:
            news[path[len(normalize_path(read.tree, accessor)) :]] = axis.as_of_several(leaf)
    return replace_leaves(tree, news)


def rows_first(ctx: Context, cut: Cut, value: Tensor, rows: int) -> Tensor:
    """A value with its records on the first axis. Raises InputError where no axis, or one of another length, runs over them."""
    if value.is_meta:
        advice = "asc.cuts_of(model, x), which needs no numbers"
        raise InputError("A quantity needs numbers, and the model has none", found="the meta device", advice=advice, code="E-DEVICE")
    path: Path = ctx.inputs.explained[0] if not cut.layer and cut.anchor == "in" and ctx.inputs.explained else ()
    axis = axis_of(ctx, cut, 0, path)
    if axis.plain and value.ndim and value.shape[0] == rows:
        return value
    if axis.whole or axis.rows is not None or axis.count(value) == rows:
        return axis.canonical(value, 0, 1, rows)[0]
    same = axis.at is None or not value.ndim
    raise InputError(
        f"The value at {cut!r} must have one row for each record",
        found=f"shape {tuple(value.shape)}{' for any number of records' if same else ''}, and {rows} records, {counting(ctx)}",
        advice="asc.Call(..., records=1) if the whole call is one record; records=batch, the record of each row, if rows are parts of "
        "records; x[None] for a single record without a batch dimension",
        code="E-RECORDS",
    )


def counting(ctx: Context) -> str:
    """How records were counted."""
    return "as given by `records=`" if ctx.call.records is not None else "counted by the first axis of the first input"


def one_per_row(ctx: Context, value: Any, rows: int) -> Tensor:
    """A quantity's numbers as ``[rows]``. Raises InputError or ModelError when there is not one for each."""
    if not isinstance(value, Tensor):
        advice = "a tensor with one number per record; asc.BlackBox(model) and x.numpy() for perturbation methods of a function of arrays"
        raise ModelError(
            "The quantity must return a tensor", found=f"an object of type {type(value).__name__}", advice=advice, code="E-QUANTITY-TYPE"
        )
    if value.ndim == 2 and value.shape[1] == 1:
        value = value[:, 0]
    if value.ndim == 0 and rows == ctx.records == 1:
        value = value.reshape(1)
    if tuple(value.shape) != (rows,):
        raise InputError(
            "The quantity must have one number for each record",
            found=f"a quantity of shape {tuple(value.shape)}, and {rows} records, {counting(ctx)}",
            advice="of=lambda y: y[:, 0], one number per record; asc.Call(..., records=1) for one number of the whole call; "
            "x[None] for one record",
            code="E-RECORDS",
        )
    return value
