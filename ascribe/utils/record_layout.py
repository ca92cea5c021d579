"""Guesses the meaning of a record's axes (channels, time, height, width) from their lengths, and detects ambiguity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Shape = tuple[int, ...]
ImageLayout = Literal["NCHW", "NHWC"]
"""Where the channels of images and volumes are: on the first axis of a record, or on the last."""
MOST_CHANNELS = 4
"""An image has at most four channels (RGBA), and more rows and columns than channels."""
FEW_CHANNELS = 16
"""Time series with fewer steps than channels are rare up to this number of channels."""
LONG = 4
"""An axis that is this many times longer than the other is time, not a side of an image."""


def is_channels_last(shape: Shape) -> bool:
    """True if an image or a volume can only be [spatial axes..., channels]."""
    return len(shape) > 2 and shape[-1] <= MOST_CHANNELS < min(shape[:-1])


def has_channels_last(shape: Shape, layout: ImageLayout | None) -> bool:
    """True if the channels of a record are on its last axis: as ``layout`` says, or else because its shape allows nothing else."""
    return is_channels_last(shape) if layout is None else len(shape) > 2 and layout == "NHWC"


def is_series(shape: Shape) -> bool:
    """True if a record of two axes is a multichannel series rather than a grey image: one axis is short, or much shorter."""
    short, long = sorted(shape)
    return short < long and (short <= FEW_CHANNELS or long >= LONG * short)


def spatial_axes(shape: Shape, layout: ImageLayout | None = None) -> tuple[int, ...]:
    """Returns the axes of a record that are not channels: time of a series, both axes of a grey image, all but one of other records."""
    if len(shape) == 2:
        return (time_axis(shape),) if is_series(shape) else (0, 1)
    return tuple(range(len(shape) - 1)) if has_channels_last(shape, layout) else tuple(range(1, len(shape)))


def time_axis(shape: Shape) -> int:
    """Returns the time axis of a record: the last one, as in PyTorch, unless it must be the channels."""
    return 0 if len(shape) == 2 and shape[0] > shape[1] and is_series(shape) else len(shape) - 1


def is_time_ambiguous(shape: Shape) -> bool:
    """True if the other axis of a record could be time as well."""
    if len(shape) != 2:
        return len(shape) > 2
    time = time_axis(shape)
    return shape[time] < 2 * shape[1 - time]


def format_shape(shape: Shape) -> str:
    """Returns the shape of a record with the batch dimension: ``[records, 1000, 12]``."""
    return f"[records, {', '.join(map(str, shape))}]"


def describe_layout_doubt(shapes: Sequence[Shape], cut: Sequence[bool] = (True, True), layout: ImageLayout | None = None) -> str:
    """Returns a warning if records were split along axes (those marked in ``cut``) that may be the wrong ones; else an empty text.

    There is no doubt where ``layout`` was given.
    """
    for shape in shapes if layout is None else ():
        if len(shape) == 2 and is_series(shape) and max(shape) >= max(2 * min(shape), FEW_CHANNELS):
            time = time_axis(shape)
            fix = f"use features=asc.Segments(16, axis={time + 1})"
            result = [len(shape) - len(cut) + i for i, one in enumerate(cut) if one]
            if result not in ([time], []):
                return f"{format_shape(shape)} looks like a series whose time is axis {time + 1}; {fix}"
        whole = len(cut) == len(shape) and not cut[-1]  # the last axis is in one piece: it may be the channels
        if len(shape) > 2 and len(cut) > 1 and not whole and len(set(shape[:-1])) == 1 and shape[-1] != shape[0]:
            return (
                f"{format_shape(shape)} looks as if its channels came last, and they were treated as positions; "
                "use layout='NHWC' for channels last, or layout='NCHW' to confirm channels first"
            )
    return ""
