"""Attributions of pictures as pictures: by themselves, and as a heatmap over what they explain. matplotlib loads when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ResultError
from ....plots import require_matplotlib
from .scaling import blurred, channel_axis, combined, normalized, pictures, shown_channels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Tiler:
    """Several pictures as one, in a grid that is about square."""

    def tile(self, a: Any) -> np.ndarray:
        """``[records, channels, height, width]`` as ``[rows * height, columns * width, channels]``; grey pictures without the last axis."""
        a = np.moveaxis(pictures(a), channel_axis(), -1)
        n, h, w, c = a.shape
        rows = int(np.sqrt(n))
        columns = -(-n // rows)
        grid = np.zeros((rows * columns, h, w, c))
        grid[:n] = a
        tiled = grid.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
        return tiled[..., 0] if c == 1 else tiled


class Visualizer:
    """Attributions as pictures. What is set here can be set otherwise for each call.

    ``combine_channels`` shows their mean, ``normalization_type`` says how to scale (maxima are those of each record, sums those of each
    of its channels), ``blur`` is a standard deviation in pixels, ``cmap`` a colour map for single channels (:func:`hotcold` around 0).
    """

    def __init__(self, combine_channels: bool = False, normalization_type: str | None = None, blur: float = 0.0, cmap: Any = None) -> None:
        self.default_combine_channels, self.default_normalization_type = combine_channels, normalization_type
        self.default_blur, self.default_cmap = blur, cmap
        self.tiler = Tiler()

    def __call__(
        self,
        attributions: Any,
        output_file: Any = None,
        imshow: bool = True,
        fig: Any = None,
        return_tiled: bool = False,
        combine_channels: bool | None = None,
        normalization_type: str | None = None,
        blur: float | None = None,
        cmap: Any = None,
    ) -> np.ndarray:
        """Draw, and return what was drawn: as one picture, or for each record.

        It is shown where ``imshow``, written where there is an ``output_file``. Raises ValueError for what is no picture.
        """
        combine = self.default_combine_channels if combine_channels is None else combine_channels
        found, layer = self._prepared(attributions, combine, normalization_type, blur, cmap)
        drawn([layer], output_file, imshow, fig)
        return layer.picture if return_tiled else found

    def _prepared(self, attributions: Any, combine: bool, how: str | None, blur: float | None, cmap: Any) -> tuple[np.ndarray, Layer]:
        """The pictures as they are shown, and all of them as one."""
        found = pictures(attributions)
        found = combined(found) if combine else shown_channels(found)
        single = found.shape[channel_axis()] == 1
        how = how or self.default_normalization_type or ("unsigned_max" if single else "unsigned_max_positive_centered")
        found = normalized(blurred(found, self.default_blur if blur is None else blur), how)
        return found, Layer(self.tiler.tile(found), cmap or self.default_cmap, middle=0.5 if how.endswith("centered") else 0.0)


class HeatmapVisualizer(Visualizer):
    """Attributions as colours over the pictures that they explain."""

    def __init__(self, overlay_opacity: float = 0.5, normalization_type: str | None = None, blur: float = 10.0, cmap: Any = "jet") -> None:
        super().__init__(True, normalization_type, blur, cmap)
        self.default_overlay_opacity = overlay_opacity

    def __call__(  # type: ignore[override]  # trulens has the pictures second
        self,
        attributions: Any,
        x: Any,
        output_file: Any = None,
        imshow: bool = True,
        fig: Any = None,
        return_tiled: bool = False,
        overlay_opacity: float | None = None,
        normalization_type: str | None = None,
        blur: float | None = None,
        cmap: Any = None,
    ) -> np.ndarray:
        """Draw over the pictures ``x``; return the heatmap. Raises ValueError for what is no picture."""
        found, layer = self._prepared(attributions, True, normalization_type, blur, cmap)
        below = self.tiler.tile(normalized(shown_channels(pictures(x, "x")), "01"))
        if below.shape[:2] != layer.picture.shape[:2]:
            raise ResultError(f"attributions of shape {np.shape(attributions)}", there=f"pictures of shape {np.shape(x)}")
        opacity = self.default_overlay_opacity if overlay_opacity is None else overlay_opacity
        drawn([Layer(below, "gray"), replace(layer, alpha=opacity)], output_file, imshow, fig)
        return layer.picture if return_tiled else found


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture in a figure. Without a colour map its colours are :func:`hotcold`, black where it has the number ``middle``."""

    picture: np.ndarray
    cmap: Any = None
    alpha: float | None = None
    middle: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Put it on top of what there is."""
        if self.cmap is not None or self.picture.ndim == 3:
            axes.imshow(self.picture, cmap=self.cmap, alpha=self.alpha)
            return
        reach = float(np.nanmax(np.abs(self.picture - self.middle))) or 1.0
        axes.imshow(self.picture, cmap=hotcold(), alpha=self.alpha, vmin=self.middle - reach, vmax=self.middle + reach)


def drawn(layers: Sequence[Layer], output_file: Any, imshow: bool, fig: Any) -> None:
    """Pictures on top of each other in a figure: the one given, or one of its own that nothing is left of but the window shown."""
    if output_file is None and not imshow and fig is None:
        return
    with require_matplotlib():
        from matplotlib import pyplot
        from matplotlib.figure import Figure
    figure = fig if fig is not None else pyplot.figure() if imshow else Figure()
    try:
        axes = figure.gca()
        axes.axis("off")
        for layer in layers:
            layer.draw(axes)
        if output_file is not None:
            figure.savefig(output_file, bbox_inches="tight")
        if imshow:
            pyplot.show()
    finally:
        if fig is None and imshow and not pyplot.isinteractive():  # an interactive window is the user's to close
            pyplot.close(figure)


def hotcold() -> Any:
    """The colours of trulens: cool ones for what is below zero, hot ones for what is above, black at the middle."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    steps = np.linspace(0, 1, 128)
    hot, cool, binary = (matplotlib.colormaps[name].resampled(128)(steps) for name in ("hot", "cool", "binary"))
    return ListedColormap(np.vstack([binary * cool, hot]), name="hotcold")
