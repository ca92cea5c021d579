"""Where paths start and where they end: baselines, rows of a background, the records with or without noise, points of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...arrays import Array, namespace
from ...calls.call import Call
from ...cuts import Cut
from ...distributions.background_rows import OwnRows, Rows, SharedRows
from ...distributions.baselines import (
    CutValues,
    FromInput,
    call_baseline,
    refuse_other_ids,
    resolve_background,
    resolve_baseline,
    resolve_points,
)
from ...distributions.draws import Draws
from ...distributions.members import Points
from ...distributions.shuffles import makes_own_rows
from ...errors import DistributionError
from ..batch import Leaves, broadcast
from .records import Records

Ends = Callable[[np.ndarray], Leaves]
"""A function of the points' numbers that returns where their paths end, ``[points or 1, records, ...]``."""


@dataclass(frozen=True)
class Starts:
    """Where paths start: ``fixed`` is one array for each array at the cut, ``[1 or records, ...]``, ``rows`` are those of a background.

    Both are None for a distribution without a start.
    """

    fixed: Leaves | None = None
    rows: Rows | None = None

    def at(self, draws: Draws, points: np.ndarray) -> Leaves | None:
        """Returns the starts of some points, ``[points or 1, records or 1, ...]``."""
        if self.rows is not None:
            assert draws.row is not None
            return self.rows.at(draws.row[points])
        return None if self.fixed is None else [b[None] for b in self.fixed]


def find_starts(records: Records) -> Starts:
    """Returns where the paths of some records start. Raises DistributionError for a baseline that does not fit."""
    outline, call = records.plan.outline, records.session.call
    baseline, background = outline.baseline, outline.background
    if baseline is None:
        return Starts()
    fit = resolve_baseline if background is None else resolve_background
    inner = baseline.baseline if isinstance(baseline, FromInput) else baseline
    if background is not None and makes_own_rows(inner):
        return Starts(rows=OwnRows(partial(rows_of_records, records, inner), background.samples or inner.samples))
    given = call_baseline(inner, call)
    if isinstance(baseline, FromInput):
        leaves = start_from_input(records, given, fit)
    else:
        if isinstance(given, Call) and not records.plan.at.layer:
            refuse_other_ids(given, call)
        leaves = fit(given, records.context_at(records.plan.at))
    return Starts(fixed=leaves) if background is None else Starts(rows=SharedRows(leaves))


def start_from_input(records: Records, inner: Any, fit: Callable[[Any, CutValues], Leaves]) -> Leaves:
    """Returns the value at the cut where the inputs are a baseline: in another call of the model, or run forward from the inputs."""
    at = records.plan.at
    if isinstance(inner, Call):
        return fit(inner, records.context_at(at))
    source = records.session.cut_info(at).source()
    start = fit(inner, records.context_at(source))
    return start if source == at else run_forward(records, source, start, fit is resolve_background)


def rows_of_records(records: Records, maker: Any, sample: int) -> Leaves:
    """Returns a row for each record, made out of it; at a layer, the value there."""
    plan, session, seed = records.plan, records.session, records.plan.request.seed
    if not plan.at.layer:
        return [maker.rows(x, i, seed, sample) for i, x in enumerate(records.x)]
    source = session.cut_info(plan.at).source()
    if source.layer:  # token ids
        return [a[records.index] for a in records.read_other_call(plan.at, maker.call(session.call, seed, sample))]
    rows = [maker.rows(x, i, seed, sample) for i, x in enumerate(records.context_at(source).values)]
    return run_forward(records, source, rows, False)


def run_forward(records: Records, source: Cut, start: Leaves, rows: bool) -> Leaves:
    """Runs starts at the inputs forward to the cut of the path.

    Raises DistributionError for rows next to other arguments that belong to records: the rows belong to none.
    """
    at = records.plan.at
    spots = tuple(records.evaluate(read=(source,)).reads[source].spots)
    if not rows:
        index = records.index[:1] if records.share_a_row(start, source) else records.index
        write = tuple(broadcast(b[None], 1, len(index)) for b in start)
        reads = records.evaluate(index=index, at=source, spots=spots, write=write, read=(at,)).reads
        return [a[0] for a in reads[at].arrays]
    if not records.session.cut_info(source).replaces_all():
        raise DistributionError(
            "Background rows for one argument do not say what the other arguments of the records are",
            found=f"a path at {at!r}",
            advice="Background(asc.Call(rows, ...), at=...) with all arguments",
        )
    parts: list[Leaves] = []
    for some in records.point_chunks(np.arange(len(start[0])), 1):
        write = tuple(r[some][:, None] for r in start)
        reads = records.evaluate(index=records.index[:1], points=len(some), at=source, spots=spots, write=write, read=(at,)).reads
        parts.append([a[:, 0] for a in reads[at].arrays])
    return [records.session.xp.concat(list(arrays), 0) for arrays in zip(*parts, strict=True)]


def find_ends(records: Records, draws: Draws) -> Ends:
    """Returns where paths end: the records, the records displaced, or points of the user's own."""
    over = records.plan.request.over
    if draws.given:
        assert isinstance(over, Points)
        own = resolve_points(over.values, records.context_at(records.plan.at))
        return lambda points: [p[points] for p in own]
    noise = draws.noise
    if noise is None:
        still = [x[None] for x in records.x]
        return lambda points: still
    values = records.x
    spans = [span_of(x) if noise.relative else None for x in values]

    def displaced(points: np.ndarray) -> Leaves:
        ends = []
        for i, (x, span) in enumerate(zip(values, spans, strict=True)):
            e = namespace(x).asarray(np.stack([noise.draw(int(k), i, tuple(x.shape[1:])) for k in points])[:, None], x)
            ends.append(x[None] + (e if span is None else e * span[None]))
        return ends

    return displaced


def draw_points(records: Records, starts: Starts) -> Draws:
    """Returns the points of the distribution of a call."""
    request = records.plan.request
    draws: Draws = request.over.draw(request.seed, starts.rows.count if starts.rows is not None else 0)  # type: ignore[union-attr]
    return draws


def span_of(x: Array) -> Array:
    """Returns each record's largest value less its smallest, shaped to multiply it."""
    xp = namespace(x)
    axes = tuple(range(1, x.ndim))
    return (xp.amax(x, axes) + xp.amax(-x, axes)).reshape(-1, *[1] * (x.ndim - 1))
