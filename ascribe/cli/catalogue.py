"""The named methods as a table, read from the methods themselves: their signatures and what they say of themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from difflib import get_close_matches

import ascribe


def methods() -> dict[str, type]:
    """Returns the public classes whose values are called with a model, in alphabetical order."""
    found = {name: getattr(ascribe, name) for name in ascribe.__all__}
    return {name: it for name, it in sorted(found.items()) if isinstance(it, type) and explains(it)}


def likely(name: str) -> list[str]:
    """Returns at most three methods with similar names, the most similar first."""
    plain = {re.sub(r"\W|_", "", known).lower(): known for known in methods()}
    return [plain[found] for found in get_close_matches(re.sub(r"\W|_", "", name).lower(), plain, 3, 0.75)]


def explains(cls: type) -> bool:
    """True if values of this class are called with a model as the first argument."""
    called = vars(cls).get("__call__") or next((vars(base)["__call__"] for base in cls.__mro__ if "__call__" in vars(base)), None)
    return inspect.isfunction(called) and list(inspect.signature(called).parameters)[1:2] == ["model"]


def rows() -> Iterator[tuple[str, str, str]]:
    """Yields the name, the summary and the cost of each method."""
    for name, cls in methods().items():
        yield name, sentence(paragraphs(cls)[0]), cost(cls)


def page(name: str) -> str:
    """Returns the documentation of one method with its parameters and their defaults."""
    cls = methods()[name]
    given = inspect.signature(cls).parameters.values()
    shown = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in given]
    return f"{name}({', '.join(shown)})\n\n{inspect.getdoc(cls)}"


def cost(cls: type) -> str:
    """Returns the sentence about passes in the docstring of a class or of its bases."""
    for base in cls.__mro__:
        said = [part for text in paragraphs(base) for part in re.split(r"(?<=\.)\s+", text) if re.search(r"\bpass(es)?\b", part)]
        if said:
            return said[0]
    return ""


def paragraphs(cls: type) -> list[str]:
    """Returns the paragraphs of a docstring, each on one line and without markup."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return [re.sub(r":class:`~?(?:\w+\.)*(\w+)`", r"\1", " ".join(part.split())).replace("``", "") for part in text.split("\n\n")]


def sentence(text: str) -> str:
    """Returns the first sentence of a text."""
    return re.split(r"(?<=\.)\s", text)[0]
