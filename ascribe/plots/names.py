"""Names of the rows of a figure, shortened so that they leave room and still differ. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from ..utils.escape import escape_control
from .canvas import name_length

LETTER = 0.09
"""The width of a letter of a tick label in inches."""


def shorten_names(names: Sequence[str], most: int) -> list[str]:
    """Returns names of at most ``most`` characters; where cut ends would make them equal, what they have in common is cut instead."""
    ends = [name if len(name) <= most else name[: most - 1] + "…" for name in names]
    if len(set(ends)) == len(set(names)):
        return ends
    before = common_start(names)
    after = common_start([name[len(before) :][::-1] for name in names])
    own = [name[len(before) : len(name) - len(after)] for name in names]
    room = most - max(map(len, own)) - 2
    if room < 0:
        return [f"{name[: most // 2]}…{name[len(name) - (most - most // 2 - 1) :]}" if len(name) > most else name for name in names]
    return [f"…{before[max(0, len(before) - room) :]}{text}{'…' if after else ''}" for text in own]


def common_start(names: Sequence[str]) -> str:
    """Returns the characters that all names start with."""
    least, most = min(names), max(names)
    count = next((k for k, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), min(len(least), len(most)))
    return least[:count]


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Writes the names of rows, from the first at 0, as labels of the vertical axis."""
    texts = shorten_names([escape_control(name) for name in names], name_length(ax))
    ax.set_yticks(range(len(names)), labels=texts, parse_math=False)


def width_of_rows(ax: Axes) -> float:
    """Returns the width in inches that the labels of the vertical axis take, about."""
    return 0.1 + LETTER * max((len(text.get_text()) for text in ax.get_yticklabels()), default=0)
