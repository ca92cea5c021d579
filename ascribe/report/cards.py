"""What a report shows of each record, and how it comes out of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..arrays import as_numpy
from ..display.layouts import as_image
from ..errors import ResultError
from ..features.table import Rows, align_rows, split_rows
from ..plots import select_record
from ..result.attribution import Attribution, Check
from ..result.summary import format_class, has_single_output, method_expression


@dataclass(frozen=True, eq=False)
class Map:
    """One method's answer for one record: ``[height, width]`` or ``[channels, height, width]``, or ``[features]``.

    ``gap`` is the relative completeness gap of this record, ``error`` the standard errors of the values where they were sampled.
    """

    method: str
    values: np.ndarray
    note: str = ""
    gap: float | None = None
    checks: tuple[Check, ...] = ()
    error: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Card:
    """One record with the maps of several methods; cards of one ``group`` stand under one heading."""

    title: str
    record: np.ndarray | None
    kind: Literal["image", "table"]
    prediction: str
    maps: Sequence[Map]
    feature_names: Sequence[str] | None = None
    group: str = ""


def cards(
    results: Mapping[str, Attribution],
    records: Sequence[int] | None = None,
    *,
    titles: Sequence[str] | None = None,
    images: Any = None,
    feature_names: Sequence[str] | None = None,
    group: str = "",
) -> list[Card]:
    """A card for each of these records, with every result's answer for it.

    The results are of the same records, in the same order. ``images`` are the pictures to show, by default the records at
    the cut of the first result that has images there. ``titles`` belong to ``records`` one by one.
    """
    results = {name: a.padded() for name, a in results.items()}
    if len({len(a) for a in results.values()}) != 1:
        there = ", ".join(f"{name}: {len(a)}" for name, a in results.items())
        raise ResultError("a report needs results of the same records", there=there or "no results")
    first = next(iter(results.values()))
    chosen = range(len(first)) if records is None else records
    if titles is not None and len(titles) != len(chosen):
        raise ResultError(f"{len(titles)} titles do not fit", there=f"{len(chosen)} records")
    made = []
    for i, record in enumerate(chosen):
        answers = {name: select_record(a, record) for name, a in results.items()}
        table = all(values.ndim == 1 for values, *_ in answers.values())
        picture = _picture([under for _, under, _ in answers.values()], table) if images is None else as_numpy(images[record])
        names = feature_names
        if table:
            rows = rows_together(results, answers, record)
            picture, names = _row(rows[0], picture), _names(rows, feature_names)
            answers = {name: (one.values, None, one.error) for name, one in zip(answers, rows, strict=True)}
        maps = [_map(name, values, error, results[name], record) for name, (values, _, error) in answers.items()]
        title = f"Record {record}" if titles is None else titles[i]
        made.append(Card(title, picture, "table" if table else "image", prediction(first, record), maps, names, group))
    return made


Answer = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def rows_together(results: Mapping[str, Attribution], answers: Mapping[str, Answer], record: int) -> list[Rows]:
    """What each result says of a record of a table, in the same rows. Raises ResultError for tables of different widths."""
    if len({len(values) for values, *_ in answers.values()}) > 1:
        there = ", ".join(f"{name}: {len(values)}" for name, (values, *_) in answers.items())
        raise ResultError("the maps of a table need the same features", there=there)
    rows = [split_rows(v, error, results[name].features, record % len(results[name])) for name, (v, _, error) in answers.items()]
    return align_rows(rows)


def _names(rows: Sequence[Rows], given: Sequence[str] | None) -> list[str] | None:
    """The names of the rows: those given, or those of the first result that has some; None where they are the columns' numbers."""
    known = next((one for one in rows if one.names is not None), rows[0])
    return known.labels(given, "feature") if given is not None or known.names is not None or known.grouped else None


def _row(rows: Rows, record: np.ndarray | None) -> np.ndarray | None:
    """What the record holds in each row, as one array of objects where a row is of several columns."""
    held = rows.held(record) if rows.grouped else None
    if held is None:
        return record
    shown = np.empty(len(held), object)
    shown[:] = held
    return shown


def prediction(a: Attribution, i: int) -> str:
    """What the model said of a record and what is explained, in words."""
    if has_single_output(a):
        if a.prediction is not None:
            return f"predicted {float(np.asarray(a.prediction)[i, 0]):.3g}"
        return "" if a.explained is None or np.ndim(a.explained) != 1 else f"explained {float(a.explained[i]):.3g}"
    said = []
    if a.prediction is not None and a.prediction.ndim == 2:
        best = int(np.argmax(a.prediction[i]))
        said.append(f"predicted {format_class(a, best)} ({float(a.prediction[i, best]):.3g})")
    if a.target is not None and np.ndim(a.target) == 1:
        said.append(f"explained {format_class(a, int(a.target[i]))}")
    elif a.quantity:
        said.append(f"explained {a.quantity}")
    if a.explained is not None and np.ndim(a.explained) == 1 and said:
        said[-1] += f" = {float(a.explained[i]):.3g}"
    return ", ".join(said)


def _picture(candidates: Sequence[np.ndarray | None], table: bool) -> np.ndarray | None:
    return next((one for one in candidates if one is not None and (one.ndim == 1 if table else as_image(one) is not None)), None)


def _map(name: str, values: np.ndarray, error: np.ndarray | None, a: Attribution, record: int) -> Map:
    gap = None if a.gap is None else float(a.gap.relative[record])
    mine = a.records([record]).checks
    note = method_expression(a.method)
    return Map(name, values, note if note not in (name, f"{name}()") else "", gap, mine, error)
