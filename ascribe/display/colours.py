"""The diverging palette of notebooks, figures and reports, and a PNG encoder without dependencies."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np

LIGHT = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")
"""Colours from -1 over 0 to +1: ColorBrewer's RdBu, which is safe for common colour vision deficiencies."""
DARK = ("#86c5ff", "#2f6da3", "#1c1e24", "#ad4a33", "#ffa384")
"""The same for dark pages: zero is dark and large values are bright."""
MISSING = (145, 145, 145)
FAR = 0.5
"""Values of one sign use their own range if the smallest is above this share of the largest."""
ROUNDING = 1e-6
"""Relative to the values, a smaller range is treated as constant."""


def parse_colours(stops: tuple[str, ...]) -> np.ndarray:
    """Returns hexadecimal colours as rows of red, green and blue between 0 and 255, ``[colours, 3]``."""
    return np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops], np.float64)


def apply_palette(values: np.ndarray, stops: tuple[str, ...] = LIGHT) -> np.ndarray:
    """Returns values between -1 and 1 as uint8 colours ``[..., 3]``; values outside are clipped, NaN is grey."""
    at = (np.clip(np.nan_to_num(values), -1, 1) + 1) / 2 * (len(stops) - 1)
    table = parse_colours(stops)
    colour: np.ndarray = np.stack([np.interp(at, np.arange(len(stops)), table[:, c]) for c in range(3)], -1)
    colour[np.isnan(values)] = MISSING
    return colour.round().astype(np.uint8)


def css_colour(value: float) -> str:
    """Returns the colour of one value as ``#rrggbb``."""
    return "#" + bytes(apply_palette(np.array(value))).hex()


def text_colour(value: float) -> str:
    """Returns black or white, the one with more contrast (by luminance) to the colour of ``value``."""
    return "#000" if float(apply_palette(np.array(value)) @ np.array([0.299, 0.587, 0.114])) > 128 else "#fff"


def colour_limit(values: np.ndarray, percentile: float = 99.5) -> float:
    """Returns the magnitude of full colour: a percentile of the absolute values (by default the maximum of fewer than 200 values)."""
    size = np.abs(values[np.isfinite(values)])
    if size.size == 0:
        return 0.0
    top = float(np.quantile(size, percentile / 100, method="higher"))
    return top if top > 0 else float(size.max())


def scale_to_limit(values: np.ndarray) -> np.ndarray:
    """Returns values divided by :func:`colour_limit` and clipped to [-1, 1]; zeros stay zero, NaN stays NaN."""
    top = colour_limit(values)
    wide = values.astype(np.float64)
    return np.clip(wide / top, -1.0, 1.0) if top else np.where(np.isnan(wide), np.nan, 0.0)


@dataclass(frozen=True)
class Scale:
    """The range of values that the colours of a map represent."""

    low: float
    high: float

    @property
    def stops(self) -> tuple[str, ...]:
        """The part of the palette that the range uses."""
        middle = len(LIGHT) // 2
        return LIGHT if self.low < 0 < self.high else LIGHT[middle:] if self.low >= 0 else LIGHT[: middle + 1]

    def shades(self, values: np.ndarray) -> np.ndarray:
        """Returns values scaled to [-1, 1] with their sign; NaN stays NaN."""
        wide = values.astype(np.float64)
        if self.low < 0 < self.high:
            return np.clip(wide / self.high, -1.0, 1.0)
        share = (wide - self.low) / (self.high - self.low)
        return np.clip(share if self.low >= 0 else share - 1, 0.0 if self.low >= 0 else -1.0, 1.0 if self.low >= 0 else 0.0)


def colour_scale(values: np.ndarray, percentile: float = 99.5) -> Scale:
    """Returns the scale of a map: symmetric for values of both signs, from 0 for values of one sign.

    Values that are all far from 0, such as the means of RISE, use their own range. :func:`colour_limit` has full colour.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    top = colour_limit(values, percentile)
    if not top or (known.min() < 0 < known.max()):
        return Scale(-(top or 1.0), top or 1.0)
    least, most = float(np.abs(known).min()), float(np.abs(known).max())
    near = least if least > FAR * most and most - least > ROUNDING * most else 0.0
    far = top if top > near else most
    return Scale(near, far) if known.max() > 0 else Scale(-far, -near)


def grey_levels(image: np.ndarray) -> np.ndarray:
    """Returns an image ``[h, w]`` or ``[h, w, 3]`` as uint8; its range is scaled to 0 to 255."""
    if image.dtype == np.uint8 and image.size and image.max() > 1:
        return image
    known = image[np.isfinite(image)].astype(np.float64)
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    if high <= low:
        return np.zeros(image.shape, np.uint8)
    wide = np.clip(np.nan_to_num(image.astype(np.float64)), low, high)
    return ((wide - low) * (255 / (high - low))).round().astype(np.uint8)


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns uint8 pixels ``[h, w]`` or ``[h, w, 3]`` as the bytes of a PNG file."""
    height, width = pixels.shape[:2]
    lines = pixels.reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), lines], 1).tobytes()  # 0: no filter
    colour = 0 if pixels.ndim == 2 else 2
    parts = [
        (b"IHDR", struct.pack(">2I5B", width, height, 8, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def encode_data_uri(pixels: np.ndarray) -> str:
    """Returns uint8 pixels as a ``data:`` URI of a PNG."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def css_gradient(stops: tuple[str, ...] = LIGHT) -> str:
    """Returns the palette as a CSS gradient for a legend."""
    return f"linear-gradient(to right, {', '.join(stops)})"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
