"""The text of one record of a result: words with their values, and what a reader has to know about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import as_numpy, is_array
from ..display.bidi import is_right_to_left
from ..display.words import Word, drop_padding, find_kinds, merge_tokens, shorten_text
from ..errors import ResultError
from ..features.table import Rows, count_names, split_rows
from .axes import find_names
from .parts import part_at
from .rows import is_tokens, pad_names

if TYPE_CHECKING:
    from .attribution import Attribution


@dataclass(frozen=True)
class Text:
    """The words of one record without padding, the direction of the paragraph, and remarks."""

    words: tuple[Word, ...]
    right_to_left: bool
    notes: tuple[str, ...] = ()


def is_text(a: Attribution) -> bool:
    """True if a result has one array of floats whose positions are tokens with names, with or without an embedding."""
    arrays = a.arrays()
    if len(arrays) != 1 or a.records_axis or not is_tokens(a):
        return False
    return len(arrays[0][1].shape) in (2, 3) and as_numpy(arrays[0][1]).dtype.kind == "f"


def read_text(
    a: Attribution,
    record: int,
    names: Sequence[object] | None = None,
    *,
    merge: bool = True,
    most: int | None = None,
) -> Text:
    """Returns the words of a record. ``names`` replace the names of the result; ``most`` shortens the text to its strongest passages.

    Raises ResultError for values that are not ``[records, tokens]`` or ``[records, tokens, embedding]``, and for names that do not fit.
    """
    path, array = a.arrays()[0]
    values, error = as_numpy(array[record]).astype(np.float64), part_at(a.error, path)
    notes = []
    if values.ndim == 2:
        values, error = values.sum(-1), None
        notes.append("A token has the sum over its embedding.")
    if values.ndim != 1:
        raise ResultError("A text needs one value for each token", found=f"{list(array.shape)}", advice="a.sum('embedding')")
    spread = as_numpy(error[record]).astype(np.float64) if is_array(error) else None
    tokens, ids, values, spread = _name(a, record, values, spread, names)
    everything = merge_tokens(tokens, values, ids, spread, merge)
    words, lost = drop_padding(everything)
    if lost > 0:
        notes.append(f"Padding is not shown; the absolute values of its tokens add up to {lost:.3g}.")
    if a.gap is None and any(len(word.tokens) > 1 and word.kind == "word" for word in words):
        notes.append("A word has the sum of its tokens, although the values of this method do not add up to the score.")
    shown = shorten_text(words, most) if most is not None else words
    if len(shown) < len(words):
        kept = sum(word.kind != "gap" for word in shown)
        rest = sum(word.value for word in shown if word.kind == "gap")
        notes.append(f"{kept} of {len(words)} words are shown; the others (…) add up to {rest:+.3g}.")
    return Text(tuple(shown), is_right_to_left(words), tuple(notes))


def _name(
    a: Attribution, record: int, values: np.ndarray, error: np.ndarray | None, names: Sequence[object] | None
) -> tuple[list[str], tuple[int, ...], np.ndarray, np.ndarray | None]:
    """Returns the tokens, their words, values and errors; tokens that are one feature are one token."""
    known = find_names(a.axes, 1)
    own = list(pad_names(known, record, len(values))) if known is not None else [f"token {k}" for k in range(len(values))]
    ids = known.words_of(record) if known is not None else tuple(range(len(values)))
    rows = split_rows(values, error, a.features, record) if a.features is not None else None
    if names is not None:
        features = rows is not None and rows.grouped and len(names) == len(rows.values)
        if len(names) != len(values) and not features:
            problem = f"{count_names(names)} for {len(values)} tokens"
            raise ResultError(problem, found=f"{len(names)} names", advice=f"{len(values)} names, one for each token")
        own, ids = list(map(str, names)), ()
        if features and rows is not None:
            return own, tuple(range(len(own))), rows.values, rows.error
    if rows is not None and rows.grouped:
        return *_name_groups(own, ids, rows), rows.values, rows.error
    return own, ids, values, error


def _name_groups(tokens: Sequence[str], ids: Sequence[int], rows: Rows) -> tuple[list[str], tuple[int, ...]]:
    """Returns the text of the tokens of each feature, and a word for each feature: -1 if it has special tokens only."""
    kinds = find_kinds(tokens, ids)
    names, words = [], []
    for k, members in enumerate(rows.members):
        inside = merge_tokens([tokens[i] for i in members], np.zeros(len(members)), [ids[i] for i in members] if len(ids) else ())
        names.append("".join(" " * word.space + word.text for word in inside).strip())
        words.append(k if any(kinds[i] == "word" for i in members) else -1)
    return names, tuple(words)


def strongest_words(text: Text, count: int) -> list[Word]:
    """Returns the words with the largest absolute values; a word that occurs several times has several entries."""
    words = [word for word in text.words if word.kind == "word"]
    order = np.argsort(-np.nan_to_num([abs(word.value) for word in words]), kind="stable")[:count]
    return [replace(words[k]) for k in order]
