"""Names of the positions of values: columns, tokens, channels, moments. They belong to a result and go with it everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from ..arrays import as_numpy, is_array
from ..errors import ResultError
from ..tree import Path, walk

AxisKind = Literal["feature", "token", "channel", "time"]
KINDS: tuple[str, ...] = get_args(AxisKind)


@dataclass(frozen=True)
class AxisNames:
    """Names of the positions on one axis of the values.

    ``kind`` is what the positions are, ``axis`` is counted from the batch dimension, which is 0, ``names`` has one tuple for all records,
    or one for each. ``unit`` is that of the axis, such as "ms"; ``path`` the array in a nested value. For tokens ``words`` has the index of
    the word of each token, -1 for special tokens and padding, for each record; empty if it is not known.
    """

    kind: AxisKind
    axis: int
    names: tuple[tuple[str, ...], ...]
    unit: str = ""
    path: Path = ()
    words: tuple[tuple[int, ...], ...] = ()

    def of_record(self, record: int) -> tuple[str, ...]:
        """Returns the names for one record."""
        return self.names[record if len(self.names) > 1 else 0]

    def words_of(self, record: int) -> tuple[int, ...]:
        """Returns the word of each token of one record; empty if it is not known."""
        return self.words[record if len(self.words) > 1 else 0] if self.words else ()

    def records(self, place: np.ndarray) -> AxisNames:
        """Returns the names for some records."""
        names = tuple(self.names[i] for i in place) if len(self.names) > 1 else self.names
        words = tuple(self.words[i] for i in place) if len(self.words) > 1 else self.words
        return replace(self, names=names, words=words)


def find_names(axes: Sequence[AxisNames], axis: int, path: Path = ()) -> AxisNames | None:
    """Returns the names on an axis of an array; None if it has none."""
    return next((one for one in axes if one.axis == axis and one.path == path), None)


def without_axis(axes: Sequence[AxisNames], axis: int) -> tuple[AxisNames, ...]:
    """Returns the names after an axis was pooled away."""
    return tuple(replace(one, axis=one.axis - (one.axis > axis)) for one in axes if one.axis != axis)


def at_part(axes: Sequence[AxisNames], path: Path) -> tuple[AxisNames, ...]:
    """Returns the names of one of several arrays, as names of a result of its own."""
    return tuple(replace(one, path=one.path[len(path) :]) for one in axes if one.path[: len(path)] == path)


def name_axes(
    values: Any,
    first: int,
    path: Path,
    *,
    features: Any = None,
    tokens: Any = None,
    channels: Any = None,
    times: Any = None,
    unit: str = "",
    ids: Any = None,
) -> tuple[AxisNames, ...]:
    """Returns the names that a user gives to the axes of an array whose records are axis ``first``.

    Raises ResultError where names do not fit the array.
    """
    array = next((leaf for at, leaf in walk(values) if at == path and leaf is not None), None)
    if array is None:
        raise ResultError("Names belong to one array", found=f"no array at {path}", advice="a.part(0).with_names(...)")
    shape = tuple(array.shape)[first:]
    found: list[AxisNames] = []
    if features is not None:
        found.append(AxisNames("feature", len(shape) - 1, (as_texts(features),), path=path))
    if tokens is not None:
        names, words = read_tokens(tokens, ids, shape)
        found.append(AxisNames("token", 1, names, path=path, words=words))
    if channels is not None:
        texts = as_texts(channels)
        found.append(AxisNames("channel", find_axis(shape, len(texts), "channels"), (texts,), path=path))
    if times is not None:
        texts = as_texts(times)
        taken = {one.axis for one in found}
        found.append(AxisNames("time", find_axis(shape, len(texts), "times", taken), (texts,), unit, path))
    for one in found:
        check_names(one, shape)
    return tuple(found)


def check_names(one: AxisNames, shape: Sequence[int]) -> None:
    """Raises ResultError if names do not fit an axis of values of this shape. Padded tokens may have no name."""
    lengths = {len(names) for names in one.names}
    size = shape[one.axis] if one.axis < len(shape) else 0
    fits = max(lengths) <= size if len(one.names) > 1 and one.kind == "token" else lengths == {size}
    if fits and len(one.names) in (1, shape[0]):
        return
    given = f"{'/'.join(map(str, sorted(lengths)))} names" + (f" for each of {len(one.names)} records" if len(one.names) > 1 else "")
    raise ResultError(
        f"The names of `{one.kind}s=` do not fit the values",
        found=f"{given}, and {size} positions on axis {one.axis} of values {list(shape)}",
        advice=f"{size} names, one for each position",
    )


def as_texts(names: Any) -> tuple[str, ...]:
    """Returns names as texts. Raises ResultError for a single text, whose characters would become names."""
    if isinstance(names, str) or not hasattr(names, "__len__") or not hasattr(names, "__iter__"):
        raise ResultError("Names must be a list of texts", found=f"{names!r:.80}", advice='["age", "bmi"]')
    return tuple(format_name(name) for name in names)


def format_name(name: Any) -> str:
    """Returns a name as text; whole numbers in floating point have no decimal point."""
    return f"{name:g}" if isinstance(name, (float, np.floating)) else str(name)


def find_axis(shape: Sequence[int], count: int, what: str, taken: Sequence[int] | set[int] = ()) -> int:
    """Returns the only axis with ``count`` positions. Raises ResultError if there is none, or several."""
    fitting = [axis for axis in range(1, len(shape)) if shape[axis] == count and axis not in taken]
    if what == "channels" and len(fitting) > 1 and 1 in fitting:
        return 1
    if len(fitting) != 1:
        how = "no axis has" if not fitting else "several axes have"
        problem = f"The names of `{what}=` do not fit the values"
        raise ResultError(problem, found=f"{count} names, and {how} that length in values {list(shape)}", advice="a.pool(...) first")
    return fitting[0]


Tokens = tuple[tuple[tuple[str, ...], ...], tuple[tuple[int, ...], ...]]


def read_tokens(tokens: Any, ids: Any, shape: Sequence[int]) -> Tokens:
    """Returns the tokens of each record, and the word of each token where it is known.

    ``tokens`` is what a tokenizer of transformers returned, a tokenizer (then ``ids`` has the token ids), a list for one record, or a list
    of lists.
    """
    if getattr(tokens, "is_fast", False) and callable(getattr(tokens, "word_ids", None)) and hasattr(tokens, "encodings"):
        return read_encoding(tokens)
    if callable(convert := getattr(tokens, "convert_ids_to_tokens", None)):
        return decode_ids(convert, ids, getattr(tokens, "all_special_ids", ()), shape)
    if isinstance(tokens, str) or not hasattr(tokens, "__len__"):
        advice = "a list of tokens, what the tokenizer returned, or the tokenizer with ids="
        raise ResultError("`tokens=` must be tokens or a tokenizer", found=f"{type(tokens).__name__}", advice=advice)
    several = len(tokens) > 0 and not isinstance(tokens[0], str) and hasattr(tokens[0], "__len__")
    return tuple(as_texts(one) for one in tokens) if several else (as_texts(tokens),), ()


def read_encoding(encoding: Any) -> Tokens:
    """Returns the tokens and words of what a fast tokenizer of transformers returned; special tokens and padding have no word."""
    count = len(encoding.encodings)
    names = tuple(tuple(map(str, encoding.tokens(i))) for i in range(count))
    words = tuple(tuple(-1 if w is None else int(w) for w in encoding.word_ids(i)) for i in range(count))
    return names, words


def decode_ids(convert: Callable[[list[int]], list[str]], ids: Any, special: Sequence[int], shape: Sequence[int]) -> Tokens:
    """Returns the tokens of token ids. Raises ResultError without ids of the values' tokens."""
    table = as_numpy(ids) if is_array(ids) else None
    if table is None or table.dtype.kind not in "iu" or table.shape != tuple(shape[:2]):
        problem = "A tokenizer needs the token ids of the values"
        there = "no ids" if table is None else f"ids {table.dtype}{list(table.shape)} for values {list(shape)}"
        raise ResultError(problem, found=there, advice="a.with_names(tokens=encoding), what the tokenizer returned, or ids=input_ids")
    names = tuple(tuple(str(token) for token in convert([int(i) for i in row])) for row in table)
    every = [token for row in names for token in row]
    marked = any(token.startswith(WORD_STARTS) for token in every)
    if not marked and not any(map(is_continuation, every)):
        return names, ()
    apart = np.isin(table, list(special))
    return names, tuple(number_words(row, marked, inside) for row, inside in zip(names, apart, strict=True))


def is_continuation(token: str) -> bool:
    """True for a word piece that continues the word before it, in the style of WordPiece."""
    return token.startswith("##")


WORD_STARTS = ("▁", "Ġ")
"""How SentencePiece and byte-level tokenizers write the space before a word."""


def number_words(tokens: Sequence[str], marked: bool, special: np.ndarray) -> tuple[int, ...]:
    """Returns the word of each token from how tokens are written: ``marked`` starts, or WordPiece; -1 for special tokens."""
    words: list[int] = []
    at, fresh = -1, True
    for token, apart in zip(tokens, special, strict=True):
        if apart:
            words.append(-1)
            fresh = True
            continue
        at += fresh or (token.startswith(WORD_STARTS) if marked else not is_continuation(token))
        fresh = False
        words.append(int(at))
    return tuple(words)
