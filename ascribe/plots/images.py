"""Figures of images: the map of one record with its photograph, and the maps of several methods in a row. Imports matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..arrays import as_numpy
from ..display import colours
from ..display.layouts import Kind, resolve_kind, sum_channels
from ..errors import ResultError
from ..result.attribution import Attribution
from ..result.summary import method_expression
from ..utils.entry import check_arguments
from ..utils.escape import escape_control
from .canvas import start, width_of
from .draw import NotebookFigure
from .look import Look, Sign
from .maps import (
    Picture,
    Style,
    add_colour_bar,
    describe_style,
    make_picture,
    paint,
    paint_photo,
    scale_map,
    select_palette,
    settle_layout,
    strip_axes,
)
from .records import describe_colours, describe_panel, select_record

GAP = 0.04
"""The space between a photograph and its map, as a share of the width."""
PERCENTILE = 99.5


@check_arguments
def image(
    a: Attribution,
    ax: Axes | None = None,
    *,
    record: int = 0,
    kind: Kind | None = None,
    image: Any = None,
    style: Style | None = None,
    side_by_side: bool = False,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = PERCENTILE,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns the figure of the map of one record.

    >>> figure = asc.plots.image(a, style="contours")  # doctest: +SKIP

    ``style`` is "overlay" (the map over the photograph, which is the default), "map" (the map alone), "mask" (the photograph where the
    map is strong), "contours" or "regions" (boxes around the strongest regions); masks, contours and regions smooth the map over 1/14 of
    its longer side. ``side_by_side`` shows the map next to its photograph. ``image`` is the photograph, by default the record if it
    has the shape of an image. ``kind`` is "image" or "image_last", where the shape allows both.

    Values of both signs have a scale around 0, values of one sign a scale from 0, and values that are all far from 0 (RISE) their own
    range. Smooth maps of one sign, such as class activation maps, lie over the photograph in its colours, others over a pale grey one.
    ``percentile`` of the absolute values has full colour. ``sign`` selects values, ``cmap`` is a colormap of matplotlib, ``alpha`` factors
    the opacity.

    Raises ResultError for values that are no map, and for a style that needs a photograph if there is none.
    """
    look = Look(cmap, sign, percentile, alpha)
    picture = read_picture(a, record, kind, image, look, "map" if side_by_side and style in (None, "overlay") else style)
    if side_by_side and picture.photo is None:
        raise ResultError("There is no photograph to show next to the map", found="a result without one", advice="image=photo")
    heading = method_expression(a.method) if title is None else title
    caption = " · ".join(filter(None, [describe_panel(a, record), describe_style(picture)]))
    height, width = picture.size
    shape = height / ((2 + GAP) * width if side_by_side else width)
    _, ax = start(ax, figure_size(6.4 if side_by_side else 4.8, shape, heading, caption, legend=picture.coloured))
    draw_picture(ax, picture, side_by_side=side_by_side)
    if picture.coloured:
        add_colour_bar(ax, picture.palette, picture.norm, describe_colours(a, picture.scale.low, picture.scale.high, record % len(a)))
    label_axes(ax, heading, caption)
    figure: Figure = ax.figure.figure
    settle_layout(figure)
    return figure


def read_picture(
    a: Attribution, record: int, kind: Kind | None, photo: Any, look: Look, style: Style | None, scale: colours.Scale | None = None
) -> Picture:
    """Returns the map of one record and its photograph. Raises ResultError for values that are no map."""
    values, under, _ = select_record(a, record)
    under = under if photo is None else as_numpy(photo)
    kind = "image" if kind is None and values.ndim == 2 else kind
    resolved = resolve_kind(values.shape, kind, () if under is None else under.shape)
    if not resolved.startswith("image"):
        there, advice = f"values {list(values.shape)} for each record", "a.plot(), or kind='image' if they are a map"
        raise ResultError("An image needs values with height and width", found=there, advice=advice)
    return make_picture(sum_channels(values.astype(np.float64), resolved), under, look, style, scale)


def draw_picture(ax: Axes, picture: Picture, *, side_by_side: bool = False) -> None:
    """Draws a picture on axes without ticks, with its photograph on the left if ``side_by_side``."""
    height, width = picture.size
    strip_axes(ax)
    if not side_by_side:
        paint(ax, picture)
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        return
    assert picture.photo is not None
    right = (1 + GAP) * width - 0.5
    paint_photo(ax, picture.photo, (-0.5, width - 0.5, height - 0.5, -0.5))
    paint(ax, picture, (right, right + width, height - 0.5, -0.5))
    ax.set(xlim=(-0.5, right + width), ylim=(height - 0.5, -0.5))


def figure_size(inches: float, shape: float, heading: str, caption: str, *, legend: bool) -> tuple[float, float]:
    """Returns the size of a figure of that width for a picture of height / width ``shape``, with its texts and its legend."""
    texts = 0.1 + 0.19 * count_lines(wrap_heading(heading, inches)) + 0.16 * count_lines(wrap_caption(caption, inches))
    return inches, min(9.0, inches * shape + texts + (0.6 if legend else 0.1))


def count_lines(text: str) -> int:
    """Returns the number of lines of a text."""
    return text.count("\n") + 1 if text else 0


def wrap_heading(text: str, inches: float, *, small: bool = False) -> str:
    """Returns a title in lines that fit a width in inches."""
    return textwrap.fill(escape_control(text), max(12, int((14 if small else 12.5) * inches)))


def wrap_caption(text: str, inches: float) -> str:
    """Returns a caption in small letters in lines that fit a width in inches."""
    return "\n".join(textwrap.fill(line, max(16, int(16 * inches))) for line in text.split("\n"))


def label_axes(ax: Axes, heading: str, caption: str, *, left: float = 0.0, above: float = 6.0) -> None:
    """Writes the title above and the caption below axes, in lines that fit their width.

    ``left`` are the inches that labels on the left take, ``above`` the points between the axes and the title.
    """
    inches = width_of(ax) - left
    if heading:
        ax.set_title(wrap_heading(heading, inches), fontsize="medium", loc="left", pad=above, parse_math=False)
    ax.set_xlabel(wrap_caption(caption, inches), loc="left", fontsize="small", color="0.4", parse_math=False)


@check_arguments
def compare_images(
    results: Mapping[str, Attribution],
    columns: int = 4,
    *,
    record: int = 0,
    kind: Kind | None = None,
    image: Any = None,
    style: Style | None = None,
    side_by_side: bool = False,
    same_scale: bool = False,
    cmap: Any = None,
    sign: Sign = "all",
    percentile: float = PERCENTILE,
    alpha: float = 1.0,
    title: str | None = None,
) -> Figure:
    """Returns a figure with a panel for the map of each result and one legend for all; see :func:`image`.

    ``side_by_side`` shows the photograph in a panel of its own, and the maps alone. Each map has its own scale, because the values of
    several methods have several units; ``same_scale`` gives all the scale of all values.
    """
    look = Look(cmap, sign, percentile, alpha)
    style = "map" if side_by_side and style in (None, "overlay") else style
    scale = None
    if same_scale:
        shown = [read_picture(a, record, kind, image, look, "map").values.ravel() for a in results.values()]
        scale = scale_map(np.concatenate(shown), look)
    pictures = {name: read_picture(a, record, kind, image, look, style, scale) for name, a in results.items()}
    photo = next((picture.photo for picture in pictures.values() if picture.photo is not None), None)
    panels: dict[str, Picture | np.ndarray] = dict(pictures)
    if side_by_side:
        if photo is None:
            raise ResultError("There is no photograph to show next to the maps", found="results without one", advice="image=photo")
        panels = {"photograph": photo, **panels}
    first = next(iter(results.values()))
    figure = draw_panels(panels, columns)
    add_legends(figure, results, pictures, record, same_scale)
    heading = describe_panel(first, record) if title is None else escape_control(title)
    heading = textwrap.fill(heading, max(16, int(12.5 * figure.get_size_inches()[0])))
    figure.suptitle(heading, fontsize="medium", color="0.3", parse_math=False)
    settle_layout(figure)
    return figure


def draw_panels(panels: Mapping[str, Picture | np.ndarray], columns: int) -> NotebookFigure:
    """Returns a figure with a titled panel for each picture or photograph, in rows."""
    across = min(len(panels), max(columns, 1))
    down = -(-len(panels) // across)
    one = next(iter(panels.values()))
    height, width = one.shape[:2] if isinstance(one, np.ndarray) else one.size
    inches = max(1.9, min(3.2, 9.6 / across))
    narrow = inches < 2.5
    headings = {name: wrap_heading(name, inches, small=narrow) for name in panels}
    notes = {name: wrap_caption(describe_style(panel), inches) for name, panel in panels.items() if isinstance(panel, Picture)}
    lines = max(map(count_lines, headings.values())) + max(map(count_lines, notes.values()))
    bars = len({panel.heat for panel in panels.values() if isinstance(panel, Picture) and panel.coloured})
    size = (inches * across, down * (min(2.5, height / width) * inches + 0.18 * lines + 0.1) + 0.35 + 0.55 * bars)
    figure = NotebookFigure(figsize=size, layout="constrained")
    for k, (name, panel) in enumerate(panels.items()):
        ax = figure.add_subplot(down, across, k + 1)
        if isinstance(panel, np.ndarray):
            strip_axes(ax)
            rows, places = panel.shape[:2]
            paint_photo(ax, panel, (-0.5, places - 0.5, rows - 0.5, -0.5))
            ax.set(xlim=(-0.5, places - 0.5), ylim=(rows - 0.5, -0.5))
        else:
            draw_picture(ax, panel)
            ax.set_xlabel(notes[name], loc="left", fontsize="small", color="0.4", parse_math=False)
        ax.set_title(headings[name], fontsize="small" if narrow else "medium", loc="left", parse_math=False)
    return figure


def add_legends(figure: Figure, results: Mapping[str, Attribution], pictures: Mapping[str, Picture], record: int, same_scale: bool) -> None:
    """Adds a colour bar for the maps on the palette of signed values, and another for those on the palette of smooth maps."""
    axes = list(figure.axes)
    for heat in (False, True):
        shown = {name: picture for name, picture in pictures.items() if picture.coloured and picture.heat is heat}
        if not shown:
            continue
        scales = [picture.scale for picture in shown.values()]
        whole = colours.Scale(-1.0 if any(s.low < 0 for s in scales) else 0.0, 1.0 if any(s.high > 0 for s in scales) else 0.0)
        label = describe_colours(results[next(iter(shown))], whole.low, whole.high, record)
        if heat and len(shown) < len(pictures):
            names = ", ".join(shown)
            label = f"{label} ({escape_control(names if len(names) < 40 else names[:39] + '…')})"
        lead = next(iter(shown.values()))
        if same_scale:
            add_colour_bar(axes, lead.palette, lead.norm, label, shrink=0.6)
            continue
        far = any(s.low > 0 or s.high < 0 for s in scales)
        ends = {-1.0: "strongest", 0.0: "least" if far and whole.low * whole.high == 0 else "0", 1.0: "strongest"}
        ticks = {at: text for at, text in ends.items() if whole.low <= at <= whole.high}
        palette = lead.palette if heat else select_palette(lead.look.cmap, whole)
        label += "; each map on its own scale" if len(shown) > 1 else ""
        add_colour_bar(axes, palette, Normalize(whole.low, whole.high), label, ticks, shrink=0.6)
