"""Which axis of a value runs over the records, from runs with different numbers of records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Array
from ...cuts import Cut
from ...errors import AscribeError
from .axes import FIRST, SHARED, WHOLE, Axis, axis_between, axis_by_length, ordered
from .context import Context
from .demands import Read

Values = dict[Cut, list[Array]]


def axes_of(ctx: Context, cut: Cut) -> tuple[Axis, ...]:
    """Where each array at a cut keeps its records."""
    if cut not in ctx.axes:
        cuts = [c for c in dict.fromkeys((cut, *ctx.wanted)) if c not in ctx.axes]
        try:
            ctx.axes |= find_axes(ctx, cuts)
        except AscribeError:
            if len(cuts) == 1:
                raise
            ctx.axes |= find_axes(ctx, [cut])
    return ctx.axes[cut]


def axis_at(ctx: Context, cut: Cut, i: int) -> Axis:
    """Where the i-th array at a cut keeps its records."""
    axes = axes_of(ctx, cut)
    return axes[i] if i < len(axes) else FIRST


def find_axes(ctx: Context, cuts: Sequence[Cut]) -> dict[Cut, tuple[Axis, ...]]:
    """Where the arrays at cuts keep their records, found out in two runs. Raises AscribeError where the model does not run at all."""
    counted, every = ctx.inputs.counted, np.arange(ctx.records)
    if counted.rows is not None:
        rows = counted.rows
        return {c: tuple(axis_by_length(tuple(a.shape), rows) for a in arrays) for c, arrays in look(ctx, cuts, every).items()}
    if counted.whole:
        values = look(ctx, cuts, every)
        return {c: tuple(FIRST if tuple(a.shape)[:1] == (1,) else WHOLE for a in arrays) for c, arrays in values.items()}
    first, m, n = every[:1], 1, 2
    few = try_look(ctx, cuts, first)
    if few is None:
        few, m = look(ctx, cuts, every), ctx.records
    many = try_look(ctx, cuts, every[:2] if m == 1 and ctx.records > 1 else first if m == 1 else every, 1 if m == 1 < ctx.records else 2)
    n = 2 * m
    return {cut: tuple(axes_between(few[cut], m, None if many is None else many[cut], n)) for cut in cuts}


def axes_between(few: Sequence[Array], m: int, many: Sequence[Array] | None, n: int) -> list[Axis]:
    """The axis of each array, from its values for ``m`` records and for ``n``; the likeliest where those did not run."""
    if many is None or len(few) != len(many):
        return [likeliest(tuple(a.shape), m) for a in few]
    found = []
    for a, b in zip(few, many, strict=True):
        axis = axis_between(tuple(a.shape), m, tuple(b.shape), n)
        found.append(ordered(axis, np.asarray(a), np.asarray(b)) if m == 1 and axis.fold > 1 else axis)
    return found


def likeliest(shape: tuple[int, ...], records: int) -> Axis:
    """The axis of the length of the records; the first, where several have it."""
    return next((Axis(i) for i, size in enumerate(shape) if size == records), SHARED)


def try_look(ctx: Context, cuts: Sequence[Cut], index: np.ndarray, points: int = 1) -> Values | None:
    """:func:`look`, None where the model does not run."""
    try:
        return look(ctx, cuts, index, points)
    except AscribeError:
        return None


def look(ctx: Context, cuts: Sequence[Cut], index: np.ndarray, points: int = 1) -> Values:
    """The floating arrays at cuts in a run of some records, all of them ``points`` times."""
    reads = [Read(cut) for cut in cuts]
    args, kwargs = ctx.inputs.tensors(index, points, {})
    output = ctx.run(args, kwargs, reads)
    for read in reads:
        if not read.cut.layer:
            read.visit(0, output)
    return {read.cut: [leaf for _, _, leaf in read.seen] for read in reads}
