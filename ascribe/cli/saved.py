"""Saved results in one report: cards of the results of the same records, a table of all of them, and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import as_numpy
from ..errors import ResultError
from ..reports import Card, cards
from ..result.attribution import Attribution
from ..result.summary import format_checks, method_expression
from ..tree import walk
from ..utils.completeness import describe_gaps
from ..version import VERSION
from .output import UsageError

Results = Mapping[str, Attribution]


def load_results(paths: Sequence[Path]) -> dict[str, Attribution]:
    """Returns saved results by their methods, or by their files where a method is there twice. Raises UsageError for other files."""
    loaded = []
    for path in paths:
        if not path.is_file():
            raise UsageError("There is no such file", found=str(path), advice="files that `ascribe explain --out` or a.save() wrote")
        try:
            loaded.append((path, Attribution.load(path)))
        except ResultError as error:
            raise UsageError(f"{path} is no saved result", found=error.problem, advice="a.save(path)") from error
    methods = [method_expression(a.method) for _, a in loaded]
    return unique(
        [
            (name if name and methods.count(name) == 1 else f"{path.stem}: {name}", a)
            for name, (path, a) in zip(methods, loaded, strict=True)
        ]
    )


def unique(pairs: Sequence[tuple[str, Attribution]]) -> dict[str, Attribution]:
    """Returns pairs as a dict; a name that is there already gets a number."""
    named: dict[str, Attribution] = {}
    for name, a in pairs:
        title, k = name, 1
        while title in named:
            title, k = f"{name} ({k + 1})", k + 1
        named[title] = a
    return named


def make_cards(results: Results) -> list[Card]:
    """Returns the cards of all records: results of the same records are on the same card."""
    groups: list[dict[str, Attribution]] = []
    singles = [single for name, a in results.items() for single in single_arrays(name, a)]
    for title, one in unique(singles).items():
        group = next((inside for inside in groups if all(same_records(one, other) for other in inside.values())), None)
        if group is None:
            groups.append(group := {})
        group[title] = one
    made: list[Card] = []
    for k, inside in enumerate(groups):
        heading = "" if len(groups) == 1 else f"Records {k + 1}: {next(iter(inside.values())).cut}"
        made += cards(inside, group=heading)
    return made


def single_arrays(name: str, a: Attribution) -> list[tuple[str, Attribution]]:
    """Returns a result as results of one quantity and one array each; embeddings are summed for each token."""
    several = [(name, a)] if a.quantities is None else [(f"{name} [{k}]", a.quantity_at(k)) for k in range(a.quantities)]
    found = []
    for title, one in several:
        paths = [path for path, _ in one.padded().arrays()]
        parts = [(title, one)] if paths == [()] else [(f"{title} {'.'.join(map(str, path))}", one.padded().part(*path)) for path in paths]
        found += [
            (label, part.sum("embedding") if "EMBEDDINGS" in part.cut and part.arrays()[0][1].ndim == 3 else part) for label, part in parts
        ]
    return found


def same_records(a: Attribution, b: Attribution) -> bool:
    """Returns whether two results can be on the same card: as far as they say, they explain the same records and output."""
    (_, mine), *_ = a.arrays()
    (_, other), *_ = b.arrays()
    if len(a) != len(b) or (2 in (mine.ndim, other.ndim) and tuple(mine.shape) != tuple(other.shape)):
        return False
    pairs = [(a.prediction, b.prediction)]
    if a.cut == b.cut:
        pairs += zip((leaf for _, leaf in walk(a.record)), (leaf for _, leaf in walk(b.record)), strict=False)
    return all(nearly_equal(one, two) for one, two in pairs if one is not None and two is not None)


def nearly_equal(one: Any, two: Any) -> bool:
    """Returns whether two arrays are equal up to single precision; arrays of words are compared as they are."""
    left, right = as_numpy(one), as_numpy(two)
    if left.shape != right.shape:
        return False
    if left.dtype.kind in "biuf" and right.dtype.kind in "biuf":
        return bool(np.allclose(left.astype(float), right.astype(float), rtol=1e-3, atol=1e-4, equal_nan=True))
    return [str(value) for value in left.ravel()] == [str(value) for value in right.ravel()]


def summary_rows(results: Results) -> list[dict[str, Any]]:
    """Returns a row for each result: the method, what it explains, the gap, the checks and the cost."""
    return [
        {
            "result": name,
            "of": a.quantity,
            "at": a.cut,
            "records": str(len(a)),
            "gap": "" if a.gap is None else describe_gaps(a.gap.relative),
            "checks": format_checks(a.checks),
            "rows": "" if a.cost is None else str(a.cost.rows),
        }
        for name, a in results.items()
    ]


def settings_of(results: Results) -> dict[str, Any]:
    """Returns what is shown at the end of the report."""
    return {"versions": {"ascribe": VERSION, "numpy": np.__version__}, **{name: a.method for name, a in results.items() if a.method}}
