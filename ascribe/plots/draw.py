"""Bars of a record, and the figures that notebooks display. Imports matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from ..display import colours
from ..display.layouts import rank_strongest
from ..features.table import label_places


def palette_of(stops: tuple[str, ...]) -> Colormap:
    """Returns a colormap that interpolates the colours; NaN is grey."""
    return LinearSegmentedColormap.from_list("ascribe", list(stops)).with_extremes(bad="0.57")


PALETTE = palette_of(colours.LIGHT)
FOR, AGAINST = colours.LIGHT[-1], colours.LIGHT[0]


@dataclass(frozen=True)
class Drawing:
    """The input of a drawing: values of one record, the record, names of positions, the maximum number, standard errors."""

    values: np.ndarray
    under: np.ndarray | None = None
    names: Sequence[object] | None = None
    top: int = 15
    error: np.ndarray | None = None


class NotebookFigure(Figure):
    """A figure that notebooks display without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


def new_figure(drawing: Drawing) -> NotebookFigure:
    """Returns an empty figure of a size that fits the bars."""
    return NotebookFigure(figsize=(6.4, 1.2 + 0.27 * (min(len(drawing.values), drawing.top) + 1)), layout="constrained")


def new_panels(count: int, columns: int) -> tuple[NotebookFigure, list[Axes]]:
    """Returns a figure and ``count`` axes in rows of ``columns``."""
    across = min(count, max(columns, 1))
    down = -(-count // across)
    figure = NotebookFigure(figsize=(3.6 * across, 3.4 * down), layout="constrained")
    return figure, [figure.add_subplot(down, across, i + 1) for i in range(count)]


def draw_bars(ax: Axes, drawing: Drawing) -> None:
    """Draws the largest features as bars, and the sum of all others, so that the bars have the total of the values."""
    values = drawing.values.astype(np.float64)
    names = label_places(drawing.names, len(values), "feature")
    order = rank_strongest(values, drawing.top)
    labels, sizes = [names[i] for i in order], list(values[order])
    rest = len(values) - len(order)
    if rest:
        labels.append(f"{rest} others together")
        sizes.append(float(np.delete(values, order).sum()))
    places = np.arange(len(sizes))
    shades = [FOR if size > 0 else AGAINST for size in sizes]
    for place, size, shade in zip(places, sizes, shades, strict=True):
        ax.barh(place, size, color=shade, alpha=0.45 if place == len(order) else 1.0, height=0.72)
    if drawing.error is not None:
        spread = drawing.error.astype(np.float64)[order]
        ax.errorbar(values[order], places[: len(order)], xerr=spread, fmt="none", ecolor="0.15", elinewidth=1.0, capsize=2.5)
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.set_yticks(places, labels=[_cut(label) for label in labels], parse_math=False)
    ax.set_ylim(len(sizes) - 0.4, -0.6)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")  # an offset text would overlap the caption
    if not np.any(values):
        ax.text(0.5, 0.5, "all values are 0", transform=ax.transAxes, ha="center", va="center", color="0.4")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.05)


def _cut(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"
