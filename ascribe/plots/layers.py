"""Figures of several layers, and of attention heads. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..arrays import as_numpy
from ..errors import ResultError
from ..result.attribution import Attribution
from ..utils.entry import check_arguments
from ..utils.intervals import interval_of_mean
from .canvas import start
from .images import PERCENTILE, label_axes
from .look import Look, Sign
from .maps import add_colour_bar, scale_map, select_palette
from .names import name_rows, width_of_rows

BAR = "#4a6fa5"


@check_arguments
def depth(layers: Mapping[str, Attribution], ax: Axes | None = None, *, sign: Sign = "absolute", title: str | None = None) -> Figure:
    """Returns the figure of the share that each layer has of the absolute values of all layers: the mean over records, 95 % intervals.

    >>> figure = asc.plots.depth({"layer1": first, "layer2": second})  # doctest: +SKIP

    *Use it when* you ask at which depth a model uses what an attribution shows. ``layers`` maps names to results of the same records, the
    first layer first. ``sign`` counts positive, negative or all values by their size. Layers with more elements can have larger shares.

    Raises ResultError without layers, and for results of other records.
    """
    counts = {len(a) for a in layers.values()}
    if len(counts) != 1 or 0 in counts or any(a.quantities is not None for a in layers.values()):
        found = ", ".join(f"{name}: {len(a)} records" for name, a in layers.items()) or "an empty dict"
        raise ResultError("`depth` needs results of the same records, of one quantity", found=found, advice='depth({"layer1": a, ...})')
    look = Look(sign="absolute" if sign == "all" else sign)
    sizes = np.stack([_record_sizes(a, look) for a in layers.values()], 1)  # [records, layers]
    total = sizes.sum(1, keepdims=True)
    shares = np.where(total > 0, sizes, np.nan) / np.where(total > 0, total, 1.0)
    known = shares[~np.isnan(shares).any(1)]
    means = known.mean(0) if len(known) else np.zeros(len(layers))
    _, ax = start(ax, (6.4, 1.6 + 0.3 * len(layers)))
    places = np.arange(len(layers))
    ax.barh(places, means, color=BAR, height=0.7)
    for place, column in zip(places, known.T, strict=True):
        low, high = interval_of_mean(column)
        if np.isfinite(low):
            ax.plot([max(low, 0.0), high], [place, place], color="0.1", linewidth=1.2, marker="|", markersize=6)
    name_rows(ax, list(layers))
    ax.set_ylim(len(layers) - 0.4, -0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    what = {"positive": "positive", "negative": "negative"}.get(sign, "absolute")
    left_out = f"; {len(shares) - len(known)} without values" if len(known) < len(shares) else ""
    spread = ", mean and 95 % interval" if len(known) > 1 else ""
    caption = f"share of the {what} values: {len(known)} record{'s' * (len(known) != 1)}{spread}{left_out}"
    label_axes(ax, title or "", caption, left=width_of_rows(ax))
    figure: Figure = ax.figure.figure
    return figure


def _record_sizes(a: Attribution, look: Look) -> np.ndarray:
    """Returns the sum of the absolute values of each record that have the sign."""
    sums = [np.abs(look.select(as_numpy(array).astype(np.float64))).reshape(len(array), -1).sum(1) for _, array in a.padded().arrays()]
    total: np.ndarray = np.sum(sums, 0)
    return total


@check_arguments
def heads(
    values: Any,
    ax: Axes | None = None,
    *,
    layers: Any = None,
    record: int | None = None,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = PERCENTILE,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns the figure of a matrix of layers by attention heads.

    >>> figure = asc.plots.heads(importance_of_heads)  # doctest: +SKIP

    ``values`` are ``[layers, heads]``; or ``[records, layers, heads]``, an array or a result, of which the mean over records is drawn, or
    one ``record``; or a dict of results at the attention weights ``[records, heads, ...]`` by the names of the layers, whose values are
    summed for each head. ``layers`` are names of the layers. Other arguments as for :func:`image`. Raises ResultError for other shapes.
    """
    table, names = _read_heads(values, layers, record)
    look = Look(cmap, sign, percentile, alpha)
    scale = scale_map(table, look)
    rows, columns = table.shape
    _, ax = start(ax, (min(6.4, 2.4 + 0.3 * columns), min(8.0, 1.9 + 0.26 * rows)))

    norm, palette = Normalize(scale.low, scale.high), select_palette(cmap, scale)
    ax.imshow(np.ma.masked_invalid(look.select(table)), cmap=palette, norm=norm, aspect="auto", interpolation="nearest", alpha=alpha)
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.6)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    step = -(-columns // 12)
    ax.set_xticks(range(0, columns, step))
    if names is None:
        ax.set_yticks(range(0, rows, -(-rows // 16)))
        ax.set_ylabel("layer", fontsize="small")
    else:
        name_rows(ax, names)
    label = "contribution" if scale.low < 0 < scale.high else "importance"
    add_colour_bar(ax, palette, norm, label)
    label_axes(ax, title or "", "head", left=width_of_rows(ax))
    figure: Figure = ax.figure.figure
    return figure


def _read_heads(values: Any, layers: Any, record: int | None) -> tuple[np.ndarray, list[str] | None]:
    """Returns a table ``[layers, heads]`` and the names of the layers."""
    if isinstance(values, Mapping):
        layers = list(values) if layers is None else layers
        tables = [_sum_heads(one, record) for one in values.values()]
        if len({len(table) for table in tables}) != 1:
            found = ", ".join(f"{name}: {len(table)}" for name, table in zip(values, tables, strict=True)) or "an empty dict"
            raise ResultError("All layers need the same number of heads", found=found, advice="asc.plots.heads({'layer 0': a, ...})")
        table = np.stack(tables)
    else:
        array = values.arrays()[0][1] if isinstance(values, Attribution) and len(values.arrays()) == 1 else values
        table = np.asarray(as_numpy(array), np.float64)
        table = table if table.ndim != 3 else table.mean(0) if record is None else table[record]
    if table.ndim != 2 or 0 in table.shape:
        raise ResultError("`heads` needs values [layers, heads]", found=f"{list(table.shape)}", advice="values[records, layers, heads]")
    if layers is not None and len(layers) != len(table):
        raise ResultError("The names of the layers do not fit", found=f"{len(layers)} names, {len(table)} layers", advice="layers=[...]")
    return table, None if layers is None else [str(name) for name in layers]


def _sum_heads(one: Any, record: int | None) -> np.ndarray:
    """Returns the sum for each head, of one record or the mean over records, of values ``[records, heads, ...]``."""
    array = one.arrays()[0][1] if isinstance(one, Attribution) else one
    wide = np.asarray(as_numpy(array), np.float64)
    if wide.ndim == 1:
        return wide
    sums = wide.reshape(*wide.shape[:2], -1).sum(-1)
    return np.asarray(sums.mean(0) if record is None else sums[record])
