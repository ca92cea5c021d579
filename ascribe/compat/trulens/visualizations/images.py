"""Attributions of images as images, alone and as a heatmap over the input. matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import ResultError
from ....plots import require_matplotlib
from .scaling import as_images, average_channels, blur_images, channel_axis, check_channels, normalize_images

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Tiler:
    """Arranges several images in an approximately square grid."""

    def tile(self, a: Any) -> np.ndarray:
        """Returns ``[records, channels, height, width]`` as one image ``[rows * height, columns * width, channels]``.

        A single channel has no last axis.
        """
        a = np.moveaxis(as_images(a), channel_axis(), -1)
        n, h, w, c = a.shape
        rows = int(np.sqrt(n))
        columns = -(-n // rows)
        grid = np.zeros((rows * columns, h, w, c))
        grid[:n] = a
        tiled = grid.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
        return tiled[..., 0] if c == 1 else tiled


class Visualizer:
    """Draws attributions as images. Every setting can be overridden in a call.

    ``combine_channels`` shows the mean over channels. ``normalization_type`` is the scaling (maxima per record, sums per channel of a
    record). ``blur`` is a standard deviation in pixels. ``cmap`` is a colour map for single channels (default: :func:`make_hotcold`,
    centred at 0).
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
        """Draws the attributions. Returns them as drawn: as one image, or per record.

        Shows them if ``imshow``, writes them to ``output_file``. Raises ValueError for anything but images.
        """
        combine = self.default_combine_channels if combine_channels is None else combine_channels
        found, layer = self._prepared(attributions, combine, normalization_type, blur, cmap)
        draw_layers([layer], output_file, imshow, fig)
        return layer.image if return_tiled else found

    def _prepared(self, attributions: Any, combine: bool, how: str | None, blur: float | None, cmap: Any) -> tuple[np.ndarray, Layer]:
        """Returns the images as shown, and all of them as one."""
        found = as_images(attributions)
        found = average_channels(found) if combine else check_channels(found)
        single = found.shape[channel_axis()] == 1
        how = how or self.default_normalization_type or ("unsigned_max" if single else "unsigned_max_positive_centered")
        found = normalize_images(blur_images(found, self.default_blur if blur is None else blur), how)
        return found, Layer(self.tiler.tile(found), cmap or self.default_cmap, middle=0.5 if how.endswith("centered") else 0.0)


class HeatmapVisualizer(Visualizer):
    """Draws attributions as colours over the images that they explain."""

    def __init__(self, overlay_opacity: float = 0.5, normalization_type: str | None = None, blur: float = 10.0, cmap: Any = "jet") -> None:
        super().__init__(True, normalization_type, blur, cmap)
        self.default_overlay_opacity = overlay_opacity

    def __call__(  # type: ignore[override]  # trulens takes the images second
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
        """Draws over the images ``x``. Returns the heatmap. Raises ValueError for anything but images."""
        found, layer = self._prepared(attributions, True, normalization_type, blur, cmap)
        below = self.tiler.tile(normalize_images(check_channels(as_images(x, "x")), "01"))
        if below.shape[:2] != layer.image.shape[:2]:
            there = f"attributions of shape {np.shape(attributions)}, images of shape {np.shape(x)}"
            raise ResultError("Attributions and images differ in height, width or number", found=there, advice="attributions of the images")
        opacity = self.default_overlay_opacity if overlay_opacity is None else overlay_opacity
        draw_layers([Layer(below, "gray"), replace(layer, alpha=opacity)], output_file, imshow, fig)
        return layer.image if return_tiled else found


@dataclass(frozen=True, eq=False)
class Layer:
    """An image in a figure. Without a colour map its colours are :func:`make_hotcold`, black at ``middle``."""

    image: np.ndarray
    cmap: Any = None
    alpha: float | None = None
    middle: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Draws the image over the present content."""
        if self.cmap is not None or self.image.ndim == 3:
            axes.imshow(self.image, cmap=self.cmap, alpha=self.alpha)
            return
        reach = float(np.nanmax(np.abs(self.image - self.middle))) or 1.0
        axes.imshow(self.image, cmap=make_hotcold(), alpha=self.alpha, vmin=self.middle - reach, vmax=self.middle + reach)


def draw_layers(layers: Sequence[Layer], output_file: Any, imshow: bool, fig: Any) -> None:
    """Draws images over each other in a figure: the one given, or a new one, which is closed after showing."""
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


def make_hotcold() -> Any:
    """Returns trulens' colours: cool below zero, hot above, black in the middle."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    steps = np.linspace(0, 1, 128)
    hot, cool, binary = (matplotlib.colormaps[name].resampled(128)(steps) for name in ("hot", "cool", "binary"))
    return ListedColormap(np.vstack([binary * cool, hot]), name="hotcold")
