"""captum.attr.visualization: attributions of images ``[height, width, channels]`` and of time series, drawn from NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ResultError
from .translate.errors import raise_as_captum
from .word_table import (
    VisualizationDataRecord,
    format_classname,
    format_special_tokens,
    format_tooltip,
    format_word_importances,
    visualize_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ImageVisualizationMethod",
    "TimeseriesVisualizationMethod",
    "VisualizationDataRecord",
    "VisualizeSign",
    "draw_mask_border",
    "draw_mask_legend",
    "format_classname",
    "format_special_tokens",
    "format_tooltip",
    "format_word_importances",
    "visualize_image_attr",
    "visualize_image_attr_multiple",
    "visualize_text",
    "visualize_timeseries_attr",
]


class ImageVisualizationMethod(Enum):
    """How values and image are combined."""

    heat_map = 1
    blended_heat_map = 2
    original_image = 3
    masked_image = 4
    alpha_scaling = 5


class TimeseriesVisualizationMethod(Enum):
    """How values and series are combined."""

    overlay_individual = 1
    overlay_combined = 2
    colored_graph = 3


class VisualizeSign(Enum):
    """The sign of the values shown."""

    positive = 1
    absolute_value = 2
    negative = 3
    all = 4


MAPS = {"positive": "Greens", "negative": "Reds", "absolute_value": "Blues"}
SIDES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "positive": lambda a: a * (a > 0),
    "negative": lambda a: -a * (a < 0),
    "absolute_value": np.abs,
    "all": lambda a: a,
}


def parse_choice(kind: type[Enum], name: Any) -> str:
    """Returns the name of a member. Raises ResultError for an unknown one."""
    name = name.name if isinstance(name, Enum) else name
    if name not in kind.__members__:
        raise ResultError(f"`{kind.__name__}` has no member {name!r}", found=repr(name), advice=f"one of {', '.join(kind.__members__)}")
    return str(name)


def normalize_values(attr: np.ndarray, sign: str, outlier_perc: float) -> np.ndarray:
    """Returns values of one sign scaled to [0, 1], or of both signs to [-1, 1]; channels are summed.

    The largest values, which make up ``outlier_perc`` percent of the sum, are set to 1. Raises ResultError if no values of the sign
    are left, and for invalid percentages.
    """
    if not 0 <= outlier_perc <= 100:
        raise ResultError("`outlier_perc` must be between 0 and 100", found=f"outlier_perc={outlier_perc}", advice="outlier_perc=2")
    found = SIDES[sign](attr)
    sizes = np.sort(np.abs(found), axis=None)
    grown = np.cumsum(sizes)
    scale = float(sizes[np.searchsorted(grown, grown[-1] * (100 - outlier_perc) / 100)]) if grown[-1] > 0 else 0.0
    if scale == 0:
        raise ResultError("No values are left to show", found=f"sign={sign!r}", advice="another sign, or a smaller outlier_perc")
    return np.clip(found / scale, -1, 1)


def choose_colours(sign: str, cmap: Any) -> tuple[Any, float, float]:
    """Returns the colour map of a sign, and the values at its ends."""
    from matplotlib.colors import LinearSegmentedColormap

    if cmap is None:
        cmap = MAPS[sign] if sign != "all" else LinearSegmentedColormap.from_list("RdWhGn", ["red", "white", "green"])
    return cmap, (-1.0 if sign == "all" else 0.0), 1.0


def make_figure(given: Any, use_pyplot: bool, size: tuple[int, int], rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, Any]:
    """Returns the figure and axes that were passed, or new ones."""
    if given is not None:
        fig, axes = given
        return fig, axes
    if use_pyplot:
        from matplotlib import pyplot

        return pyplot.subplots(rows, columns, figsize=size, **more)
    from matplotlib.figure import Figure

    fig = Figure(figsize=size)
    return fig, fig.subplots(rows, columns, **more)


def prepare_image(image: np.ndarray | None) -> np.ndarray:
    """Returns an image as bytes; values up to 1 are multiplied by 255. Raises ResultError without an image."""
    if image is None:
        raise ResultError("This method needs the original image", found="None", advice='original_image=image, or method="heat_map"')
    image = np.asarray(image)
    return to_bytes(image * 255 if image.max() <= 1.0 else image)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Returns values clipped to the integers from 0 to 255."""
    return np.clip(image.astype(int), 0, 255).astype(np.uint8)


def visualize_image_attr(
    attr: np.ndarray,
    original_image: np.ndarray | None = None,
    method: str = "heat_map",
    sign: str = "absolute_value",
    plt_fig_axis: tuple[Figure, Axes] | None = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.5,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[int, int] = (6, 6),
    use_pyplot: bool = True,
) -> tuple[Figure, Axes]:
    """Draws an image with its values: as a heat map, over the image, or as the brightness of the image. Returns figure and axes.

    Raises ResultError for an unknown method or sign, and if no values of the sign are left.
    """
    with raise_as_captum():
        how, sign = parse_choice(ImageVisualizationMethod, method), parse_choice(VisualizeSign, sign)
        fig, axis = make_figure(plt_fig_axis, use_pyplot, fig_size)
        heat = draw_image(axis, attr, original_image, how, sign, outlier_perc, cmap, alpha_overlay)
    axis.set_xticks([])
    axis.set_yticks([])
    if title:
        axis.set_title(title)
    if show_colorbar and heat is not None:
        fig.colorbar(heat, ax=axis, orientation="horizontal", pad=0.05)
    if use_pyplot and plt_fig_axis is None:
        show()
    return fig, axis


def draw_image(axis: Axes, attr: np.ndarray, image: Any, how: str, sign: str, outlier_perc: float, cmap: Any, alpha: float) -> Any:
    """Draws the image. Returns the artist that the colour bar belongs to.

    Raises ResultError for values of both signs as brightness, and for values and images of different shapes.
    """
    if how == "original_image":
        axis.imshow(prepare_image(image))
        return None
    attr = np.asarray(attr)
    if attr.ndim not in (2, 3):
        there, advice = f"values of shape {attr.shape}", "[height, width], or [height, width, channels]"
        raise ResultError("Values of an image must have two or three axes", found=there, advice=advice)
    values = normalize_values(attr.sum(2) if attr.ndim == 3 else attr, sign, outlier_perc)
    if how in ("heat_map", "blended_heat_map"):
        chosen, low, high = choose_colours(sign, cmap)
        if how == "heat_map":
            return axis.imshow(values, cmap=chosen, vmin=low, vmax=high)
        shown = prepare_image(image)
        axis.imshow(shown.mean(2) if shown.ndim == 3 else shown, cmap="gray")
        return axis.imshow(values, cmap=chosen, vmin=low, vmax=high, alpha=alpha)
    if sign == "all":
        there, advice = f"method={how!r} for values of both signs", 'sign="positive", "negative" or "absolute_value"'
        raise ResultError("This method shows values of one sign", found=there, advice=advice)
    shown = prepare_image(image)
    if shown.shape[:2] != values.shape:
        there = f"values of shape {values.shape} for an image of shape {shown.shape}"
        raise ResultError("Values and image differ in height or width", found=there, advice="values of the image's height and width")
    if how == "masked_image":
        axis.imshow(to_bytes(shown * (values[:, :, None] if shown.ndim == 3 else values)))
    else:
        colour = np.broadcast_to(shown.reshape(*values.shape, -1)[:, :, :3], (*values.shape, 3))  # grey ones too
        axis.imshow(np.concatenate([colour, to_bytes(values[:, :, None] * 255)], 2))
    return None


def visualize_image_attr_multiple(
    attr: np.ndarray,
    original_image: np.ndarray | None,
    methods: Sequence[str],
    signs: Sequence[str],
    titles: Sequence[str] | None = None,
    fig_size: tuple[int, int] = (8, 6),
    use_pyplot: bool = True,
    **kwargs: Any,
) -> tuple[Figure, Any]:
    """Draws the same values several times, side by side. Raises ResultError unless methods and signs have the same length."""
    with raise_as_captum():
        if not methods or len(methods) != len(signs) or (titles is not None and len(titles) != len(methods)):
            there = f"{len(methods)} methods, {len(signs)} signs, {len(titles or methods)} titles"
            raise ResultError("Methods, signs and titles must have the same length", found=there, advice="one of each for each image")
    fig, axes = make_figure(None, use_pyplot, fig_size, 1, len(methods))
    axes = [axes] if len(methods) == 1 else list(axes)
    for i, (method, sign) in enumerate(zip(methods, signs, strict=True)):
        given = {"title": titles[i] if titles else None, **kwargs}
        visualize_image_attr(attr, original_image, method, sign, (fig, axes[i]), use_pyplot=False, **given)
    fig.tight_layout()
    if use_pyplot:
        show()
    return fig, axes


def visualize_timeseries_attr(
    attr: np.ndarray,
    data: np.ndarray,
    x_values: np.ndarray | None = None,
    method: str = "overlay_individual",
    sign: str = "absolute_value",
    channel_labels: Sequence[str] | None = None,
    channels_last: bool = True,
    plt_fig_axis: tuple[Figure, Any] | None = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.7,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[int, int] = (6, 6),
    use_pyplot: bool = True,
    **pyplot_kwargs: Any,
) -> tuple[Figure, Any]:
    """Draws time series with their values in the background or in their colour, in one graph or several. Returns figure and axes.

    Raises ResultError for shapes that differ, an unknown method or sign, and if no values of the sign are left.
    """
    with raise_as_captum():
        how, sign = parse_choice(TimeseriesVisualizationMethod, method), parse_choice(VisualizeSign, sign)
        attr, data = (np.asarray(a) if channels_last else np.asarray(a).T for a in (attr, data))
        if attr.shape != data.shape or attr.ndim != 2:
            there, advice = f"values of shape {attr.shape}, data of shape {data.shape}", "[times, channels] for both"
            raise ResultError("Values and data must have the same shape", found=there, advice=advice)
        for name, given, count in (("x_values", x_values, len(data)), ("channel_labels", channel_labels, data.shape[1])):
            if given is not None and len(given) != count:
                there, advice = f"{len(given)} for data of shape {data.shape}", f"{count} {name}"
                raise ResultError(f"The length of `{name}` does not fit the data", found=there, advice=advice)
        values = normalize_values(attr, sign, outlier_perc)
    times = np.arange(len(data)) if x_values is None else np.asarray(x_values)
    chosen, low, high = choose_colours(sign, cmap)
    joint = how == "overlay_combined"
    fig, axes = make_figure(plt_fig_axis, use_pyplot, fig_size, 1 if joint else data.shape[1], sharex=True, **pyplot_kwargs)
    panels, paint = list(np.ravel(np.asarray(axes, dtype=object))), make_painter(chosen, low, high)
    draw = draw_joint if joint else draw_lines if how == "colored_graph" else draw_apart
    draw(panels, times, data, values, paint, alpha_overlay, channel_labels)
    finish_figure(fig, panels, paint, title, show_colorbar)
    if use_pyplot and plt_fig_axis is None:
        show()
    return fig, axes


Panels = Sequence[Any]
Labels = Sequence[str] | None


def draw_joint(panels: Panels, times: np.ndarray, data: np.ndarray, values: np.ndarray, paint: Any, alpha: float, labels: Labels) -> None:
    """Draws all series in one graph, with the sum of their values in the background."""
    for i in range(data.shape[1]):
        panels[0].plot(times, data[:, i], label=labels[i] if labels else None)
    both = values.sum(1)
    draw_background(panels[0], times, both / max(1, np.abs(both).max()), paint, alpha)
    if labels:
        panels[0].legend(loc="best")


def draw_apart(panels: Panels, times: np.ndarray, data: np.ndarray, values: np.ndarray, paint: Any, alpha: float, labels: Labels) -> None:
    """Draws a graph for each series, with its values in the background."""
    for i, panel in enumerate(panels):
        panel.plot(times, data[:, i])
        draw_background(panel, times, values[:, i], paint, alpha)
        panel.set_ylabel(labels[i] if labels else "")


def draw_lines(panels: Panels, times: np.ndarray, data: np.ndarray, values: np.ndarray, paint: Any, alpha: float, labels: Labels) -> None:
    """Draws a graph for each series, as a line in the colours of its values."""
    for i, panel in enumerate(panels):
        draw_coloured_line(panel, times, data[:, i], values[:, i], paint)
        panel.set_ylabel(labels[i] if labels else "")


def finish_figure(fig: Figure, panels: Sequence[Axes], paint: Any, title: str | None, bar: bool) -> None:
    """Adds the title and the colour bar."""
    if bar:
        fig.colorbar(paint, ax=list(panels), orientation="horizontal", fraction=0.05)
    if title:
        panels[0].set_title(title)


def make_painter(cmap: Any, low: float, high: float) -> Any:
    """Returns the mapping of values to colours."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(low, high), cmap)


def draw_background(panel: Axes, times: np.ndarray, values: np.ndarray, paint: Any, alpha: float) -> None:
    """Draws a band of colour for each time step, to the midpoints between steps."""
    half = (times[1:] + times[:-1]) / 2
    edges = np.concatenate([[times[0]], half, [times[-1]]])
    for left, right, value in zip(edges[:-1], edges[1:], values, strict=True):
        panel.axvspan(left, right, edgecolor="none", facecolor=paint.to_rgba(value), alpha=alpha)


def draw_coloured_line(panel: Axes, times: np.ndarray, series: np.ndarray, values: np.ndarray, paint: Any) -> None:
    """Draws a line whose segments have the colours of their values."""
    from matplotlib.collections import LineCollection

    points = np.stack([times, series], 1)
    pieces = LineCollection(list(np.stack([points[:-1], points[1:]], 1)), cmap=paint.cmap, norm=paint.norm)
    pieces.set_array(values[:-1])
    panel.add_collection(pieces)
    panel.autoscale_view()


def draw_mask_border(ax: Axes, mask: np.ndarray, border_width: int = 1, border_color: Any = "black") -> None:
    """Draws the outline of a mask ``[height, width]``, ``border_width`` pixels wide."""
    from matplotlib.colors import to_rgba

    inside = np.pad(np.asarray(mask, dtype=bool), border_width)
    core = inside.copy()
    for axis in (0, 1):
        for step in range(-border_width, border_width + 1):
            core &= np.roll(inside, step, axis)
    cut = slice(border_width, -border_width or None)
    edge = (inside & ~core)[cut, cut]
    overlay = np.zeros((*edge.shape, 4))
    overlay[edge] = to_rgba(border_color)
    ax.imshow(overlay)


def draw_mask_legend(
    ax: Axes,
    mask: np.ndarray,
    label: str,
    fontsize: int = 10,
    text_color: str = "white",
    bbox_facecolor: str = "black",
    bbox_alpha: float = 0.6,
) -> None:
    """Writes a label at the centre of a mask ``[height, width]``; nothing for an empty mask."""
    rows, columns = np.nonzero(mask)
    if len(rows):
        box = {"facecolor": bbox_facecolor, "alpha": bbox_alpha, "edgecolor": "none"}
        spot = float(columns.mean()), float(rows.mean())
        ax.text(*spot, label.replace("$", r"\$"), fontsize=fontsize, color=text_color, ha="center", va="center", bbox=box)


def show() -> None:
    """Shows the figure of pyplot if the backend has a window."""
    import matplotlib
    from matplotlib import pyplot

    if matplotlib.get_backend().lower() != "agg":
        pyplot.show()
