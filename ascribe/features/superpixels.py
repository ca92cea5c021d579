"""Superpixels: connected patches of similar pixels, by scikit-image."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np

from ..arrays import as_numpy
from ..errors import FeatureError
from ..utils.record_layout import ImageLayout, describe_layout_doubt
from ..values import Value, is_count
from .base import FeatureContext, Groups, image_axes

Segmentation = Literal["slic", "felzenszwalb", "quickshift", "watershed"]


@dataclass(frozen=True, repr=False)
class Superpixels(Value):
    """Divides each image into about ``count`` patches of similar pixels.

    *Use it when* records are natural images and features should follow the contours of objects. Needs scikit-image.

    ``how`` is the algorithm: "slic" (Achanta et al. 2012) and "watershed" (Neubert and Protzel 2014) return about ``count`` patches.
    "felzenszwalb" (Felzenszwalb and Huttenlocher 2004) and "quickshift" (Vedaldi and Soatto 2008) choose the number themselves; a smaller
    ``count`` gives larger patches. If a record has fewer patches than another one, its last features are empty and get the value 0.
    ``layout`` as in :class:`~ascribe.features.Grid`.

    Raises FeatureError at a layer, for NaN or infinity, for an unknown ``how``, and without scikit-image.
    """

    count: int = 49
    how: Segmentation = "slic"
    layout: ImageLayout | None = None

    def groups(self, context: FeatureContext) -> Groups:
        if context.layer:
            raise FeatureError(
                f"`{self!r}` needs images", found="the values of a layer", advice="features=asc.features.Channels() or asc.Grid(4)"
            )
        if not is_count(self.count):
            raise FeatureError("`count=` must be an integer >= 1", found=f"count={self.count!r}", advice="features=asc.Superpixels(49)")
        if self.how not in HOW:
            problem = f"`how=` must be one of {', '.join(map(repr, HOW))}"
            raise FeatureError(problem, found=f"how={self.how!r}", advice="features=asc.Superpixels(49, how='slic')")
        images, arrays, count, fewest = image_axes(context, 2, repr(self), self.layout), [], 0, self.count
        poor = np.zeros(context.total, bool)
        for image, values in zip(images, context.read_all(), strict=True):
            pixels = np.moveaxis(as_numpy(values), -1, 1) if image.last else as_numpy(values)
            ids = np.stack([self._segment_record(p.astype(np.float64)) for p in pixels])
            each = ids.reshape(len(ids), -1).max(1) + 1
            poor, fewest = poor | (each < min(FEWEST, self.count)), min(fewest, int(each.min()))
            arrays.append(image.arrange(ids + count, 2))
            count += int(each.max())
        warning = [describe_layout_doubt([image.shape for image in images if not image.last], layout=self.layout)]
        if poor.any():
            few, some = f"{fewest} patch{'' if fewest == 1 else 'es'}", ", ".join(map(str, np.flatnonzero(poor)[:8]))
            warning.append(f"only {few} in record {some}: {self.how!r} finds no regions in it; features=asc.Grid(8) divides by position")
        text = f"superpixels ({self.how}, up to {count} in a record{images[0].note})"
        return Groups(tuple(arrays), count, text, warning="; ".join(filter(None, warning)))

    def _segment_record(self, image: np.ndarray) -> np.ndarray:
        """Returns the patch of each pixel, from 0; all channels are scaled to one common range."""
        if not np.isfinite(image).all():
            raise FeatureError(f"`{self!r}` needs finite pixels", found="an image with NaN or infinity", advice="features=asc.Grid(8)")
        pixels = image.reshape(-1, *image.shape[-2:]).transpose(1, 2, 0)
        span = float(np.ptp(pixels)) or 1.0
        labels = segment_image((pixels - pixels.min()) / span, self.how, self.count)
        return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


FEWEST = 4
"""With fewer patches than this, an explanation has no detail."""
HOW: tuple[Segmentation, ...] = get_args(Segmentation)
"""The algorithms of scikit-image."""


def is_available() -> bool:
    """True if scikit-image is installed."""
    return find_spec("skimage") is not None


def segment_image(pixels: np.ndarray, how: str, count: int) -> Any:
    """Returns labels ``[height, width]`` of an image ``[height, width, channels]`` in 0 to 1. Raises FeatureError without scikit-image."""
    try:
        from skimage import color
        from skimage import filters as untyped_filters
        from skimage import segmentation as untyped_segmentation
    except ImportError as error:
        advice = "pip install scikit-image, or features=asc.Grid(8)"
        raise FeatureError("Superpixels need scikit-image", found="scikit-image is not installed", advice=advice) from error
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
        return segmentation.quickshift(three, kernel_size=max(1.0, spread / 2), max_dist=2 * spread, ratio=0.5, rng=0)
    grey = color.rgb2gray(pixels) if channels == 3 else pixels.mean(-1)
    return segmentation.watershed(filters.sobel(grey), markers=count, compactness=1e-3)
