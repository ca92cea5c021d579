"""How the axes of a record are read if only their lengths are known, and whether another reading is as likely."""

from __future__ import annotations

from collections.abc import Sequence

Shape = tuple[int, ...]
MOST_CHANNELS = 4
"""A picture has at most red, green, blue and opacity, and more rows and columns than channels."""
FEW_CHANNELS = 16
"""A series with fewer steps than channels is rare; one with more channels than this is not."""
LONG = 4
"""A side that is so many times the other is time, and no side of a picture."""


def is_channels_last(shape: Shape) -> bool:
    """Whether a picture or a volume can only be [places..., channels]."""
    return len(shape) > 2 and shape[-1] <= MOST_CHANNELS < min(shape[:-1])


def is_series(shape: Shape) -> bool:
    """Whether a record of two axes is a series of several channels, and no grey picture: one side short, or far shorter than the other."""
    short, long = sorted(shape)
    return short < long and (short <= FEW_CHANNELS or long >= LONG * short)


def spatial_axes(shape: Shape) -> tuple[int, ...]:
    """The axes of a record that are no channels: time of a series, both sides of a grey picture, all but the channels of others."""
    if len(shape) == 2:
        return (time_axis(shape),) if is_series(shape) else (0, 1)
    return tuple(range(len(shape) - 1)) if is_channels_last(shape) else tuple(range(1, len(shape)))


def time_axis(shape: Shape) -> int:
    """Which axis of a record is time: the last one, as layers for series have it, unless it must be that of the channels."""
    return 0 if len(shape) == 2 and shape[0] > shape[1] and is_series(shape) else len(shape) - 1


def is_time_ambiguous(shape: Shape) -> bool:
    """Whether the other axis of a record could be time as well."""
    if len(shape) != 2:
        return len(shape) > 2
    time = time_axis(shape)
    return shape[time] < 2 * shape[1 - time]


def format_shape(shape: Shape) -> str:
    """A shape with the records: ``[records, 1000, 12]``."""
    return f"[records, {', '.join(map(str, shape))}]"


def describe_layout_doubt(shapes: Sequence[Shape], cut: Sequence[bool] = (True, True)) -> str:
    """What is doubtful about records that are cut along their last axes, those of ``cut``; nothing where the layout is plain."""
    for shape in shapes:
        if len(shape) == 2 and is_series(shape) and max(shape) >= max(2 * min(shape), FEW_CHANNELS):
            time = time_axis(shape)
            fix = f"features=asc.Segments(16, axis={time + 1}) cuts that"
            found = [len(shape) - len(cut) + i for i, one in enumerate(cut) if one]
            if found not in ([time], []):
                return f"{format_shape(shape)} looks like a series whose time is axis {time + 1}; {fix}"
        if len(shape) > 2 and len(cut) > 1 and len(set(shape[:-1])) == 1 and shape[-1] != shape[0]:
            return (
                f"{format_shape(shape)} looks as if its channels came last, and they were cut as places; "
                "np.moveaxis(x, -1, 1), with a function that moves them back for the model, or ids of your own"
            )
    return ""
