"""Figures of many records of a table, and of pairs of features."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..arrays import as_numpy
from ..display import colours
from ..errors import ResultError
from ..features.table import label_places
from ..result.attribution import Attribution
from ..utils.entry import check_arguments
from .canvas import name_length, start, tidy
from .draw import AGAINST, FOR, PALETTE
from .table_data import base_of, read_table, shorten

LINES = 200
"""The number of records from which the lines of ``decisions`` become thin."""


@check_arguments
def heatmap(a: Attribution, *, top: int = 20, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Returns a figure of records by features: the colour of each cell is its attribution. Records are ordered by their score.

    *Use it when* you look for groups of records that the model treats alike. Above the map is the score of each record, where it is known.
    Raises ResultError for results that are no table.
    """
    table = read_table(a)
    features = table.order(top)
    score = table.explained if table.explained is not None else table.values.sum(1)
    records = np.argsort(score, kind="stable")
    figure, ax = start(ax, (7.2, 1.6 + 0.27 * (len(features) + 4)))
    labels = ["score" if table.explained is not None else "sum", *[shorten(table.names[k], name_length(ax)) for k in features]]
    shown = table.values[np.ix_(records, features)].T
    limit = colours.colour_limit(shown) or 1.0
    ax.imshow(shown, aspect="auto", cmap=PALETTE, vmin=-limit, vmax=limit, interpolation="nearest")
    low, width = float(np.nanmin(score)), float(np.ptp(score[np.isfinite(score)])) or 1.0
    height = 3.0
    ax.plot(np.arange(len(records)), -1.0 - height * (score[records] - low) / width, color="0.15", linewidth=1.2)
    ax.set_ylim(len(features) - 0.5, -1.5 - height)
    ax.set_xlim(-0.5, len(records) - 0.5)
    ax.set_yticks([-1.0 - height / 2, *range(len(features))], labels=labels, parse_math=False)
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), PALETTE), ax=ax, fraction=0.03, pad=0.02, aspect=30)
    bar.set_label("attribution", fontsize="small")
    bar.outline.set_visible(False)
    tidy(ax, title, f"{len(records)} records in the order of their score")
    return figure


@check_arguments
def decisions(a: Attribution, *, top: int = 15, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Returns a figure with a line for each record, from the base value at the bottom to its score at the top, one feature at a time.

    *Use it when* you compare how records reach their scores, or look for one that goes another way. Features are in the order of their mean
    absolute values; the others come first, together. Raises ResultError for methods without a base value.
    """
    table = read_table(a)
    base = base_of(table, "decisions")
    order = table.order(top)[::-1]
    rest = table.values.sum(1) - table.values[:, order].sum(1)
    others = len(table.names) - len(order)
    steps = np.column_stack([*([rest] if others else []), table.values[:, order]])
    paths = base[:, None] + np.concatenate([np.zeros((len(base), 1)), np.cumsum(steps, 1)], 1)
    figure, ax = start(ax, (6.0, 1.6 + 0.29 * (len(order) + 2)))
    labels = ([f"{others} others together"] if others else []) + [shorten(table.names[k], name_length(ax)) for k in order]
    final = paths[:, -1]
    low, high = float(final.min()), float(final.max())
    palette = Normalize(low, high if high > low else low + 1)
    thin = 1.3 if len(paths) < LINES else 0.5
    for path in paths:
        ax.plot(path, np.arange(paths.shape[1]) - 0.5, color=PALETTE(float(palette(path[-1]))), linewidth=thin, alpha=0.9)
    ax.axvline(float(base.mean()), color="0.5", linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(labels)), labels=labels, parse_math=False)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    bar = figure.colorbar(ScalarMappable(palette, PALETTE), ax=ax, fraction=0.03, pad=0.02, aspect=30)
    bar.set_label("score of the record", fontsize="small")
    bar.outline.set_visible(False)
    tidy(ax, title, "from the base value (dotted) to the score of each record")
    return figure


@check_arguments
def interactions(
    a: Attribution, record: int | None = None, *, top: int = 10, network: bool = False, ax: Axes | None = None, title: str | None = None
) -> Figure:
    """Returns a figure of the interactions of pairs of features, values ``[records, features, features]``: a matrix, or a network.

    *Use it when* a method returned interactions, such as ``asc.coalitions.Interactions``. ``record`` is one record, None for the mean
    absolute value over all of them. In the network, the width of a line is the strength of a pair and its colour the sign.

    Raises ResultError for values of another form.
    """
    values, names = read_pairs(a)
    shown = np.abs(values).mean(0) if record is None else values[record]
    pairs = np.where(np.eye(len(names), dtype=bool), 0.0, shown)
    order = np.argsort(-np.abs(pairs).sum(0), kind="stable")[:top]
    figure, ax = start(ax, (6.2, 5.2))
    shown, labels = pairs[np.ix_(order, order)], [shorten(names[k], min(20, name_length(ax) - 2)) for k in order]
    if network:
        draw_network(ax, shown, labels)
        tidy(ax, title, "interactions: red raises, blue lowers the score" if record is not None else "mean absolute interactions")
        ax.set_xticks([])
        ax.spines[:].set_visible(False)
        return figure
    limit = float(np.abs(shown).max()) or 1.0
    palette, low = (PALETTE, -limit) if record is not None else ("Greys", 0.0)
    image = ax.imshow(shown, cmap=palette, vmin=low, vmax=limit, aspect="auto")
    ax.set_yticks(range(len(labels)), labels=labels, parse_math=False)
    bar = figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02)
    bar.set_label("interaction" if record is not None else "mean absolute interaction", fontsize="small")
    bar.outline.set_visible(False)
    tidy(ax, title, "", axis=True)
    ax.set_xticks(range(len(labels)), labels=labels, parse_math=False, rotation=40, ha="right")
    return figure


def read_pairs(a: Attribution) -> tuple[np.ndarray, list[str]]:
    """Returns interactions ``[records, features, features]`` and the names of the features. Raises ResultError for other values."""
    arrays = a.arrays()
    values = as_numpy(arrays[0][1]).astype(np.float64) if len(arrays) == 1 else np.zeros(0)
    if values.ndim != 3 or values.shape[1] != values.shape[2] or a.quantities is not None:
        advice = "asc.attribute(model, x, over=asc.coalitions.Interactions(), by=...)"
        raise ResultError("This figure needs interactions", found=f"values of shape {list(values.shape)}", advice=advice)
    names = None if a.features is None else a.features.names
    return values, label_places(names, values.shape[1], "feature")


def draw_network(ax: Axes, pairs: np.ndarray, labels: list[str]) -> None:
    """Draws features on a circle, and a line for each pair."""
    count = len(labels)
    angles = np.pi / 2 - np.arange(count) * 2 * np.pi / max(count, 1)
    places = np.column_stack([np.cos(angles), np.sin(angles)])
    limit = float(np.abs(pairs).max()) or 1.0
    for i in range(count):
        for j in range(i):
            strength = pairs[i, j] / limit
            if abs(strength) > 0.03:
                line = places[[i, j]].T
                ax.plot(
                    *line, color=FOR if strength > 0 else AGAINST, linewidth=5 * abs(strength), alpha=0.25 + 0.7 * abs(strength), zorder=1
                )
    ax.scatter(places[:, 0], places[:, 1], s=60, color="0.2", zorder=2)
    for (x, y), label in zip(places, labels, strict=True):
        side = "left" if x > 0.1 else "right" if x < -0.1 else "center"
        edge = "bottom" if y > 0.9 else "top" if y < -0.9 else "center"
        ax.text(1.1 * x, 1.12 * y, label, ha=side, va=edge, fontsize="small", parse_math=False)
    ax.set_xlim(-2.1, 2.1)
    ax.set_ylim(-1.5, 1.5)
    ax.set_yticks([])
