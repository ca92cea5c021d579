"""The HTML page of a report. User-defined text is embedded as JSON and inserted as text by ``report.js``."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..display import colours
from ..display.layouts import as_image, find_layout, rank_strongest, sum_channels
from ..errors import ResultError
from ..features.table import label_places
from ..result.summary import shorten_name
from ..utils.completeness import format_percent
from ..utils.escape import escape_control
from ..utils.files import write_atomically
from .cards import Card, Map
from .records import (
    KINDS,
    MINUS,
    cascade,
    describe_ends,
    describe_matrix,
    describe_series,
    describe_words,
    find_direction,
    format_number,
    measure_disagreement,
)

HERE = Path(__file__).parent
ROWS = 12
"""The number of features shown of a table; the others are summed."""
RANKS = {"text": 1, "series": 2, "matrix": 2}
"""The number of axes of the values of one record."""
SEARCHED = 200
"""The number of names of a record in which a reader can search."""
NUMBER = re.compile(r"[+-]?\d[\d.,]*(e[+-]?\d+)?( ?%)?")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="ascribe">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This report draws its images with the script in this file. Allow scripts for it, or read the values from the
results with ascribe. Nothing is loaded from other sources.</noscript>
<main id="report"></main>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def write_report(
    path: str | PathLike[str],
    cards: Sequence[Card],
    *,
    title: str = "Attributions",
    settings: Mapping[str, Any] | None = None,
    summary: Sequence[Mapping[str, Any]] = (),
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Path:
    """Writes one self-contained HTML file atomically and returns its path.

    *Use it when* explanations are sent to others or kept: the file works offline and loads nothing.

    ``cards`` are the records (see :func:`cards`). ``summary`` is a table: a list of dicts whose keys are the columns. ``tables`` are more
    of these by their titles, such as comparisons of methods. ``settings`` are shown at the end. Raises ResultError for a card that is not
    valid, and OSError if the file cannot be written.
    """
    text = render_page(cards, title=title, settings=settings or {}, summary=summary, tables=tables or {})
    target = Path(path)
    write_atomically(target, text.encode())
    return target


def render_page(
    cards: Sequence[Card],
    *,
    title: str,
    settings: Mapping[str, Any],
    summary: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> str:
    """Returns the HTML of a report."""
    script, style = ((HERE / name).read_text("utf-8") for name in ("report.js", "report.css"))
    content = {
        "title": title,
        "palette": {"light": colours.LIGHT, "dark": colours.DARK, "missing": colours.MISSING},
        "summary": format_table(summary),
        "tables": [{"title": str(name), **format_table(rows)} for name, rows in (tables or {}).items()],
        "settings": [[str(name), _setting(value)] for name, value in settings.items()],
        "cards": [describe_card(card) for card in cards],
    }
    return PAGE.format(
        policy=f"default-src 'none'; img-src data:; script-src '{policy_digest(script)}'; style-src '{policy_digest(style)}'; "
        "base-uri 'none'; form-action 'none'",
        title=escape(escape_control(title), quote=True),
        style=style,
        data=to_script_json(content),
        script=script,
    )


def to_script_json(content: Any) -> str:
    """Returns ``content`` as JSON that is safe inside a script element."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))  # ASCII, so U+2028 and U+2029 are escapes already
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy_digest(text: str) -> str:
    """Returns the source expression of a content security policy that allows exactly ``text``."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def format_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the columns in order of appearance, and the cells as text; numbers are marked."""
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))
    named = [{str(key): value for key, value in row.items()} for row in rows]
    return {"columns": columns, "rows": [[_cell(row.get(column)) for column in columns] for row in named]}


def describe_card(card: Card) -> dict[str, Any]:
    """Returns a card as JSON."""
    if card.kind not in KINDS:
        raise ResultError(f"`kind=` of a card must be one of {', '.join(KINDS)}", found=f"kind={card.kind!r}", advice='kind="table"')
    if card.kind in RANKS and any(one.values.ndim != RANKS[card.kind] for one in card.maps):
        shapes = ", ".join(str(list(one.values.shape)) for one in card.maps)
        raise ResultError(f"The maps of a {card.kind} must have {RANKS[card.kind]} axes", found=shapes, advice="a.pool(...) first")
    photo = as_image(card.record) if card.kind == "image" else None
    words = describe_words(card) if card.kind == "text" else None
    statuses = [check.status for one in card.maps for check in one.checks]
    return {
        "title": card.title,
        "group": card.group,
        "kind": card.kind,
        "label": card.label,
        "prediction": card.prediction,
        "photo": None if photo is None else _photo(photo),
        "maps": [_about(one) | (_levels(one.values) if card.kind == "image" else {}) for one in card.maps],
        "features": feature_rows(card) if card.kind == "table" else None,
        "waterfall": describe_ends(card),
        "words": words,
        "direction": find_direction(words or ()),
        "matrix": describe_matrix(card) if card.kind == "matrix" else None,
        "series": describe_series(card) if card.kind == "series" else None,
        "search": list(card.feature_names or ())[:SEARCHED],
        "gap": max((abs(one.gap) for one in card.maps if one.gap is not None and math.isfinite(one.gap)), default=None),
        "worst": 2 if "fail" in statuses else 1 if "warn" in statuses else 0,
        "disagreement": measure_disagreement(card),
    }


def feature_rows(card: Card) -> list[dict[str, Any]]:
    """Returns the rows of a table card: the largest features over all methods, then the sum of the others."""
    wide = [one.values.astype(np.float64) for one in card.maps]
    if any(values.ndim != 1 or values.shape != wide[0].shape for values in wide):
        shapes = ", ".join(str(values.shape) for values in wide)
        raise ResultError("The maps of a table need the same features", found=shapes, advice="a card for each of them")
    count = len(wide[0]) if wide else 0
    names = label_places(card.feature_names, count, "feature")
    limits = [colours.colour_limit(values) or 1.0 for values in wide]
    weight = np.mean([np.nan_to_num(np.abs(values)) / top for values, top in zip(wide, limits, strict=True)], 0) if wide else ()
    order = rank_strongest(np.asarray(weight), ROWS)
    rows = [
        {
            "name": names[k],
            "value": "" if card.record is None else format_cell(card.record.reshape(-1)[k]),
            "bars": [_bar(values[k], top, error_of(one, k)) for values, top, one in zip(wide, limits, card.maps, strict=True)],
        }
        for k in order
    ]
    if count > len(order):
        rest = [float(np.delete(values, order).sum()) for values in wide]
        bars = [_bar(value, top) for value, top in zip(rest, limits, strict=True)]
        rows.append({"name": f"{count - len(order)} others together", "value": "", "bars": bars, "rest": True})
    if card.ends is not None and len(wide) == 1 and np.isfinite(wide[0]).all():
        steps = [*wide[0][order], *([float(np.delete(wide[0], order).sum())] if count > len(order) else [])]
        for row, bar in zip(rows, cascade(card.ends[0], steps), strict=True):
            row["bars"][0] = {"text": row["bars"][0]["text"]} | bar
    return rows


def format_cell(value: Any) -> str:
    """Returns a value of a record as text: numbers with three digits; texts, dates and missing values as they are.

    A feature with several columns has a list of values.
    """
    if isinstance(value, list):
        return shorten_name(", ".join(map(format_cell, value)))
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return shorten_name("missing" if value is None else escape_control(str(value)))
    return format_number(float(value)) if math.isfinite(value) else str(float(value))


def _about(one: Map) -> dict[str, Any]:
    limit = colours.colour_limit(one.values)
    return {
        "method": one.method,
        "note": one.note,
        "gap": None if one.gap is None else format_percent(abs(one.gap)) if math.isfinite(one.gap) else "not finite",
        "limit": format_number(limit),
        "error": None if one.error is None or not np.isfinite(one.error).any() else format_number(float(np.nanmax(one.error))),
        "checks": [{"name": check.name, "status": check.status, "detail": check.detail} for check in one.checks],
    }


def _levels(values: np.ndarray) -> dict[str, Any]:
    """Returns a signed map as bytes: 1 is -1, 128 is 0, 255 is +1, and 0 is NaN."""
    layout = find_layout(values.shape)
    if layout is None or 0 in values.shape:
        raise ResultError("A map must be [height, width]", found=str(list(values.shape)), advice="a.pool('channels')")
    shown = sum_channels(values, layout)
    scale = colours.colour_scale(shown)
    shade = scale.shades(shown)
    range_ = f"±{format_number(scale.high)}" if scale.low < 0 < scale.high else f"{format_number(scale.low)} to {format_number(scale.high)}"
    level = np.where(np.isnan(shade), 0, np.nan_to_num(shade) * 127 + 128).round().astype(np.uint8)
    height, width = shade.shape
    return {"width": width, "height": height, "scale": range_, "levels": base64.b64encode(level.tobytes()).decode()}


def _photo(photo: np.ndarray) -> dict[str, Any]:
    return {"source": colours.encode_data_uri(colours.grey_levels(photo)), "width": photo.shape[1], "height": photo.shape[0]}


def error_of(one: Map, feature: int) -> float:
    """The standard error of a feature's value; NaN where it is not known."""
    return math.nan if one.error is None or one.error.ndim != 1 else float(one.error[feature])


def _bar(value: float, limit: float, error: float = math.nan) -> dict[str, Any]:
    share = float(value) / limit if math.isfinite(value) else 0.0
    text = f"{float(value):+.3g}".replace("-", MINUS)
    whisker = {"error": round(error / limit, 4)} if math.isfinite(error) else {}
    return {"share": round(max(-1.0, min(1.0, share)), 4), "text": text, "cut": abs(share) > 1} | whisker


def _cell(value: Any) -> dict[str, Any]:
    if value is None:
        return {"text": "–", "number": True}
    text = format_number(float(value)) if isinstance(value, (float, np.floating)) else str(value)
    return {"text": text, "number": isinstance(value, (float, np.floating)) or NUMBER.fullmatch(text) is not None}


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
