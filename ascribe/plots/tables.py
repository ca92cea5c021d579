"""Figures of tables: from the base value to the score of a record, and all records at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..errors import ResultError
from ..result.attribution import Attribution
from ..utils.entry import check_arguments
from .canvas import name_length, start, tidy, width_of
from .draw import AGAINST, FOR, PALETTE
from .table_data import TableData, as_numbers, base_of, name_with_value, read_table, shorten

MISSING = "0.6"
"""The grey of records without a value."""
NORMAL = 1.96
"""Standard errors in half of a 95 % interval."""


@check_arguments
def waterfall(a: Attribution, record: int = 0, *, top: int = 10, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Returns a figure that leads from the base value to the score of one record, a bar for each feature.

    *Use it when* you show why a record has its score. ``top`` is the number of features; the others are one bar together. Standard errors
    are lines. Raises ResultError for methods without a base value and for results that are no table.
    """
    table = read_table(a.records(record))
    base = float(base_of(table, "waterfall")[0])
    values, error = table.values[0], None if table.error is None else table.error[0]
    order = np.argsort(-np.nan_to_num(np.abs(values)), kind="stable")[:top]
    rest = np.delete(values, order)
    steps = [*values[order], *([rest.sum()] if len(rest) else [])]
    ends = base + np.concatenate([[0.0], np.cumsum(steps)])
    figure, ax = start(ax, (6.4, 1.5 + 0.32 * (len(steps) + 1)))
    labels = [name_with_value(table, int(k), 0, name_length(ax)) for k in order]
    labels += [f"{len(rest)} others together"] if len(rest) else []
    for place, (low, step) in enumerate(zip(ends[:-1], steps, strict=True)):
        ax.barh(place, step, left=low, color=FOR if step > 0 else AGAINST, height=0.7)
        ax.plot([low + step] * 2, [place - 0.35, place + 1.35], color="0.55", linewidth=0.7)
        if error is not None and place < len(order):
            spread = float(error[order[place]])
            ax.errorbar(low + step, place, xerr=spread, ecolor="0.15", elinewidth=1.0, capsize=2.5, fmt="none")
    width = float(np.ptp(ends)) or 1.0
    for place, (low, step) in enumerate(zip(ends[:-1], steps, strict=True)):
        ax.text(max(low, low + step) + 0.015 * width, place, f"{step:+.3g}".replace("-", "−"), va="center", fontsize="small")
    ax.axvline(base, color="0.4", linewidth=0.8, linestyle=":")
    ax.set_xlim(ends.min() - 0.05 * width, ends.max() + 1.6 / width_of(ax) * width)
    ax.set_ylim(len(steps) - 0.3, -0.7)
    ax.set_yticks(range(len(labels)), labels=labels, parse_math=False)
    score = float(ends[-1])
    tidy(ax, title, f"base value {base:.4g} → score {score:.4g}".replace("-", "−"))
    return figure


@check_arguments
def importance(
    results: Attribution | Mapping[str, Attribution], *, top: int = 15, ax: Axes | None = None, title: str | None = None
) -> Figure:
    """Returns a figure of the mean absolute value of each feature over the records, with 95 % intervals of the mean.

    *Use it when* you ask which features matter for a model. ``results`` is a result, or several by their titles, side by side. Raises
    ResultError for results that are no table, and for several with other features.
    """
    named = {"": results} if not isinstance(results, Mapping) else dict(results)
    tables = {name: read_table(a) for name, a in named.items()}
    first = next(iter(tables.values()), None)
    if first is None or any(table.names != first.names for table in tables.values()):
        there = "no results" if first is None else "results with other features"
        raise ResultError("`importance` needs results of the same features", found=there, advice="asc.plots.importance(a)")
    means = {name: np.abs(table.values).mean(0) for name, table in tables.items()}
    order = np.argsort(-np.nan_to_num(np.mean(list(means.values()), 0)), kind="stable")[:top]
    figure, ax = start(ax, (6.4, 1.3 + (0.27 + 0.13 * (len(tables) - 1)) * (len(order) + 1)))
    height = 0.78 / len(tables)
    for i, (name, table) in enumerate(tables.items()):
        places = np.arange(len(order)) + (i - (len(tables) - 1) / 2) * height
        spread = np.abs(table.values).std(0, ddof=1) / np.sqrt(len(table.values)) if len(table.values) > 1 else np.zeros(len(table.names))
        shade = str(0.25 + 0.5 * i / max(len(tables) - 1, 1)) if len(tables) > 1 else AGAINST
        ax.barh(places, means[name][order], height=height * 0.92, color=shade, label=name)
        if len(table.values) > 1:
            line: dict[str, Any] = {"ecolor": "0.1", "elinewidth": 1.0, "capsize": 2.0, "fmt": "none"}
            ax.errorbar(means[name][order], places, xerr=NORMAL * spread[order], **line)
    ax.set_yticks(range(len(order)), labels=[shorten(first.names[k], name_length(ax)) for k in order], parse_math=False)
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_xlim(left=0)
    if len(tables) > 1:
        ax.legend(frameon=False, fontsize="small", loc="lower right")
    count = len(first.values)
    tidy(ax, title, f"mean absolute attribution over {count} record{'s' if count != 1 else ''}, with 95 % intervals")
    return figure


@check_arguments
def beeswarm(a: Attribution, *, top: int = 15, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Returns a figure with a row for each feature and a point for each record, coloured by the record's value of the feature.

    *Use it when* you ask how features act over many records: a row with blue points at the left and red ones at the right raises the score
    with its value. Missing values, and texts, are grey. Raises ResultError for results that are no table.
    """
    table = read_table(a)
    order = table.order(top)
    figure, ax = start(ax, (6.8, 1.4 + 0.34 * (len(order) + 1)))
    for place, k in enumerate(order):
        values = table.values[:, k]
        shades = rank_shades(None if table.data is None else as_numbers(table.data[:, k]), len(values))
        jitter = spread_points(values, float(np.ptp(table.values[np.isfinite(table.values)])) or 1.0)
        known = np.isfinite(shades)
        ax.scatter(values[~known], place + jitter[~known], s=9, color=MISSING, linewidths=0)
        ax.scatter(values[known], place + jitter[known], s=9, c=shades[known], cmap=PALETTE, vmin=-1, vmax=1, linewidths=0)
    ax.axvline(0, color="0.3", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(order)), labels=[shorten(table.names[k], name_length(ax)) for k in order], parse_math=False)
    ax.set_ylim(len(order) - 0.4, -0.6)
    low_to_high(ax)
    tidy(ax, title, "attribution of each record")
    return figure


@check_arguments
def dependence(
    a: Attribution, feature: int | str, colour: int | str | None = "auto", *, ax: Axes | None = None, title: str | None = None
) -> Figure:
    """Returns a figure of the attribution of a feature against its value, a point for each record.

    *Use it when* you ask at which values a feature acts. ``colour`` is a second feature that colours the points: its name or position,
    "auto" for the one whose values explain most of the spread, None for none. Raises ResultError for an unknown feature, and for results
    without the records' values.
    """
    table = read_table(a)
    k = table.find(feature)
    x = None if table.data is None else table.data[:, k]
    if x is None:
        raise ResultError("`dependence` needs the values of the records", found="a result without them", advice="asc.plots.beeswarm(a)")
    second = strongest_partner(table, k) if colour == "auto" else None if colour is None else table.find(colour)
    figure, ax = start(ax, (5.6, 4.2))
    numbers = as_numbers(x)
    if numbers is None:
        texts = sorted({str(one) for one in x})
        numbers = np.array([texts.index(str(one)) for one in x], float)
        ax.set_xticks(range(len(texts)), labels=[shorten(one, 16) for one in texts], parse_math=False, rotation=30, ha="right")
    shades = rank_shades(None if second is None or table.data is None else as_numbers(table.data[:, second]), len(x))
    known = np.isfinite(shades)
    ax.scatter(numbers[~known], table.values[~known, k], s=14, color=MISSING if second is not None else AGAINST, linewidths=0)
    ax.scatter(numbers[known], table.values[known, k], s=14, c=shades[known], cmap=PALETTE, vmin=-1, vmax=1, linewidths=0)
    ax.axhline(0, color="0.3", linewidth=0.8, zorder=0)
    ax.set_ylabel(f"attribution of {shorten(table.names[k], name_length(ax))}", parse_math=False)
    if second is not None:
        low_to_high(ax, shorten(table.names[second], name_length(ax)))
    tidy(ax, title, shorten(table.names[k], name_length(ax)), axis=True)
    return figure


def rank_shades(column: np.ndarray | None, count: int) -> np.ndarray:
    """Returns a shade from -1 (low) to 1 (high) for each value by its rank, so that outliers do not use up the colours; NaN if missing."""
    if column is None:
        return np.full(count, np.nan)
    known = np.isfinite(column)
    shades = np.full(count, np.nan)
    levels = np.unique(column[known])
    if len(levels):
        shades[known] = np.searchsorted(levels, column[known]) / max(len(levels) - 1, 1) * 2 - 1
    return shades


def spread_points(values: np.ndarray, width: float, bins: int = 80) -> np.ndarray:
    """Returns shifts of points within a row, so that points of nearly the same value lie above and below each other."""
    slots = np.round(np.nan_to_num(values) / width * bins).astype(int)
    shifts = np.zeros(len(values))
    counts = {int(slot): int((slots == slot).sum()) for slot in np.unique(slots)}
    most = max(counts.values(), default=1)
    for slot, count in counts.items():
        here = np.flatnonzero(slots == slot)
        shifts[here] = (np.arange(count) - (count - 1) / 2) / max(most - 1, 8) * 0.8
    return shifts


def strongest_partner(table: TableData, k: int) -> int | None:
    """Returns the feature whose values explain most of what the values of feature ``k`` leave of its attribution; None without one.

    The attribution is smoothed over the records in the order of the feature's value; the rank correlation of what is left with each other
    feature, separately in the lower and the upper half of that order, decides.
    """
    assert table.data is not None
    x = as_numbers(table.data[:, k])
    if x is None or len(x) < 20:
        return None
    order = np.argsort(x, kind="stable")
    smooth = np.convolve(np.pad(table.values[order, k], 5, mode="edge"), np.full(11, 1 / 11), mode="valid")
    left = table.values[order, k] - smooth
    best, found = 0.0, None
    for j in range(len(table.names)):
        other = None if j == k else as_numbers(table.data[order, j])
        if other is None or not np.isfinite(other).all():
            continue
        halves = np.array_split(np.arange(len(x)), 2)
        strength = sum(abs(correlate_ranks(left[h], other[h])) for h in halves)
        if strength > best:
            best, found = strength, j
    return found


def correlate_ranks(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the rank correlation of two columns; 0 where one is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(np.searchsorted(np.unique(a), a), np.searchsorted(np.unique(b), b))[0, 1])


def low_to_high(ax: Axes, label: str = "value of the feature") -> None:
    """Draws the legend of points that are coloured from low to high values."""
    bar = ax.figure.colorbar(ScalarMappable(Normalize(-1, 1), PALETTE), ax=ax, fraction=0.03, pad=0.02, aspect=30, ticks=[-1, 1])
    bar.ax.set_yticklabels(["low", "high"], fontsize="small")
    bar.set_label(label, fontsize="small", parse_math=False)
    bar.outline.set_visible(False)
