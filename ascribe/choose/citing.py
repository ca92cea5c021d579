"""BibTeX of the papers behind methods and metrics, and of this package."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ArgumentError
from ..methods import METHODS
from ..metrics import METRICS
from ..result.attribution import Attribution
from ..version import VERSION

PAPER = re.compile(r'(?P<authors>[^";]+?),? (?P<year>(?:19|20)\d\d)(?P<letter>[a-z]?), "(?P<title>.*?)", (?P<place>[^;]*)')
ARXIV = re.compile(r"arXiv:(?P<number>\d{4}\.\d{4,5})")
SPECIAL = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$"})


def cite(*used: Any) -> str:
    """Returns BibTeX entries of the papers behind methods, metrics or results, and of ascribe.

    >>> print(asc.cite(asc.IntegratedGradients()))
    @misc{sundararajan2017axiomatic,
      author = {Sundararajan and others},
    ...

    *Use it when* you write down what you used. ``used`` are methods, metrics, their classes or names, and results; without any it is
    the entry of ascribe alone. Authors are as in the references of the documentation: the first one or two.

    Raises ArgumentError for anything else.
    """
    entries: dict[str, str] = {}
    for one in used:
        for match in PAPER.finditer(find_source(one)):
            key, text = format_entry(match)
            entries[key] = text
    return "\n\n".join([*entries.values(), own_entry()])


def find_source(used: Any) -> str:
    """Returns the sources of a method, a metric or a result as text. Raises ArgumentError for anything else."""
    if isinstance(used, Attribution):
        names = [name for name in re.findall(r"\b\w+\b", used.method) if name in METHODS]
        return "; ".join(METHODS[name].source for name in dict.fromkeys(names))
    if isinstance(used, str) and used in METHODS | METRICS:
        used = (METHODS | METRICS)[used]
    source = getattr(used if isinstance(used, type) else type(used), "source", None)
    if not isinstance(source, str):
        raise ArgumentError(
            "`cite` needs methods, metrics or results", found=f"{used!r:.80}", advice="asc.cite(asc.IntegratedGradients(), a)"
        )
    return source


def format_entry(match: re.Match[str]) -> tuple[str, str]:
    """Returns the key and the BibTeX entry of one paper."""
    names, year, title, place = match["authors"].strip(), match["year"], match["title"], match["place"].strip()
    authors = names.replace(" et al.", " and others").replace(", ", " and ")
    first = re.sub(r"\W", "", names.split(" et al.")[0].split(" and ")[0].split(",")[0]).lower()
    word = next((w for w in re.findall(r"[A-Za-z]{4,}", title)), "paper").lower()
    key = f"{first}{year}{word}"
    fields = {"author": authors, "title": f"{{{title.translate(SPECIAL)}}}", "year": year}
    arxiv = ARXIV.search(place)
    fields |= {"eprint": arxiv["number"], "archiveprefix": "arXiv"} if arxiv else {"howpublished": place.translate(SPECIAL)}
    return key, format_fields("misc", key, fields)


def own_entry() -> str:
    """Returns the entry of this package."""
    fields = {"author": "{The authors of ascribe}", "title": "{ascribe: attributions of deep networks, and how far to trust them}"}
    return format_fields("software", "ascribe", fields | {"version": VERSION})


def format_fields(kind: str, key: str, fields: dict[str, str]) -> str:
    """Returns one BibTeX entry."""
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{kind}{{{key},\n{lines}\n}}"
