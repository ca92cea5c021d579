"""Builds the :class:`~ascribe.Attribution` of a call: batches joined, values in the user's own form, checks run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array, namespace
from ..backends.protocol import ArrayAt, RecordAxis, Session
from ..distributions.members import Point
from ..features.table import FeatureTable
from ..removal import PerInput, Removal
from ..result.attribution import Attribution, Cost, Gap
from ..utils.ragged import Ragged
from ..version import VERSION
from .batch import Batch, Leaves, join_batches, sum_all
from .checks import check_result
from .checks.general import check_values, compute_gap
from .passes.removal_sites import Site
from .plan import Plan
from .request import Request, text_of


def build_attribution(plan: Plan, batches: Sequence[Batch], seconds: float, partial: bool = False) -> Attribution:
    """Returns the result of a call; ``partial`` says that an error stopped it, so that nothing more is run and no warning is given."""
    request, session, features = plan.request, plan.session, plan.features
    batch = join_batches(session.xp, batches)
    if request.family == "values":
        return build_values(plan, batch, len(batches), seconds)
    several = request.several or (features is None and len(batch.explained) > 1)

    def one(numbers: np.ndarray | None) -> np.ndarray | None:
        return numbers if several or numbers is None else numbers[0]

    sites = None if features is None else features.sites
    removal = None if sites is None else removal_of_sites(request, sites)
    gap, sizes = measure(batch, plan)
    checks = check_result(plan, batch, gap, sizes, removal, partial)
    cut = text_of(plan.cuts if sites is None else [site.cut for site in sites], request.many)
    quantity = text_of(request.quantities, request.several)
    pairs = batch.estimate is not None and batch.estimate.values.ndim > 3  # interactions: pairs of features, and no coordinates
    return Attribution(
        values=session.given(one(batch.values[0][0])) if pairs else in_form(plan, batch.spots, batch.values, 1, not several),
        record=None if pairs else in_form(plan, batch.spots, batch.record, 0, False),
        cut=cut,
        quantity=quantity,
        method=request.code(cut if request.title else text_of(request.cuts, request.many), removal, quantity),
        explained=one(batch.explained),
        prediction=batch.output,
        class_names=session.traits.class_names,
        target=one(batch.classes),
        gap=None if gap is None else gap if several else Gap(gap.absolute[0], gap.relative[0]),
        checks=checks,
        cost=Cost(batch.forward, batch.backward, batch.rows, seconds, plan.chunker.size),
        settings=settings_of(request, batch, removal),
        error=build_errors(plan, batch, several) if batch.errors else None,
        features=None if features is None else build_table(plan, batch, several),
        rows=None if pairs else rows_of(batch.spots),
        base_value=None if batch.change is None else one(np.asarray(batch.explained) - np.asarray(batch.change)),
    )


def build_values(plan: Plan, batch: Batch, runs: int, seconds: float) -> Attribution:
    """Returns the result of a call that only reads cuts."""
    request, cut = plan.request, text_of(plan.cuts, plan.request.many)
    over = "" if request.over == Point() else f", over={request.over!r}"
    return Attribution(
        values=in_form(plan, batch.spots, batch.record, 0, False),
        record=None,
        cut=cut,
        quantity="",
        method=f"activation(at={text_of(request.cuts, request.many)}{over})",
        cost=Cost(runs, 0, plan.session.records, seconds),
        checks=check_values(plan, batch),
        rows=rows_of(batch.spots),
    )


def measure(batch: Batch, plan: Plan) -> tuple[Gap | None, np.ndarray]:
    """Returns the completeness gap, and the sums of the values' sizes ``[quantities, records]``."""
    first = batch.values[0]
    xp = plan.session.xp
    eps = 0.0 if batch.change is None else xp.eps(first[0])
    if batch.estimate is not None:
        flat = batch.estimate.values.reshape(*batch.estimate.values.shape[:2], -1)
        sizes = np.abs(flat).sum(-1)
        return None if batch.change is None else compute_gap(flat.sum(-1), sizes, batch.change, batch.explained, eps), sizes
    each = [[xp.sizes(v, 2) for v in leaves] for leaves in batch.values]
    alone = len(each) == 1 and len(each[0]) == 1
    sizes = each[0][0] if alone else np.sum([size for leaves in each for size in leaves], axis=0)
    if batch.change is None:
        return None, sizes
    size = sizes if len(each) == 1 else np.sum(each[0], axis=0)
    return compute_gap(sum_all(first, xp), size, batch.change, batch.explained, eps), sizes


def removal_of_sites(request: Request, sites: Sequence[Site]) -> Removal:
    """Returns the removals of all sites as one value."""
    by = [site.removal for site in sites]
    if request.removal is not None:
        return request.removal
    return by[0] if all(one == by[0] for one in by) else PerInput(tuple(by))


def build_errors(plan: Plan, batch: Batch, several: bool) -> Any:
    """Returns the standard errors in the form of the values; None where values are exact or come from gradients."""
    if not batch.errors or batch.estimate is None or batch.estimate.error is None:
        return None
    if batch.estimate.values.ndim > 3:
        return plan.session.given(batch.errors[0][0] if several else batch.errors[0][0][0])
    return in_form(plan, batch.spots, batch.errors, 1, not several)


def build_table(plan: Plan, batch: Batch, several: bool) -> FeatureTable:
    """Returns the values by feature, with the feature of each column where the cut holds tables."""
    estimate, features = batch.estimate, plan.features
    assert estimate is not None and features is not None
    groups = features.groups
    places: tuple[np.ndarray | None, ...] = ()
    if groups.membership is None and estimate.values.ndim == 3:
        held = [pair for spots, record in zip(batch.spots, batch.record, strict=True) for pair in zip(spots, record, strict=True)]
        places = tuple(
            np.broadcast_to(cells, (len(cells), x.shape[1])).astype(np.int32) if x.ndim == 2 and spot.axis == 0 else None
            for (spot, x), cells in zip(held, groups.cells, strict=True)
        )
    error = estimate.error
    return FeatureTable(
        estimate.values if several else estimate.values[0],
        error if several or error is None else error[0],
        groups.names,
        groups.description,
        places,
    )


def settings_of(request: Request, batch: Batch, removal: Removal | None) -> dict[str, Any]:
    """Returns what it takes to compute the result again, as plain data."""
    steps = [] if batch.steps is None else [int(s) for s in batch.steps]
    settings: dict[str, Any] = {
        "ascribe": VERSION,
        "seed": request.seed,
        "over": repr(request.over),
        "by": repr(request.by if removal is None else removal),
        "steps": steps[0] if len(set(steps)) == 1 else steps,
    }
    if removal is not None:
        settings |= {"features": repr(request.features), "coalitions": batch.coalitions}
    return settings


def in_form(plan: Plan, spots: Sequence[Sequence[ArrayAt]], arrays: Sequence[Leaves], lead: int, first: bool) -> Any:
    """Returns the arrays of all cuts in the user's own form: at one cut, or at each of a list of them."""
    each = [arrange(plan.session, s, a, lead, first) for s, a in zip(spots, arrays, strict=True)]
    return tuple(each) if plan.request.many else each[0]


def arrange(session: Session, spots: Sequence[ArrayAt], arrays: Sequence[Array], lead: int, first: bool) -> Any:
    """Returns arrays ``[lead..., records, ...]`` in the layers' layout, structure and kind; ``first`` drops the axis of one quantity."""
    native = [a if s.axis == 0 else in_layout(a, s.axis, lead) for a, s in zip(arrays, spots, strict=True)]
    if len(native) == 1:
        return session.given(native[0][0] if first else native[0], spots[0])
    return structured(spots, [session.given(a[0] if first else a, s) for a, s in zip(native, spots, strict=True)])


def rows_of(spots: Sequence[Sequence[ArrayAt]]) -> np.ndarray | None:
    """Returns the record of each row, where rows were given to records by an array."""
    for leaves in spots:
        for spot in leaves:
            if isinstance(spot.axis, Ragged):
                return spot.axis.record
    return None


def in_layout(array: Array, axis: RecordAxis, lead: int) -> Array:
    """Returns ``[lead..., records, ...]`` with the records on the axis of the layer, or its rows where records have several."""
    if isinstance(axis, Ragged):
        return axis.rows(array, lead)
    if axis is None:  # the layer's value has no record axis; a leading 1 of its own makes room for one
        return array[(*[slice(None)] * lead, slice(None), 0)] if array.shape[lead + 1] == 1 else array
    return namespace(array).moveaxis(array, lead, lead + axis) if axis else array


def structured(spots: Sequence[ArrayAt], arrays: Sequence[Array]) -> Any:
    """Returns several arrays in the structure of the value that they came from: a tuple or a dict."""
    several = len({s.call for s in spots}) > 1
    paths = []
    for s in spots:
        path = s.path
        if s.cut.anchor == "in":  # (positional, keyword) is how a call is written, not a level of its own
            path = path[1:]
        paths.append((s.call, *path) if several else path)
    return _nested(list(zip(paths, arrays, strict=True)))


def _nested(items: list[tuple[tuple[int | str, ...], Array]]) -> Any:
    if len(items) == 1 and not items[0][0]:
        return items[0][1]
    groups: dict[int | str, list[tuple[tuple[int | str, ...], Array]]] = {}
    for path, array in items:
        groups.setdefault(path[0], []).append((path[1:], array))
    if all(isinstance(key, int) for key in groups):
        return tuple(_nested(group) for group in groups.values())
    return {key: _nested(group) for key, group in groups.items()}
