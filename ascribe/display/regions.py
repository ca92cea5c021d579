"""The strongest regions of a map or a series, in words a reader can follow. Pure functions; nothing is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layouts import rank_strongest

BLOCKS = 8
"""The number of blocks on each side of a map."""


def cut_blocks(size: int, blocks: int = BLOCKS) -> list[tuple[int, int]]:
    """Returns the first and the last position of each of at most ``blocks`` equal blocks."""
    step = -(-size // blocks)
    return [(start, min(start + step, size) - 1) for start in range(0, size, step)]


def format_range(one: str, several: str, first: int, last: int) -> str:
    """Returns a range in words: "row 3", "rows 8-15"."""
    return f"{one} {first}" if first == last else f"{several} {first}-{last}"


def rank_regions(values: np.ndarray, count: int) -> tuple[np.ndarray, list[str]]:
    """Returns the sums of the blocks of a map ``[height, width]`` with the largest absolute sums, and where they are."""
    rows, columns = cut_blocks(values.shape[0]), cut_blocks(values.shape[1])
    sums = np.array([[values[a : b + 1, c : d + 1].sum() for c, d in columns] for a, b in rows], np.float64).reshape(-1)
    order = rank_strongest(sums, count)
    names = []
    for k in order:
        (a, b), (c, d) = rows[k // len(columns)], columns[k % len(columns)]
        names.append(f"{format_range('row', 'rows', a, b)}, {format_range('column', 'columns', c, d)}")
    return sums[order], names


def rank_spans(
    values: np.ndarray, names: Sequence[str], times: Sequence[str] | None, count: int, unit: str = ""
) -> tuple[np.ndarray, list[str]]:
    """Returns the sums of the spans of a series ``[channels, time]`` with the largest absolute sums, and where they are."""
    spans = cut_blocks(values.shape[1], 2 * BLOCKS)
    sums = np.array([[lane[a : b + 1].sum() for a, b in spans] for lane in values], np.float64).reshape(-1)
    order = rank_strongest(sums, count)
    found = []
    for k in order:
        a, b = spans[k % len(spans)]
        when = f"{times[a]} to {times[b]} {unit}".rstrip() if times is not None else format_range("step", "steps", a, b)
        found.append(f"{names[k // len(spans)]}, {when}")
    return sums[order], found
