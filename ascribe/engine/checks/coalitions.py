"""The checks of a result over coalitions of features: completeness, standard errors, the features and the removal that were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...arrays import as_numpy
from ...features.automatic import FEW
from ...removal import Drop, Removal, Replace
from ...result.attribution import Check, Gap
from ...utils.completeness import EXACT, describe_gaps
from ..batch import Batch
from ..passes.removal_sites import FeatureSites, Site
from ..plan import Plan
from .general import STOPPED, check_finite, check_nonzero, check_session
from .repeatability import check_repeatability, compare_runs

TABLE = 5
"""The least number of records whose values show whether 0 is one of the values of a column."""
SCALED = 10.0
"""A column with larger values is not standardised."""
LARGE = 0.5
"""A standard error of this share of a record's largest value leaves the order of its features open."""


def check_coalitions(
    plan: Plan, batch: Batch, gap: Gap | None, sizes: np.ndarray, removal: Removal, partial: bool = False
) -> tuple[Check, ...]:
    """Returns the checks of a result over coalitions; ``sizes`` are the sums of the values' sizes, ``[quantities, records]``."""
    features, estimate = plan.features, batch.estimate
    assert features is not None and estimate is not None
    finite = STOPPED if partial else check_finite(sizes, plan.session.notes, gap)
    if finite.bad and not partial:
        finite = replace(finite, detail=finite.detail + advise_on_empty_texts(features.sites))
    difference = None if partial else compare_runs(plan, batch)
    return (
        check_sum(gap, estimate.error),
        finite,
        check_nonzero(sizes),
        check_features(features),
        Check("budget", "ok", f"{batch.coalitions} of 2^{features.groups.count} coalitions were run"),
        *([check_removal(removal, features.sites, batch)] if plan.request.removal is None else []),
        *([check_errors(estimate.values, estimate.error)] if estimate.error is not None else []),
        *(Check("estimate", "ok", note) for note in estimate.notes),
        *check_session(plan, batch),
        *([] if difference is None else [check_repeatability(difference, float(np.abs(estimate.values[:, 0]).max(initial=0.0)))]),
    )


def check_sum(gap: Gap | None, error: np.ndarray | None) -> Check:
    """Checks that features' values add up to the change of the quantity, up to their standard errors."""
    if gap is None:
        return Check("completeness", "skipped", "this estimate does not promise a sum")
    allowed = 0.0 if error is None else 3 * np.sqrt(np.square(np.nan_to_num(error)).reshape(*error.shape[:2], -1).sum(-1))
    bad = (gap.relative > EXACT.good) & (np.abs(gap.absolute) > allowed)
    records = tuple(int(i) for i in np.flatnonzero(np.atleast_2d(bad).any(0)))
    return Check("completeness", "fail" if records else "ok", f"gap {describe_gaps(gap.relative)}, feature by feature", records)


def check_errors(values: np.ndarray, error: np.ndarray) -> Check:
    """Checks that standard errors are small next to the largest value of each record."""
    flat = np.abs(values).reshape(*values.shape[:2], -1).max(-1)
    worst = np.nan_to_num(error).reshape((*flat.shape, -1)).max(-1)
    share = np.divide(worst, flat, out=np.zeros_like(worst), where=flat > 0)
    records = tuple(int(i) for i in np.flatnonzero((share > LARGE).any(0)))
    text = f"standard errors of at most {as_numpy(share.max(initial=0.0)):.2g} of a record's largest value"
    return Check("error", "warn" if records else "ok", text + ("; a larger budget makes them smaller" if records else ""), records)


def check_features(features: FeatureSites) -> Check:
    """Names the features, with a warning where they were chosen because there are many, or where inputs are left out."""
    groups = features.groups
    text, warns = groups.description, groups.is_default or bool(groups.warning)
    if groups.is_default:
        place = "layer" if all(site.cut.layer for site in features.sites) else "input"
        text += f", because the {place} has more than {FEW} elements; set features= to change it"
    if groups.warning:
        text += f"; {groups.warning}"
    for site in features.sites:
        if site.left:
            by = ", ".join(f"{name!r}: {'asc.MaskToken(id)' if name in site.left else site.removal}" for name in (*site.names, *site.left))
            text += f"; {', '.join(site.left)} not removed, because integers and words have no default replacement"
            text, warns = f"{text}; by={{{by}}} or a background of all inputs, by=asc.Resample((rows, ...)), includes them", True
    return Check("features", "warn" if warns else "ok", text)


def check_removal(removal: Removal, sites: Sequence[Site], batch: Batch) -> Check:
    """Names the default removal, with a warning where it is 0 and columns of a table have scales of their own."""
    text = f"{removal!r}, because by= is not given"
    zero = [k for k, site in enumerate(sites) if isinstance(site.removal, Replace) and not site.cut.layer]
    tables = [as_numpy(x) for k in zero for x in batch.record[k] if x.ndim == 2]
    if reasons := [reason for t in tables if (reason := unscaled(t))]:
        advice = "by=asc.Resample(x_train) takes values that occur: a few dozen rows of the data, one row for each"
        return Check("removal", "warn", f"{text}: {reasons[0]}; {advice}")
    return Check("removal", "ok", text)


def unscaled(table: np.ndarray) -> str:
    """Returns why 0 is no average value of a table's columns; "" where they may be standardised, or mostly are 0."""
    if not table.size:
        return ""
    sizes = np.nan_to_num(np.abs(table), nan=0.0, posinf=0.0)
    beyond = int(((table.min(0) > 0) | (table.max(0) < 0)).sum()) if len(table) >= TABLE else 0
    if beyond:
        return f"0 is beyond all values of {beyond} columns"
    if (sizes == 0).mean() >= 0.5:
        return ""
    if sizes.max() > SCALED:
        return f"columns have scales of their own, with values up to {sizes.max():.3g}, and 0 may be far from all of a column's"
    return "all values are above 0, which may be far from all of a column's" if table.min() > 0 and sizes.max() > 1 else ""


def advise_on_empty_texts(sites: Sequence[Site]) -> str:
    """Returns advice against NaN where all tokens of a text are dropped."""
    if not any(isinstance(one, Drop) and not one.keep for site in sites for one, _ in site.removals()):
        return ""
    return "; a model with no token left may have nothing to take the mean of: by=asc.Drop(keep=tokenizer.all_special_ids) keeps some"
