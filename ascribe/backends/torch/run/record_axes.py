"""Which axis of a value runs over the records, by the shapes in a run of several records and in one of a single row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch

from ....calls.call import argument_name
from ....cuts import Cut, each_of
from ....errors import InputError
from ....tree import Path
from ...facts import Shapes
from ..context import Context
from .axes import FIRST, WHOLE, Axis, alone, axis_between, axis_by_length, is_ambiguous, ones
from .compare import close
from .hooks import Read, Run

Tensor = torch.Tensor
ORDER = 1e-3
"""The difference that rounding may make between rows that are the same ones: only their order is in question."""


def axis_of(ctx: Context, cut: Cut, i: int, path: Path) -> Axis:
    """Where the i-th array at a cut keeps its records; on its first axis where that could not be seen."""
    if not cut.layer and cut.anchor == "in":
        return ctx.inputs.axis(path)
    axes = axes_of(ctx, cut)
    return axes[i] if i < len(axes) else FIRST


def axes_of(ctx: Context, cut: Cut) -> tuple[Axis, ...]:
    """Where each array at a cut keeps its records."""
    known = ctx.axes.get(cut)
    if known is None:
        known = ctx.facts.shapes.record_axes.get(cut)
        if known is None:
            known, lasting = axes_at(ctx, cut)
            if lasting:
                ctx.facts.shapes.record_axes[cut] = known
        ctx.axes[cut] = known
    return known


def note(ctx: Context, cut: Cut, records: int, shapes: Shapes | None) -> None:
    """Remember the shapes at a cut in a run of so many records; None where they did not run."""
    ctx.facts.shapes.shapes.setdefault(cut, {}).setdefault(records, shapes)


def shapes_of(ctx: Context, cut: Cut, records: int, repeat: int = 1) -> Shapes | None:
    """The shapes at a cut for the first so many records, ``repeat`` times; None where they do not run."""
    rows = records * repeat
    if rows not in ctx.facts.shapes.shapes.get(cut, {}):
        look(ctx, cut, np.arange(records), repeat)
    return ctx.facts.shapes.shapes.get(cut, {}).get(rows)


def look(ctx: Context, cut: Cut, index: np.ndarray, repeat: int = 1, news: Mapping[Path, Tensor] = MappingProxyType({})) -> list[Tensor]:
    """Run some records for what a cut holds; the shapes at all cuts of the call are noted with it. Nothing where they do not run."""
    for cuts in (dict.fromkeys((cut, *(one for several in ctx.wanted for one in each_of(several)))), {cut: None}):
        reads = [Read(c, ctx.last_use(c)) for c in cuts]
        try:
            args, kwargs = ctx.inputs.rows(index, repeat, news)
            with ctx.graphs():
                output = Run(ctx.layers, reads, stop=True)(ctx.runs, args, kwargs)
            for read in reads:
                if not read.cut.layer:
                    read.visit(0, output)
        except Exception as wrong:  # whatever a model raises for a number of records that it cannot do
            if ctx.needs_graph(wrong):
                return look(ctx, cut, index, repeat, news)
            continue
        for read in reads:
            note(ctx, read.cut, len(index) * repeat, [tuple(t.shape) for _, _, t in read.seen])
        return [t for _, _, t in reads[0].seen]
    note(ctx, cut, len(index) * repeat, None)
    return []


def axes_at(ctx: Context, cut: Cut) -> tuple[tuple[Axis, ...], bool]:
    """The record axis of each array at a cut, and whether that holds for all calls with arguments of these shapes."""
    counted, n = ctx.inputs.counted, ctx.records
    if counted.together:
        shapes = shapes_of(ctx, cut, n) or []
        rows = counted.rows
        last = not cut.layer
        return tuple(axis_by_length(s, rows, last) if rows is not None else FIRST if s[:1] == (1,) else WHOLE for s in shapes), True
    if n == 1:
        return tuple(_of_one(ctx, cut)), True
    return _of_several(ctx, cut)


def _of_one(ctx: Context, cut: Cut) -> list[Axis]:
    once = shapes_of(ctx, cut, 1)
    if once is not None and all(len(ones(shape)) == 1 for shape in once):
        return [Axis(ones(shape)[0]) for shape in once]
    twice = shapes_of(ctx, cut, 1, 2)
    if once is None:
        return list(_unseen(ctx, twice))
    fits = twice is not None and len(twice) == len(once)
    found = [alone(a, twice[i] if fits and twice is not None else None) for i, a in enumerate(once)]
    if all(axis.fold == 1 for axis in found):
        return found
    return [axis or WHOLE for axis in in_order(found, look(ctx, cut, np.arange(1)), unlike_itself(ctx, cut))]


def _of_several(ctx: Context, cut: Cut) -> tuple[tuple[Axis, ...], bool]:
    n = ctx.records
    few, m = shapes_of(ctx, cut, 1), 1
    seen = ctx.facts.shapes.shapes.get(cut, {})
    k = max((rows for rows, shapes in seen.items() if rows > 1 and shapes is not None), default=2)
    many = seen.get(k) or shapes_of(ctx, cut, 1, 2)
    if few is None:
        few, m, many, k = shapes_of(ctx, cut, n), n, shapes_of(ctx, cut, n, 2), 2 * n
    if few is None or many is None:
        return _unseen(ctx, few or many), True
    if len(few) != len(many):
        return (FIRST,) * len(few), True
    if m == 1 and any(is_ambiguous(b, a, k) for a, b in zip(few, many, strict=True)):
        other = shapes_of(ctx, cut, 1, 3 if k != 3 else 2)
        many, k = (other, 3 if k != 3 else 2) if other is not None and len(other) == len(many) else (many, k)
    found = [axis_between(a, m, b, k) for a, b in zip(few, many, strict=True)]
    if all(axis.fold == 1 for axis in found):
        return tuple(found), True
    unlike = find_different_record(ctx)
    two = look(ctx, cut, np.array([0, 1 if unlike is None else unlike]))
    ordered = in_order(found, look(ctx, cut, np.arange(1)), two)
    return tuple(axis or found[i] for i, axis in enumerate(ordered)), None not in ordered


def in_order(found: Sequence[Axis], one: Sequence[Tensor], two: Sequence[Tensor]) -> list[Axis | None]:
    """Folded rows, with their order, from a record and from the same record and another one together.

    None where both orders look alike, as those of equal rows do, or nothing ran.
    """
    ordered: list[Axis | None] = []
    for i, axis in enumerate(found):
        if axis.fold == 1 or axis.at is None:
            ordered.append(axis)
        elif len(one) != len(found) or len(two) != len(found):
            ordered.append(None)
        else:
            at = axis.at
            together, apart = (t.movedim(at, 0) for t in (two[i], one[i]))
            block, strided = close(together[: axis.fold], apart, ORDER), close(together[::2], apart, ORDER)
            if block and strided:
                ordered.append(None)
            else:
                ordered.append(axis if block else Axis(at, axis.fold, True) if strided else Axis(at))
    return ordered


def find_different_record(ctx: Context) -> int | None:
    """The first record that is not as the first one is."""
    return next(iter(differs_from_first(ctx, np.arange(ctx.records)).nonzero()[0].tolist()), None)


def differs_from_first(ctx: Context, index: np.ndarray) -> np.ndarray:
    """Which of these records are not as the first of them is, a Boolean for each."""
    found = np.zeros(len(index), dtype=bool)
    for path in ctx.inputs.own_paths:
        leaf = ctx.inputs.own_rows(path, index).movedim(ctx.inputs.counted.axes[path], 0)
        leaf = leaf.reshape(len(leaf), -1)
        found |= ((leaf != leaf[:1]) & ~((leaf != leaf) & (leaf != leaf)[:1])).any(1).cpu().numpy()
    return found


def unlike_itself(ctx: Context, cut: Cut) -> list[Tensor]:
    """The values at a cut for the only record together with a disturbed one; nothing for token ids, because not every id exists."""
    inputs, generator = ctx.inputs, torch.Generator().manual_seed(0)
    news = {}
    for path in inputs.explained:
        axis, row = inputs.axis(path), inputs.own_rows(path, np.arange(1))
        noise = torch.randn(row.shape, generator=generator, device=generator.device).to(row)
        news[path] = torch.cat([row, row + noise * (row.abs().mean() + 1)], axis.at or 0)
    return look(ctx, cut, np.arange(1), 2, news) if news else []


def _unseen(ctx: Context, shapes: Sequence[tuple[int, ...]] | None) -> tuple[Axis, ...]:
    """The axes that are assumed where runs of other numbers of records fail. Raises InputError for a record without a batch dimension."""
    if lacks_record_axis(ctx):
        given = ", ".join(f"{argument_name(p)} {tuple(leaf.shape)}" for p, leaf in ctx.inputs.leaves.items())
        raise InputError("The inputs have no batch dimension", found=given, advice="x[None] for a single record", code="E-RECORDS")
    n = ctx.records
    found = []
    for shape in shapes or ():
        fits = [i for i, size in enumerate(shape) if size == n]
        found.append(Axis(fits[0]) if fits else FIRST)
    return tuple(found)


def lacks_record_axis(ctx: Context) -> bool:
    """True if a single vector or image, which cannot be cut or doubled, runs with an axis put in front of it.

    A table of the nodes of a fixed graph does so too, and is left alone.
    """
    inputs = ctx.inputs
    if len(inputs.own) != 1 or inputs.leaves[path := next(iter(inputs.own))].ndim not in (1, 3):
        return False
    shapes = []
    for news in ({}, {path: inputs.leaves[path].detach()[None].clone()}):
        args, kwargs = inputs.rows(np.arange(ctx.records), 1, news)
        try:
            with torch.no_grad():
                output = ctx.runs(*args, **kwargs)
        except Exception:
            return False
        shapes.append(tuple(output.shape) if isinstance(output, Tensor) else ())
    return shapes[1] == (1, *shapes[0])
