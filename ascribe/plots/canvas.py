"""What the figures share: axes to draw on, titles and captions. Imports matplotlib."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from ..utils.escape import escape_control
from .draw import NotebookFigure


def start(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Returns the figure and the axes to draw on: the given ones, or a new figure of this size in inches."""
    if ax is None:
        figure = NotebookFigure(figsize=size, layout="constrained")
        return figure, figure.add_subplot()
    return ax.figure.figure, ax


def width_of(ax: Axes) -> float:
    """Returns the width in inches that axes have with their labels: their share of the figure."""
    spec = ax.get_subplotspec()
    columns = spec.get_gridspec().ncols if spec is not None else 1
    return float(ax.figure.figure.get_size_inches()[0]) / max(columns, 1)


def name_length(ax: Axes) -> int:
    """Returns how many characters of a name leave room for what is drawn beside it."""
    return int(min(32, max(12, 4.6 * width_of(ax))))


def tidy(ax: Axes, title: str | None, caption: str, *, axis: bool = False) -> None:
    """Removes the frame, and writes the title and the caption; ``axis`` says that the caption is the label of the horizontal axis."""
    ax.spines[["top", "right"] if axis else ["top", "right", "left"]].set_visible(False)
    if not axis:
        ax.tick_params(axis="y", length=0)
    if not isinstance(ax.xaxis.get_major_locator(), FixedLocator):
        ax.xaxis.set_major_locator(MaxNLocator(int(min(7, max(2, 1.6 * (width_of(ax) - 2)))), steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}".replace("-", "−"))
    if title is not None:
        ax.set_title(textwrap.fill(escape_control(title), int(10 * width_of(ax))), fontsize="medium", loc="left", parse_math=False)
    text = textwrap.fill(caption, int(12 * width_of(ax)))
    ax.set_xlabel(text, loc="right", fontsize="small", color="0.35", parse_math=False)
