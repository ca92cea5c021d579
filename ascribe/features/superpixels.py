"""Superpixels: patches of a picture that look alike, by scikit-image."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from ..arrays import as_numpy
from ..errors import FeatureError
from ..utils.record_layout import describe_layout_doubt
from ..values import Value, is_count
from .base import FeatureContext, Groups, shapes_with_axes


@dataclass(frozen=True, repr=False)
class Superpixels(Value):
    """Patches of each record's own picture ``[channels, height, width]``, about ``count`` of them; needs scikit-image.

    "slic" (Achanta et al. 2012) and "watershed" (Neubert and Protzel 2014) keep to the number; "felzenszwalb" (2004) and "quickshift"
    (Vedaldi and Soatto 2008) find their own, larger where ``count`` is smaller. Records with fewer patches than others have features
    that play no part.
    """

    count: int = 49
    how: Literal["slic", "felzenszwalb", "quickshift", "watershed"] = "slic"

    def groups(self, context: FeatureContext) -> Groups:
        if context.layer:
            raise FeatureError(f"{self!r} at a layer", there="no picture", try_="asc.Grid(...) or asc.features.Channels()")
        if not is_count(self.count) or self.how not in HOW:
            raise FeatureError(repr(self), there=", ".join(HOW), try_="a whole number from 1 up, and one of these")
        shapes, found, count, fewest = shapes_with_axes(context, 2, repr(self)), [], 0, self.count
        poor = np.zeros(context.total, bool)
        for shape, pixels in zip(shapes, context.read_all(), strict=True):
            ids = np.stack([self._segment_record(as_numpy(p).astype(np.float64)) for p in pixels])
            each = ids.reshape(len(ids), -1).max(1) + 1
            poor, fewest = poor | (each < min(FEWEST, self.count)), min(fewest, int(each.min()))
            found.append((ids + count).reshape(len(ids), *[1] * (len(shape) - 2), *shape[-2:]))
            count += int(each.max())
        warning = [describe_layout_doubt(shapes)]
        if poor.any():
            few, some = f"{fewest} patch{'' if fewest == 1 else 'es'}", ", ".join(map(str, np.flatnonzero(poor)[:8]))
            warning.append(f"only {few} in record {some}: {self.how!r} finds no regions there; features=asc.Grid(8) cuts by place")
        told = f"superpixels ({self.how}, up to {count} in a record)"
        return Groups(tuple(found), count, told, warning="; ".join(filter(None, warning)))

    def _segment_record(self, picture: np.ndarray) -> np.ndarray:
        """The patch of every pixel, from 0; channels are scaled to one range together."""
        if not np.isfinite(picture).all():
            raise FeatureError(f"{self!r} of a picture with NaN or infinity", try_="asc.Grid(8)")
        pixels = picture.reshape(-1, *picture.shape[-2:]).transpose(1, 2, 0)
        span = float(np.ptp(pixels)) or 1.0
        labels = segment_image((pixels - pixels.min()) / span, self.how, self.count)
        return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


FEWEST = 4
"""Fewer patches than these explain nothing."""
HOW = ("slic", "felzenszwalb", "quickshift", "watershed")


def is_available() -> bool:
    """Whether scikit-image is here."""
    return find_spec("skimage") is not None


def segment_image(pixels: np.ndarray, how: str, count: int) -> Any:
    """Labels ``[height, width]`` of a picture ``[height, width, channels]`` in 0 to 1. Raises FeatureError without scikit-image."""
    try:
        from skimage import color
        from skimage import filters as untyped_filters
        from skimage import segmentation as untyped_segmentation
    except ImportError as error:
        raise FeatureError("superpixels need scikit-image", there="no skimage", try_="pip install scikit-image, or asc.Grid(8)") from error
    filters: Any = untyped_filters
    segmentation: Any = untyped_segmentation
    height, width, channels = pixels.shape
    if how == "slic":
        return segmentation.slic(pixels, count, compactness=10.0 if channels == 3 else 0.1, channel_axis=-1, start_label=0)
    if how == "felzenszwalb":
        return segmentation.felzenszwalb(pixels, scale=50.0, sigma=0.5, min_size=max(1, height * width // (4 * count)), channel_axis=-1)
    if how == "quickshift":
        three = pixels if channels == 3 else np.repeat(pixels.mean(-1, keepdims=True), 3, -1)
        spread = max(1.0, (height * width / count) ** 0.5 / 2)
        return segmentation.quickshift(three, kernel_size=spread / 2, max_dist=2 * spread, ratio=0.5, rng=0)
    grey = color.rgb2gray(pixels) if channels == 3 else pixels.mean(-1)
    return segmentation.watershed(filters.sobel(grey), markers=count, compactness=1e-3)
