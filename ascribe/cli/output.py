"""What the commands write: results on standard output, messages on standard error, in lines that fit the terminal."""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import AscribeError, AscribeWarning
from ..utils.escape import escape_control

if TYPE_CHECKING:
    from ..result.attribution import Attribution

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: success, a check or the command failed, the command is not usable as it was written, interrupted."""
WIDTH = 80
"""The width of lines where standard output is no terminal."""


class UsageError(AscribeError, ValueError):
    """The command names something that does not exist or cannot be read: a model, a file, a method, an option's value."""

    code = "E-USAGE"


def say(text: str) -> None:
    """Writes a result to standard output."""
    sys.stdout.write(f"{encodable(text)}\n")
    sys.stdout.flush()


def log(text: str) -> None:
    """Writes a message to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def encodable(text: str) -> str:
    """Returns text with the characters that standard output cannot encode as escapes."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def output_width() -> int:
    """Returns the width of lines: that of the terminal, between 40 and 120, or 80 where standard output is no terminal."""
    if not sys.stdout.isatty():
        return WIDTH
    return min(max(shutil.get_terminal_size((WIDTH, 24)).columns, 40), 120)


def bold(text: str) -> str:
    """Returns a heading, in bold on a terminal unless NO_COLOR is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else f"\x1b[1m{text}\x1b[0m"


def fill(text: str, width: int, indent: str = "", rest: str | None = None) -> str:
    """Returns a paragraph in lines of at most ``width`` characters; ``rest`` is the indent of the lines after the first."""
    later = indent if rest is None else rest
    lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) or indent.rstrip()


ENTRY = re.compile(r"\s*\*{0,2}\w+(, \*{0,2}\w+)*: ")
"""The beginning of a described parameter or of a fact."""


def wrap_page(text: str, width: int) -> str:
    """Returns a docstring in lines of ``width`` characters. Examples (``>>>`` up to an empty line) stay as they are."""
    shown: list[str] = []
    held: list[str] = []
    code = False

    def flush() -> None:
        if held:
            first = indent_of(held[0])
            deeper = indent_of(held[1]) if len(held) > 1 else first + " " * (4 if ENTRY.match(held[0]) and first else 0)
            shown.append(fill(" ".join(" ".join(held).split()), width, first, deeper))
            held.clear()

    for line in text.splitlines():
        code = bool(line.strip()) and (code or line.lstrip().startswith(">>>"))
        if code or not line.strip():
            flush()
            shown.append(line)
            continue
        if held and starts_paragraph(line, held[-1]):
            flush()
        held.append(line)
    flush()
    return "\n".join(shown)


def starts_paragraph(line: str, before: str) -> bool:
    """Returns whether a line of a docstring does not continue the line before it."""
    entry = bool(ENTRY.match(line)) and len(indent_of(line)) <= max(len(indent_of(before)), 4)
    return entry or line.lstrip().startswith(("* ", "- ")) or before.endswith(":") or len(indent_of(line)) < len(indent_of(before))


def indent_of(line: str) -> str:
    """Returns the spaces at the beginning of a line."""
    return line[: len(line) - len(line.lstrip())]


def show_result(a: Attribution) -> None:
    """Writes a result: as ``a.show()`` on a terminal, which wraps lines itself, else in lines of 80 characters."""
    if sys.stdout.isatty():
        a.show()
        sys.stdout.flush()
        return
    page = io.StringIO()
    a.show(page)
    say("\n".join(fill_line(line, WIDTH) for line in page.getvalue().splitlines()))


def fill_line(line: str, width: int) -> str:
    """Returns a line of a summary; a long one continues under its text."""
    return line if len(line) <= width else fill(line, width, "", " " * 8).replace("\n" + " " * 8 + "\n", "\n")


def to_json(value: Any) -> str:
    """Returns a value as JSON in ASCII; numbers that are not finite are null, and arrays are lists."""
    return json.dumps(plain(value), allow_nan=False)


def plain(value: Any) -> Any:
    """Returns a value made of dicts, lists, texts, numbers and None."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


@contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Sends what a model prints to standard error, and warnings as one line, so that standard output has results only."""
    import contextlib
    import warnings

    def show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        source = "ascribe: " if issubclass(category, AscribeWarning) else ""
        log(fill(f"{source}warning: {escape_control(' '.join(str(message).split()))}", WIDTH, "", "    "))

    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.showwarning = show_warning
        yield
