"""Figures of volumes by their slices, and of videos by their frames. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..arrays import as_numpy
from ..display.layouts import COLOUR_CHANNELS, as_image
from ..errors import ResultError
from ..result.attribution import Attribution
from ..result.axes import find_names
from ..result.summary import method_expression
from ..utils.entry import check_arguments
from ..utils.escape import escape_control
from .canvas import start, width_of
from .images import PERCENTILE, figure_size, label_axes
from .look import Look, Sign
from .maps import Place, Style, add_colour_bar, make_picture, paint, scale_map, settle_layout, strip_axes
from .records import describe_colours, describe_panel, select_record

ACROSS = 4
"""The number of pictures in a row."""
LABEL = 0.22
"""The height of a label in inches."""


@check_arguments
def volume(
    a: Attribution,
    ax: Axes | None = None,
    *,
    record: int = 0,
    axis: int = 0,
    slices: Sequence[int] | int = 8,
    image: Any = None,
    style: Style | None = None,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = PERCENTILE,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns the figure of a volume by its slices: maps over the slices of the record, all on one scale.

    >>> figure = asc.plots.volume(a, axis=0, slices=[10, 20, 30])  # doctest: +SKIP

    The values of a record are ``[depth, height, width]``, with channels first or last if there are any. ``axis`` is the one to cut: 0 for
    depth, 1 for height, 2 for width. ``slices`` are the positions, or how many at equal distances. Other arguments as for :func:`image`.

    Raises ResultError for values that are no volume, and for positions outside of it.
    """
    values, under, _ = select_record(a, record)
    under = under if image is None else as_numpy(image)
    wide = _without_channels(values)
    if axis not in (0, 1, 2):
        raise ResultError("A volume is cut along axis 0, 1 or 2", found=f"axis={axis!r}", advice="axis=0")
    maps = np.moveaxis(wide, axis, 0)
    ground = None if under is None else _as_volume(under, wide.shape)
    grounds = [None] * len(maps) if ground is None else list(np.moveaxis(ground, axis, 0))
    at = choose_positions(len(maps), slices, "slices")
    tiles = [(f"{('depth', 'row', 'column')[axis]} {k}", maps[k], grounds[k]) for k in at]
    heading = method_expression(a.method) if title is None else title
    return _draw_tiles(a, ax, record, tiles, (maps, Look(cmap, sign, percentile, alpha), style), heading)


@check_arguments
def frames(
    a: Attribution,
    ax: Axes | None = None,
    *,
    record: int = 0,
    frames: Sequence[int] | int = 8,
    image: Any = None,
    style: Style | None = None,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = PERCENTILE,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns the figure of a video by its frames: maps over the frames of the record, all on one scale.

    >>> figure = asc.plots.frames(a, frames=6)  # doctest: +SKIP

    The values of a record are ``[time, channels, height, width]``, with the channels last, or without channels. ``frames`` are the
    positions, or how many at equal distances; names of the times (``a.with_names(times=..., unit="s")``) are written above them. Other
    arguments as for :func:`image`. Raises ResultError for values that are no video, and for positions outside of it.
    """
    values, under, _ = select_record(a, record)
    under = under if image is None else as_numpy(image)
    if values.ndim not in (3, 4):
        there = f"{list(values.shape)} for each record"
        raise ResultError("A video needs values [time, channels, height, width]", found=there, advice="a.plot()")
    last = values.ndim == 4 and values.shape[-1] in COLOUR_CHANNELS and values.shape[1] not in COLOUR_CHANNELS
    maps = values.astype(np.float64) if values.ndim == 3 else values.astype(np.float64).sum(-1 if last else 1)
    grounds = [as_image(one) for one in under] if under is not None and len(under) == len(maps) else [None] * len(maps)
    names = find_names(a.axes, 1)
    texts = names.of_record(record % len(a)) if names is not None and names.kind == "time" else None
    unit = f" {names.unit}" if texts is not None and names is not None and names.unit else ""
    at = choose_positions(len(maps), frames, "frames")
    tiles = [(f"frame {k}" if texts is None else escape_control(texts[k] + unit)[:14], maps[k], grounds[k]) for k in at]
    heading = method_expression(a.method) if title is None else title
    return _draw_tiles(a, ax, record, tiles, (maps, Look(cmap, sign, percentile, alpha), style), heading)


def choose_positions(count: int, asked: Sequence[int] | int, what: str) -> list[int]:
    """Returns the positions to show, of ``count``. Raises ResultError for positions that do not exist."""
    if isinstance(asked, int) and asked > 0:
        share = (np.arange(min(asked, count)) + 0.5) / min(asked, count)
        return [int(place) for place in share * count]
    at = [] if isinstance(asked, int) else [int(k) for k in asked]
    if not at or any(not -count <= k < count for k in at):
        raise ResultError(f"`{what}=` is out of range", found=f"{what}={asked!r:.80}, {count} {what}", advice=f"{what}=8")
    return [k % count for k in at]


def _without_channels(values: np.ndarray) -> np.ndarray:
    """Returns a volume ``[depth, height, width]``: the sum over channels, first or last. Raises ResultError for other shapes."""
    wide = values.astype(np.float64)
    if wide.ndim == 4:
        last = wide.shape[-1] in COLOUR_CHANNELS and wide.shape[0] not in COLOUR_CHANNELS
        wide = wide.sum(-1 if last else 0)
    if wide.ndim != 3:
        there = f"{list(values.shape)} for each record"
        raise ResultError("A volume needs values [depth, height, width]", found=there, advice="a.plot()")
    return wide


def _as_volume(record: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Returns the record as a grey volume of this shape; the mean of its channels; None for another shape."""
    if record.dtype.kind not in "fiub":
        return None
    for found in (record, *([record.mean(0), record.mean(-1)] if record.ndim == 4 else [])):
        if found.shape == shape:
            return np.asarray(found)
    return None


Tile = tuple[str, np.ndarray, np.ndarray | None]


def _draw_tiles(
    a: Attribution, ax: Axes | None, record: int, tiles: Sequence[Tile], how: tuple[np.ndarray, Look, Style | None], heading: str
) -> Figure:
    """Draws named maps in rows on one scale, on one pair of axes."""
    every, look, style = how
    scale = scale_map(every, look)
    whole = [None if ground is None else _common_levels(ground, [tile[2] for tile in tiles]) for _, _, ground in tiles]
    pictures = [make_picture(values, ground, look, style, scale) for (_, values, _), ground in zip(tiles, whole, strict=True)]
    across = min(ACROSS, len(tiles))
    down = -(-len(tiles) // across)
    height, width = pictures[0].size
    wide = 6.4 if ax is None else width_of(ax)
    above = LABEL * across / wide * width  # in pixels of the picture
    shape = down * (height + above) / ((across * 1.05 - 0.05) * width)
    caption = describe_panel(a, record)
    _, ax = start(ax, figure_size(6.4, shape, heading, caption, legend=pictures[0].coloured))
    strip_axes(ax)
    for k, (picture, (name, _, _)) in enumerate(zip(pictures, tiles, strict=True)):
        left, top = (k % across) * 1.05 * width, (k // across) * (height + above)
        place: Place = (left, left + width, top + height, top)
        paint(ax, picture, place)
        ax.text(left, top - 0.15 * above, name, fontsize="small", va="bottom", ha="left", color="0.25", parse_math=False)
    ax.set(xlim=(0, (across * 1.05 - 0.05) * width), ylim=(down * (height + above) - above, -above))
    if pictures[0].coloured:
        add_colour_bar(ax, pictures[0].palette, pictures[0].norm, describe_colours(a, scale.low, scale.high, record % len(a)))
    label_axes(ax, heading, caption)
    figure: Figure = ax.figure.figure
    settle_layout(figure)
    return figure


def _common_levels(ground: np.ndarray, grounds: Sequence[np.ndarray | None]) -> np.ndarray:
    """Returns a picture as uint8 levels that all pictures share, so that a dark slice stays dark."""
    if ground.dtype == np.uint8:
        return ground
    known = np.concatenate([one[np.isfinite(one)].ravel() for one in grounds if one is not None]).astype(np.float64)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    share = (np.nan_to_num(ground.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    levels: np.ndarray = (share * 255).round().astype(np.uint8)
    return levels
