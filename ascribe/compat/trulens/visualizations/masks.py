"""Pictures with everything darkened but what an attribution points at."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....arrays import as_numpy
from ....errors import ResultError
from ..nn.attribution import InternalInfluence
from ..nn.distributions import DoI, PointDoi
from ..nn.models.base import ModelWrapper
from ..nn.quantities import InternalChannelQoI
from ..nn.slices import Cut, InputCut
from .images import Layer, Tiler, drawn
from .scaling import blurred, combined, normalized, pictures, shown_channels


class MaskVisualizer:
    """Pictures seen through their attributions. What is set here can be set otherwise for each call.

    What lies above the ``threshold`` quantile of a record's attributions is shown, the rest at ``masked_opacity``; with
    ``use_attr_as_opacity`` each pixel is shown as far as its attribution reaches from the record's lowest to its highest.
    ``positive_only`` counts negative attributions as nothing, ``combine_channels`` takes their mean, ``blur`` is in pixels.
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
        """Draw, and return the masked pictures: as one, or for each record. Raises ValueError for what is no picture of ``x``."""
        found, below = pictures(attributions), shown_channels(pictures(x, "x"))
        if found.shape != below.shape:
            raise ResultError(f"attributions of shape {found.shape}", there=f"pictures of shape {below.shape}")
        found = combined(found) if _either(combine_channels, self.default_combine_channels) else found
        found = blurred(found, _either(blur, self.default_blur))
        found = np.maximum(found, 0) if _either(positive_only, self.default_positive_only) else found
        found = normalized(found, "01")
        share = _either(threshold, self.default_thresh)
        if share is not None and not _either(use_attr_as_opacity, self.default_use_attr_as_opacity):
            if not 0 <= share <= 1:
                raise ResultError(f"threshold={share}", there="a share of the numbers of a record, from 0 to 1")
            level = np.nanquantile(found, share, axis=(1, 2, 3), keepdims=True)
            found = np.maximum(found > level, _either(masked_opacity, self.default_masked_opacity))
        masked = found * normalized(below, "01")
        tiled = self.tiler.tile(masked)
        drawn([Layer(tiled, "gray")], output_file, imshow, fig)
        return tiled if return_tiled else masked


class ChannelMaskVisualizer:
    """The part of a picture that a channel or a neuron inside the model looks at; the arguments are those of :class:`MaskVisualizer`.

    ``layer`` is a layer's name or number, ``channel`` the channel's number, ``doi`` the points (the record itself unless given).
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
        """Draw the pictures ``x``, masked; ``x_preprocessed`` is what the model is given where that is not the picture itself."""
        attributions = self.infl_input.attributions(x if x_preprocessed is None else x_preprocessed)
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
