"""What kind of picture suits an array, and the parts of it: maps, photographs, order of features. Pure functions, no drawing."""

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
    """The kinds of picture that one record's values of that shape may be; one where there is no doubt.

    ``record`` is the shape of the record itself: a map under an image is one, whatever else it could be.
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
    return _layouts(shape) or ["image", "image_last"] if len(shape) == 3 else []


def resolve_kind(shape: tuple[int, ...], asked: str | None = None, record: tuple[int, ...] = ()) -> Kind:
    """The kind asked for if it fits, else the only possible one; an error that shows the choices where it is open."""
    fitting = [asked] if asked is not None else possible_kinds(shape, record)
    for kind in get_args(Kind):
        if [kind] == fitting and len(shape) in RANKS[kind]:
            found: Kind = kind
            return found
    what = f"kind {asked!r} does not fit" if asked is not None else "the kind of picture is open"
    choices = [f"kind={kind!r} {MEANING[kind]}" for kind in get_args(Kind) if len(shape) in RANKS[kind]]
    if asked == "tokens" or not choices:
        choices = ["a.sum('embedding') or another axis first"]
    raise ResultError(what, there=f"{list(shape)} for each record", try_=" or ".join(choices))


def find_layout(shape: tuple[int, ...]) -> Kind | None:
    """How one record's values of that shape make a heat map; None where they make none, or where the channels are is open."""
    if len(shape) == 2:
        return "image"
    layouts = _layouts(shape) if len(shape) == 3 else []
    return layouts[0] if layouts else None


def sum_channels(values: np.ndarray, kind: str) -> np.ndarray:
    """One signed map ``[height, width]``: the channels added up."""
    if values.ndim == 2:
        return values
    total: np.ndarray = values.sum(-1 if kind == "image_last" else 0)
    return total


def as_image(record: np.ndarray | None) -> np.ndarray | None:
    """A record as ``[height, width]`` or ``[height, width, 3]`` if it looks like an image, else None."""
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
    """The positions of the largest sizes, largest first; of equal ones the earlier."""
    return np.argsort(-np.nan_to_num(np.abs(values)), kind="stable")[:count]


def shrink_map(picture: np.ndarray, most: int) -> np.ndarray:
    """``[h, w]`` as means of equal square blocks, so that no side is longer than ``most``."""
    block = -(-max(picture.shape) // most)
    height, width = (-(-side // block) * block for side in picture.shape)
    wide = np.pad(picture, ((0, height - picture.shape[0]), (0, width - picture.shape[1])), mode="edge")
    means: np.ndarray = wide.reshape(height // block, block, width // block, block).mean((1, 3))
    return means


def _layouts(shape: tuple[int, ...]) -> list[Kind]:
    """Where the channels of three axes are: first, last, or (both or none looks right) nothing said."""
    first, height, last = shape
    square_first, square_last = height == last != first, first == height != last
    fits: dict[Kind, bool] = {
        "image": first in COLOUR_CHANNELS or square_first,
        "image_last": last in COLOUR_CHANNELS or square_last,
    }
    return [kind for kind, fit in fits.items() if fit] if sum(fits.values()) == 1 else []
