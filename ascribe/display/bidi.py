"""Order and width of words on a line: right-to-left scripts and wide characters. Pure functions; nothing is drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from .words import Word, is_unspaced

RIGHT = ("R", "AL")
NUMBERS = ("EN", "AN")


def word_direction(text: str) -> str:
    """Returns the direction of a word by its first strong character: "L", "R", "EN" for numbers, "" for punctuation."""
    classes = [unicodedata.bidirectional(c) for c in text]
    strong = next((c for c in classes if c == "L" or c in RIGHT), None)
    if strong is not None:
        return "L" if strong == "L" else "R"
    return "EN" if any(c in NUMBERS for c in classes) else ""


def is_right_to_left(words: Sequence[Word]) -> bool:
    """True if the first word with a direction is right-to-left: rule P2 of Unicode's algorithm, without special tokens."""
    directions = (word_direction(word.text) for word in words if word.kind == "word")
    return next((d for d in directions if d in ("L", "R")), "L") == "R"


def visual_order(words: Sequence[Word], right_to_left: bool) -> list[int]:
    """Returns the indices of the words of a line from left to right.

    Unicode's bidirectional algorithm (UAX 9) for whole words: neutral words between words of one direction have that direction.
    """
    parts = [(k, text) for k, word in enumerate(words) for text in ([" ", word.text] if word.space and k else [word.text])]
    directions = _resolve([word_direction(text) for _, text in parts], "R" if right_to_left else "L")
    levels = [_level(direction, right_to_left) for direction in directions]
    order = list(range(len(parts)))
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            stop = start
            while stop < len(order) and levels[order[stop]] >= level:
                stop += 1
            order[start:stop] = reversed(order[start:stop])
            start = max(stop, start + 1)
    return [parts[at][0] for at in order if parts[at][1] != " "]


def _resolve(directions: Sequence[str], base: str) -> list[str]:
    """Returns directions in which neutral words follow their neighbours; numbers after right-to-left words stay numbers."""
    found = list(directions)
    strong = base
    for k, direction in enumerate(directions):
        if direction == "EN":
            found[k] = "EN" if strong == "R" else "L"
        strong = direction if direction in ("L", "R") else strong
    for k, direction in enumerate(directions):
        if direction:
            continue
        before = next((d for d in reversed(found[:k]) if d), base)
        after = next((d for d in directions[k + 1 :] if d), base)
        sides = {"R" if d in ("R", "EN") else "L" for d in (before, "R" if after == "EN" and before in ("R", "EN") else after)}
        found[k] = sides.pop() if len(sides) == 1 else base
    return found


def _level(direction: str, right_to_left: bool) -> int:
    if direction == "R":
        return 1
    if direction == "EN":
        return 2
    return 2 if right_to_left else 0


def mirror_letters(text: str) -> str:
    """Returns a right-to-left word with its letters from left to right, for renderers that do not order them; marks stay with letters."""
    clusters: list[str] = []
    for c in text:
        if clusters and (unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf")):
            clusters[-1] += c
        else:
            clusters.append(c)
    return "".join(reversed(clusters)) if word_direction(text) == "R" else text


def cell_width(text: str) -> int:
    """Returns the number of terminal columns of a text: wide characters have two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def cut_cells(text: str, most: int) -> str:
    """Returns a text shortened to ``most`` terminal columns."""
    if cell_width(text) <= most:
        return text
    width = 0
    for k, c in enumerate(text):
        width += cell_width(c)
        if width > most - 1:
            return text[:k] + "…"
    return text


def pad_cells(text: str, width: int) -> str:
    """Returns a text filled with spaces to ``width`` terminal columns."""
    return text + " " * (width - cell_width(text))


def wrap_words(words: Sequence[Word], widths: Sequence[float], space: float, line: float) -> list[list[tuple[float, int]]]:
    """Returns lines of (distance from the start of the line, index of the word).

    Words without a space between them stay on one line, except in scripts without spaces; what is wider than a line is broken.
    """
    lines: list[list[tuple[float, int]]] = [[]]
    at = 0.0
    for chunk in _chunks(words):
        ahead = space if words[chunk[0]].space and lines[-1] else 0.0
        if lines[-1] and (at + ahead + sum(widths[k] for k in chunk) > line or words[chunk[0] - 1].line):
            lines.append([])
            at, ahead = 0.0, 0.0
        at += ahead
        for k in chunk:
            if lines[-1] and at + widths[k] > line:
                lines.append([])
                at = 0.0
            lines[-1].append((at, k))
            at += widths[k]
    return lines


def _chunks(words: Sequence[Word]) -> list[list[int]]:
    """Returns the indices of words that stay on one line."""
    chunks: list[list[int]] = []
    for k, word in enumerate(words):
        if k == 0 or word.space or words[k - 1].line or _can_break(words[k - 1].text, word.text):
            chunks.append([])
        chunks[-1].append(k)
    return chunks


def _can_break(left: str, right: str) -> bool:
    """True if a line may end between two words without a space: at a letter of a script without spaces, but not before punctuation."""
    if not left or not right:
        return True
    if unicodedata.category(right[0]) in ("Po", "Pe", "Pf") or unicodedata.category(left[-1]) in ("Ps", "Pi"):
        return False
    return is_unspaced(left[-1]) or is_unspaced(right[0])
