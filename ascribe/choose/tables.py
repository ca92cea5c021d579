"""Tables as text and as HTML, with everything that comes from models and users escaped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from typing import IO

from ..utils.columns import align_columns
from ..utils.escape import escape_control

Rows = Sequence[Sequence[str]]


def as_text(head: Sequence[str], rows: Rows, remarks: Sequence[str] = ()) -> str:
    """Returns a table as plain text, and remarks below it."""
    clean = [[escape_control(cell) for cell in row] for row in rows]
    return "\n".join([align_columns([list(head), *clean]), *map(escape_control, remarks)])


def as_html(head: Sequence[str], rows: Rows, remarks: Sequence[str] = (), title: str = "") -> str:
    """Returns a table as HTML without scripts."""

    def cells(row: Sequence[str], tag: str) -> str:
        style = "text-align:left;vertical-align:top;padding:.1em .6em"
        return "".join(f'<{tag} style="{style}"><bdi>{escape(escape_control(cell), quote=True)}</bdi></{tag}>' for cell in row)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    said = "".join(f"<li><bdi>{escape(escape_control(text), quote=True)}</bdi></li>" for text in remarks)
    top = f"<p><b><bdi>{escape(escape_control(title), quote=True)}</bdi></b></p>" if title else ""
    listed = f"<ul>{said}</ul>" if said else ""
    return f'<div style="font-size:13px;line-height:1.5">{top}<table><tr>{cells(head, "th")}</tr>{body}</table>{listed}</div>'


def write(text: str, file: IO[str] | None) -> None:
    """Writes text to a file, by default standard output; a closed pipe is not an error."""
    out = sys.stdout if file is None else file
    if out is not None:
        with suppress(BrokenPipeError):
            out.write(text + "\n")
