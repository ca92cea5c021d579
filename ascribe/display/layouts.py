"""The kind of figure that fits an array, and helpers for maps and images. Pure functions; nothing is drawn."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..errors import ResultError

Kind = Literal["bars", "tokens", "image", "image_last", "series", "series_last"]
MEANING: dict[str, str] = {
    "bars": "[features]",
    "tokens": "[tokens], with tokens=",
    "image": "[height, width] or [channels, height, width]",
    "image_last": "[height, width, channels]",
    "series": "[channels, time] or [time]",
    "series_last": "[time, channels]",
}
RANKS: dict[str, tuple[int, ...]] = {
    "bars": (1,), "tokens": (1,), "image": (2, 3), "image_last": (3,), "series": (1, 2), "series_last": (2,),
}  # fmt: skip
COLOUR_CHANNELS = (1, 3, 4)


def possible_kinds(shape: tuple[int, ...], record: tuple[int, ...] = ()) -> list[Kind]:
    """Returns the kinds of figure that fit values of one record of this shape; a single one if there is no ambiguity.

    ``record`` is the shape of the record: two-dimensional values of an image record are a map.
    """
    if len(shape) == 1:
        return ["bars"]
    if len(shape) == 2:
        if len(record) == 3 and _layouts(record):
            return ["image"]
        short, long = min(shape), max(shape)
        if record == shape and short <= 16 and long >= 4 * short:
            return ["series"] if shape[1] == long else ["series_last"]
        return ["image", "series", "series_last"]
    if len(shape) != 3:
        return []
    known = _layouts(shape) or (_layouts(record) if len(record) == 3 else [])  # a map [1, 4, 4] of an image [3, 32, 32]
    return known or ["image", "image_last"]


def resolve_kind(shape: tuple[int, ...], asked: str | None = None, record: tuple[int, ...] = ()) -> Kind:
    """Returns the requested kind if it fits, or else the only possible one. Raises ResultError with the choices if there are several."""
    fitting = [asked] if asked is not None else possible_kinds(shape, record)
    for kind in get_args(Kind):
        if [kind] == fitting and len(shape) in RANKS[kind]:
            result: Kind = kind
            return result
    open_ = "The shape fits several kinds of figure, and `kind=` is not given"
    what = f"`kind={asked!r}` does not fit the shape of the values" if asked is not None else open_
    choices = [f"kind={kind!r} {MEANING[kind]}" for kind in get_args(Kind) if len(shape) in RANKS[kind]]
    if asked == "tokens" or not choices:
        choices = ["a.sum('embedding'), or another axis, first"]
    raise ResultError(what, found=f"{list(shape)} for each record", advice=" or ".join(choices))


def find_layout(shape: tuple[int, ...]) -> Kind | None:
    """Returns the layout of values as a heat map; None if they are no map or the channel axis is ambiguous."""
    if len(shape) == 2:
        return "image"
    layouts = _layouts(shape) if len(shape) == 3 else []
    return layouts[0] if layouts else None


def sum_channels(values: np.ndarray, kind: str) -> np.ndarray:
    """Returns one signed map ``[height, width]``: the sum over channels."""
    if values.ndim == 2:
        return values
    total: np.ndarray = values.sum(-1 if kind == "image_last" else 0)
    return total


def as_image(record: np.ndarray | None) -> np.ndarray | None:
    """Returns a record as ``[height, width]`` or ``[height, width, 3]`` if it has the shape of an image, else None."""
    if record is None or record.ndim not in (2, 3) or record.dtype.kind not in "fiub" or 0 in record.shape:
        return None
    if record.ndim == 2:
        return record
    layouts = _layouts(record.shape)
    last = record if layouts == ["image_last"] else np.moveaxis(record, 0, -1)
    if not layouts or last.shape[-1] not in COLOUR_CHANNELS:
        return None
    return last[..., 0] if last.shape[-1] == 1 else last[..., :3]


def rank_strongest(values: np.ndarray, count: int) -> np.ndarray:
    """Returns the indices of the largest absolute values in descending order; ties in order of index."""
    return np.argsort(-np.nan_to_num(np.abs(values)), kind="stable")[:count]


def shrink_map(image: np.ndarray, most: int) -> np.ndarray:
    """Returns a map ``[h, w]`` averaged over equal square blocks, so that no side is longer than ``most``."""
    block = -(-max(image.shape) // most)
    height, width = (-(-side // block) * block for side in image.shape)
    wide = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1])), mode="edge")
    means: np.ndarray = wide.reshape(height // block, block, width // block, block).mean((1, 3))
    return means


def _layouts(shape: tuple[int, ...]) -> list[Kind]:
    """Returns the position of the channels of three axes, first or last; an empty list if it is ambiguous."""
    first, height, last = shape
    square_first, square_last = height == last != first, first == height != last
    fits: dict[Kind, bool] = {
        "image": first in COLOUR_CHANNELS or square_first,
        "image_last": last in COLOUR_CHANNELS or square_last,
    }
    return [kind for kind, fit in fits.items() if fit] if sum(fits.values()) == 1 else []
