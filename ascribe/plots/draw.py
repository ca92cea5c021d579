"""Drawing functions, one for each kind of figure: they draw arrays on matplotlib axes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from ..display import colours
from ..display.layouts import as_image, rank_strongest, sum_channels
from ..features.table import label_places
from ..utils.pooling import resize_maps


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


def new_figure(kind: str, drawing: Drawing) -> NotebookFigure:
    """Returns an empty figure of a size that fits the kind."""
    rows = min(drawing.values.shape[0] if drawing.values.ndim else 1, drawing.top)
    lanes = min(min(drawing.values.shape), drawing.top) if drawing.values.ndim == 2 else 1
    height = {"bars": 1.2 + 0.27 * (rows + 1), "series": 1.6 + 0.55 * lanes, "series_last": 1.6 + 0.55 * lanes}.get(kind, 4.0)
    return NotebookFigure(figsize=(4.8 if kind.startswith("image") else 6.4, height), layout="constrained")


def new_panels(count: int, columns: int) -> tuple[NotebookFigure, list[Axes]]:
    """Returns a figure and ``count`` axes in rows of ``columns``."""
    across = min(count, max(columns, 1))
    down = -(-count // across)
    figure = NotebookFigure(figsize=(3.6 * across, 3.4 * down), layout="constrained")
    return figure, [figure.add_subplot(down, across, i + 1) for i in range(count)]


def draw_image(ax: Axes, drawing: Drawing, kind: str = "image") -> None:
    """Draws a signed map over the record in grey; the map is resized to the record."""
    values = sum_channels(drawing.values.astype(np.float64), kind)
    photo = as_image(drawing.under)
    scale = colours.colour_scale(values)
    solid: Any = None
    if photo is not None:
        grey = photo if photo.ndim == 2 else photo.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
        values = values if values.shape == grey.shape else resize_maps(values, *grey.shape)
        ax.imshow(colours.grey_levels(grey), cmap="gray", vmin=-400, vmax=255)  # pale, so that colours stand out
        solid = np.where(np.isnan(values), 1.0, np.abs(scale.shades(values)) ** 0.5)
    norm, palette = Normalize(scale.low, scale.high), palette_of(scale.stops)
    ax.imshow(np.ma.masked_invalid(values), cmap=palette, norm=norm, alpha=solid, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    _legend(ax, norm, palette)


def draw_image_last(ax: Axes, drawing: Drawing) -> None:
    """Draws :func:`draw_image` with the channels on the last axis."""
    draw_image(ax, drawing, "image_last")


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


def draw_series(ax: Axes, drawing: Drawing) -> None:
    """Draws one lane for each channel: the record as a line over a strip with the colour of each time step."""
    values = np.atleast_2d(drawing.values.astype(np.float64))
    record = None if drawing.under is None or drawing.under.shape != drawing.values.shape else np.atleast_2d(drawing.under).astype(float)
    names = label_places(drawing.names, len(values), "channel")
    lanes = np.sort(rank_strongest(np.abs(values).sum(1), drawing.top))
    top = colours.colour_limit(values) or 1.0
    moments = values.shape[1]
    for lane, channel in enumerate(lanes):
        if record is not None:
            strip = np.ma.masked_invalid(values[channel][None])
            box = (-0.5, moments - 0.5, lane + 0.44, lane - 0.44)
            ax.imshow(strip, cmap=PALETTE, vmin=-top, vmax=top, extent=box, aspect="auto", interpolation="nearest")
        curve = _lane(values[channel] / top if record is None else _centred(record[channel]))
        ax.plot(np.arange(moments), lane - curve, color="0.15" if record is not None else FOR, linewidth=1.1)
        ax.axhline(lane, color="0.6", linewidth=0.5, zorder=0.5) if record is None else None
    ax.set_yticks(np.arange(len(lanes)), labels=[names[channel] for channel in lanes], parse_math=False)
    ax.set_ylim(len(lanes) - 0.5, -0.5)
    ax.set_xlim(-0.5, moments - 0.5)
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="y", length=0)
    _legend(ax, Normalize(-top, top)) if record is not None else None


def draw_series_last(ax: Axes, drawing: Drawing) -> None:
    """Draws :func:`draw_series` with the channels on the last axis."""
    under = None if drawing.under is None else drawing.under.T
    draw_series(ax, Drawing(drawing.values.T, under, drawing.names, drawing.top))


DRAW: dict[str, Callable[[Axes, Drawing], None]] = {
    "bars": draw_bars,
    "image": draw_image,
    "image_last": draw_image_last,
    "series": draw_series,
    "series_last": draw_series_last,
}


def _cut(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


def _centred(curve: np.ndarray) -> np.ndarray:
    """Returns a curve scaled to [-1, 1] by its own range; a constant becomes 0."""
    low, high = np.nanmin(curve), np.nanmax(curve)
    centred: np.ndarray = (curve - (low + high) / 2) * (2 / (high - low)) if high > low else np.zeros_like(curve)
    return centred


def _lane(curve: np.ndarray) -> np.ndarray:
    lane: np.ndarray = np.clip(curve, -1, 1) * 0.38
    return lane


def _legend(ax: Axes, scale: Normalize, palette: Colormap | None = None) -> None:
    bar = ax.figure.colorbar(ScalarMappable(scale, palette or PALETTE), ax=ax, fraction=0.04, pad=0.02, aspect=24)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small")
