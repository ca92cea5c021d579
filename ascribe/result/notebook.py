"""A result as HTML without scripts, readable in light and dark notebooks. User-defined text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import as_numpy, is_array
from ..display import colours
from ..display.lanes import draw_lane
from ..display.layouts import as_image, find_layout, rank_strongest, shrink_map, sum_channels
from ..display.words import Word, readable, scale_words
from ..utils.escape import escape_control
from .rows import axis_labels, table_columns
from .summary import SHOWN, TOP, describe_record, list_facts, name_ends, series_kind, shorten_name, single, unit_of
from .text import is_text, read_text

if TYPE_CHECKING:
    from .attribution import Attribution

WORDS = 400
"""The maximum number of words shown of a text."""
FIGURE = 'style="margin:0;max-width:244px"'
IMAGE = 'width="120" style="display:inline-block;image-rendering:pixelated;margin:0 2px 0 0"'
UNDERLINE, UNDERLINED = ";text-decoration:underline dotted", 0.1
"""How words with negative values are marked for those who see no colours, and from which share of the largest value."""
SOLID = {True: 0.77, False: 0.86}
"""The opacity of red (True) and blue from which text is white: on white and on black pages its contrast is at least 4.4."""


def format_html(a: Attribution) -> str:
    """Returns a result as HTML."""
    rows = "".join(f"<tr>{_cell(name, 'opacity:.65')}{_cell(text)}</tr>" for name, text in list_facts(a))
    bad = "".join(
        f"<li><b>{escape(check.status, quote=True)}</b> {_isolated(check.name)}: {_isolated(check.detail)}</li>"
        for check in a.checks
        if check.bad
    )
    listed = f'<ul style="margin:.4em 0">{bad}</ul>' if bad else ""
    more = f'<p style="opacity:.65">and {len(a) - SHOWN} more</p>' if len(a) > SHOWN else ""
    return f'<div style="font-size:13px;line-height:1.5"><table>{rows}</table>{listed}{_picture(a)}{more}</div>'


def _isolated(text: str) -> str:
    return f"<bdi>{escape(escape_control(text), quote=True)}</bdi>"


def _cell(text: str, style: str = "") -> str:
    return f'<td style="text-align:left;vertical-align:top;{style}">{_isolated(text)}</td>'


def _picture(a: Attribution) -> str:
    values = single(a)
    if values is None or values.dtype.kind != "f" or values.size == 0:
        return ""
    if is_text(a):
        return _texts(a)
    if values.ndim == 2:
        return _table(a, values)
    if (kind := series_kind(a, values)) is not None:
        return _series(a, values, kind)
    layout = find_layout(values.shape[1:])
    if layout is None:
        return ""
    maps = [sum_channels(one, layout) for one in values[:SHOWN]]
    figures = [f"<figure {FIGURE}>{_photo(a, i)}{_heat(m)}<figcaption>{_caption(a, i)}</figcaption></figure>" for i, m in enumerate(maps)]
    both = any(m.min() < 0 < m.max() for m in maps)
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:8px">{"".join(figures)}</div>{_legend(a) if both else ""}'


# Maps


def _heat(values: np.ndarray) -> str:
    shown = shrink_map(values, 128)
    small = colours.apply_palette(colours.colour_scale(shown).shades(shown))
    return f'<img {IMAGE} alt="map of the values: red positive, blue negative" src="{colours.encode_data_uri(small)}">'


def _photo(a: Attribution, i: int) -> str:
    leaf = a.record
    photo = as_image(as_numpy(leaf[i])) if hasattr(leaf, "dtype") else None
    if photo is None or max(photo.shape) > 256:
        return ""
    return f'<img {IMAGE} alt="record {i}" src="{colours.encode_data_uri(colours.grey_levels(photo))}">'


def _caption(a: Attribution, i: int) -> str:
    return _isolated(f"record {i}" + (f": {text}" if (text := describe_record(a, i)) else ""))


def _legend(a: Attribution, about: str = "", against_is: str = "blue") -> str:
    """Returns what the colours mean, with the palette between its ends."""
    against, rising = name_ends(a)
    bar = f'<span style="display:inline-block;width:8em;height:.8em;margin:0 .5em;background:{colours.css_gradient()}"></span>'
    return (
        f'<p style="margin:.6em 0">{against_is}: {_isolated(against)}{bar}red: {_isolated(rising)}'
        + (f'<br><span style="opacity:.65">{escape(about)}</span>' if about else "")
        + "</p>"
    )


# Tables


def _table(a: Attribution, values: np.ndarray) -> str:
    table, known = table_columns(a, values)
    names, shown = known or list(map(str, range(table.shape[1]))), table[:SHOWN]
    order = rank_strongest(np.abs(shown).mean(0), TOP)
    head = "".join(f"<th>{_isolated(shorten_name(escape_control(names[k])))}</th>" for k in order)
    rows = ""
    for i, row in enumerate(shown):
        shades = colours.scale_to_limit(row)
        cells = "".join(
            f'<td style="padding:.1em .5em;text-align:right;{_paint(float(shades[k]))}">{float(row[k]):.3g}</td>' for k in order
        )
        rows += f'<tr><th style="text-align:left;font-weight:normal">{_caption(a, i)}</th>{cells}</tr>'
    rest = len(names) - len(order)
    about = "Each record has colours of its own: the largest value is full colour."
    about += f" The {len(order)} columns with the largest mean absolute values of {len(names)} are shown." if rest else ""
    return f"<table><tr><th></th>{head}</tr>{rows}</table>{_legend(a, about)}"


def _paint(shade: float) -> str:
    return f"background:{colours.css_colour(shade)};color:{colours.text_colour(shade)}"


# Texts


def _texts(a: Attribution) -> str:
    """Returns the words of the first records as running text."""
    texts, notes = [], list[str]()
    for i in range(min(len(a), SHOWN)):
        text = read_text(a, i, most=WORDS)
        top = scale_words(text.words)
        words = "".join(_word(word, word.value / top if top else 0.0) for word in text.words)
        style = "margin:.2em 0 .8em;line-height:1.9;max-width:60em;font-size:14px;overflow-wrap:anywhere"
        texts.append(f'<div style="opacity:.8">{_caption(a, i)}</div><p dir="auto" style="{style}">{words}</p>')
        notes += [note for note in text.notes if note not in notes]
    about = " ".join(["Each record has colours of its own: the largest value is full colour.", *notes])
    return f'<div style="margin-top:8px">{"".join(texts)}</div>{_legend(a, about, "blue, underlined")}'


def _word(word: Word, shade: float) -> str:
    """Returns a word on its colour. Special tokens are isolated, so that they do not decide the direction of the paragraph."""
    text = escape(readable(word.text), quote=True)
    about = f"{word.value:+.4g}" + (f" ± {word.error:.2g}" if word.error is not None else "")
    space, after = " " * word.space, "<br>" * word.line
    if word.kind != "word":
        return f'{space}<bdi style="opacity:.5" title="{about}">{text}</bdi>{after}'
    style = f' style="{tint(shade)};border-radius:3px;padding:.1em 0"' if np.isfinite(shade) and abs(shade) >= 0.02 else ""
    return f'{space}<span{style} title="{about}">{text}</span>{after}'


def tint(shade: float) -> str:
    """Returns the style of a word: red or blue that is more opaque for larger values, on which text keeps the page's colour or is white."""
    red, green, blue = colours.parse_colours((colours.LIGHT[-1 if shade > 0 else 0],))[0].astype(int)
    opacity = min(abs(shade), 1.0)
    return (
        f"background:rgba({red},{green},{blue},{opacity:.2f})"
        + (";color:#fff" if opacity >= SOLID[shade > 0] else "")
        + UNDERLINE * (shade <= -UNDERLINED)
    )


# Series


def _series(a: Attribution, values: np.ndarray, kind: str) -> str:
    """Returns a lane for each channel: the record as a line over a strip with the colours of its values."""
    channel, time = (1, 2) if kind == "series" else (2, 1)
    parts = []
    for i in range(min(len(a), SHOWN)):
        lanes = values[i] if kind == "series" else values[i].T
        record = as_numpy(a.record[i]) if is_array(a.record) and tuple(a.record.shape) == values.shape else None
        under = None if record is None or record.dtype.kind not in "fiub" else record if kind == "series" else record.T
        names = axis_labels(a, channel, i, len(lanes)) or [f"channel {k}" for k in range(len(lanes))]
        moments = axis_labels(a, time, i, lanes.shape[1])
        parts.append(
            f'<div style="opacity:.8;margin-top:.6em">{_caption(a, i)}</div>{_lanes(lanes, under, names, moments, unit_of(a, time))}'
        )
    return f"{''.join(parts)}{_legend(a, 'Each record has colours of its own; lines are scaled to the range of their channel.')}"


def _lanes(values: np.ndarray, record: np.ndarray | None, names: Sequence[str], moments: Sequence[str] | None, unit: str) -> str:
    order = np.sort(rank_strongest(np.abs(values).sum(1), TOP))
    top = colours.colour_limit(values) or 1.0
    style = 'style="display:block;width:100%;max-width:640px;height:36px"'
    rows = ""
    for k in order:
        picture = colours.encode_data_uri(draw_lane(values[k] / top, None if record is None else record[k]))
        about = f'alt="values over time: red positive, blue negative" src="{picture}"'
        name = f'<td style="text-align:left;white-space:nowrap">{_isolated(shorten_name(names[k]))}</td>'
        rows += f'<tr>{name}<td style="width:640px"><img {style} {about}></td></tr>'
    first, last = (moments[0], moments[-1]) if moments else ("0", str(values.shape[1] - 1))
    ends = f'<td style="text-align:left">{_isolated(f"time {first} to {last} {unit}".rstrip())}</td>'
    rest = len(values) - len(order)
    more = f'<td style="text-align:left;opacity:.65">and {rest} more</td>' if rest else "<td></td>"
    return f"<table>{rows}<tr>{more}{ends}</tr></table>"
