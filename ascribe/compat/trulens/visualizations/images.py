"""Attributions of pictures as pictures: by themselves, and as a heatmap over what they explain. matplotlib loads when one is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from .scaling import blurred, channel_axis, combined, normalized, pictures, shown_channels


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
        return np.squeeze(grid.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c))


class Visualizer:
    """Attributions as pictures. What is set here can be set otherwise for each call.

    ``combine_channels`` shows their mean, ``normalization_type`` says how to scale (maxima are those of each record, sums those of each
    of its channels), ``blur`` is a standard deviation in pixels, ``cmap`` a colour map for single channels.
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
        found = self._prepared(attributions, combine, normalization_type, blur)
        tiled = self.tiler.tile(found)
        drawn([(tiled, {"cmap": self._colours(cmap)})], output_file, imshow, fig)
        return tiled if return_tiled else found

    def _prepared(self, attributions: Any, combine: bool, how: str | None, blur: float | None) -> np.ndarray:
        found = pictures(attributions)
        found = combined(found) if combine else shown_channels(found)
        single = found.shape[channel_axis()] == 1
        how = how or self.default_normalization_type or ("unsigned_max" if single else "unsigned_max_positive_centered")
        return normalized(blurred(found, self.default_blur if blur is None else blur), how)

    def _colours(self, cmap: Any) -> Any:
        return cmap or self.default_cmap or hotcold()


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
        found = self._prepared(attributions, True, normalization_type, blur)
        below = self.tiler.tile(normalized(shown_channels(pictures(x, "x")), "01"))
        tiled = self.tiler.tile(found)
        opacity = self.default_overlay_opacity if overlay_opacity is None else overlay_opacity
        drawn([(below, {"cmap": "gray"}), (tiled, {"alpha": opacity, "cmap": self._colours(cmap)})], output_file, imshow, fig)
        return tiled if return_tiled else found


def drawn(layers: list[tuple[np.ndarray, dict[str, Any]]], output_file: Any, imshow: bool, fig: Any) -> None:
    """Pictures on top of each other in a figure: the one given, or a new one that is closed again unless it is shown."""
    if output_file is None and not imshow and fig is None:
        return
    from matplotlib import pyplot

    figure = pyplot.figure() if fig is None else fig
    axes = figure.gca()
    axes.axis("off")
    for picture, how in layers:
        axes.imshow(picture, **how)
    if output_file is not None:
        figure.savefig(output_file, bbox_inches="tight")
    if imshow:
        pyplot.show()
    elif fig is None:
        pyplot.close(figure)


def hotcold() -> Any:
    """The colours of trulens: cool ones for what is below zero, hot ones for what is above, black at the middle."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    steps = np.linspace(0, 1, 128)
    hot, cool, binary = (matplotlib.colormaps[name].resampled(128)(steps) for name in ("hot", "cool", "binary"))
    return ListedColormap(np.vstack([binary * cool, hot]), name="hotcold")
