"""Figures of series: a lane for each channel, the record as a line over the colours of its values. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from ..display import colours
from ..display.layouts import Kind, rank_strongest
from ..errors import ResultError
from ..features.table import label_places
from ..result.attribution import Attribution
from ..result.axes import find_names
from ..result.rows import axis_labels
from ..result.summary import method_expression
from ..utils.entry import check_arguments
from ..utils.escape import escape_control
from .canvas import start, width_of
from .images import PERCENTILE, label_axes
from .look import Look, Sign
from .maps import add_colour_bar, scale_map, select_palette
from .names import name_rows, width_of_rows
from .records import describe_colours, describe_panel, find_kind, select_record

INK = "0.1"
LETTER = 0.085
"""The width of a small letter in inches."""
RIGHT = 0.7
"""Names of events after this share of the axis are on the left of their lines."""
MOST_LEVELS = 3
"""Names of events that need more lines become numbers."""


@dataclass(frozen=True)
class Moments:
    """The moments of a series: a number for each, which increases, and what the axis says."""

    at: np.ndarray
    label: str
    names: tuple[str, ...] = ()

    def place(self, moment: float) -> float:
        """Returns the position of a moment on the axis, whose unit is one step of the series."""
        return float(np.interp(moment, self.at, np.arange(len(self.at))))


@check_arguments
def series(
    a: Attribution,
    ax: Axes | None = None,
    *,
    record: int = 0,
    kind: Kind | None = None,
    names: Sequence[object] | None = None,
    top: int = 15,
    events: Mapping[str, float] | None = None,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = PERCENTILE,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns the figure of a series: a lane for each channel, with the record as a line over the colours of the values.

    >>> figure = asc.plots.series(a.with_names(channels=["I", "II"], times=seconds, unit="s"), events={"beep": 12.0})  # doctest: +SKIP

    ``kind`` is "series" ``[channels, time]`` or "series_last" ``[time, channels]``, needed where neither the names of the axes nor the
    shape say it. Of more than ``top`` channels, those with the largest absolute values are drawn. ``events`` are moments by their names,
    in the unit of the time axis (steps if the times are not numbers). ``names`` are the channels. Other arguments as for :func:`image`.

    Raises ResultError for values that are no series, and for events outside of it.
    """
    values, under, _ = select_record(a, record)
    resolved = find_kind(a, values, under, "series" if kind is None and values.ndim == 1 else kind)
    if not resolved.startswith("series"):
        raise ResultError(
            "A series needs values with a time axis", found=f"{list(values.shape)} for each record", advice="kind='series' [channels, time]"
        )
    flat, last = values.ndim == 1, resolved == "series_last"
    under = None if under is None or under.shape != values.shape or under.dtype.kind not in "fiub" else _as_lanes(under, last)
    values = _as_lanes(values, last)
    if names is None and not flat:
        names = axis_labels(a, 2 if last else 1, record % len(a), len(values))
    labels = label_places(names, len(values), "channel")
    labels = [""] if flat and names is None else labels
    moments = read_moments(a, 1 if last or flat else 2, record % len(a), values.shape[1])
    lanes = np.sort(rank_strongest(np.nan_to_num(np.abs(values)).sum(1), top))
    _, ax = start(ax, (6.4, 1.9 + 0.5 * len(lanes) + (0.4 + 0.06 * len(events) if events else 0.0)))
    look = Look(cmap, sign, percentile, alpha)
    shown = [f"the {len(lanes)} strongest of {len(values)} channels"] if len(lanes) < len(values) else []
    scale = draw_lanes(ax, values[lanes], None if under is None else under[lanes], [labels[k] for k in lanes], look)
    draw_moments(ax, moments, values.shape[1])
    levels, marked = draw_events(ax, events or {}, moments)
    if under is not None:
        palette = select_palette(look.cmap, scale)
        meaning = describe_colours(a, scale.low, scale.high, record % len(a))
        add_colour_bar(ax, palette, Normalize(scale.low, scale.high), meaning, shrink=0.6)
    heading = method_expression(a.method) if title is None else title
    shown += [] if under is not None else ["lines: the values"]
    caption = "\n".join(filter(None, [moments.label, " · ".join([describe_panel(a, record), *shown]), marked]))
    label_axes(ax, heading, caption, left=width_of_rows(ax), above=6 + 11 * levels + (2 if levels else 0))
    figure: Figure = ax.figure.figure
    return figure


def _as_lanes(array: np.ndarray, last: bool) -> np.ndarray:
    """Returns a series as ``[channels, time]``."""
    return np.atleast_2d(array.astype(np.float64).T if last else array.astype(np.float64))


def read_moments(a: Attribution, axis: int, record: int, count: int) -> Moments:
    """Returns the moments of a record, from the names of its time axis if they are numbers in ascending order, else its steps."""
    known = find_names(a.axes, axis)
    unit = escape_control(known.unit) if known is not None and known.kind == "time" else ""
    label = f"time ({unit})" if unit else "time"
    if known is None or known.kind != "time" or len(texts := known.of_record(record)) != count:
        return Moments(np.arange(count, dtype=np.float64), "time step")
    try:
        at = np.array([float(text) for text in texts])
    except ValueError:
        at = np.zeros(0)
    if len(at) == count and np.isfinite(at).all() and (np.diff(at) > 0).all():
        return Moments(at, label)
    return Moments(np.arange(count, dtype=np.float64), label, tuple(escape_control(text) for text in texts))


def draw_lanes(ax: Axes, values: np.ndarray, under: np.ndarray | None, names: Sequence[str], look: Look) -> colours.Scale:
    """Draws a lane for each channel ``[channels, time]``, and returns the scale of the colours."""
    scale = scale_map(values, look)
    shown, palette = look.select(values), select_palette(look.cmap, scale)
    top = colours.colour_limit(shown, look.percentile) or 1.0
    moments = values.shape[1]
    for lane, row in enumerate(shown):
        if under is not None:
            strip, box = np.ma.masked_invalid(row[None]), (-0.5, moments - 0.5, lane + 0.44, lane - 0.44)
            style: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "alpha": look.alpha}
            ax.imshow(strip, cmap=palette, vmin=scale.low, vmax=scale.high, extent=box, **style)
        curve = np.clip(row / top if under is None else centre_curve(under[lane]), -1, 1) * 0.38
        halo = [withStroke(linewidth=2.6, foreground="white", alpha=0.75)] if under is not None else None
        ax.plot(np.arange(moments), lane - curve, color=INK, linewidth=1.0, path_effects=halo)
        if under is None:
            ax.axhline(lane, color="0.6", linewidth=0.5, zorder=0.5)
    name_rows(ax, names)
    ax.set(ylim=(len(values) - 0.5, -0.5), xlim=(-0.5, moments - 0.5))
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return scale


def draw_moments(ax: Axes, moments: Moments, count: int) -> None:
    """Writes the time axis: round numbers of its unit, or the names of some moments."""
    many = int(min(9, max(5, 1.7 * (width_of(ax) - 1.5))))
    if moments.names:
        longest = max(map(len, moments.names))
        many = max(2, min(many, int((width_of(ax) - 1.5) / (LETTER * (longest + 2)))))
        at = np.unique(np.linspace(0, count - 1, min(many, count)).round().astype(int))
        ax.set_xticks(at, labels=[moments.names[k] for k in at], parse_math=False)
        return
    low, high = float(moments.at[0]), float(moments.at[-1])
    ticks = [t for t in MaxNLocator(many, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= t <= high]
    ax.set_xticks([moments.place(t) for t in ticks], labels=[f"{t:.6g}".replace("-", "−") for t in ticks], parse_math=False)


def draw_events(ax: Axes, events: Mapping[str, float], moments: Moments) -> tuple[int, str]:
    """Draws events as lines with their names above the axes, and returns the number of lines of names, and a caption.

    If the names need too many lines, numbers replace them, which the caption explains. Raises ResultError for events outside.
    """
    low, high = float(moments.at[0]), float(moments.at[-1])
    outside = [name for name, moment in events.items() if not low <= float(moment) <= high]
    if outside:
        found = f"{outside[0]!r} at {float(events[outside[0]]):.6g}"
        raise ResultError("An event is outside of the series", found=found, advice=f"moments from {low:.6g} to {high:.6g}")
    inches = max(1.0, width_of(ax) - 1.4)
    marks = [(_event_text(name), moments.place(float(at))) for name, at in sorted(events.items(), key=lambda item: float(item[1]))]
    levels, caption = _levels(marks, len(moments.at), inches), ""
    if max(levels, default=0) >= MOST_LEVELS:
        caption = "events: " + ", ".join(f"{k}:\u00a0{text}" for k, (text, _) in enumerate(marks, 1))
        marks = [(str(k), at) for k, (_, at) in enumerate(marks, 1)]
        levels = _levels(marks, len(moments.at), inches)
    for (text, at), level in zip(marks, levels, strict=True):
        ax.axvline(at, color=INK, linewidth=1.1, linestyle=(0, (4, 2)))
        side = "right" if at > RIGHT * (len(moments.at) - 1) else "left"
        where: dict[str, Any] = {"xycoords": ax.get_xaxis_transform(), "xytext": (0, 3 + 11 * level), "textcoords": "offset points"}
        ax.annotate(text, (at, 1.0), ha=side, va="bottom", fontsize="small", parse_math=False, **where)
    return 1 + max(levels, default=-1), caption


def _event_text(name: str) -> str:
    text = escape_control(str(name))
    return text if len(text) <= 24 else text[:23] + "…"


def _levels(marks: Sequence[tuple[str, float]], count: int, inches: float) -> list[int]:
    """Returns the line above the axes for each text, in the order of their places, so that texts do not touch."""
    ends: list[float] = []
    levels = []
    for text, place in marks:
        at, width = place / max(count - 1, 1), (len(text) + 2) * LETTER / inches
        first = at - width if at > RIGHT else at
        level = next((k for k, end in enumerate(ends) if end <= first), len(ends))
        ends[level : level + 1] = [first + width]
        levels.append(level)
    return levels


def centre_curve(curve: np.ndarray) -> np.ndarray:
    """Returns a curve scaled to [-1, 1] by its own range; a constant becomes 0."""
    known = curve[np.isfinite(curve)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    centred: np.ndarray = (curve - (low + high) / 2) * (2 / (high - low)) if high > low else np.zeros_like(curve)
    return centred
