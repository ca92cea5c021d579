"""Smoothed maps, and the boxes around the strongest regions of a map. Pure functions; nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMOOTH = 14
"""The width over which a map is smoothed is the longer side divided by this number."""
STRONG = 0.5
"""A region has the positions above this share of the largest smoothed value,"""
MOST = 0.15
"""and all regions together have at most this share of the map."""
LEAST = 16
"""No side of a box is shorter than the longer side of the map divided by this number."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a map: first and last row and column, and its share of the sum of the absolute values."""

    top: int
    bottom: int
    left: int
    right: int
    share: float
    positive: bool

    def meets(self, other: Box) -> bool:
        """Returns whether two boxes have a position in common."""
        return self.top <= other.bottom and other.top <= self.bottom and self.left <= other.right and other.left <= self.right


def smooth_map(values: np.ndarray, width: int) -> np.ndarray:
    """Returns a map ``[h, w]`` averaged twice over windows of an odd ``width`` in both directions; NaN counts as 0."""
    smooth = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    reach = min(width // 2, *(side - 1 for side in values.shape))
    for axis in (0, 1, 0, 1) if reach > 0 else ():
        wide = np.moveaxis(smooth, axis, 0)
        padded = np.pad(wide, [(reach + 1, reach), (0, 0)], mode="edge")
        padded[0] = 0
        sums = padded.cumsum(0)
        smooth = np.moveaxis((sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1), 0, axis)
    return smooth


def smoothing_width(values: np.ndarray) -> int:
    """Returns the width over which a map of this size is smoothed."""
    return max(values.shape) // SMOOTH


def is_smooth(values: np.ndarray, steepness: float = 0.2) -> bool:
    """Returns whether neighbours differ by at most ``steepness`` of the range of the map, as in an interpolated map."""
    known = values[np.isfinite(values)]
    span = float(np.ptp(known)) if known.size else 0.0
    marked = np.where(np.isfinite(values), values, np.nan)
    steps = np.concatenate([np.abs(np.diff(marked, axis=axis)).ravel() for axis in (0, 1)])
    steps = steps[~np.isnan(steps)]
    return bool(span > 0 and len(steps) and steps.max() <= steepness * span)


def label_regions(inside: np.ndarray) -> np.ndarray:
    """Returns a number for each connected region of a mask ``[h, w]`` (four neighbours), 0 outside."""
    left = inside.copy()
    labels = np.zeros(inside.shape, int)
    count = 0
    for start in zip(*np.nonzero(inside), strict=True):
        if not left[start]:
            continue
        count += 1
        left[start] = False
        stack = [start]
        while stack:
            row, column = stack.pop()
            labels[row, column] = count
            for at in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if 0 <= at[0] < left.shape[0] and 0 <= at[1] < left.shape[1] and left[at]:
                    left[at] = False
                    stack.append(at)
    return labels


def strongest_boxes(values: np.ndarray, count: int) -> list[Box]:
    """Returns at most ``count`` boxes that do not overlap, around the regions where the smoothed map is strong, the strongest first."""
    smooth = smooth_map(values, smoothing_width(values))
    size = np.abs(smooth)
    if not size.max(initial=0.0) > 0:
        return []
    strong = size > max(STRONG * size.max(), float(np.quantile(size, 1 - MOST)))
    labels = label_regions(strong & (smooth > 0)) * 2
    negative = label_regions(strong & (smooth < 0)) * 2 - 1
    labels = np.where(negative > 0, negative, labels)
    weights = np.bincount(labels.ravel(), size.ravel())
    weights[0] = 0
    found: list[Box] = []
    for label in np.argsort(-weights, kind="stable"):
        if weights[label] > 0 and len(found) < count:
            box = _box_around(labels == label, values, positive=label % 2 == 0)
            found += [] if any(box.meets(other) for other in found) else [box]
    return found


def _box_around(region: np.ndarray, values: np.ndarray, *, positive: bool) -> Box:
    """Returns the box around a region, at least of the smallest size, within the map."""
    least = -(-max(region.shape) // LEAST)
    top, bottom = _span(np.asarray(region.any(1)), least)
    left, right = _span(np.asarray(region.any(0)), least)
    size = np.abs(np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0))
    share = float(size[top : bottom + 1, left : right + 1].sum() / (size.sum() or 1.0))
    return Box(top, bottom, left, right, share, positive)


def _span(inside: np.ndarray, least: int) -> tuple[int, int]:
    """Returns the first and the last position of a region on an axis, widened to ``least`` positions."""
    at = np.flatnonzero(inside)
    first, last = int(at[0]), int(at[-1])
    more = max(0, least - (last - first + 1))
    first = min(max(0, first - more // 2), max(0, len(inside) - least))
    return first, min(len(inside) - 1, max(last, first + least - 1))
