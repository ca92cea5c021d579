"""Tokens merged to words: what a reader sees of a text. Pure functions; nothing is drawn."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from ..utils.escape import escape_control

Style = Literal["plain", "wordpiece", "bytes", "sentencepiece", "suffix"]
Kind = Literal["word", "special", "padding", "gap"]
SPECIAL = re.compile(r"\[(?:CLS|SEP|PAD|MASK|BOS|EOS)\]|<\|[^|<>]*\|>|</?s>|<(?:pad|mask|bos|eos|cls|sep)>")
"""How tokenizers write special tokens. It is used where it is not known which tokens are special."""
PADDING = ("", "[PAD]", "<pad>", "<|pad|>", "<PAD>")
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""How SentencePiece writes a byte that is no character."""
JOINERS = "\u200c\u200d"
"""Characters without width that join or separate letters of Persian, of Indian scripts, and parts of emoji."""
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO ", "KHMER", "MYANMAR", "IDEOGRAPHIC", "FULLWIDTH", "BOPOMOFO")
"""How Unicode names of characters begin that belong to scripts without spaces between words."""
CLOSING, OPENING = set(".,;:!?)]}%’”…»"), set("([{“‘«¿¡$£€")
CONTRACTED = {"s", "t", "re", "ve", "ll", "d", "m"}


@dataclass(frozen=True)
class Word:
    """A word of a text, and its value: the sum of the values of its tokens.

    ``error`` is the sum of their standard errors, which is an upper bound, because errors of tokens of one record are not independent.
    ``tokens`` are the positions of its tokens, ``space`` is True if a space stands before it, ``line`` if a new line begins after it.
    """

    text: str
    value: float
    tokens: tuple[int, ...]
    kind: Kind = "word"
    space: bool = True
    line: bool = False
    error: float | None = None


def byte_alphabet() -> dict[str, int]:
    """Returns the byte of each character with which byte-level tokenizers (GPT-2, RoBERTa) write bytes."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in own]
    return {chr(b): b for b in own} | {chr(256 + k): b for k, b in enumerate(others)}


ALPHABET = byte_alphabet()


def find_style(tokens: Sequence[str]) -> Style:
    """Returns how tokens are written: with ``##``, in the alphabet of bytes (Ġ), with ▁, with ``</w>``, or as plain words."""
    written = [token for token in tokens if token and not SPECIAL.fullmatch(token)]
    if any("▁" in token or BYTE.fullmatch(token) for token in written):
        return "sentencepiece"
    if any(token.endswith("</w>") for token in written):
        return "suffix"
    together = "".join(written)
    if any(c > "~" for c in together) and all(c in ALPHABET for c in together) and _is_text(together):
        return "bytes"
    return "wordpiece" if any(token.startswith("##") for token in written) else "plain"


def _is_text(together: str) -> bool:
    """True if characters of the alphabet of bytes are text; a few characters may be cut at the ends of a shortened text."""
    raw = bytes(ALPHABET[c] for c in together)
    return raw.decode("utf-8", "ignore").encode() in (raw, raw[:-1], raw[:-2], raw[:-3], raw[1:], raw[2:], raw[3:])


def decode_tokens(tokens: Sequence[str], style: Style) -> str:
    """Returns the text of consecutive tokens, spaces included; bytes that are no character become ``�``."""
    if style == "bytes":
        raw = b"".join(bytes([ALPHABET[c]]) if c in ALPHABET else c.encode("utf-8", "replace") for c in "".join(tokens))
        return raw.decode("utf-8", "replace")
    if style == "sentencepiece":
        parts = [(BYTE.fullmatch(token), token) for token in tokens]
        raw = b"".join(bytes([int(m[1], 16)]) if m else token.replace("▁", " ").encode("utf-8", "replace") for m, token in parts)
        return raw.decode("utf-8", "replace")
    if style == "suffix":
        return "".join(token.removesuffix("</w>") + " " * token.endswith("</w>") for token in tokens)
    return "".join(token.removeprefix("##") for token in tokens) if style == "wordpiece" else "".join(tokens)


def is_complete(tokens: Sequence[str], style: Style) -> bool:
    """True if the bytes of the tokens end with a whole character."""
    return style not in ("bytes", "sentencepiece") or not decode_tokens(tokens, style).endswith("\ufffd")


def is_unspaced(character: str) -> bool:
    """True for a character of a script without spaces between words: Chinese, Japanese, Thai."""
    return unicodedata.name(character, "").startswith(UNSPACED)


def merge_tokens(
    tokens: Sequence[str],
    values: np.ndarray,
    words: Sequence[int] = (),
    error: np.ndarray | None = None,
    merge: bool = True,
) -> list[Word]:
    """Returns the words of a record, each with the sum of the values of its tokens.

    ``words`` has the word of each token, -1 for special tokens and padding; without it, words are found from how tokens are written. In
    scripts without spaces each token that ends with a whole character is a word. ``merge=False`` gives one word for each token.
    """
    style = find_style(tokens)
    kinds = find_kinds(tokens, words)
    found: list[Word] = []
    for start, stop in _split(tokens, words, kinds, style, merge):
        places = tuple(range(start, stop))
        spread = None if error is None else float(np.sum(error[start:stop]))
        value = float(np.sum(values[start:stop], dtype=np.float64))
        if kinds[start] != "word":
            found.append(Word(readable(tokens[start]), value, places, kinds[start], error=spread))
            continue
        raw = decode_tokens(tokens[start:stop], style)
        spaced = raw[:1].isspace() or (style in ("plain", "wordpiece") and not (style == "wordpiece" and tokens[start].startswith("##")))
        after = style == "suffix" and start > 0 and tokens[start - 1].endswith("</w>")
        text = readable(raw.strip()) or ("↵" if "\n" in raw else "␣")
        found.append(Word(text, value, places, "word", spaced or after, "\n" in raw, spread))
    return _space_special(found) if style in ("bytes", "sentencepiece") else _space(found)


def find_kinds(tokens: Sequence[str], words: Sequence[int]) -> list[Kind]:
    """Returns whether each token is a word, a special token or padding. Several equal special tokens at an end are padding but one."""
    known = [*words, *[-1] * (len(tokens) - len(words))] if len(words) else []
    kinds: list[Kind] = []
    for k, token in enumerate(tokens):
        special = known[k] < 0 if known else bool(SPECIAL.fullmatch(token))
        padding = token == "" or ((special or not known) and token in PADDING)
        kinds.append("padding" if padding else "special" if special else "word")
    for order in (range(len(tokens)), range(len(tokens) - 1, -1, -1)):
        for this, after in pairwise(order):
            if kinds[this] == "word" or kinds[after] == "word" or (kinds[this] == "special" and tokens[this] != tokens[after]):
                break
            if kinds[this] == "special":
                kinds[this] = "padding"
    return kinds


def _split(tokens: Sequence[str], words: Sequence[int], kinds: Sequence[Kind], style: Style, merge: bool) -> Iterator[tuple[int, int]]:
    """Yields the first token of each word, and the one after its last."""
    start = 0
    for k in range(1, len(tokens) + 1):
        if k == len(tokens) or _begins(tokens, words, kinds, style, merge, start, k):
            yield start, k
            start = k


def _begins(tokens: Sequence[str], words: Sequence[int], kinds: Sequence[Kind], style: Style, merge: bool, start: int, k: int) -> bool:
    """True if a word begins at token ``k``; the word before it began at ``start``."""
    if not merge or kinds[k] != "word" or kinds[k - 1] != "word":
        return True
    if not is_complete(tokens[start:k], style):
        return False
    before, own = decode_tokens(tokens[start:k], style), decode_tokens(tokens[k : k + 1], style)
    if not before.strip() and "\n" not in before:
        return False  # spaces belong to the word after them
    if "\n" in before or "\n" in own or own[:1].isspace():
        return True
    if is_unspaced(before.strip()[-1]) or (own and is_unspaced(own[0])):
        return True
    if own[:1] == "\ufffd":  # the first bytes of a character of several tokens
        whole = next((n for n in range(k + 1, len(tokens) + 1) if is_complete(tokens[k:n], style)), k + 1)
        first = decode_tokens(tokens[k:whole], style)[:1]
        return is_unspaced(first) or unicodedata.category(first) == "So"
    if k < len(words) and words[k] != words[k - 1]:
        return True
    return not len(words) and _starts(tokens, style, k)


def _starts(tokens: Sequence[str], style: Style, k: int) -> bool:
    """True if token ``k`` is written as the first of a word."""
    if style == "suffix":
        return tokens[k - 1].endswith("</w>")
    return style == "plain" or (style == "wordpiece" and not tokens[k].startswith("##"))


def _space(words: Sequence[Word]) -> list[Word]:
    """Returns words with spaces as in printed text, for tokenizers that do not keep them."""
    found: list[Word] = []
    quotes: dict[str, bool] = {'"': False, "'": False}
    joined = True
    for k, word in enumerate(words):
        before = words[k - 1] if k else None
        space = word.space and not joined and not (before and _touch(before, word))
        joined = word.kind == "word" and word.text in OPENING
        if word.kind == "word" and word.text in quotes:
            after = words[k + 1].text.lower() if k + 1 < len(words) else ""
            contraction = word.text == "'" and before is not None and before.text[-1:].isalpha() and after in CONTRACTED
            closes = contraction or quotes[word.text]
            quotes[word.text] = not closes if not contraction else quotes[word.text]
            space, joined = space and not closes, contraction or not closes
        found.append(replace(word, space=space and k > 0))
    return found


def _touch(left: Word, right: Word) -> bool:
    """True if no space stands between two words."""
    if left.kind != "word" or right.kind != "word":
        return False
    closes = right.text in CLOSING or (len(right.text) > 1 and set(right.text) <= CLOSING)
    return closes or (is_unspaced(left.text[-1]) and is_unspaced(right.text[0]))


def _space_special(words: Sequence[Word]) -> list[Word]:
    """Returns words with a space on both sides of special tokens, and none before the first word."""
    return [
        replace(word, space=k > 0 and (word.space or word.kind != "word" or words[k - 1].kind != "word")) for k, word in enumerate(words)
    ]


def readable(text: str) -> str:
    """Returns text on one line without control characters: spaces become a plain space, others escapes; joiners of letters stay."""
    parts = []
    for k, c in enumerate(text):
        joins = c in JOINERS and k > 0 and not text[k - 1].isascii() and text[k - 1] not in JOINERS
        parts.append(" " if c.isspace() else c if joins or c == "\ufe0f" else escape_control(c))
    return "".join(parts)


# Shortening


def drop_padding(words: Sequence[Word]) -> tuple[list[Word], float]:
    """Returns the words without padding, and the sum of the absolute values of the padding."""
    return [w for w in words if w.kind != "padding"], float(
        sum(abs(w.value) for w in words if w.kind == "padding" and np.isfinite(w.value))
    )


def shorten_text(words: Sequence[Word], most: int, around: int = 6) -> list[Word]:
    """Returns the passages of at most ``most`` words around the strongest ones; words of kind "gap" have the sum of what they replace."""
    if len(words) <= most:
        return list(words)
    sizes = np.nan_to_num([abs(word.value) for word in words])
    kept = np.zeros(len(words), bool)
    for k in np.argsort(-sizes, kind="stable"):
        near = slice(max(0, int(k) - around), int(k) + around + 1)
        fresh = kept.copy()
        fresh[near] = True
        if fresh.sum() > most:
            break
        kept = fresh
    if not kept.any():
        kept[np.argsort(-sizes, kind="stable")[:most]] = True
    found: list[Word] = []
    for k, word in enumerate(words):
        if kept[k]:
            found.append(word)
        elif found and found[-1].kind == "gap":
            last = found[-1]
            found[-1] = replace(last, value=last.value + word.value, tokens=(*last.tokens, *word.tokens))
        else:
            found.append(Word("…", word.value, word.tokens, "gap"))
    return found


def scale_words(words: Sequence[Word]) -> float:
    """Returns the largest absolute value of a word: full colour. Special tokens and gaps have no colour."""
    sizes = [abs(word.value) for word in words if word.kind == "word" and np.isfinite(word.value)]
    return max(sizes, default=0.0)
