"""Words from tokens: tokenizers trained on the spot, right-to-left and unspaced scripts, emoji, and text that wants to do harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascribe.display.bidi import cell_width, cut_cells, is_right_to_left, mirror_letters, visual_order, wrap_words
from ascribe.display.words import ALPHABET, Word, decode_tokens, drop_padding, find_style, merge_tokens, readable, shorten_text

TEXTS = [
    'The films weren\'t good, honestly (not at all) "quoted" words.',
    "هذا الفيلم جيد جدا 2024 وليس سيئا",
    "这部电影真的很好看，我喜欢。",
    "I love it 😀👨‍👩‍👧 a lot! naïve café",
]


def written(words: list[Word]) -> str:
    return "".join(" " * word.space + word.text for word in words)


def wordpiece(api: Any) -> tuple[Any, Any]:
    tokenizer = api.Tokenizer(api.models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = api.pre_tokenizers.BertPreTokenizer()
    return tokenizer, api.trainers.WordPieceTrainer(vocab_size=150, special_tokens=["[UNK]", "[PAD]"], show_progress=False)


def byte_level(api: Any) -> tuple[Any, Any]:
    tokenizer = api.Tokenizer(api.models.BPE())
    tokenizer.pre_tokenizer = api.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = api.pre_tokenizers.ByteLevel.alphabet()
    return tokenizer, api.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)


def unigram(api: Any) -> tuple[Any, Any]:
    tokenizer = api.Tokenizer(api.models.Unigram())
    tokenizer.pre_tokenizer = api.pre_tokenizers.Metaspace()
    return tokenizer, api.trainers.UnigramTrainer(vocab_size=100, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)


def suffixed(api: Any) -> tuple[Any, Any]:
    tokenizer = api.Tokenizer(api.models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = api.pre_tokenizers.BertPreTokenizer()
    return tokenizer, api.trainers.BpeTrainer(vocab_size=160, end_of_word_suffix="</w>", special_tokens=["<unk>"], show_progress=False)


@pytest.mark.parametrize("text", TEXTS, ids=["English", "Arabic", "Chinese", "emoji"])
@pytest.mark.parametrize("known", [True, False], ids=["words known", "words from tokens"])
@pytest.mark.parametrize("make", [wordpiece, byte_level, unigram, suffixed])
def test_the_words_are_the_text_again(make: Callable[[Any], tuple[Any, Any]], known: bool, text: str) -> None:
    tokenizer, trainer = make(pytest.importorskip("tokenizers"))
    tokenizer.train_from_iterator(TEXTS, trainer)
    found = tokenizer.encode(text)
    values = np.random.default_rng(0).normal(size=len(found.tokens))
    ids = [-1 if word is None else word for word in found.word_ids] if known else ()
    words = merge_tokens(found.tokens, values, ids)
    assert written(words) == text
    assert [k for word in words for k in word.tokens] == list(range(len(values)))
    for word in words:
        assert word.value == pytest.approx(sum(values[list(word.tokens)]))
    parts = set(text.replace("，", " ").split())
    if text.startswith(("هذا", "I love")) and make is not byte_level:
        assert {word.text for word in words if len(word.text) > 1} >= {part for part in parts if part.isalpha() and len(part) > 1}
    if text.startswith("这"):
        assert max(len(word.text) for word in words) < len(text) / 2  # not one word for the whole sentence


def test_styles_are_told_apart() -> None:
    assert find_style(["un", "##able"]) == "wordpiece"
    assert find_style(["The", "Ġfilm"]) == "bytes"
    assert find_style(["ä½ł", "å¥½"]) == "bytes"
    assert find_style(["▁The", "▁film"]) == "sentencepiece"
    assert find_style(["fil", "m</w>"]) == "suffix"
    for plain in (["café", "naïve"], ["a", "b"], ["Grüße"], [], ["", "[PAD]"], ["<s>", "</s>"]):
        assert find_style(plain) == "plain", plain


def test_the_alphabet_of_bytes_has_every_byte_once() -> None:
    assert sorted(ALPHABET.values()) == list(range(256))
    assert ALPHABET["Ġ"] == 32
    assert ALPHABET["Ċ"] == 10
    assert decode_tokens(["ðŁĺĢ"], "bytes") == "😀"
    assert decode_tokens(["<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "▁a"], "sentencepiece") == "😀 a"


def test_special_tokens_and_padding_are_apart() -> None:
    tokens = ["[CLS]", "good", "film", "##s", "[SEP]", "[PAD]", ""]
    words = merge_tokens(tokens, np.arange(7.0), (-1, 0, 1, 1, -1, -1, -1))
    assert [(w.text, w.kind, w.value) for w in words] == [
        ("[CLS]", "special", 0), ("good", "word", 1), ("films", "word", 5), ("[SEP]", "special", 4),
        ("[PAD]", "padding", 5), ("", "padding", 6),
    ]  # fmt: skip
    kept, lost = drop_padding(words)
    assert [w.text for w in kept] == ["[CLS]", "good", "films", "[SEP]"]
    assert lost == 11
    again = merge_tokens(tokens, np.arange(7.0))
    assert [w.kind for w in again] == [w.kind for w in words]


def test_repeated_special_tokens_at_an_end_are_padding() -> None:
    end = "<|endoftext|>"
    words = merge_tokens([end, end, end, "ĠHello", end], np.ones(5), (-1, -1, -1, 0, -1))
    assert [w.kind for w in words] == ["padding", "padding", "special", "word", "special"]


def test_errors_of_words_are_an_upper_bound_and_tokens_can_stay() -> None:
    tokens, values = ["un", "##able", "man"], np.array([1.0, -2.0, 3.0])
    words = merge_tokens(tokens, values, (), np.array([0.1, 0.2, 0.3]))
    assert [(w.value, w.error) for w in words] == [(-1.0, pytest.approx(0.3)), (3.0, pytest.approx(0.3))]
    assert [w.text for w in merge_tokens(tokens, values, merge=False)] == ["un", "able", "man"]


def test_lines_of_a_text_stay() -> None:
    words = merge_tokens(["one", "Ċ", "two", "Ġthree"], np.ones(4))
    assert [(w.text, w.line) for w in words] == [("one", False), ("↵", True), ("two", False), ("three", False)]
    lines = wrap_words(words, [3] * 4, 1, 80)
    assert [[k for _, k in line] for line in lines] == [[0, 1], [2, 3]]


@given(st.lists(st.text(max_size=6), max_size=12), st.booleans())
def test_any_tokens_have_words_that_add_up(tokens: list[str], merge: bool) -> None:
    values = np.arange(len(tokens)) * 0.5 - 1
    words = merge_tokens(tokens, values, merge=merge)
    assert sum(word.value for word in words) == pytest.approx(values.sum())
    assert [k for word in words for k in word.tokens] == list(range(len(tokens)))
    for word in words:
        assert "\u202e" not in word.text
        assert "\n" not in word.text
        assert not set(word.text) & set(map(chr, range(32)))
    lines = wrap_words(words, [cell_width(word.text) for word in words], 1, 10)
    assert [k for line in lines for _, k in line] == list(range(len(words)))


def test_overrides_are_visible_and_joiners_stay() -> None:
    assert readable("a\u202eb\x1b\n") == "a\\u202eb\\x1b "
    assert readable("می\u200cخواهم") == "می\u200cخواهم"
    assert readable("a\u200db") == "a\\u200db"  # nothing hides between Latin letters
    assert readable("👨\u200d👩") == "👨\u200d👩"


# Directions and widths


def as_words(*texts: str) -> list[Word]:
    return [Word(text, 0.0, (k,)) for k, text in enumerate(texts)]


def shown(words: list[Word]) -> list[str]:
    return [words[k].text for k in visual_order(words, is_right_to_left(words))]


def test_right_to_left_words_are_in_visual_order() -> None:
    assert shown(as_words("see", "هذا", "الفيلم", "now")) == ["see", "الفيلم", "هذا", "now"]
    arabic = as_words("هذا", "2024", "Hello", "World", "جيد", "!")
    assert is_right_to_left(arabic)
    assert shown(arabic) == ["!", "جيد", "Hello", "World", "2024", "هذا"]
    assert shown(as_words("(", "שלום", ")")) == [")", "שלום", "("]
    assert shown(as_words("one", "2", "three")) == ["one", "2", "three"]
    assert not is_right_to_left(as_words("1", "!"))
    special = [Word("[CLS]", 0.0, (0,), "special"), *as_words("هذا")]
    assert is_right_to_left(special)  # a special token decides nothing


def test_letters_are_mirrored_with_their_marks() -> None:
    assert mirror_letters("שָׁלוֹם") == "םוֹלשָׁ"
    assert mirror_letters("word") == "word"


def test_widths_are_those_of_terminals() -> None:
    assert [cell_width(text) for text in ("abc", "呼吸", "e\u0301", "😀", "هذا")] == [3, 4, 1, 2, 3]
    assert cut_cells("呼吸呼吸", 5) == "呼吸…"
    assert cut_cells("abc", 3) == "abc"


def test_lines_wrap_between_words_and_punctuation_stays() -> None:
    words = merge_tokens(["All", "good", ",", "(", "really", ")", "."], np.ones(7))
    lines = wrap_words(words, [len(w.text) for w in words], 1, 9)
    assert ["".join(" " * (words[k].space and x > 0) + words[k].text for x, k in line) for line in lines] == ["All good,", "(really)."]
    chinese = as_words(*"这部电影，真好")
    chinese = [Word(w.text, 0.0, w.tokens, space=False) for w in chinese]
    lines = wrap_words(chinese, [2] * 7, 1, 8)
    assert ["".join(chinese[k].text for _, k in line) for line in lines] == ["这部电", "影，真好"]  # no line begins with a comma
    assert [x for x, _ in lines[1]] == [0, 2, 4, 6]
    assert len(wrap_words(as_words("x" * 50, "y"), [50, 1], 1, 10)) == 2


def test_long_texts_keep_their_strongest_passages() -> None:
    values = np.zeros(500)
    values[[100, 300]] = [3.0, -5.0]
    values[400:] = 0.01
    words = [Word(f"w{k}", float(v), (k,)) for k, v in enumerate(values)]
    kept = shorten_text(words, 40)
    texts = [word.text for word in kept]
    assert {"w100", "w300", "w94", "w106", "w294", "w306"} <= set(texts)
    assert sum(word.kind == "word" for word in kept) <= 40
    assert texts[0] == "…"
    assert sum(word.value for word in kept) == pytest.approx(values.sum())  # gaps have what they replace
    assert shorten_text(words[:10], 40) == words[:10]
    assert sum(word.kind == "word" for word in shorten_text(words, 5)) <= 5
