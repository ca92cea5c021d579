"""Values prepared for display: blurred, and scaled per image or per channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....arrays import as_numpy
from ....errors import ResultError
from ..nn.backend import get_backend

NORMALIZATIONS = (
    "unsigned_max",
    "unsigned_max_positive_centered",
    "magnitude_max",
    "magnitude_sum",
    "signed_max",
    "signed_max_positive_centered",
    "signed_sum",
    "01",
    "unnormalized",
)
TINY = 1e-20  # the divisor of a map of zeros


def channel_axis() -> int:
    """Returns the channel axis of the framework in use; 1 without a framework."""
    backend = get_backend(suppress_warnings=True)
    return 1 if backend is None else int(backend.channel_axis)


def spatial_axes() -> tuple[int, int]:
    """Returns the axes of height and width."""
    return (2, 3) if channel_axis() == 1 else (1, 2)


def as_images(a: Any, what: str = "attributions") -> np.ndarray:
    """Returns images ``[records, channels, height, width]`` as NumPy, in float32 or higher precision.

    Raises ResultError (a ValueError) for other shapes, empty batches and non-real values.
    """
    found = as_numpy(a)
    if found.ndim != 4 or not found.size:
        raise ResultError("Images must have four axes", found=f"{what} of shape {found.shape}", advice="a batch: x[None]")
    if found.dtype.kind not in "fiub":
        raise ResultError("Images must consist of real numbers", found=f"{what} of type {found.dtype}", advice="abs(x)")
    return found.astype(np.result_type(found, np.float32), copy=False)


def check_channels(a: np.ndarray) -> np.ndarray:
    """Returns images that can be drawn. Raises ResultError unless they have 1, 3 or 4 channels."""
    count = a.shape[channel_axis()]
    if count not in (1, 3, 4):
        raise ResultError("Only 1, 3 or 4 channels can be shown", found=f"{count} channels", advice="combine_channels=True")
    return a


def average_channels(a: np.ndarray) -> np.ndarray:
    """Returns the mean over channels; the axis is kept."""
    mean: np.ndarray = a.mean(channel_axis(), keepdims=True)
    return mean


def blur_images(a: np.ndarray, radius: float | None) -> np.ndarray:
    """Returns images with a Gaussian blur of this standard deviation in pixels, with mirrored borders.

    Raises ResultError for a negative value.
    """
    if not radius:
        return a
    if not radius > 0:
        raise ResultError("A blur is a standard deviation >= 0 in pixels", found=f"blur={radius}", advice="blur=5.0")
    reach = int(4 * radius + 0.5)
    curve = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    curve /= curve.sum()
    for axis in spatial_axes():
        wide = np.pad(a, [(reach, reach) if i == axis else (0, 0) for i in range(4)], mode="symmetric")
        a = np.apply_along_axis(np.convolve, axis, wide, curve, mode="valid")
    return a


def normalize_images(a: np.ndarray, how: str) -> np.ndarray:
    """Returns images scaled for display: by their maxima per image or, for sums, per channel of an image. NaN is kept.

    Raises ResultError for an unknown scaling.
    """
    if how not in NORMALIZATIONS:
        advice = f"one of {', '.join(NORMALIZATIONS)}"
        raise ResultError("The scaling is not known", found=f"normalization_type={how!r}", advice=advice)
    axes = spatial_axes() if how.endswith("sum") else (1, 2, 3)
    if how == "unnormalized":
        return a
    if how == "01":
        low = a - np.nanmin(a, axes, keepdims=True)
        return low / (np.nanmax(low, axes, keepdims=True) + TINY)
    found = scale_images(a, how, axes)
    return found / 2 + 0.5 if how.endswith("positive_centered") else found


def scale_images(a: np.ndarray, how: str, axes: tuple[int, ...]) -> np.ndarray:
    """Returns values divided by the maximum or sum of their absolute values; ``signed`` treats positive and negative values separately."""
    total = np.nansum if how.endswith("sum") else np.nanmax
    if how.startswith("signed"):
        above = total(np.maximum(a, 0), axis=axes, keepdims=True)
        below = total(np.maximum(-a, 0), axis=axes, keepdims=True)
        return a / (np.where(a >= 0, above, below) + TINY)
    a = np.abs(a) if how.startswith("magnitude") else a
    return a / (total(np.abs(a), axis=axes, keepdims=True) + TINY)
