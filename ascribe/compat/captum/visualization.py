"""Pictures of attributions from NumPy arrays, under captum's names: images ``[height, width, channels]``, and series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ResultError
from .errors import also_theirs
from .words import VisualizationDataRecord, format_classname, format_special_tokens, format_tooltip, format_word_importances, visualize_text

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
    """How values and image are shown together."""

    heat_map = 1
    blended_heat_map = 2
    original_image = 3
    masked_image = 4
    alpha_scaling = 5


class TimeseriesVisualizationMethod(Enum):
    """How values and series are shown together."""

    overlay_individual = 1
    overlay_combined = 2
    colored_graph = 3


class VisualizeSign(Enum):
    """Which values are shown."""

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


def choice(kind: type[Enum], name: Any) -> str:
    """The name of a member. Raises ResultError for one that there is none of."""
    name = name.name if isinstance(name, Enum) else name
    if name not in kind.__members__:
        raise ResultError(f"{name!r} is not one to choose", there=", ".join(kind.__members__))
    return str(name)


def normalized(attr: np.ndarray, sign: str, outlier_perc: float) -> np.ndarray:
    """Values of one sign between 0 and 1, or of all between -1 and 1; channels are summed.

    The largest ones, which ``outlier_perc`` percent of the sum come from, all count as 1. Raises ResultError where nothing of the
    sign is there, and for percentages that are none.
    """
    if not 0 <= outlier_perc <= 100:
        raise ResultError(f"outlier_perc={outlier_perc}", try_="a number from 0 to 100")
    found = SIDES[sign](attr)
    sizes = np.sort(np.abs(found), axis=None)
    grown = np.cumsum(sizes)
    scale = float(sizes[np.searchsorted(grown, grown[-1] * (100 - outlier_perc) / 100)]) if grown[-1] > 0 else 0.0
    if scale == 0:
        raise ResultError(f"no values to show of sign {sign!r}", try_="another sign, or a smaller outlier_perc")
    return np.clip(found / scale, -1, 1)


def colours(sign: str, cmap: Any) -> tuple[Any, float, float]:
    """The colour map of a sign, and the values at its ends."""
    from matplotlib.colors import LinearSegmentedColormap

    if cmap is None:
        cmap = MAPS[sign] if sign != "all" else LinearSegmentedColormap.from_list("RdWhGn", ["red", "white", "green"])
    return cmap, (-1.0 if sign == "all" else 0.0), 1.0


def figure(given: Any, use_pyplot: bool, size: tuple[int, int], rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, Any]:
    """The figure and axes that were given, or new ones."""
    if given is not None:
        fig, axes = given
        return fig, axes
    if use_pyplot:
        from matplotlib import pyplot

        return pyplot.subplots(rows, columns, figsize=size, **more)
    from matplotlib.figure import Figure

    fig = Figure(figsize=size)
    return fig, fig.subplots(rows, columns, **more)


def picture(image: np.ndarray | None) -> np.ndarray:
    """An image as bytes; numbers up to 1 are taken for shares of 255. Raises ResultError where there is no image."""
    if image is None:
        raise ResultError("no image", try_='original_image=, or method="heat_map"')
    image = np.asarray(image)
    return as_bytes(image * 255 if image.max() <= 1.0 else image)


def as_bytes(image: np.ndarray) -> np.ndarray:
    """Numbers cut to whole ones between 0 and 255."""
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
    """One image with its values, as a heat map, over the image, or as what is left of the image. Returns figure and axes.

    Raises ResultError for a method or sign that there is none of, and where nothing of the sign is there.
    """
    with also_theirs():
        how, sign = choice(ImageVisualizationMethod, method), choice(VisualizeSign, sign)
        fig, axis = figure(plt_fig_axis, use_pyplot, fig_size)
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
    """The picture itself; what a colour bar belongs to.

    Raises ResultError for values of both signs as brightness, and for values and images of other shapes.
    """
    if how == "original_image":
        axis.imshow(picture(image))
        return None
    attr = np.asarray(attr)
    if attr.ndim not in (2, 3):
        raise ResultError(f"values of shape {attr.shape}", try_="[height, width], or [height, width, channels]")
    values = normalized(attr.sum(2) if attr.ndim == 3 else attr, sign, outlier_perc)
    if how in ("heat_map", "blended_heat_map"):
        chosen, low, high = colours(sign, cmap)
        if how == "heat_map":
            return axis.imshow(values, cmap=chosen, vmin=low, vmax=high)
        shown = picture(image)
        axis.imshow(shown.mean(2) if shown.ndim == 3 else shown, cmap="gray")
        return axis.imshow(values, cmap=chosen, vmin=low, vmax=high, alpha=alpha)
    if sign == "all":
        raise ResultError(f"{how} of values of both signs", try_='sign="positive", "negative" or "absolute_value"')
    shown = picture(image)
    if shown.shape[:2] != values.shape:
        raise ResultError(f"values of shape {values.shape}", there=f"an image of shape {shown.shape}", try_="the same height and width")
    if how == "masked_image":
        axis.imshow(as_bytes(shown * (values[:, :, None] if shown.ndim == 3 else values)))
    else:
        colour = np.broadcast_to(shown.reshape(*values.shape, -1)[:, :, :3], (*values.shape, 3))  # grey ones too
        axis.imshow(np.concatenate([colour, as_bytes(values[:, :, None] * 255)], 2))
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
    """Several pictures of the same values beside each other. Raises ResultError for methods and signs of different number."""
    with also_theirs():
        if not methods or len(methods) != len(signs) or (titles is not None and len(titles) != len(methods)):
            raise ResultError(
                f"{len(methods)} methods", there=f"{len(signs)} signs, {len(titles or methods)} titles", try_="as many of each"
            )
    fig, axes = figure(None, use_pyplot, fig_size, 1, len(methods))
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
    """Series with their values behind them or in their colour, a graph for each channel or one for all. Returns figure and axes.

    Raises ResultError for shapes that differ, a method or sign that there is none of, and where nothing of the sign is there.
    """
    with also_theirs():
        how, sign = choice(TimeseriesVisualizationMethod, method), choice(VisualizeSign, sign)
        attr, data = (np.asarray(a) if channels_last else np.asarray(a).T for a in (attr, data))
        if attr.shape != data.shape or attr.ndim != 2:
            there, try_ = f"data of shape {data.shape}", "[times, channels] for both"
            raise ResultError(f"values of shape {attr.shape}", there=there, try_=try_)
        for name, given, count in (("x_values", x_values, len(data)), ("channel_labels", channel_labels, data.shape[1])):
            if given is not None and len(given) != count:
                raise ResultError(f"{len(given)} {name}", there=f"data of shape {data.shape}", try_=f"{count}")
        values = normalized(attr, sign, outlier_perc)
    times = np.arange(len(data)) if x_values is None else np.asarray(x_values)
    chosen, low, high = colours(sign, cmap)
    joint = how == "overlay_combined"
    fig, axes = figure(plt_fig_axis, use_pyplot, fig_size, 1 if joint else data.shape[1], sharex=True, **pyplot_kwargs)
    panels, paint = list(np.ravel(np.asarray(axes, dtype=object))), painter(chosen, low, high)
    draw = draw_joint if joint else draw_lines if how == "colored_graph" else draw_apart
    draw(panels, times, data, values, paint, alpha_overlay, channel_labels)
    finished(fig, panels, paint, title, show_colorbar)
    if use_pyplot and plt_fig_axis is None:
        show()
    return fig, axes


Panels = Sequence[Any]
Labels = Sequence[str] | None


def draw_joint(panels: Panels, times: np.ndarray, data: np.ndarray, values: np.ndarray, paint: Any, alpha: float, labels: Labels) -> None:
    """All series in one graph, the sum of their values behind."""
    for i in range(data.shape[1]):
        panels[0].plot(times, data[:, i], label=labels[i] if labels else None)
    both = values.sum(1)
    behind(panels[0], times, both / max(1, np.abs(both).max()), paint, alpha)
    if labels:
        panels[0].legend(loc="best")


def draw_apart(panels: Panels, times: np.ndarray, data: np.ndarray, values: np.ndarray, paint: Any, alpha: float, labels: Labels) -> None:
    """A graph for each series, its values behind it."""
    for i, panel in enumerate(panels):
        panel.plot(times, data[:, i])
        behind(panel, times, values[:, i], paint, alpha)
        panel.set_ylabel(labels[i] if labels else "")


def draw_lines(panels: Panels, times: np.ndarray, data: np.ndarray, values: np.ndarray, paint: Any, alpha: float, labels: Labels) -> None:
    """A graph for each series, in the colours of its values."""
    for i, panel in enumerate(panels):
        coloured(panel, times, data[:, i], values[:, i], paint)
        panel.set_ylabel(labels[i] if labels else "")


def finished(fig: Figure, panels: Sequence[Axes], paint: Any, title: str | None, bar: bool) -> None:
    """A title above and a colour bar below, where they are asked for."""
    if bar:
        fig.colorbar(paint, ax=list(panels), orientation="horizontal", fraction=0.05)
    if title:
        panels[0].set_title(title)


def painter(cmap: Any, low: float, high: float) -> Any:
    """What turns values into colours."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(low, high), cmap)


def behind(panel: Axes, times: np.ndarray, values: np.ndarray, paint: Any, alpha: float) -> None:
    """A band of colour behind each moment, half way to its neighbours."""
    half = (times[1:] + times[:-1]) / 2
    edges = np.concatenate([[times[0]], half, [times[-1]]])
    for left, right, value in zip(edges[:-1], edges[1:], values, strict=True):
        panel.axvspan(left, right, edgecolor="none", facecolor=paint.to_rgba(value), alpha=alpha)


def coloured(panel: Axes, times: np.ndarray, series: np.ndarray, values: np.ndarray, paint: Any) -> None:
    """A graph whose pieces have the colours of their values."""
    from matplotlib.collections import LineCollection

    points = np.stack([times, series], 1)
    pieces = LineCollection(list(np.stack([points[:-1], points[1:]], 1)), cmap=paint.cmap, norm=paint.norm)
    pieces.set_array(values[:-1])
    panel.add_collection(pieces)
    panel.autoscale_view()


def draw_mask_border(ax: Axes, mask: np.ndarray, border_width: int = 1, border_color: Any = "black") -> None:
    """The outline of a mask ``[height, width]``, drawn inwards that many pixels wide."""
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
    """A word in the middle of a mask ``[height, width]``; nothing for an empty one."""
    rows, columns = np.nonzero(mask)
    if len(rows):
        box = {"facecolor": bbox_facecolor, "alpha": bbox_alpha, "edgecolor": "none"}
        spot = float(columns.mean()), float(rows.mean())
        ax.text(*spot, label.replace("$", r"\$"), fontsize=fontsize, color=text_color, ha="center", va="center", bbox=box)


def show() -> None:
    """Show what pyplot has drawn, where there is a window to show it in."""
    import matplotlib
    from matplotlib import pyplot

    if matplotlib.get_backend().lower() != "agg":
        pyplot.show()
