"""The summary of a result in a terminal: signed bars, words on their colours, maps of half blocks. User-defined text is escaped."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import StringIO
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ..display import colours
from ..display.bidi import cell_width, cut_cells, pad_cells, wrap_words
from ..display.layouts import find_layout, rank_strongest, shrink_map, sum_channels
from ..display.regions import rank_regions, rank_spans
from ..display.words import Word, readable, scale_words
from ..utils.escape import escape_control
from .rows import axis_labels, record_rows
from .summary import SHOWN, TOP, describe_record, list_facts, name_ends, series_kind, single, unit_of
from .text import is_text, read_text, strongest_words

if TYPE_CHECKING:
    from .attribution import Attribution

Line = list[tuple[str, str]]
"""Pieces of text, each with a style of ``rich`` or ''."""
STATUS = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}
WIDTH = 80
"""The number of columns of files and pipes."""
HALF = 14
"""The number of columns of a bar on each side of its middle."""
NAME = 32
"""The maximum number of columns of a name."""
WORDS = 150
"""The maximum number of words shown of a text."""
MARKED = 0.25
"""Without colour, words with at least this share of the largest value are marked."""


class Look(NamedTuple):
    """What a terminal can show: colours, its columns, and the characters of bars."""

    colour: bool = False
    width: int = WIDTH
    block: str = "#"
    middle: str = "|"


def show(a: Attribution, file: IO[str] | None = None) -> None:
    """Writes a result to ``file`` (standard output): in colour on a terminal if ``rich`` is installed, else as plain text.

    A closed pipe (``| head``) is not an error.
    """
    out = sys.stdout if file is None else file
    if out is None:  # no console: print() writes nothing either
        return
    text = _coloured(a, out)
    try:
        out.write("".join(_plain(lines(a, _look(out)), out)) if text is None else text)
        out.flush()
    except BrokenPipeError:
        if out is sys.stdout:
            _leave_pipe(out)


def _leave_pipe(out: IO[str]) -> None:
    """Connects a closed standard output to the null device, so that Python does not fail when it flushes it at exit."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, out.fileno())
        os.close(null)


def _look(out: IO[str], colour: bool = False, width: int = WIDTH) -> Look:
    return Look(colour, width, *("█│" if _encodes(out, "█│") else "#|"))


def _coloured(a: Attribution, out: IO[str]) -> str | None:
    """Returns the summary with terminal colours; None without a terminal or without ``rich``."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return None
    plain = partial(Console, highlight=False, markup=False, emoji=False, soft_wrap=True)
    console = plain(file=out)
    coloured = console.color_system is not None and not console.no_color and _encodes(out, "▀")
    if not coloured and not console.is_terminal:
        return None
    page, system = StringIO(), cast(Any, console.color_system)  # a rich console ends the process on a broken pipe
    pen = plain(file=page, force_terminal=True, color_system=system, no_color=console.no_color, width=console.width)
    for pieces in lines(a, _look(out, coloured, console.width if console.is_terminal else WIDTH)):
        pen.print(Text.assemble(*((_safe(text, out), style) for text, style in pieces)))
    return page.getvalue()


def lines(a: Attribution, look: Look) -> Iterator[Line]:
    """Yields the lines of the summary."""
    for name, text in list_facts(a):
        yield from wrap_line([(f"{name:<8} ", "dim"), (text, "bold" if name == "method" else "")], look.width, 9)
    for check in a.checks:
        if check.bad:
            yield from wrap_line([(f"{check.status:<8} ", STATUS[check.status]), (f"{check.name}: {check.detail}", "")], look.width, 9)
    values = single(a)
    if is_text(a) and len(a):
        yield from wrap_line([("words    ", "dim"), (_describe_colours(a, look), "")], look.width, 9)
    for i in range(min(len(a), SHOWN)):
        yield from wrap_line([(f"record {i}", "bold"), (f"  {describe_record(a, i)}", "")], look.width, 10)
        if values is not None and values.dtype.kind == "f" and values[i].size:
            yield from _record(a, values, i, look)
    if len(a) > SHOWN:
        yield [(f"and {len(a) - SHOWN} more", "dim")]


def _record(a: Attribution, values: np.ndarray, i: int, look: Look) -> Iterator[Line]:
    if is_text(a):
        yield from _text(a, i, look)
    elif values.ndim == 2:
        yield from _ranked(a, values[i], i, look)
    elif (kind := series_kind(a, values)) is not None:
        yield from _series(a, values, i, kind, look)
    else:
        yield from _best(values[i], look)
        yield from _blocks(values[i]) if look.colour and values.ndim > 2 else ()


# Texts


def _text(a: Attribution, i: int, look: Look) -> Iterator[Line]:
    """Yields the words of a record, and the strongest of them as bars."""
    text = read_text(a, i, most=WORDS)
    top = scale_words(text.words)
    pieces = [_word(word, word.value / top if top else 0.0, look) for word in text.words]
    widths = [cell_width(piece) for piece, _ in pieces]
    for line in wrap_words(text.words, widths, 1, look.width - 2):
        row: Line = [("  ", "")]
        for n, (_, k) in enumerate(line):
            row += [(" ", "")] if text.words[k].space and n else []
            row.append(pieces[k])
        yield row
    for note in text.notes:
        yield from wrap_line([("  ", ""), (note, "dim")], look.width, 2)
    best = strongest_words(text, 5)
    yield from _bars(np.array([word.value for word in best]), [word.text for word in best], look)


def _describe_colours(a: Attribution, look: Look) -> str:
    against, rising = name_ends(a)
    if look.colour:
        return f"red: {rising}, blue: {against}"
    return f"+word+ {rising}, -word- {against}: at least a quarter of the largest value of the record"


def _word(word: Word, shade: float, look: Look) -> tuple[str, str]:
    """Returns a word with its style, or with marks if there are no colours."""
    if word.kind != "word":
        return word.text, "dim"
    if look.colour:
        shown = np.isfinite(shade) and abs(shade) >= 0.05
        return (
            word.text,
            f"{'#ffffff' if colours.text_colour(shade) == '#fff' else '#000000'} on {colours.css_colour(shade)}" if shown else "",
        )
    mark = "+" if shade >= MARKED else "-" if shade <= -MARKED else ""
    return f"{mark}{word.text}{mark}", ""


# Tables, maps and series


def _ranked(a: Attribution, values: np.ndarray, i: int, look: Look) -> Iterator[Line]:
    """Yields the features with the largest absolute values."""
    rows = record_rows(a, values, None, i)
    order = rank_strongest(rows.values, TOP)
    names = rows.labels(None, "feature")
    yield from _bars(rows.values[order], [names[int(k)] for k in order], look)


def _series(a: Attribution, values: np.ndarray, i: int, kind: str, look: Look) -> Iterator[Line]:
    """Yields the spans of time with the largest absolute sums."""
    channel, time = (1, 2) if kind == "series" else (2, 1)
    lanes = values[i] if kind == "series" else values[i].T
    names = axis_labels(a, channel, i, len(lanes)) or [f"channel {k}" for k in range(len(lanes))]
    sums, where = rank_spans(lanes, names, axis_labels(a, time, i, lanes.shape[1]), 3, unit_of(a, time))
    yield from _bars(sums, where, look)


def _best(values: np.ndarray, look: Look) -> Iterator[Line]:
    """Yields the regions of a map with the largest absolute sums; the positions of other arrays with the largest absolute values."""
    layout = find_layout(values.shape)
    if layout is not None:
        yield from _bars(*rank_regions(sum_channels(values, layout), 3), look)
        return
    flat = values.reshape(-1)
    order = rank_strongest(flat, 3)
    yield from _bars(flat[order], [f"[{', '.join(str(int(n)) for n in np.unravel_index(k, values.shape))}]" for k in order], look)


def _bars(values: np.ndarray, names: Sequence[str], look: Look) -> Iterator[Line]:
    """Yields a line for each value, with a bar to the left or to the right of a middle line."""
    top = float(np.nan_to_num(np.abs(values)).max(initial=0.0))
    shown = [cut_cells(escape_control(name), NAME) for name in names]
    width = max([12, *map(cell_width, shown)])
    for value, name in zip(map(float, values), shown, strict=True):
        length = round(HALF * abs(value) / top) if top and np.isfinite(value) else 0
        bar = look.block * length
        left, right = ("", bar) if value > 0 else (bar, "")
        style = "red" if value > 0 else "blue"
        yield [
            (f"  {pad_cells(name, width)}", "dim"),
            (f" {value:>+11.4g}  ", ""),
            (left.rjust(HALF), style),
            (look.middle, "dim"),
            (right, style),
        ]


def _blocks(values: np.ndarray) -> Iterator[Line]:
    layout = find_layout(values.shape)
    if layout is None:
        return
    shown = shrink_map(sum_channels(values, layout), 48)
    shades = colours.colour_scale(shown).shades(shown)
    if len(shades) % 2:
        shades = np.concatenate([shades, np.zeros((1, shades.shape[1]))])
    for upper, lower in zip(shades[::2], shades[1::2], strict=True):
        pairs = zip(upper, lower, strict=True)
        yield [("  ", "")] + [("▀", f"{colours.css_colour(float(u))} on {colours.css_colour(float(v))}") for u, v in pairs]


# Lines


def wrap_line(line: Line, width: int, indent: int) -> Iterator[Line]:
    """Yields a line as lines of at most ``width`` columns, broken at spaces, else anywhere; all but the first are indented."""
    row: Line = []
    at = 0
    for text, style in line:
        for part in _pieces(escape_control(text), max(width - indent, 8)):
            if at + cell_width(part) > width and at > indent:
                yield row
                row, at = [(" " * indent, "")], indent
                part = part.lstrip(" ")
            joined = row[-1][0] + part if row and row[-1][1] == style else ""
            row[-1:] = [(joined, style)] if joined else [*row[-1:], (part, style)]
            at += cell_width(part)
    yield row


def _pieces(text: str, most: int) -> Iterator[str]:
    """Yields spaces and words of at most ``most`` columns."""
    for part in re.findall(r" +|[^ ]+", text):
        start, width = 0, 0
        for k, c in enumerate(part):
            own = cell_width(c)
            if width + own > most:
                yield part[start:k]
                start, width = k, 0
            width += own
        yield part[start:]


def _plain(content: Iterator[Line], out: IO[str]) -> Iterator[str]:
    for pieces in content:
        yield _safe("".join(text for text, _ in pieces), out).rstrip() + "\n"


def _safe(text: str, out: IO[str]) -> str:
    """Returns text with control characters, and characters that the encoding does not have, as escapes."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return readable(text).encode(encoding, "backslashreplace").decode(encoding)


def _encodes(out: IO[str], text: str) -> bool:
    return _safe(text, out) == text
