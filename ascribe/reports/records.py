"""What a report says of texts, series and tables, as JSON."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any, get_args, get_type_hints

import numpy as np

from ..display import colours
from ..display.layouts import rank_strongest
from ..features.table import label_places
from ..utils.escape import escape_control
from .cards import Card

KINDS = get_args(get_type_hints(Card)["kind"])
LANES = 12
"""The number of channels shown of a series: those with the largest values."""
MINUS = "\N{MINUS SIGN}"
SPACES = ("Ġ", "▁")
"""How tokenizers write the space before a word."""


def format_number(value: float) -> str:
    """Returns a number with three digits and a typographic minus sign."""
    return (f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}").replace("-", MINUS)


def describe_ends(card: Card) -> dict[str, str] | None:
    """Returns the base value and the score of a table as text; None where its bars do not lead from one to the other."""
    if card.kind != "table" or card.ends is None or len(card.maps) != 1 or not np.isfinite(card.maps[0].values).all():
        return None
    base, score = card.ends
    return {"base": format_number(base), "score": format_number(score)}


def cascade(base: float, steps: Sequence[float]) -> list[dict[str, Any]]:
    """Returns bars that follow each other from the base value, as shares from -1 to 1 of the range that they cover."""
    ends = base + np.concatenate([[0.0], np.cumsum(np.asarray(steps, float))])
    low, high = float(ends.min()), float(ends.max())
    width = (high - low) or 1.0
    places = (ends - low) / width * 2 - 1
    return [{"from": round(float(a), 4), "share": round(float(b - a), 4), "cut": False} for a, b in pairwise(places)]


def measure_disagreement(card: Card) -> float | None:
    """Returns 1 less the mean rank correlation of the methods, from 0 to 2; None for fewer than two methods with values of one shape."""
    flat = [one.values.reshape(-1) for one in card.maps if np.isfinite(one.values).all()]
    pairs = [(a, b) for a, b in combinations(flat, 2) if a.shape == b.shape and a.size > 1]
    found = [np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1] for a, b in pairs]
    return round(1 - float(np.mean(found)), 4) if found else None


def describe_words(card: Card) -> list[dict[str, Any]]:
    """Returns the words of a text, with the sum of the values of their tokens by each method; padding at the end is left out."""
    count = len(card.maps[0].values) if card.maps else 0
    tokens = label_places(card.feature_names, count, "token")
    words = list(card.words) + [-1] * (count - len(card.words)) if card.words else None
    groups: list[list[int]] = []
    for k in range(count):
        same = words is not None and groups and words[k] >= 0 and words[groups[-1][-1]] == words[k]
        groups[-1].append(k) if same else groups.append([k])
    known = [group for group in groups if tokens[group[0]] and not is_padding(tokens[group[0]], words is None or words[group[0]] >= 0)]
    sums = [[float(one.values[group].sum()) for group in known] for one in card.maps]
    limits = [colours.colour_limit(np.asarray(each)) or 1.0 for each in sums]
    found = []
    for at, group in enumerate(known):
        text, space = join_pieces([tokens[k] for k in group], at == 0)
        special = words is not None and words[group[0]] < 0
        found.append(
            {
                "text": text,
                "space": space,
                "special": special,
                "shares": [_share(each[at], top) for each, top in zip(sums, limits, strict=True)],
                "amounts": [format_number(each[at]) for each in sums],
            }
        )
    return found


def is_padding(token: str, word: bool) -> bool:
    """True for a special token that fills up a text, such as ``[PAD]`` or ``<pad>``."""
    return not word and "pad" in token.lower()


def find_direction(words: Sequence[dict[str, Any]]) -> str:
    """Returns "rtl" for a text whose first letter is of a script from right to left, else "ltr"."""
    letters = (unicodedata.bidirectional(c) for word in words if not word["special"] for c in word["text"])
    return "rtl" if next((kind for kind in letters if kind in ("L", "R", "AL")), "L") in ("R", "AL") else "ltr"


def describe_matrix(card: Card) -> dict[str, Any]:
    """Returns a matrix of quantities by tokens: names, levels of colour and numbers for each method; padding is left out."""
    count = card.maps[0].values.shape[1] if card.maps else 0
    tokens = label_places(card.feature_names, count, "token")
    words = list(card.words) + [-1] * (count - len(card.words)) if card.words else [0] * count
    shown = [k for k in range(count) if tokens[k] and not is_padding(tokens[k], words[k] >= 0)]
    maps = [one.values[:, shown].astype(np.float64) for one in card.maps]
    return {
        "rows": [escape_control(name) for name in card.rows],
        "columns": [tokens[k] for k in shown],
        "maps": [
            {
                "shares": [[_share(float(v), colours.colour_limit(values) or 1.0) for v in row] for row in values],
                "amounts": [[format_number(float(v)) for v in row] for row in values],
            }
            for values in maps
        ],
    }


def _share(value: float, top: float) -> float | None:
    return round(max(-1.0, min(1.0, value / top)), 4) if np.isfinite(value) else None


def join_pieces(tokens: Sequence[str], first: bool) -> tuple[str, bool]:
    """Returns the text of the tokens of a word, and whether a space comes before it."""
    head, *rest = tokens
    space = not first and not head.startswith("##")
    for mark in SPACES:
        head = head.removeprefix(mark)
    text = head.removeprefix("##") + "".join(piece.removeprefix("##") for piece in rest)
    return text or " ", space


def describe_series(card: Card) -> dict[str, Any]:
    """Returns the strongest channels of a series: levels of colour for each method, and the line of the record from 0 to 1."""
    maps = [np.atleast_2d(one.values.astype(np.float64)) for one in card.maps]
    limits = [colours.colour_limit(values) or 1.0 for values in maps]
    names = label_places(card.feature_names, len(maps[0]), "channel")
    size = sum(np.nan_to_num(np.abs(values)).sum(1) / top for values, top in zip(maps, limits, strict=True))
    shown = np.sort(rank_strongest(np.asarray(size), LANES))
    record = None if card.record is None or card.record.shape != maps[0].shape else card.record.astype(np.float64)
    length = maps[0].shape[1]
    times = card.times or [str(i) for i in range(length)]
    return {
        "length": length,
        "first": times[0] if length else "",
        "last": times[-1] if length else "",
        "unit": card.unit or ("" if card.times else "time step"),
        "channels": [
            {
                "name": names[k],
                "line": None if record is None else _line(record[k]),
                "levels": [_lane(values[k] / top) for values, top in zip(maps, limits, strict=True)],
            }
            for k in shown
        ],
    }


def _lane(shade: np.ndarray) -> str:
    level = np.where(np.isnan(shade), 0, np.nan_to_num(np.clip(shade, -1, 1)) * 127 + 128).round().astype(np.uint8)
    return base64.b64encode(level.tobytes()).decode()


def _line(curve: np.ndarray) -> list[float | None]:
    low, high = np.nanmin(curve, initial=np.inf), np.nanmax(curve, initial=-np.inf)
    places = (curve - low) / (high - low) if high > low else np.full(len(curve), 0.5)
    return [round(float(y), 3) if np.isfinite(y) else None for y in places]
