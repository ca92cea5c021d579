"""What every figure must be: nothing clipped, no texts over each other, words on its axes; drawn at two sizes, and kept for a look.

``ASCRIBE_GALLERY=folder pytest tests/plots`` writes the figures to a folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

COLUMN = 3.54
"""The width of a column of a journal in inches: 9 cm."""
ROOM = 2.0
"""Pixels by which texts may touch: the boxes of a font are a little larger than its letters."""


def check_picture(make: Callable[[Axes | None], Figure], name: str, *, narrow: bool = True) -> Figure:
    """Draws a figure on axes of its own and on axes of the width of a column, checks its texts, and returns the first."""
    first = make(None)
    small = []
    if narrow:
        width, height = first.get_size_inches()
        small.append((make(Figure((COLUMN, max(height * COLUMN / width, 0.8 * height)), layout="constrained").add_subplot()), COLUMN))
    for figure, size in ((first, None), *small):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = list(visible_texts(figure, canvas))
        assert boxes, "a figure without a text says nothing"
        clipped = [text for text, box, _ in boxes if not inside(box, figure.bbox)]
        assert clipped == [], f"{name} at {size or 'its own size'}: clipped texts {clipped}"
        over = [(a, b) for (a, one, turned), (b, other, also) in combinations(boxes, 2) if not (turned and also) and overlap(one, other)]
        assert over == [], f"{name} at {size or 'its own size'}: texts over each other {over}"
        folder = os.environ.get("ASCRIBE_GALLERY")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            figure.savefig(Path(folder) / f"{name}{'' if size is None else '-column'}.png", dpi=110)
    return first


def visible_texts(figure: Figure, canvas: FigureCanvasAgg) -> Iterator[tuple[str, Bbox, bool]]:
    """The texts of a figure that are drawn, with their boxes in pixels, and whether they are turned."""
    renderer = canvas.get_renderer()
    beyond = {id(label) for ax in figure.axes for label in labels_out_of_view(ax)}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and id(text) not in beyond:
            yield text.get_text(), text.get_window_extent(renderer), text.get_rotation() % 90 != 0


def labels_out_of_view(ax: Axes) -> Iterator[Text]:
    """The labels of ticks outside of the part of an axis that is shown: matplotlib keeps them, and does not draw them."""
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        room = 1e-9 * (high - low)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low - room <= tick.get_loc() <= high + room:
                yield from (tick.label1, tick.label2)


def inside(box: Bbox, whole: Bbox) -> bool:
    """Whether a box is inside the figure."""
    return box.x0 >= whole.x0 - ROOM and box.y0 >= whole.y0 - ROOM and box.x1 <= whole.x1 + ROOM and box.y1 <= whole.y1 + ROOM


def overlap(a: Bbox, b: Bbox) -> bool:
    """Whether two boxes share more than the room at their borders."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > ROOM and min(a.y1, b.y1) - max(a.y0, b.y0) > ROOM
