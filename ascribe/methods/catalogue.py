"""The named methods as tables, read from their classes: for ``ascribe methods`` and for docs/methods.md.

``python -m ascribe.methods.catalogue docs/methods.md`` writes the table of the page.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from . import METHODS
from .base import Method


def similar_names(name: str) -> list[str]:
    """Returns at most three methods whose names are like ``name``, except for case, punctuation and a few letters; the closest first."""
    plain = {re.sub(r"\W|_", "", known).lower(): known for known in METHODS}
    return [plain[near] for near in get_close_matches(re.sub(r"\W|_", "", name).lower(), plain, 3, 0.75)]


def list_methods() -> Iterator[tuple[str, str, str]]:
    """Yields the name of each method, what it computes, and its cost."""
    for name, cls in METHODS.items():
        yield name, summary(cls), str(cls.cost)


def method_page(name: str) -> str:
    """Returns the constructor and the full description of a method, as ``help()`` shows it."""
    return f"{constructor(METHODS[name])}\n\n{plain_text(inspect.getdoc(METHODS[name]) or '')}"


def method_table() -> str:
    """Returns the table of docs/methods.md."""
    lines = ["| method | computes | cost | needs | claims |", "|---|---|---|---|---|"]
    for cls in METHODS.values():
        facts = (f"`{constructor(cls, defaults=False)}`", summary(cls), str(cls.cost), ", ".join(cls.needs), ", ".join(cls.claims))
        lines.append(f"| {' | '.join(fact or '-' for fact in facts)} |")
    return "\n".join(lines)


def write_table(page: Path) -> None:
    """Replaces the table of methods in a page: the lines from its head to the first line that is not part of a table."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| method |"))
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    page.write_text("\n".join([*lines[:start], method_table(), *lines[end:]]) + "\n", encoding="utf-8")


def constructor(cls: type[Method], defaults: bool = True) -> str:
    """Returns the call of a method's constructor, with the default values or without them."""
    given = inspect.signature(cls).parameters.values()
    shown = [p.name if p.default is p.empty or not defaults else f"{p.name}={p.default!r}" for p in given]
    return f"{cls.__name__}({', '.join(shown)})"


def summary(cls: type) -> str:
    """Returns the first paragraph of a class's docstring on one line."""
    return plain_text(" ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split()))


def plain_text(text: str) -> str:
    """Returns a docstring without markup."""
    return re.sub(r":(?:class|func|data|mod|meth):`~?(?:\w+\.)*(\w+)`", r"\1", text).replace("``", "")


if __name__ == "__main__":
    write_table(Path(sys.argv[1]))
