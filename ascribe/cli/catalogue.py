"""The named methods as a table, read from the methods themselves: their signatures and what they say of themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from difflib import get_close_matches

import ascribe


def methods() -> dict[str, type]:
    """Every public class whose values are called with a model, in the order of the alphabet."""
    found = {name: getattr(ascribe, name) for name in ascribe.__all__}
    return {name: it for name, it in sorted(found.items()) if isinstance(it, type) and explains(it)}


def likely(name: str) -> list[str]:
    """The methods that a name with other capitals, marks or a few other letters could mean; the likeliest first, at most three."""
    plain = {re.sub(r"\W|_", "", known).lower(): known for known in methods()}
    return [plain[found] for found in get_close_matches(re.sub(r"\W|_", "", name).lower(), plain, 3, 0.75)]


def explains(cls: type) -> bool:
    """Whether a value of this class takes a model first."""
    called = vars(cls).get("__call__") or next((vars(base)["__call__"] for base in cls.__mro__ if "__call__" in vars(base)), None)
    return inspect.isfunction(called) and list(inspect.signature(called).parameters)[1:2] == ["model"]


def rows() -> Iterator[tuple[str, str, str]]:
    """Method, what it computes, what it costs."""
    for name, cls in methods().items():
        yield name, sentence(paragraphs(cls)[0]), cost(cls)


def page(name: str) -> str:
    """Everything that one method says of itself, with its parameters and what they are if nothing is said."""
    cls = methods()[name]
    given = inspect.signature(cls).parameters.values()
    shown = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in given]
    return f"{name}({', '.join(shown)})\n\n{inspect.getdoc(cls)}"


def cost(cls: type) -> str:
    """The sentence about passes; a variant that does not say costs what its base does."""
    for base in cls.__mro__:
        said = [part for text in paragraphs(base) for part in re.split(r"(?<=\.)\s+", text) if re.search(r"\bpass(es)?\b", part)]
        if said:
            return said[0]
    return ""


def paragraphs(cls: type) -> list[str]:
    """The docstring's paragraphs, each on one line and without markup."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return [re.sub(r":class:`~?(?:\w+\.)*(\w+)`", r"\1", " ".join(part.split())).replace("``", "") for part in text.split("\n\n")]


def sentence(text: str) -> str:
    """Its first sentence."""
    return re.split(r"(?<=\.)\s", text)[0]
