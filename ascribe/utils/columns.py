"""Plain-text tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def align_columns(rows: Iterable[Sequence[str]], head: bool = True) -> str:
    """Returns rows as aligned columns, with a line under the first row if ``head``; lines have no trailing spaces."""
    lines = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines[1:1] = [["-" * width for width in widths]] if head else []
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
