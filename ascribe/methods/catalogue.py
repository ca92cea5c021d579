"""The named methods as tables, read from their classes: for ``ascribe methods`` and for docs/methods.md.

``python -m ascribe.methods.catalogue docs/methods.md`` writes the tables of the page.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from . import METHODS
from .base import Method

FAMILIES = {
    "Gradients": ("gradients",),
    "Paths": ("integrated",),
    "DeepLIFT": ("deeplift",),
    "Relevance and corrected gradients": ("lrp",),
    "Rules for ReLUs, and gradients of biases": ("guided", "fullgrad"),
    "Class activation maps": ("cam.methods", "cam.removal"),
    "Perturbation": ("perturbation",),
    "Shapley and Owen values": ("shapley", "trees"),
}
"""Headings of docs/methods.md, and the modules with the methods of each."""
START, END = "<!-- tables of methods -->", "<!-- end of the tables -->"
"""The lines around the tables in docs/methods.md."""


def similar_names(name: str) -> list[str]:
    """Returns at most three methods whose names are like ``name``, except for case, punctuation and a few letters; the closest first."""
    plain = {re.sub(r"\W|_", "", known).lower(): known for known in METHODS}
    return [plain[near] for near in get_close_matches(re.sub(r"\W|_", "", name).lower(), plain, 3, 0.75)]


def list_methods() -> Iterator[tuple[str, str, str]]:
    """Yields the name of each method, its cost, and what it computes."""
    for name, cls in METHODS.items():
        yield name, str(cls.cost), summary(cls)


def list_by_family(width: int) -> str:
    """Returns the methods as text, grouped by family: the name, what it computes, and its cost, wrapped to a width."""
    parts = []
    for title, modules in FAMILIES.items():
        classes = {name: cls for name, cls in METHODS.items() if cls.__module__.removeprefix(f"{__package__}.") in modules}
        longest = max(map(len, classes), default=0)
        indent = " " * (longest + 4)
        lines = [title, "-" * len(title)]
        for name, cls in classes.items():
            text = f"{summary(cls)} Cost: {cls.cost}."
            lines += textwrap.wrap(
                text, width, initial_indent=f"  {name.ljust(longest)}  ", subsequent_indent=indent, break_long_words=False
            )
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, "`ascribe methods NAME` describes one."])


def method_page(name: str) -> str:
    """Returns the constructor and the full description of a method, as ``help()`` shows it."""
    return f"{constructor(METHODS[name])}\n\n{plain_text(inspect.getdoc(METHODS[name]) or '')}"


def method_tables() -> str:
    """Returns the tables of docs/methods.md: what the methods of each family compute at which cost, and what all of them need and claim."""
    parts = [START]
    for title, modules in FAMILIES.items():
        classes = [cls for cls in METHODS.values() if cls.__module__.removeprefix(f"{__package__}.") in modules]
        rows = [(f"`{constructor(cls, defaults=False)}`", summary(cls), str(cls.cost)) for cls in classes]
        parts += [f"## {title}", markdown_table(("method", "computes", "cost"), rows)]
    facts = [(f"`{name}`", ", ".join(cls.needs), ", ".join(cls.claims)) for name, cls in METHODS.items()]
    return "\n\n".join([*parts, "## Needs and claims", markdown_table(("method", "needs", "claims"), facts), END])


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown; empty cells hold a dash."""
    lines = [f"| {' | '.join(cell or '-' for cell in row)} |" for row in [head, *rows]]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def write_tables(page: Path) -> None:
    """Replaces the tables of methods in a page, with the lines around them."""
    text = page.read_text(encoding="utf-8")
    before, after = text.partition(START)[0], text.partition(END)[2]
    page.write_text(before + method_tables() + after, encoding="utf-8")


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
    write_tables(Path(sys.argv[1]))
