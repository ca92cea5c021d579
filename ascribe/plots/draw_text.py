"""Drawing of texts: words are placed by their measured widths, in points from the upper left corner of the axes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Affine2D, ScaledTranslation, Transform

from ..display import colours
from ..display.bidi import mirror_letters, visual_order, wrap_words
from ..display.layouts import rank_strongest
from ..display.words import Word, shorten_text
from ..result.text import Text
from .draw import PALETTE, NotebookFigure, palette_of
from .look import Look

FONTS = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Source Han Sans SC", "Microsoft YaHei",
    "PingFang SC", "Hiragino Sans", "Yu Gothic", "Malgun Gothic", "Apple SD Gothic Neo", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "IPAexGothic", "IPAGothic", "Noto Sans Arabic", "Noto Naskh Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai",
    "Noto Emoji", "Segoe UI Emoji", "Symbola", "Arial Unicode MS",
)  # fmt: skip
"""Fonts for letters that the first font lacks, if they are installed."""
SIZE, SMALL, LEAST = 10.0, 8.0, 7.0
"""Font sizes of words, of small print and of words where there is little room."""
LINE = 1.65
"""The height of a line, in font sizes."""
SPACE = 0.32
"""The width of a space, in font sizes."""
SHAPES = hasattr(ft2font, "__libraqm_version__")
"""True if matplotlib orders right-to-left letters and joins Arabic ones (3.11)."""
UNDERLINED = 0.1
"""The share of full colour from which words with negative values are underlined, for those who see no colours."""
HAIR = 0.8
"""The space in points after each word: hinted letters are a little wider than measured."""
LEGEND = 34.0
"""The height of the legend in points."""


@dataclass(frozen=True)
class Paragraph:
    """The text of one record, and its caption."""

    text: Text
    caption: str


@dataclass(frozen=True)
class Page:
    """Paragraphs, how values become colours, what negative and positive values mean, the title, the maximum number of words."""

    paragraphs: tuple[Paragraph, ...]
    look: Look
    ends: tuple[str, str]
    title: str
    words: int


@dataclass(frozen=True)
class Placed:
    """A word or a line of small print at a place: points from the left and from above, width, font size, the word if it is one."""

    x: float
    y: float
    width: float
    text: str
    size: float = SMALL
    word: Word | None = None


def families() -> list[str]:
    """Returns the first font and those for other letters."""
    installed = _installed()
    return [*matplotlib.rcParams["font.sans-serif"][:1], *(name for name in FONTS if name in installed)]


@cache
def _installed() -> frozenset[str]:
    return frozenset(font_manager.get_font_names())


@cache
def _renderer() -> Any:
    canvas: Any = FigureCanvasAgg(Figure(figsize=(1, 1), dpi=72 * 4))
    return canvas.get_renderer()  # 4 pixels a point: widths are not rounded to points


@lru_cache(4096)
def measure(text: str, size: float) -> float:
    """Returns the width of a text in points."""
    width, _, _ = _renderer().get_text_width_height_descent(text, FontProperties(family=families(), size=size), False)
    return float(width) / 4


def fit(text: str, size: float, most: float) -> str:
    """Returns a text shortened to ``most`` points."""
    if measure(text, size) <= most:
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(text[:middle] + "…", size) <= most else (low, middle)
    return text[: max(low, 1)] + "…"


# Texts


def draw_page(ax: Axes | None, page: Page) -> Figure:
    """Draws paragraphs and a legend on axes, or on a figure of their own of the height that they need."""
    if ax is None:
        margin, width = 0.15 * 72, 6.4 * 72
        placed, height = place_page(page, width - 2 * margin, SIZE, page.words)
        top = margin + 18.0 * (1 + page.title.count("\n")) + 14.0 * max(0, len(textwrap.wrap(page.title, 64)) - 1)
        total = height + LEGEND + margin + top
        figure = NotebookFigure(figsize=(width / 72, total / 72))
        ax = figure.add_axes((margin / width, margin / total, 1 - 2 * margin / width, (height + LEGEND) / total))
        room = height + LEGEND
    else:
        ax.set_title(" ", loc="left", fontsize="medium")
        ax.set(xticks=[], yticks=[])
        if ax.figure.figure.get_layout_engine() is not None:
            ax.figure.figure.draw_without_rendering()  # the size of the axes
        box = ax.get_window_extent()
        width, room = box.width * 72 / ax.figure.figure.dpi, box.height * 72 / ax.figure.figure.dpi
        placed, height = _fitting(page, width, room - LEGEND)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(textwrap.fill(page.title, 64), fontsize="medium", loc="left", parse_math=False)
    _draw_words(ax, page, placed)
    _draw_legend(ax, page, room)
    drawn: Figure = ax.figure.figure
    return drawn


def _fitting(page: Page, width: float, room: float) -> tuple[list[Placed], float]:
    """Returns the page in smaller letters, then with fewer words, so that it fits the height if possible."""
    for size in (SIZE, SMALL, LEAST):
        placed, height = place_page(page, width, size, page.words)
        if height <= room:
            return placed, height
    low, high = 4, max([page.words, 5])
    while high - low > 1:
        middle = (low + high) // 2
        fits = place_page(page, width, LEAST, middle)[1] <= room
        low, high = (middle, high) if fits else (low, middle)
    return place_page(page, width, LEAST, low)


def place_page(page: Page, width: float, size: float, most: int) -> tuple[list[Placed], float]:
    """Returns the words and captions at their places on a page of a width in points, and the height of the page."""
    placed: list[Placed] = []
    at = 0.0
    notes = list[str]()
    for paragraph in page.paragraphs:
        words = shorten_text(paragraph.text.words, most)
        at = _place_small(placed, [paragraph.caption], at, width)
        at = _place_words(placed, words, paragraph.text.right_to_left, at + 2, (width, size)) + 8
        notes += [note for note in paragraph.text.notes if note not in notes]
        if len(words) < len(paragraph.text.words):
            kept = [word for word in words if word.kind != "gap"]
            rest = sum(word.value for word in words if word.kind == "gap")
            notes.append(f"{len(kept)} of {len(paragraph.text.words)} words are shown; the others (…) add up to {rest:+.3g}.")
    return placed, _place_small(placed, notes, at, width)


def _place_small(placed: list[Placed], lines: Sequence[str], at: float, width: float) -> float:
    for text in lines:
        for line in textwrap.wrap(text, max(10, int(width / (SMALL * 0.56)))) or [""]:
            placed.append(Placed(0.0, at, width, fit(line, SMALL, width)))
            at += SMALL * 1.35
    return at


def _place_words(placed: list[Placed], words: Sequence[Word], right_to_left: bool, at: float, page: tuple[float, float]) -> float:
    width, size = page
    texts = [fit(word.text, size, width) for word in words]
    widths = [measure(text, size) + HAIR for text in texts]
    for line in wrap_words(words, widths, SPACE * size, width):
        inside = [k for _, k in line]
        order = [inside[n] for n in visual_order([words[k] for k in inside], right_to_left)]
        gaps = [0.0] + [_gap(words, left, right, size) for left, right in pairwise(order)]
        x = width - sum(gaps) - sum(widths[k] for k in order) if right_to_left else 0.0
        for k, gap in zip(order, gaps, strict=True):
            shown = texts[k] if SHAPES else mirror_letters(texts[k])
            placed.append(Placed(x + gap, at, widths[k], shown, size, words[k]))
            x += gap + widths[k]
        at += size * LINE
    return at


def _gap(words: Sequence[Word], left: int, right: int, size: float) -> float:
    """Returns the space between two words that are neighbours on a line."""
    return SPACE * size if abs(left - right) != 1 or words[max(left, right)].space else 0.0


def _points(ax: Axes) -> Transform:
    """Returns the transform of points from the upper left corner of the axes, downwards."""
    corner: Any = ax.transAxes
    return Affine2D().scale(1 / 72, -1 / 72) + ax.figure.dpi_scale_trans + ScaledTranslation(0, 1, corner)


def _palette(look: Look) -> Colormap:
    if look.cmap is not None:
        return matplotlib.colormaps[look.cmap] if isinstance(look.cmap, str) else look.cmap
    middle = len(colours.LIGHT) // 2
    if look.sign in ("positive", "absolute"):
        return palette_of(colours.LIGHT[middle:])
    return palette_of(colours.LIGHT[: middle + 1]) if look.sign == "negative" else PALETTE


def scale_of(page: Page) -> Normalize:
    """Returns the scale that all paragraphs share."""
    values = [word.value for p in page.paragraphs for word in p.text.words if word.kind == "word"]
    return Normalize(*page.look.range(page.look.limit(np.array(values))))


def _shade(look: Look, palette: Colormap, scale: Normalize) -> Callable[[float], Any]:
    def shade(value: float) -> tuple[float, ...]:
        shown = look.select(np.array([value]))[0]
        red, green, blue = palette(float(scale(shown)) if np.isfinite(shown) else np.nan)[:3]
        mixed = tuple(look.alpha * c + 1 - look.alpha for c in (red, green, blue))
        return mixed

    return shade


def _draw_words(ax: Axes, page: Page, placed: Sequence[Placed]) -> None:
    points, scale = _points(ax), scale_of(page)
    shade = _shade(page.look, _palette(page.look), scale)
    least = UNDERLINED * max(abs(scale.vmin or 0.0), abs(scale.vmax or 0.0))
    for one in placed:
        word, size = one.word, one.size
        if word is None or word.kind != "word":
            ink = "0.4" if word is None else "0.5"
        else:
            fill = shade(word.value)
            ink = "black" if float(np.dot(fill, (0.299, 0.587, 0.114))) > 0.5 else "white"
            box = Rectangle((one.x - HAIR, one.y), one.width + HAIR, size * 1.4, facecolor=fill, edgecolor="none", transform=points)
            ax.add_patch(box)
            box.set(clip_on=False, in_layout=False)
            if page.look.select(np.array([word.value]))[0] < -least:
                below = Line2D([one.x, one.x + one.width], [one.y + size * 1.32] * 2, color=ink, linewidth=0.9, linestyle=":")
                below.set(transform=points, clip_on=False, in_layout=False)
                ax.add_artist(below)
        text = ax.text(one.x, one.y + size * 1.1, one.text, color=ink, transform=points, va="baseline", parse_math=False, clip_on=False)
        text.set(fontsize=size, family=families(), in_layout=False, gid="word" if word is not None else "note")


def legend_ends(page: Page) -> tuple[str, str]:
    """Returns what the left and the right end of the colour bar mean."""
    against, rising = page.ends
    if page.look.sign == "absolute":
        return "", "absolute value"
    return "" if page.look.sign == "positive" else f"dotted: {against}", "" if page.look.sign == "negative" else rising


def _draw_legend(ax: Axes, page: Page, room: float) -> None:
    """Draws the colour bar between its meanings, at the bottom of the axes."""
    width = ax.get_window_extent().width * 72 / ax.figure.figure.dpi
    left, right = legend_ends(page)
    right = fit(right, SMALL, 0.38 * width)
    left = fit(left, SMALL, max(20.0, width - measure(right, SMALL) - 66))  # the bar has at least 54 points
    start = measure(left, SMALL) + 6 if left else 0.0
    span = min(170.0, width - start - measure(right, SMALL) - 12)
    bar = ax.inset_axes((start / width, 14 / room, span / width, 8 / room))
    scale = scale_of(page)
    drawn = ax.figure.colorbar(ScalarMappable(scale, _palette(page.look)), cax=bar, orientation="horizontal", alpha=page.look.alpha)
    drawn.outline.set_visible(False)
    ends = sorted({scale.vmin or 0.0, 0.0, scale.vmax or 0.0})
    drawn.set_ticks(ends, labels=[f"{end:+.2g}" if end else "0" for end in ends])
    bar.tick_params(labelsize=7, length=2)
    labels = bar.get_xticklabels()
    labels[0].set_horizontalalignment("left")
    labels[-1].set_horizontalalignment("right")
    for x, text, side in ((-6, left, "right"), (span + 6, right, "left")):
        ax.annotate(
            text, (0 if x < 0 else 1, 0.5), (6 if x > 0 else -6, 0), xycoords=bar.transAxes, textcoords="offset points",
            ha=side, va="center", fontsize=SMALL, color="0.4", parse_math=False, annotation_clip=False,
        )  # fmt: skip


# Matrices


@dataclass(frozen=True)
class Matrix:
    """Values ``[outputs, words of the prompt]`` with their names, and how they become colours."""

    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    look: Look
    title: str


CELL = 11.0
"""The smallest width of a cell in points: rotated labels of 8 points do not overlap."""
MOST = 60
"""The maximum number of rows and of columns."""


def draw_matrix(ax: Axes | None, matrix: Matrix) -> Figure:
    """Draws a matrix with rotated names of columns that do not overlap."""
    if ax is None:
        matrix = _strongest(matrix, MOST, MOST)
        high, wide = matrix.values.shape
        size = (1.9 + max(3.0, 0.24 * wide), 1.7 + max(0.9, 0.22 * high))
        ax = NotebookFigure(figsize=size, layout="constrained").add_subplot()
    else:
        box = ax.get_window_extent()
        points = 72 / ax.figure.figure.dpi
        matrix = _strongest(matrix, int(max(2, box.height * points * 0.6 / CELL)), int(max(2, box.width * points * 0.7 / CELL)))
    values = matrix.look.select(matrix.values)
    scale = Normalize(*matrix.look.range(matrix.look.limit(matrix.values)))
    palette = _palette(matrix.look)
    ax.imshow(np.ma.masked_invalid(values), cmap=palette, norm=scale, alpha=matrix.look.alpha, aspect="auto", interpolation="nearest")
    style: dict[str, Any] = {"parse_math": False, "fontsize": SMALL, "family": families()}
    ax.set_xticks(range(len(matrix.columns)), labels=[_name(name) for name in matrix.columns], rotation=90, **style)
    ax.set_yticks(range(len(matrix.rows)), labels=[_name(name) for name in matrix.rows], **style)
    ax.set_xlabel("prompt", fontsize="small", color="0.4")
    ax.set_ylabel("output", fontsize="small", color="0.4")
    ax.set_xticks(np.arange(len(matrix.columns) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(matrix.rows) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(
        textwrap.fill(matrix.title, max(24, round(ax.get_window_extent().width / 9))), loc="left", fontsize="medium", parse_math=False
    )
    bar = ax.figure.colorbar(ScalarMappable(scale, palette), ax=ax, fraction=0.06, pad=0.02, aspect=16, alpha=matrix.look.alpha)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small")
    marked = _mark_negative(ax, values, scale)
    bar.set_label("value (–: below 0)" if marked else "value", fontsize="small", color="0.4")
    drawn: Figure = ax.figure.figure
    return drawn


def _mark_negative(ax: Axes, values: np.ndarray, scale: Normalize) -> bool:
    """Draws a dash on negative cells, for those who see no colours. Returns True if there are any."""
    low = scale.vmin or 0.0
    rows, columns = np.nonzero(np.nan_to_num(values) < UNDERLINED * low)
    inks = ["white" if values[y, x] < 0.6 * low else "black" for y, x in zip(rows, columns, strict=True)]
    ax.scatter(columns, rows, s=14, marker="_", c=inks, linewidths=0.8)
    return len(rows) > 0


def _name(name: str) -> str:
    shown = fit(name, SMALL, 90.0)
    return shown if SHAPES else mirror_letters(shown)


def _strongest(matrix: Matrix, rows: int, columns: int) -> Matrix:
    """Returns the matrix with at most these numbers of rows and columns: the strongest, in their order."""
    sizes = np.nan_to_num(np.abs(matrix.values))
    down, across = (np.sort(rank_strongest(sizes.sum(axis), most)) for axis, most in ((1, rows), (0, columns)))
    left = [
        f"{len(kept)} of {count} {what}"
        for kept, count, what in ((down, len(sizes), "rows"), (across, sizes.shape[1], "columns"))
        if len(kept) < count
    ]
    title = f"{matrix.title} (the strongest {' and '.join(left)})" if left else matrix.title
    names = [matrix.rows[k] for k in down], [matrix.columns[k] for k in across]
    return replace(matrix, values=matrix.values[np.ix_(down, across)], rows=names[0], columns=names[1], title=title.strip())
