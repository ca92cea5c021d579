"""Images in which all but the parts with high attribution are darkened."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....arrays import as_numpy
from ....errors import ResultError
from ..nn.attribution import InternalInfluence
from ..nn.backend import use_backend
from ..nn.distributions import DoI, PointDoi
from ..nn.models.base import ModelWrapper
from ..nn.quantities import InternalChannelQoI
from ..nn.slices import Cut, InputCut
from .images import Layer, Tiler, draw_layers
from .scaling import as_images, average_channels, blur_images, check_channels, normalize_images


class MaskVisualizer:
    """Draws images masked by their attributions. Every setting can be overridden in a call.

    Pixels above the ``threshold`` quantile of a record's attributions are shown, the rest at ``masked_opacity``. With
    ``use_attr_as_opacity`` the opacity of a pixel is its attribution between the record's minimum and maximum. ``positive_only`` sets
    negative attributions to 0. ``combine_channels`` takes the mean over channels. ``blur`` is in pixels.
    """

    def __init__(
        self,
        blur: float | None = 5.0,
        threshold: float | None = 0.5,
        masked_opacity: float = 0.2,
        combine_channels: bool = True,
        use_attr_as_opacity: bool | None = False,
        positive_only: bool | None = True,
    ) -> None:
        self.default_blur, self.default_thresh, self.default_masked_opacity = blur, threshold, masked_opacity
        self.default_combine_channels = combine_channels
        self.default_use_attr_as_opacity = bool(use_attr_as_opacity)
        self.default_positive_only = positive_only is not False
        self.tiler = Tiler()

    def __call__(
        self,
        attributions: Any,
        x: Any,
        output_file: Any = None,
        imshow: bool = True,
        fig: Any = None,
        return_tiled: bool = True,
        blur: float | None = None,
        threshold: float | None = None,
        masked_opacity: float | None = None,
        combine_channels: bool | None = None,
        use_attr_as_opacity: bool | None = None,
        positive_only: bool | None = None,
    ) -> np.ndarray:
        """Draws the masked images and returns them: as one, or per record. Raises ValueError for shapes that do not fit."""
        found, below = as_images(attributions), check_channels(as_images(x, "x"))
        if found.shape != below.shape:
            there = f"attributions of shape {found.shape}, images of shape {below.shape}"
            raise ResultError("Attributions and images must have the same shape", found=there, advice="attributions of the images")
        found = average_channels(found) if _either(combine_channels, self.default_combine_channels) else found
        found = blur_images(found, _either(blur, self.default_blur))
        found = np.maximum(found, 0) if _either(positive_only, self.default_positive_only) else found
        found = normalize_images(found, "01")
        share = _either(threshold, self.default_thresh)
        if share is not None and not _either(use_attr_as_opacity, self.default_use_attr_as_opacity):
            if not 0 <= share <= 1:
                raise ResultError("A threshold is a quantile in [0, 1]", found=f"threshold={share}", advice="threshold=0.5")
            level = np.nanquantile(found, share, axis=(1, 2, 3), keepdims=True)
            found = np.maximum(found > level, _either(masked_opacity, self.default_masked_opacity))
        masked = found * normalize_images(below, "01")
        tiled = self.tiler.tile(masked)
        draw_layers([Layer(tiled, "gray")], output_file, imshow, fig)
        return tiled if return_tiled else masked


class ChannelMaskVisualizer:
    """The part of an image that a channel inside the model responds to; further arguments are those of :class:`MaskVisualizer`.

    ``layer`` is a layer's name or number, ``channel`` the index of the channel, ``doi`` the points (default: the record itself).
    """

    def __init__(
        self,
        model: ModelWrapper,
        layer: Any,
        channel: int,
        channel_axis: int | None = None,
        agg_fn: Any = None,
        doi: DoI | None = None,
        blur: float | None = None,
        threshold: float | None = 0.5,
        masked_opacity: float = 0.2,
        combine_channels: bool = True,
        use_attr_as_opacity: bool | None = None,
        positive_only: bool | None = None,
    ) -> None:
        self.mask_visualizer = MaskVisualizer(blur, threshold, masked_opacity, combine_channels, use_attr_as_opacity, positive_only)
        axis = None if channel_axis is None or channel_axis < 0 else channel_axis
        to_cut = layer if isinstance(layer, Cut) else Cut(layer)
        qoi = InternalChannelQoI(channel, axis, agg_fn)
        self.infl_input = InternalInfluence(model, (InputCut(), to_cut), qoi, doi or PointDoi())

    def __call__(
        self,
        x: Any,
        x_preprocessed: Any = None,
        output_file: Any = None,
        blur: float | None = None,
        threshold: float | None = None,
        masked_opacity: float | None = None,
        combine_channels: bool | None = None,
        imshow: bool = True,
        return_tiled: bool = False,
    ) -> np.ndarray:
        """Draws the images ``x``, masked; ``x_preprocessed`` is the input of the model if that differs from the image."""
        attributions = self.infl_input.attributions(x if x_preprocessed is None else x_preprocessed)
        with use_backend(self.infl_input.model.backend):
            return self.mask_visualizer(
                attributions,
                as_numpy(x),
                output_file,
                imshow,
                return_tiled=return_tiled,
                blur=blur,
                threshold=threshold,
                masked_opacity=masked_opacity,
                combine_channels=combine_channels,
            )


def _either(given: Any, default: Any) -> Any:
    return default if given is None else given
