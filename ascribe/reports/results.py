"""A report of results in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import ResultError
from ..result.attribution import Attribution
from ..result.summary import method_expression
from .cards import cards
from .page import write_report


def report(
    results: Any,
    path: str | PathLike[str] = "report.html",
    *,
    title: str = "Attributions",
    records: Sequence[int] | None = None,
    titles: Sequence[str] | None = None,
    images: Any = None,
    comparison: Any = None,
) -> Path:
    """Writes results as one HTML file that works offline, and returns its path.

    >>> a, b = asc.IntegratedGradients()(model, x), asc.Saliency()(model, x)
    >>> str(asc.report({"IG": a, "gradient": b}, "report.html", title="My model"))
    'report.html'

    *Use it when* you want to read, keep or send explanations: images, texts, tables and series with several methods and checks.

    ``results`` is a result, a list of results of the same records, or a dict of them by title; a comparison or a recommendation writes
    its own report. ``records`` are the records to show (None: all), ``titles`` their names, ``images`` pictures to show in their place.
    ``comparison`` is a comparison of methods whose table is added.

    Raises ResultError for anything else, and OSError if the file cannot be written.
    """
    own = getattr(results, "write_report", getattr(getattr(results, "comparison", None), "write_report", None))
    if own is not None:
        written: Path = own(path, title)
        return written
    named = name_results(results)
    first = next(iter(named.values()))
    settings = {name: a.method for name, a in named.items()} | {
        f"{name}, settings": dict(a.settings) for name, a in named.items() if a.settings
    }
    tables = {} if comparison is None else {"Comparison": comparison.report_rows()}
    made = cards(named, records, titles=titles, images=images)
    return write_report(path, made, title=title, settings={"records": len(first)} | settings, tables=tables)


def name_results(results: Any) -> dict[str, Attribution]:
    """Returns results by their titles: those of a dict, or the names of their methods."""
    several = [results] if isinstance(results, Attribution) else results
    if isinstance(several, Mapping):
        named = {str(name): a for name, a in several.items()}
    elif isinstance(several, (list, tuple)):
        named = {}
        for a in several:
            name = method_expression(a.method) if isinstance(a, Attribution) else ""
            named[name if name not in named else f"{name} ({len(named) + 1})"] = a
    else:
        named = {}
    if not named or not all(isinstance(a, Attribution) for a in named.values()):
        raise ResultError(
            "A report needs results", found=f"{type(results).__name__}", advice='asc.report({"IG": a, "LRP": b}, "report.html")'
        )
    return named
