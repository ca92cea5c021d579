"""Text and HTML of a result: one line, a table for notebooks, a summary for terminals. User-defined text is escaped."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from html import escape
from io import StringIO
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from ..arrays import as_numpy
from ..display import colours
from ..display.layouts import as_image, find_layout, rank_strongest, shrink_map, sum_channels
from ..utils.completeness import describe_gaps
from ..utils.escape import escape_control
from ..utils.pooling import describe_shapes
from .rows import record_rows, table_columns

if TYPE_CHECKING:
    from .attribution import Attribution, Check

SHOWN = 4
"""The maximum number of records shown."""
TOP = 8
"""The maximum number of features shown per record."""
WIDE = 40
"""The maximum number of characters shown of a name."""
Line = list[tuple[str, str]]
"""Pieces of text, each with a style of ``rich`` or ''."""
FIGURE = 'style="margin:0;max-width:244px"'
IMAGE = 'width="120" style="display:inline-block;image-rendering:pixelated;margin:0 2px 0 0"'
STATUS = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}


def format_line(a: Attribution) -> str:
    """Returns a result on one line, without its values."""
    parts = [describe_shapes(a.values)]
    parts += [f"gap {describe_gaps(a.gap.relative)}"] if a.gap is not None else []
    bad = [check for check in a.checks if check.bad]
    parts += [", ".join(f"{check.name}: {check.status}" for check in bad)] if bad else []
    about = [a.method or "values"]
    about += [f"of {a.quantity}"] if a.quantity and f"of={a.quantity}" not in a.method else []
    about += [f"at {a.cut}"] if f"at={a.cut}" not in a.method else []
    return escape_control(f"<Attribution {' '.join(about)}: {'; '.join(parts)}>")


def method_expression(method: str) -> str:
    """Returns the expression of a method without the call on the model: ``SmoothGrad(8)``."""
    head, call, _ = method.partition(")(model")
    return f"{head})" if call else method


def format_checks(checks: tuple[Check, ...]) -> str:
    """Returns the number of checks that are ok, and the names of the others."""
    bad = [f"{check.name} {check.status}" for check in checks if check.status != "ok"]
    return f"{sum(check.status == 'ok' for check in checks)} ok" + "".join(f", {text}" for text in bad)


def list_facts(a: Attribution) -> list[tuple[str, str]]:
    """Returns the properties of a result as pairs of name and text."""
    cost = a.cost
    table = {
        "method": a.method,
        "of": a.quantity,
        "at": a.cut,
        "values": describe_shapes(a.values),
        "gap": describe_gaps(a.gap.relative) if a.gap is not None else "",
        "checks": format_checks(a.checks) if a.checks else "",
        "cost": f"{cost.forward} forward, {cost.backward} backward, {cost.rows} rows, {cost.seconds:.3g} s" if cost else "",
    }
    return [(name, text) for name, text in table.items() if text]


def describe_record(a: Attribution, i: int) -> str:
    """Returns a text about one record: explained quantity, class, gap."""
    several = a.quantities is not None
    parts = []
    if a.explained is not None and not several:
        parts.append(f"explained {float(a.explained[i]):.4g}")
    if a.target is not None and np.ndim(a.target) == 1 and not has_single_output(a):
        parts.append(f"class {format_class(a, int(a.target[i]))}")
    if a.prediction is not None and a.prediction.ndim == 2 and not has_single_output(a):
        parts.append(f"predicted {format_class(a, int(np.argmax(a.prediction[i])))}")
    if a.gap is not None and not several:
        parts.append(f"gap {describe_gaps(a.gap.relative[[i]])}")
    return ", ".join(parts)


def has_single_output(a: Attribution) -> bool:
    """True if the model returns a single number per record, so that index 0 is not a class."""
    if a.prediction is None:
        return a.class_names is None and a.target is not None and not np.any(a.target)
    return a.prediction.ndim == 2 and a.prediction.shape[1] == 1


def format_class(a: Attribution, index: int) -> str:
    """Returns the name of a class, or its index as text."""
    return a.class_names[index] if a.class_names is not None and 0 <= index < len(a.class_names) else str(index)


def single(a: Attribution) -> np.ndarray | None:
    """Returns the values as one array with the records on axis 0; None for several arrays or quantities."""
    arrays = a.arrays()
    return as_numpy(arrays[0][1]) if len(arrays) == 1 and a.records_axis == 0 else None


# Notebooks


def format_html(a: Attribution) -> str:
    """Returns a result as HTML without scripts, readable in light and dark notebooks."""
    rows = "".join(f"<tr>{_cell(name, 'opacity:.65')}{_cell(text)}</tr>" for name, text in list_facts(a))
    bad = "".join(
        f"<li><b>{escape(check.status, quote=True)}</b> {_isolated(check.name)}: {_isolated(check.detail)}</li>"
        for check in a.checks
        if check.bad
    )
    listed = f'<ul style="margin:.4em 0">{bad}</ul>' if bad else ""
    return f'<div style="font-size:13px;line-height:1.5"><table>{rows}</table>{listed}{_picture(a)}</div>'


def _isolated(text: str) -> str:
    return f"<bdi>{escape(escape_control(text), quote=True)}</bdi>"


def _cell(text: str, style: str = "") -> str:
    return f'<td style="text-align:left;vertical-align:top;{style}">{_isolated(text)}</td>'


def _picture(a: Attribution) -> str:
    values = single(a)
    if values is None or values.dtype.kind != "f" or values.size == 0:
        return ""
    if values.ndim == 2:
        return _table(a, values)
    layout = find_layout(values.shape[1:])
    if layout is None:
        return ""
    maps = [sum_channels(one, layout) for one in values[:SHOWN]]
    figures = [f"<figure {FIGURE}>{_photo(a, i)}{_heat(m)}<figcaption>{_caption(a, i)}</figcaption></figure>" for i, m in enumerate(maps)]
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:8px">{"".join(figures)}</div>'


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


def _table(a: Attribution, values: np.ndarray) -> str:
    table, known = table_columns(a, values)
    names, shown = known or list(map(str, range(table.shape[1]))), table[:SHOWN]
    order = rank_strongest(np.abs(shown).mean(0), TOP)
    head = "".join(f"<th>{_isolated(shorten_name(escape_control(names[k])))}</th>" for k in order)
    rows = ""
    for i, row in enumerate(shown):
        shades = colours.scale_to_limit(row)
        cells = "".join(f'<td style="{_paint(float(shades[k]))}">{float(row[k]):.3g}</td>' for k in order)
        rows += f'<tr><th style="text-align:left;font-weight:normal">{_caption(a, i)}</th>{cells}</tr>'
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def _paint(shade: float) -> str:
    return f"background:{colours.css_colour(shade)};color:{colours.text_colour(shade)}"


# Terminals


def show(a: Attribution, file: IO[str] | None = None) -> None:
    """Writes a result to ``file`` (standard output): in colour on a terminal if ``rich`` is installed, else as plain text.

    A closed pipe (``| head``) is not an error.
    """
    out = sys.stdout if file is None else file
    if out is None:  # no console: print() writes nothing either
        return
    text = _coloured(a, out)
    with suppress(BrokenPipeError):
        out.write("".join(_plain(lines(a, blocks=False), out)) if text is None else text)


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
    for pieces in lines(a, blocks=coloured):
        pen.print(Text.assemble(*((_safe(text, out), style) for text, style in pieces)))
    return page.getvalue()


def lines(a: Attribution, blocks: bool) -> Iterator[Line]:
    """Yields the lines of the summary; ``blocks`` draws maps with coloured half blocks."""
    for name, text in list_facts(a):
        yield [(f"{name:<8}", "dim"), (text, "bold" if name == "method" else "")]
    for check in a.checks:
        if check.bad:
            yield [(f"{check.status:<8}", STATUS[check.status]), (f"{check.name}: {check.detail}", "")]
    values = single(a)
    for i in range(min(len(a), SHOWN)):
        yield [(f"record {i}", "bold"), (f"  {describe_record(a, i)}", "")]
        if values is not None and values.dtype.kind == "f" and values[i].size:
            yield from _ranked(a, values[i], i) if values.ndim == 2 else _best(values[i])
            yield from _blocks(values[i]) if blocks and values.ndim > 2 else ()
    if len(a) > SHOWN:
        yield [(f"and {len(a) - SHOWN} more", "dim")]


def _ranked(a: Attribution, values: np.ndarray, i: int) -> Iterator[Line]:
    """Yields the features with the largest absolute values."""
    rows = record_rows(a, values, None, i)
    named = rows.grouped or rows.names is not None
    names = rows.labels(None, "feature") if named else [f"[{k}]" for k in range(len(values))]
    yield from _bars(rows.values, names, TOP)


def _best(values: np.ndarray) -> Iterator[Line]:
    """Yields the positions with the largest absolute values."""
    flat = values.reshape(-1)
    order = rank_strongest(flat, 3)
    names = {int(k): f"[{', '.join(str(int(n)) for n in np.unravel_index(k, values.shape))}]" for k in order}
    yield from _bars(flat, names, 3)


def _bars(values: np.ndarray, names: Mapping[int, str] | Sequence[str], count: int) -> Iterator[Line]:
    order = rank_strongest(values, count)
    top = float(np.nan_to_num(np.abs(values)).max(initial=0.0))
    shown = [shorten_name(names[int(k)]) for k in order]
    width = max(map(len, shown), default=0)
    for k, name in zip(order, shown, strict=True):
        value = float(values[k])
        bar = "#" * (round(20 * abs(value) / top) if top and np.isfinite(value) else 0)
        yield [(f"  {name}".ljust(max(16, width + 4)), "dim"), (f"{value:>+11.4g}  ", ""), (bar, "red" if value > 0 else "blue")]


def shorten_name(name: str) -> str:
    """Returns a name shortened to ``WIDE`` characters."""
    return name if len(name) <= WIDE else name[: WIDE - 1] + "…"


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


def _plain(content: Iterator[Line], out: IO[str]) -> Iterator[str]:
    for pieces in content:
        yield _safe("".join(text for text, _ in pieces), out).rstrip() + "\n"


def _safe(text: str, out: IO[str]) -> str:
    """Returns text with control characters, and characters that the encoding does not have, as escapes."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    return escape_control(text).encode(encoding, "backslashreplace").decode(encoding)


def _encodes(out: IO[str], text: str) -> bool:
    return _safe(text, out) == text
