"""Numbers made ready to be shown: blurred, and scaled for each picture or for each of its channels."""

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
TINY = 1e-20  # what a map of zeros is divided by


def channel_axis() -> int:
    """Where the framework in use keeps a picture's channels; 1 without one."""
    backend = get_backend(suppress_warnings=True)
    return 1 if backend is None else int(backend.channel_axis)


def spatial_axes() -> tuple[int, int]:
    """The axes of height and width."""
    return (2, 3) if channel_axis() == 1 else (1, 2)


def pictures(a: Any, what: str = "attributions") -> np.ndarray:
    """Pictures ``[records, channels, height, width]`` as NumPy, in single precision at least.

    Raises ResultError (a ValueError) for other shapes, for no pictures at all, and for what is no real numbers.
    """
    found = as_numpy(a)
    if found.ndim != 4 or not found.size:
        raise ResultError(f"{what} of shape {found.shape}", there="pictures of 4 axes", try_="a batch: x[None]")
    if found.dtype.kind not in "fiub":
        raise ResultError(f"{what} of type {found.dtype}", there="pictures of numbers")
    return found.astype(np.result_type(found, np.float32), copy=False)


def shown_channels(a: np.ndarray) -> np.ndarray:
    """Pictures that can be shown. Raises ResultError for channels that are no grey and no colours."""
    count = a.shape[channel_axis()]
    if count not in (1, 3, 4):
        raise ResultError(f"{count} channels", there="1, 3 or 4 can be shown", try_="combine_channels=True")
    return a


def combined(a: np.ndarray) -> np.ndarray:
    """The mean over channels, the axis kept."""
    mean: np.ndarray = a.mean(channel_axis(), keepdims=True)
    return mean


def blurred(a: np.ndarray, radius: float | None) -> np.ndarray:
    """Height and width smoothed by a normal curve of this standard deviation, mirrored at the border; channels stay apart.

    Raises ResultError for one below 0.
    """
    if not radius:
        return a
    if not radius > 0:
        raise ResultError(f"blur={radius}", there="a standard deviation in pixels, from 0 up")
    reach = int(4 * radius + 0.5)
    curve = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    curve /= curve.sum()
    for axis in spatial_axes():
        wide = np.pad(a, [(reach, reach) if i == axis else (0, 0) for i in range(4)], mode="symmetric")
        a = np.apply_along_axis(np.convolve, axis, wide, curve, mode="valid")
    return a


def normalized(a: np.ndarray, how: str) -> np.ndarray:
    """Scaled for the eye: each picture by its largest values, or, for sums, each channel of each picture by its own. NaN stays NaN.

    Raises ResultError for a scaling of another name.
    """
    if how not in NORMALIZATIONS:
        raise ResultError(f"normalization_type={how!r}", there=", ".join(NORMALIZATIONS))
    axes = spatial_axes() if how.endswith("sum") else (1, 2, 3)
    if how == "unnormalized":
        return a
    if how == "01":
        low = a - np.nanmin(a, axes, keepdims=True)
        return low / (np.nanmax(low, axes, keepdims=True) + TINY)
    found = scaled(a, how, axes)
    return found / 2 + 0.5 if how.endswith("positive_centered") else found


def scaled(a: np.ndarray, how: str, axes: tuple[int, ...]) -> np.ndarray:
    """Divided by the largest size or by the sum; ``signed`` the positive values by theirs and the negative by theirs."""
    total = np.nansum if how.endswith("sum") else np.nanmax
    if how.startswith("signed"):
        above = total(np.maximum(a, 0), axis=axes, keepdims=True)
        below = total(np.maximum(-a, 0), axis=axes, keepdims=True)
        return a / (np.where(a >= 0, above, below) + TINY)
    a = np.abs(a) if how.startswith("magnitude") else a
    return a / (total(np.abs(a), axis=axes, keepdims=True) + TINY)
