"""One signed palette for notebooks, figures and reports, and pictures as PNG without any library."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np

LIGHT = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")
"""From -1 over 0 to +1: ColorBrewer's RdBu, told apart by all common kinds of colour blindness."""
DARK = ("#86c5ff", "#2f6da3", "#1c1e24", "#ad4a33", "#ffa384")
"""The same for dark pages: zero is dark and strong is bright."""
MISSING = (145, 145, 145)
FAR = 0.5
"""Values of one sign, none of them below this share of the largest, are shown over their own range."""
ROUNDING = 1e-6
"""A range that is smaller, beside the values, is that of one value."""


def parse_colours(stops: tuple[str, ...]) -> np.ndarray:
    """Hexadecimal colours as rows of red, green and blue from 0 to 255."""
    return np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops], np.float64)


def apply_palette(values: np.ndarray, stops: tuple[str, ...] = LIGHT) -> np.ndarray:
    """Values from -1 to 1 as uint8 colours ``[..., 3]``; beyond that the end colours, NaN is grey."""
    at = (np.clip(np.nan_to_num(values), -1, 1) + 1) / 2 * (len(stops) - 1)
    table = parse_colours(stops)
    colour: np.ndarray = np.stack([np.interp(at, np.arange(len(stops)), table[:, c]) for c in range(3)], -1)
    colour[np.isnan(values)] = MISSING
    return colour.round().astype(np.uint8)


def css_colour(value: float) -> str:
    """The colour of one value as ``#rrggbb``."""
    return "#" + bytes(apply_palette(np.array(value))).hex()


def text_colour(value: float) -> str:
    """Black or white, whichever reads better on the colour of ``value`` (by its luminance)."""
    return "#000" if float(apply_palette(np.array(value)) @ np.array([0.299, 0.587, 0.114])) > 128 else "#fff"


def colour_limit(values: np.ndarray) -> float:
    """The magnitude that gets the full colour: the 99.5th percentile of the sizes (of fewer than 200 values, the largest)."""
    size = np.abs(values[np.isfinite(values)])
    if size.size == 0:
        return 0.0
    top = float(np.quantile(size, 0.995, method="higher"))
    return top if top > 0 else float(size.max())


def scale_to_limit(values: np.ndarray) -> np.ndarray:
    """Values over their limit, clipped to [-1, 1]; a zero map stays zero, NaN stays NaN."""
    top = colour_limit(values)
    wide = values.astype(np.float64)
    return np.clip(wide / top, -1.0, 1.0) if top else np.where(np.isnan(wide), np.nan, 0.0)


@dataclass(frozen=True)
class Scale:
    """From which value to which the colours of a map run."""

    low: float
    high: float

    @property
    def stops(self) -> tuple[str, ...]:
        """The part of the palette that is used."""
        middle = len(LIGHT) // 2
        return LIGHT if self.low < 0 < self.high else LIGHT[middle:] if self.low >= 0 else LIGHT[: middle + 1]

    def shades(self, values: np.ndarray) -> np.ndarray:
        """Values as -1 to 1, on the side of their sign; NaN stays NaN."""
        wide = values.astype(np.float64)
        if self.low < 0 < self.high:
            return np.clip(wide / self.high, -1.0, 1.0)
        share = (wide - self.low) / (self.high - self.low)
        return np.clip(share if self.low >= 0 else share - 1, 0.0 if self.low >= 0 else -1.0, 1.0 if self.low >= 0 else 0.0)


def colour_scale(values: np.ndarray) -> Scale:
    """The scale of a map: around 0 where there are both signs, from 0 on where there is one, and over the values' own range where all of
    them are far from 0, as the means of RISE are; full colour is at :func:`colour_limit`.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    top = colour_limit(values)
    if not top or (known.min() < 0 < known.max()):
        return Scale(-(top or 1.0), top or 1.0)
    least, most = float(np.abs(known).min()), float(np.abs(known).max())
    near = least if least > FAR * most and most - least > ROUNDING * most else 0.0
    far = top if top > near else most
    return Scale(near, far) if known.max() > 0 else Scale(-far, -near)


def grey_levels(picture: np.ndarray) -> np.ndarray:
    """Any picture ``[h, w]`` or ``[h, w, 3]`` as uint8: its own range becomes 0 to 255, also after a normalisation."""
    if picture.dtype == np.uint8 and picture.size and picture.max() > 1:
        return picture
    known = picture[np.isfinite(picture)].astype(np.float64)
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    if high <= low:
        return np.zeros(picture.shape, np.uint8)
    wide = np.clip(np.nan_to_num(picture.astype(np.float64)), low, high)
    return ((wide - low) * (255 / (high - low))).round().astype(np.uint8)


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 pixels ``[h, w]`` or ``[h, w, 3]`` as a PNG file."""
    height, width = pixels.shape[:2]
    lines = pixels.reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), lines], 1).tobytes()  # 0: each line is stored as it is
    colour = 0 if pixels.ndim == 2 else 2
    parts = [
        (b"IHDR", struct.pack(">2I5B", width, height, 8, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def encode_data_uri(pixels: np.ndarray) -> str:
    """The same picture as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def css_gradient(stops: tuple[str, ...] = LIGHT) -> str:
    """The palette as a CSS gradient, for a legend."""
    return f"linear-gradient(to right, {', '.join(stops)})"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
