"""The content of a report: a card for each record, with a map for each method, created from results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..arrays import as_numpy
from ..display.layouts import as_image, possible_kinds
from ..errors import ResultError
from ..features.table import Rows, align_rows
from ..plots import select_record
from ..result.attribution import Attribution, Check
from ..result.rows import axis_labels, is_tokens, record_rows
from ..result.summary import format_class, has_single_output, method_expression


@dataclass(frozen=True, eq=False)
class Map:
    """The values of one method for one record: ``[height, width]``, ``[channels, height, width]`` or ``[features]``.

    ``gap`` is the relative completeness gap of the record, ``error`` the standard errors of sampled values.
    """

    method: str
    values: np.ndarray
    note: str = ""
    gap: float | None = None
    checks: tuple[Check, ...] = ()
    error: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Card:
    """One record with the maps of several methods; cards of the same ``group`` have a common heading.

    ``kind`` is what the record is: an image, a row of a table, a text, a series ``[channels, time]``, or the matrix of a text with a row
    for each explained quantity.
    """

    title: str
    record: np.ndarray | None
    kind: Literal["image", "table", "text", "series", "matrix"]
    prediction: str
    maps: Sequence[Map]
    feature_names: Sequence[str] | None = None
    group: str = ""
    label: str = ""
    """The predicted class, by which a reader may select records."""
    words: Sequence[int] = ()
    """Of a text: the word of each token, -1 for special tokens; empty if it is not known. ``feature_names`` are the tokens."""
    times: Sequence[str] = ()
    unit: str = ""
    """Of a series: names of the moments and their unit. ``feature_names`` are the channels."""
    ends: tuple[float, float] | None = None
    """Of a table: the base value and the explained score."""
    rows: Sequence[str] = ()
    """Of a matrix: the names of the quantities."""


def cards(
    results: Mapping[str, Attribution],
    records: Sequence[int] | None = None,
    *,
    titles: Sequence[str] | None = None,
    images: Any = None,
    feature_names: Sequence[str] | None = None,
    group: str = "",
) -> list[Card]:
    """Returns a card for each record, with a map for each result.

    *Use it when* several methods are compared: pass the cards to :func:`write_report`.

    ``results`` maps titles to results of the same records in the same order; ``records`` are the indices to show, by default all.
    ``titles`` has one text for each of them. ``images`` are the images to show, ``[records, ...]``, by default the values at the cut of
    the first result that has images there.

    Raises ResultError if the results have different records or features.
    """
    results = {name: a.padded() for name, a in results.items()}
    several = {a.quantities for a in results.values()}
    if several not in ({None}, set()):
        return cards_of_quantities(results, records, titles=titles, images=images, feature_names=feature_names, group=group)
    if len({len(a) for a in results.values()}) != 1:
        there = ", ".join(f"{name}: {len(a)}" for name, a in results.items())
        raise ResultError("A report needs results of the same records", found=there or "no results", advice="cards({'name': a})")
    first = next(iter(results.values()))
    chosen = range(len(first)) if records is None else records
    if titles is not None and len(titles) != len(chosen):
        raise ResultError(
            "A report needs one title for each record", found=f"{len(titles)} titles for {len(chosen)} records", advice="titles=None"
        )
    made: list[Card] = []
    for i, record in enumerate(chosen):
        title = f"Record {record}" if titles is None else titles[i]
        for part, each in split_parts(results).items():
            picture = as_numpy(images[record]) if images is not None else None
            card = make_card(each, record, picture, feature_names)
            made.append(replace(card, title=f"{title}, {part}" if part else title, group=group))
    return made


def cards_of_quantities(results: Mapping[str, Attribution], records: Sequence[int] | None, **look: Any) -> list[Card]:
    """Returns cards of results of several quantities: a matrix for each text, or else a card for each quantity of each record.

    Raises ResultError for results with different numbers of quantities.
    """
    first, counts = next(iter(results.values())), {a.quantities for a in results.values()}
    if len(counts) != 1 or first.quantities is None:
        there = ", ".join(f"{name}: {a.quantities or 'a single one'}" for name, a in results.items())
        raise ResultError("A report needs results of the same quantities", found=there, advice="a.quantity_at(0) of each")
    each = [cards({name: a.quantity_at(k) for name, a in results.items()}, records, **look) for k in range(first.quantities)]
    if any(card.kind != "text" for made in each for card in made):
        return [replace(card, title=f"{card.title}, quantity {k}") for several in zip(*each, strict=True) for k, card in enumerate(several)]
    return [join_texts(several) for several in zip(*each, strict=True)]


def join_texts(several: Sequence[Card]) -> Card:
    """Returns the cards of the quantities of one text as a matrix: the quantities by the tokens."""
    first = several[0]
    maps = [
        replace(one, values=np.stack([card.maps[i].values for card in several]), gap=max_gap([card.maps[i].gap for card in several]))
        for i, one in enumerate(first.maps)
    ]
    rows = [card.prediction or f"quantity {k}" for k, card in enumerate(several)]
    return replace(first, kind="matrix", maps=maps, prediction="", rows=rows)


def max_gap(gaps: Sequence[float | None]) -> float | None:
    """Returns the largest of some gaps; None without any."""
    return max((abs(gap) for gap in gaps if gap is not None), default=None)


def split_parts(results: Mapping[str, Attribution]) -> dict[str, dict[str, Attribution]]:
    """Returns the results of each array of several inputs under its name; "" for results of one array."""
    paths = [path for path, _ in next(iter(results.values())).arrays()]
    if len(paths) <= 1:
        return {"": dict(results)}
    if any([path for path, _ in a.arrays()] != paths for a in results.values()):
        return {"": dict(results)}  # the error of a figure of several arrays names them
    return {".".join(map(str, path)): {name: a.part(*path) for name, a in results.items()} for path in paths}


def make_card(results: Mapping[str, Attribution], record: int, picture: np.ndarray | None, names: Sequence[str] | None) -> Card:
    """Returns the card of one record, without its title."""
    first = next(iter(results.values()))
    by_method = {name: select_record(a, record) for name, a in results.items()}
    flat = all(values.ndim == 1 for values, *_ in by_method.values())
    kind = find_kind(first, flat, by_method)
    image = _image([under for _, under, _ in by_method.values()], flat or kind == "series") if picture is None else picture
    more: dict[str, Any] = {}
    if kind == "table":
        rows = align_results(results, by_method, record)
        image, names = _row(rows[0], image), _names(rows, names)
        by_method = {name: (one.values, None, one.error) for name, one in zip(by_method, rows, strict=True)}
        more = {"ends": find_ends(results, record)}
    elif kind == "text":
        count = len(next(iter(by_method.values()))[0])
        names = axis_labels(first, 1, record % len(first), count) if names is None else names
        more = {"words": next((one.words_of(record) for one in first.axes if one.kind == "token"), ())}
    elif kind == "series":
        by_method, more = orient_series(by_method, first, record)
        image = next((under for _, under, _ in by_method.values() if under is not None), None)
        names = more.pop("channels") if names is None else names
    maps = [_map(name, values, error, results[name], record) for name, (values, _, error) in by_method.items()]
    label = predicted_class(first, record)
    return Card("", image, kind, describe_prediction(first, record), maps, names, label=label, **more)


def find_kind(a: Attribution, flat: bool, by_method: Mapping[str, Values]) -> Literal["image", "table", "text", "series"]:
    """Returns what a record is, from the shape of its values and the names of their axes."""
    if flat:
        return "text" if is_tokens(a) else "table"
    shapes = {(values.shape, () if under is None else under.shape) for values, under, _ in by_method.values()}
    named = {one.kind for one in a.axes} & {"channel", "time"}
    series = all(len(shape) == 2 and (named or possible_kinds(shape, record) in (["series"], ["series_last"])) for shape, record in shapes)
    return "series" if series else "image"


def orient_series(by_method: Mapping[str, Values], a: Attribution, record: int) -> tuple[dict[str, Values], dict[str, Any]]:
    """Returns series as ``[channels, time]``, with the names of channels and moments."""
    first = next(iter(by_method.values()))[0]
    axis = {one.kind: one.axis for one in a.axes}
    last = axis["channel"] == 2 if "channel" in axis else axis["time"] == 1 if "time" in axis else first.shape[1] < first.shape[0]
    turned: dict[str, Values] = {
        name: (values.T, None if under is None else under.T, error) if last else (values, under, error)
        for name, (values, under, error) in by_method.items()
    }
    channels, times = ((2, 1) if last else (1, 2))[:2]
    at = record % len(a)
    unit = next((one.unit for one in a.axes if one.kind == "time"), "")
    moments = axis_labels(a, times, at, first.shape[times - 1]) or ()
    return turned, {"channels": axis_labels(a, channels, at, first.shape[channels - 1]), "times": moments, "unit": unit}


def find_ends(results: Mapping[str, Attribution], record: int) -> tuple[float, float] | None:
    """Returns the base value and the explained score of a single result; None without them, or for several results."""
    (a, *others) = results.values()
    if others or a.base_value is None or a.explained is None or np.ndim(a.explained) != 1:
        return None
    return float(np.asarray(a.base_value)[record]), float(a.explained[record])


def predicted_class(a: Attribution, i: int) -> str:
    """Returns the name of the predicted class of a record; "" for models without classes."""
    if has_single_output(a) or a.prediction is None or a.prediction.ndim != 2:
        return ""
    return format_class(a, int(np.argmax(a.prediction[i])))


Values = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def align_results(results: Mapping[str, Attribution], by_method: Mapping[str, Values], record: int) -> list[Rows]:
    """Returns the values of each result for a record of a table, with the same rows. Raises ResultError for different widths."""
    if len({len(values) for values, *_ in by_method.values()}) > 1:
        there = ", ".join(f"{name}: {len(values)}" for name, (values, *_) in by_method.items())
        raise ResultError("The results of a table need the same features", found=there, advice="a report for each of them")
    return align_rows([record_rows(results[name], v, error, record % len(results[name])) for name, (v, _, error) in by_method.items()])


def _names(rows: Sequence[Rows], given: Sequence[str] | None) -> list[str] | None:
    """Returns the names of the rows: the given ones, or those of the first result that has names; None for column indices."""
    known = next((one for one in rows if one.names is not None), rows[0])
    return known.labels(given, "feature") if given is not None or known.names is not None or known.grouped else None


def _row(rows: Rows, record: np.ndarray | None) -> np.ndarray | None:
    """Returns the value of the record in each row; an array of objects if a row has several columns."""
    held = rows.record_values(record) if rows.grouped else None
    if held is None:
        return record
    shown = np.empty(len(held), object)
    shown[:] = held
    return shown


def describe_prediction(a: Attribution, i: int) -> str:
    """Returns a text with the model's prediction for a record and the explained quantity."""
    if has_single_output(a):
        if a.prediction is not None:
            return f"predicted {float(np.asarray(a.prediction)[i, 0]):.3g}"
        return "" if a.explained is None or np.ndim(a.explained) != 1 else f"explained {float(a.explained[i]):.3g}"
    text = []
    if a.prediction is not None and a.prediction.ndim == 2:
        best = int(np.argmax(a.prediction[i]))
        text.append(f"predicted {format_class(a, best)} ({float(a.prediction[i, best]):.3g})")
    if a.target is not None and np.ndim(a.target) == 1:
        text.append(f"explained {format_class(a, int(a.target[i]))}")
    elif a.quantity:
        text.append(f"explained {a.quantity}")
    if a.explained is not None and np.ndim(a.explained) == 1 and text:
        text[-1] += f" = {float(a.explained[i]):.3g}"
    return ", ".join(text)


def _image(candidates: Sequence[np.ndarray | None], table: bool) -> np.ndarray | None:
    return next((one for one in candidates if one is not None and (one.ndim == 1 if table else as_image(one) is not None)), None)


def _map(name: str, values: np.ndarray, error: np.ndarray | None, a: Attribution, record: int) -> Map:
    gap = None if a.gap is None else float(a.gap.relative[record])
    mine = a.records([record]).checks
    note = method_expression(a.method)
    return Map(name, values, note if note not in (name, f"{name}()") else "", gap, mine, error)
