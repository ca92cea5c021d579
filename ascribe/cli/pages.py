"""The pages of ``ascribe methods``: all methods by family, and one method."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..methods import METHODS, catalogue
from .output import bold, fill, wrap_page

ABBREVIATION = re.compile(r"(\bet al|\be\.g|\bi\.e|\bvs|\bEq|\bFig|\bcf|\b[A-Z])\.$")
"""The end of words that a full stop does not end a sentence after."""


def first_sentence(text: str) -> str:
    """Returns the first sentence; a full stop after an abbreviation such as "et al." does not end it."""
    for match in re.finditer(r"[.!?](?=\s|$)", text):
        if not ABBREVIATION.search(text[: match.end()]):
            return text[: match.end()]
    return text


def families() -> Iterator[tuple[str, list[str]]]:
    """Yields the title of each family with the names of its methods; methods of other modules come last."""
    left = dict(METHODS)
    for title, modules in catalogue.FAMILIES.items():
        names = [name for name, cls in METHODS.items() if cls.__module__.removeprefix("ascribe.methods.") in modules]
        for name in names:
            left.pop(name, None)
        yield title, names
    if left:
        yield "Other methods", list(left)


def methods_page(width: int) -> str:
    """Returns all methods by family, each with what it computes, its cost in passes, and what it needs."""
    column = max(map(len, METHODS)) + 2
    parts = []
    for title, names in families():
        lines = [bold(title)]
        for name in names:
            cls = METHODS[name]
            needs = f"; needs {', '.join(cls.needs)}" if cls.needs else ""
            lines.append(fill(first_sentence(catalogue.summary(cls)), width, f"  {name.ljust(column)}", " " * (column + 2)))
            lines.append(fill(f"({cls.cost}{needs})", width, " " * (column + 2)))
        parts.append("\n".join(lines))
    end = fill("ascribe methods NAME describes a method. A pass evaluates the model once for every record.", width)
    return "\n\n".join([*parts, end])


def method_page(name: str, width: int) -> str:
    """Returns the constructor and the description of one method."""
    return wrap_page(catalogue.method_page(name), width)
