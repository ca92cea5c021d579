"""The arrays of one run in canonical form, ``[points, records, ...]``, and back in the layout of the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ....cuts import OUTPUT, Cut
from ....errors import CutError
from ....tree import Path
from ...protocol import ArrayAt, Job, Reading
from ..context import Context
from .axes import Axis
from .hooks import Demand, SeenArrays
from .record_axes import axis_of, note

Tensor = torch.Tensor


def natives(ctx: Context, job: Job, values: Sequence[Tensor | None]) -> list[Any]:
    """Values for a job's points, ``[points, records, ...]``, as the model has them there; None where there are none."""
    rows: list[Any] = []
    for i, value, spot in zip(job.array_numbers, values, job.spots, strict=True):
        rows.append(None if value is None else native(ctx, spot, i, value))
    return rows


def native(ctx: Context, spot: ArrayAt, i: int, value: Tensor) -> Tensor:
    """The value ``[points, records, ...]`` of the i-th array at a cut, as the model has it there."""
    axis = axis_of(ctx, spot.cut, i, spot.path)
    rows = value.flatten(0, 1)
    return rows if axis.plain else axis.native(rows)


def gradients(ctx: Context, job: Job, cut: Cut, seen: SeenArrays, grads: Sequence[Tensor]) -> list[Tensor]:
    """The gradients ``[quantities, ...]`` at the arrays that were seen at a cut, ``[quantities, points, records, ...]``."""
    pairs = enumerate(zip(seen, grads, strict=True))
    return [canonical(ctx, job, g, axis_of(ctx, cut, i, path), cut, path, 1) for i, ((_, path, _), g) in pairs]


def reading(ctx: Context, job: Job, cut: Cut, seen: SeenArrays) -> Reading:
    """The value at a cut. Of an output that a quantity is read from, only the parts that have a row for each record."""
    spots: list[ArrayAt] = []
    arrays: list[Tensor] = []
    partial = cut == OUTPUT and job.of is not None
    for i, (call, path, leaf) in enumerate(seen):
        axis, leaf = axis_of(ctx, cut, i, path), leaf.detach()
        if axis.plain and leaf.ndim and leaf.shape[0] == job.records:
            arrays.append(leaf.unsqueeze(0))
        elif partial and not fits(job, axis, leaf, 0):
            continue
        else:
            arrays.append(canonical(ctx, job, leaf, axis, cut, path, 0))
        spots.append(ArrayAt(cut, call, path, axis.canonical_axis))
    return Reading(spots, arrays)


def canonical(ctx: Context, job: Job, array: Tensor, axis: Axis, cut: Cut, path: Path, lead: int) -> Tensor:
    """``[lead..., the layer's own layout]`` to ``[lead..., points, records, ...]``. Raises CutError for other rows than records."""
    if axis.plain and array.ndim > lead and array.shape[lead] == job.records:
        return array.unsqueeze(lead)
    lost = axis.at is None and ctx.inputs.counted.rows is not None
    if lost or (axis.at is not None and not fits(job, axis, array, lead)):
        raise other_rows(ctx, cut, path, tuple(array.shape[lead:]), job.records)
    return axis.canonical(array, lead, job.points, job.records, bool(lead))


def fits(job: Job, axis: Axis, array: Tensor, lead: int) -> bool:
    """True if an array has a row for each record, at one point or at all of them."""
    if axis.at is None:
        return False
    rows = array.shape[lead] if axis.plain and array.ndim > lead else axis.count(array, lead)
    return rows is None or rows == job.records or rows == job.records * job.points


def note_shapes(ctx: Context, demands: Iterable[Demand], records: int) -> None:
    """Remember the shapes that a run showed at cuts whose record axes are not known yet."""
    for demand in demands:
        cut = demand.cut
        if demand.seen and (cut.layer or cut.anchor == "out") and cut not in ctx.axes and cut not in ctx.facts.shapes.record_axes:
            note(ctx, cut, records, [tuple(t.shape) for _, _, t in demand.seen])


def other_rows(ctx: Context, cut: Cut, path: Path, shape: tuple[int, ...], records: int) -> CutError:
    """The error for an array at a cut that cannot be given to records."""
    part = "" if cut.accessor is not None or not path else f", part {'.'.join(map(str, path))!r}"
    place = "a layer around it whose value has one row per record"
    if not cut.layer and path:
        place = "a part that has: OUTPUT.at(...), as on= of the quantity or as at="
    there = f"{records} records, whose rows are selected or mixed with others on one axis"
    if (rows := ctx.inputs.counted.rows) is not None:
        there = f"`records=` for {len(rows)} rows of {records} records"
    problem = f"`{cut!r}`{part} has shape {shape}, which cannot be divided into records"
    return CutError(problem, found=there, advice=place, code="E-CUT-FOLDED")


def nothing_seen(demand: Demand) -> CutError:
    """The error for a layer that ran and showed nothing of what was wanted."""
    if demand.cut.call is not None and not 0 <= demand.cut.call < demand.fired:
        problem = f"The layer {demand.cut.layer!r} has no use {demand.cut.call} in this call"
        there = f"{demand.cut!r}, and uses 0 to {demand.fired - 1} of the layer"
        return CutError(problem, found=there, advice=f"Cut({demand.cut.layer!r}, call={demand.fired - 1})", code="E-CUT-CALLS")
    problem, there = f"`{demand.cut!r}` holds no floating-point tensor", "integers, or no tensor"
    return CutError(problem, found=there, advice="one of the cuts of asc.cuts_of(model, *args)", code="E-CUT-INTEGER")
