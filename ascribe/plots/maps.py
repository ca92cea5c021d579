"""How one map is painted on axes: over the photograph, alone, as a mask, as contours, or as boxes. Imports matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from ..display import boxes, colours
from ..display.layouts import as_image
from ..errors import ResultError
from ..utils.pooling import resize_maps
from .canvas import width_of
from .draw import palette_of
from .look import Look

Style = Literal["overlay", "map", "mask", "contours", "regions"]
STYLES: tuple[Style, ...] = ("overlay", "map", "mask", "contours", "regions")
GREY = np.array([0.299, 0.587, 0.114])
HEAT = "inferno"
"""The colours of smooth maps of one sign over a photograph: dark to bright, also in grey scale."""
GLOW = 0.55
"""The opacity of a smooth map over a photograph."""
LEVELS = (0.25, 0.5, 0.75)
"""Contours are drawn at these shares of the largest smoothed value."""
BOXES = 3
THICK = 0.1
"""The height of a colour bar in inches."""
TEXTS = 1.3
"""The height of the texts of a figure in inches, about."""
Place = tuple[float, float, float, float]
"""Left, right, bottom and top of a picture in the coordinates of the axes."""


def select_palette(cmap: Any, scale: colours.Scale) -> Colormap:
    """Returns the colormap of that name, or the part of the palette that a scale uses. Raises ResultError for an unknown name."""
    if cmap is None:
        return palette_of(scale.stops)
    if isinstance(cmap, Colormap):
        return cmap
    if cmap not in colormaps:
        raise ResultError(f"The colormap {cmap!r} is not known", found=f"{len(colormaps)} names of matplotlib", advice="cmap='viridis'")
    return colormaps[cmap]


def scale_map(values: np.ndarray, look: Look) -> colours.Scale:
    """Returns the range of the colours of the values that are shown."""
    shown = look.select(values)
    scale = colours.colour_scale(shown, look.percentile)
    if look.sign == "all" or scale.low >= 0 or scale.high <= 0:
        return scale
    return colours.Scale(-1.0, 0.0) if look.sign == "negative" else colours.Scale(0.0, 1.0)  # nothing has that sign


@dataclass(frozen=True)
class Picture:
    """A map ``[h, w]`` of the values that are shown, the photograph, the range of its colours, how it is drawn."""

    values: np.ndarray
    photo: np.ndarray | None
    scale: colours.Scale
    look: Look
    style: Style
    heat: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the photograph, or of the map."""
        height, width = (self.values if self.photo is None else self.photo).shape[:2]
        return height, width

    @property
    def palette(self) -> Colormap:
        """The colormap of the map."""
        return colormaps[HEAT] if self.heat else select_palette(self.look.cmap, self.scale)

    @property
    def norm(self) -> Normalize:
        """The range of the colormap."""
        return Normalize(self.scale.low, self.scale.high)

    @property
    def coloured(self) -> bool:
        """Whether the colours of the picture stand for values."""
        return self.style in ("overlay", "map", "contours")


def make_picture(values: np.ndarray, under: np.ndarray | None, look: Look, style: Style | None, scale: colours.Scale | None) -> Picture:
    """Returns what is painted for one map ``[h, w]``: resized to the photograph, on a scale of its own if none is given.

    Raises ResultError for a style that is not known or needs a photograph.
    """
    photo = as_image(under)
    style = style or ("map" if photo is None else "overlay")
    if style not in STYLES:
        raise ResultError(f"The style {style!r} is not known", found=f"style={style!r}", advice=" or ".join(f"style={s!r}" for s in STYLES))
    if style in ("overlay", "mask") and photo is None:
        raise ResultError(f"The style {style!r} needs a photograph", found="a result without one", advice="image=photo, or style='map'")
    shown = look.select(values.astype(np.float64))
    scale = scale_map(values, look) if scale is None else scale
    coarse = False
    if photo is not None and shown.shape != photo.shape[:2]:
        coarse = all(2 * mine <= its for mine, its in zip(shown.shape, photo.shape, strict=False))
        shown = resize_maps(shown, *photo.shape[:2])
    one_sign = not scale.low < 0 < scale.high
    heat = style == "overlay" and look.cmap is None and one_sign and scale.low >= 0 and (coarse or boxes.is_smooth(shown))
    return Picture(shown, photo, scale, look, style, heat)


def paint(ax: Axes, picture: Picture, at: Place | None = None) -> None:
    """Paints a picture on axes, whose limits are not changed."""
    height, width = picture.size
    place = (-0.5, width - 0.5, height - 0.5, -0.5) if at is None else at
    PAINT[picture.style](ax, picture, place)


def paint_photo(ax: Axes, photo: np.ndarray, place: Place) -> None:
    """Paints a photograph in its own colours."""
    more: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if photo.ndim == 2 else {}
    ax.imshow(colours.grey_levels(photo), extent=place, **more)


def _paint_overlay(ax: Axes, picture: Picture, place: Place) -> None:
    """Paints the map over the photograph: a smooth map of one sign glows over its colours, others lie over a pale grey one."""
    assert picture.photo is not None
    masked = np.ma.masked_invalid(picture.values)
    if picture.heat:
        paint_photo(ax, picture.photo, place)
        opacity: Any = min(1.0, GLOW * picture.look.alpha)
    else:
        grey = picture.photo if picture.photo.ndim == 2 else picture.photo.astype(np.float64) @ GREY
        ax.imshow(colours.grey_levels(grey), cmap="gray", vmin=-600, vmax=255, extent=place)  # pale, so that colours stand out
        shades = np.abs(picture.scale.shades(picture.values)) ** 0.5
        opacity = np.where(np.isnan(picture.values), 1.0, np.clip(shades * picture.look.alpha, 0, 1))
    ax.imshow(masked, cmap=picture.palette, norm=picture.norm, alpha=opacity, interpolation="nearest", extent=place)


def _paint_map(ax: Axes, picture: Picture, place: Place) -> None:
    """Paints the map alone."""
    masked = np.ma.masked_invalid(picture.values)
    alpha = picture.look.alpha
    ax.imshow(masked, cmap=picture.palette, norm=picture.norm, alpha=alpha, interpolation="nearest", extent=place)


def _paint_mask(ax: Axes, picture: Picture, place: Place) -> None:
    """Paints the photograph where the smoothed map is strong; it fades to white elsewhere."""
    assert picture.photo is not None
    size = np.abs(_smoothed(picture))
    low = float(size.min()) if picture.scale.low > 0 or picture.scale.high < 0 else 0.0
    span = float(size.max(initial=0.0)) - low
    visible = np.clip((size - low) / span, 0, 1)[..., None] ** 0.6 if span > 0 else np.zeros((*size.shape, 1))
    visible = np.clip(0.12 + 0.88 * visible * picture.look.alpha, 0, 1)
    levels = colours.grey_levels(picture.photo).astype(np.float64)
    levels = np.repeat(levels[..., None], 3, -1) if levels.ndim == 2 else levels
    ax.imshow((levels * visible + 255 * (1 - visible)).round().astype(np.uint8), extent=place)


def _paint_contours(ax: Axes, picture: Picture, place: Place) -> None:
    """Paints the contours of the smoothed map; those of negative values are dashed."""
    _paint_ground(ax, picture, place)
    smooth = _smoothed(picture)
    left, right, bottom, top = place
    height, width = smooth.shape
    across = left + (np.arange(width) + 0.5) * (right - left) / width
    down = top + (np.arange(height) + 0.5) * (bottom - top) / height
    far = picture.scale.low > 0 or picture.scale.high < 0
    for sign, dashes in ((1.0, "solid"), (-1.0, "dashed")):
        size = np.maximum(sign * smooth, 0.0)
        least = float(size.min()) if far else 0.0
        span = float(size.max(initial=0.0)) - least
        if span <= 0 or (sign > 0 and picture.scale.high <= 0) or (sign < 0 and picture.scale.low >= 0) or min(size.shape) < 2:
            continue
        levels = [least + share * span for share in LEVELS]
        end = picture.palette(picture.norm(picture.scale.high if sign > 0 else picture.scale.low))
        lines = ax.contour(across, down, size, levels, colors=[end], linestyles=dashes, linewidths=(0.9, 1.4, 2.0))
        lines.set_path_effects([withStroke(linewidth=3.2, foreground="white", alpha=0.85)])


def _paint_regions(ax: Axes, picture: Picture, place: Place) -> None:
    """Paints numbered boxes around the strongest regions; those of negative values are dashed."""
    _paint_ground(ax, picture, place)
    left, right, bottom, top = place
    height, width = picture.size
    wide, high = (right - left) / width, (bottom - top) / height
    for rank, box in enumerate(boxes.strongest_boxes(picture.values, BOXES), 1):
        at = (left + box.left * wide, top + box.top * high)
        colour = colours.LIGHT[-1] if box.positive else colours.LIGHT[0]
        size = ((box.right - box.left + 1) * wide, (box.bottom - box.top + 1) * high)
        style: dict[str, Any] = {"linewidth": 1.8, "linestyle": "solid" if box.positive else "dashed", "edgecolor": colour}
        frame = ax.add_patch(Rectangle(at, *size, fill=False, **style))
        frame.set_path_effects([withStroke(linewidth=3.6, foreground="white")])
        where = (at[0] + size[0] / 2, at[1] + size[1] / 2)
        mark = ax.text(*where, str(rank), color=colour, ha="center", va="center", weight="bold", fontsize="medium")
        mark.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _paint_ground(ax: Axes, picture: Picture, place: Place) -> None:
    if picture.photo is None:
        _paint_map(ax, picture, place)
    else:
        paint_photo(ax, picture.photo, place)


def _smoothed(picture: Picture) -> np.ndarray:
    return boxes.smooth_map(picture.values, boxes.smoothing_width(picture.values))


PAINT = {"overlay": _paint_overlay, "map": _paint_map, "mask": _paint_mask, "contours": _paint_contours, "regions": _paint_regions}


def describe_style(picture: Picture) -> str:
    """Returns what a reader must know of a style whose colours do not say it; empty for overlays and maps."""
    if picture.style == "mask":
        return "visible: where the absolute values are large"
    if picture.style == "contours":
        of = "range" if picture.scale.low > 0 or picture.scale.high < 0 else "largest value"
        return f"contours: 25, 50, 75 % of the {of} (smoothed)" + ("; dashed: negative" if picture.scale.low < 0 else "")
    if picture.style == "regions":
        found = boxes.strongest_boxes(picture.values, BOXES)
        shares = ", ".join(f"{k}:\u00a0{100 * box.share:.0f}\u00a0%" for k, box in enumerate(found, 1))
        dashed = "; dashed: negative" if any(not box.positive for box in found) else ""
        return f"share of the absolute values: {shares}{dashed}" if shares else "all values are 0"
    return ""


def strip_axes(ax: Axes) -> None:
    """Removes ticks and frame of axes that show a picture, and anchors it where its texts begin, so that a layout knows their place."""
    ax.set_anchor("NW")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def settle_layout(figure: Figure) -> None:
    """Repeats the layout of a figure with pictures: square pixels change the size of axes, and so the place of the text below them."""
    if figure.get_layout_engine() is not None:
        for _ in range(2):
            figure.draw_without_rendering()


def format_level(value: float, span: float) -> str:
    """Returns a number for a colour bar with the digits that tell it from others in a range of width ``span``."""
    digits = 2 + int(np.ceil(np.log10(max(abs(value) / span, 1.0)))) if span > 0 else 2
    return f"{value:.{digits}g}".replace("-", "−")


def add_colour_bar(
    axes: Axes | list[Axes], palette: Colormap, norm: Normalize, label: str, ticks: dict[float, str] | None = None, *, shrink: float = 0.8
) -> Colorbar:
    """Adds a colour bar below axes, with its ends and its middle as ticks, and what the colours mean."""
    first = axes[0] if isinstance(axes, list) else axes
    figure = first.figure.figure
    low, high = float(norm.vmin or 0), float(norm.vmax or 0)
    ticks = {at: format_level(at, high - low) for at in (low, (low + high) / 2, high)} if ticks is None else ticks
    wide = float(figure.get_size_inches()[0]) if isinstance(axes, list) else width_of(first)
    high_inches = float(figure.get_size_inches()[1])
    thick = min(0.3, THICK / max(0.25 * high_inches, high_inches - TEXTS))
    where: dict[str, Any] = {"location": "bottom", "shrink": shrink, "panchor": False, "pad": 0.02}
    bar = figure.colorbar(ScalarMappable(norm, palette), ax=axes, fraction=thick, aspect=shrink * wide / THICK, **where)
    bar.outline.set_visible(False)
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.tick_params(labelsize="small", length=2)
    bar.set_label(label, size="small", color="0.25", parse_math=False)
    return bar
