"""A lane of a series as pixels: the record as a line over a strip with the colours of its values. Nothing is needed but NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from . import colours

WIDTH, HEIGHT = 640, 36
"""The size of a lane in pixels."""
INK = (38, 38, 38)


def draw_lane(shades: np.ndarray, record: np.ndarray | None, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Returns uint8 pixels ``[height, width, 3]`` of one channel; ``shades`` are values between -1 and 1, ``[time]``.

    A column of pixels has the value of its moment, or of several moments the one with the largest magnitude.
    """
    strip = colours.apply_palette(_strongest(shades, width))
    pixels: np.ndarray = np.repeat(strip[None], height, 0)
    if record is None or record.shape != shades.shape or not np.isfinite(record).any():
        return pixels
    low, high = np.nanmin(record[np.isfinite(record)]), np.nanmax(record[np.isfinite(record)])
    share = (record.astype(np.float64) - low) / (high - low) if high > low else np.full(len(record), 0.5)
    level = 3 + (1 - share) * (height - 7)
    at = np.interp(np.linspace(0, len(level) - 1, 4 * width), np.arange(len(level)), level).reshape(width, 4)
    for x, heights in enumerate(at):
        near = np.concatenate([heights, at[x - 1, -1:]]) if x else heights
        if np.isfinite(near).all():
            pixels[round(near.min()) : round(near.max()) + 2, x] = INK
    return pixels


def _strongest(values: np.ndarray, width: int) -> np.ndarray:
    """Returns a series of length ``width``: repeated values, or the value with the largest magnitude of each span."""
    count = len(values)
    edges = np.arange(width + 1) * count // width
    spans = [values[a : max(b, a + 1)] for a, b in pairwise(edges)]
    return np.array([span[np.argmax(np.nan_to_num(np.abs(span)))] for span in spans])
