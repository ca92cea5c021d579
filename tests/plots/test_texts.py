"""Figures of texts: words where they belong, nothing clipped or overlapping, at the usual size and in a narrow column."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ascribe import plots
from ascribe.display import colours
from ascribe.errors import ResultError
from ascribe.result.attribution import Attribution, Gap
from tests.plots.gallery import check_picture

RNG = np.random.default_rng(0)
TOKENS = [
    ["[CLS]", "The", "film", "##s", "weren", "'", "t", "good", ",", "honestly", "(", "not", "at", "all", ")", ".", "[SEP]", "[PAD]"],
    ["[CLS]", "هذا", "الفيلم", "جيد", "2024", "Hello", "World", "وليس", "سيئا", "[SEP]"],
]
WORDS = ["[CLS]", "The", "films", "weren", "'", "t", "good", ",", "honestly", "(", "not", "at", "all", ")", ".", "[SEP]"]


def result(**more: Any) -> Attribution:
    values = RNG.normal(size=(2, 18))
    values[0, 17] = values[1, 10:] = 0
    known: dict[str, Any] = {
        "method": "IntegratedGradients()(model, x)", "target": np.array([1, 1]), "class_names": ("bad", "good"),
        "explained": np.array([0.97, 0.1]), "gap": Gap(np.zeros(2), np.zeros(2)),
    }  # fmt: skip
    return Attribution(values, **(known | more)).with_names(tokens=TOKENS)


def drawn(figure: Figure) -> Axes:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png")
    return figure.axes[0]


def words(ax: Axes) -> list[Text]:
    return [text for text in ax.texts if text.get_gid() == "word"]


def overlap(figure: Figure, several: list[Text]) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other by more than a pixel."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in several if text.get_text()]
    found = []
    for k, (name, a) in enumerate(boxes):
        for other, b in boxes[k + 1 :]:
            wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            found += [(name, other)] if wide > 1.5 and high > 3 else []
    return found


def outside(figure: Figure, several: list[Text]) -> list[str]:
    width, height = figure.bbox.width, figure.bbox.height
    boxes = [(text.get_text(), text.get_window_extent()) for text in several if text.get_text()]
    return [name for name, b in boxes if b.x0 < -1 or b.y0 < -1 or b.x1 > width + 1 or b.y1 > height + 1]


def test_tokens_are_words_in_their_colours() -> None:
    a = result()
    ax = drawn(a.plot())
    assert [text.get_text() for text in words(ax)] == WORDS
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    values = a.values[0]
    sums = [values[1], values[2:4].sum(), *values[4:16]]
    top = np.abs(sums).max()
    assert len(boxes) == len(sums)  # special tokens have no colour
    for box, value in zip(boxes, sums, strict=True):
        np.testing.assert_allclose(box.get_facecolor()[:3], to_rgb(colours.css_colour(value / top)), atol=0.02)
    assert "score of class good: 0.97" in " ".join(text.get_text() for text in ax.texts)
    assert ax.get_title(loc="left") == "IntegratedGradients()"


def test_tokens_stay_if_asked() -> None:
    shown = [text.get_text() for text in words(drawn(result().plot(merge=False)))]
    assert shown[2:4] == ["film", "s"]


def test_the_legend_says_what_the_colours_mean() -> None:
    figure = plots.text(result(), records=[0])
    ax = drawn(figure)
    bar = ax.child_axes[0]
    low, zero, high = (float(label.get_text()) for label in bar.get_xticklabels())
    assert low == -high
    assert zero == 0
    said = {text.get_text() for text in bar.texts} | {text.get_text() for text in ax.texts}
    assert {"dotted: against class good", "for class good"} <= said


@pytest.mark.parametrize("sign", ["all", "positive", "negative", "absolute"])
def test_signs_select_what_is_coloured(sign: Any) -> None:
    a = result()
    ax = drawn(plots.text(a, records=[0], sign=sign))
    white = to_rgb(colours.LIGHT[2])
    values = a.values[0]
    sums = np.array([values[1], values[2:4].sum(), *values[4:16]])
    kept = {"all": np.abs(sums) > 0, "positive": sums > 0, "negative": sums < 0, "absolute": np.abs(sums) > 0}[sign]
    for box, seen, value in zip(ax.patches, kept, sums, strict=True):
        assert np.allclose(box.get_facecolor()[:3], white, atol=0.01) == (not seen or abs(value) < 0.02 * np.abs(sums).max())
    assert bool(ax.lines) == (sign in ("all", "negative"))


@pytest.mark.parametrize("width", [6.4, 3.54])
def test_nothing_overlaps_or_is_cut(width: float) -> None:
    figure = Figure(figsize=(width, 4.0), layout="constrained")
    ax = figure.add_subplot()
    plots.text(result(), ax)
    drawn(figure)
    several = [*ax.texts, *ax.child_axes[0].texts, *ax.child_axes[0].get_xticklabels()]
    assert not overlap(figure, several)
    assert not outside(figure, several)
    own = plots.text(result())
    several = [*own.axes[0].texts, *own.axes[0].child_axes[0].texts]
    drawn(own)
    assert not overlap(own, several)
    assert not outside(own, several)


def test_right_to_left_text_begins_on_the_right() -> None:
    figure = plots.text(result(), records=[1])
    found = words(drawn(figure))
    at = {text.get_text(): text.get_window_extent().x0 for text in found}
    ordered = [name for name in at if name in ("[CLS]", "Hello", "World", "2024", "[SEP]")]
    assert sorted(ordered, key=at.__getitem__) == ["[SEP]", "Hello", "World", "2024", "[CLS]"]
    assert max(text.get_window_extent().x1 for text in found) > 0.9 * figure.bbox.width


def test_long_texts_are_shortened_to_the_strongest_words() -> None:
    values = np.zeros((1, 500))
    values[0, 250], values[0, 20] = 2.0, -1.0
    a = Attribution(values, gap=Gap(np.zeros(1), np.zeros(1))).with_names(tokens=[[f"w{k}" for k in range(500)]])
    ax = drawn(a.plot())
    shown = [text.get_text() for text in words(ax)]
    assert {"w250", "w20", "…"} <= set(shown)
    assert len(shown) < 170
    assert any("of 500 words are shown" in text.get_text() for text in ax.texts)
    small = Figure(figsize=(3.54, 2.4), layout="constrained")
    ax = small.add_subplot()
    a.plot(ax)
    drawn(small)
    assert "w250" in [text.get_text() for text in words(ax)]
    assert not outside(small, list(ax.texts))
    assert not overlap(small, list(ax.texts))


def test_long_words_and_formulas_are_text() -> None:
    tricky = ["$\\frac{x$", "a_b^c$", "\u202eevil\x00", "<b>", "y" * 200]
    a = Attribution(RNG.normal(size=(1, 5))).with_names(tokens=[tricky])
    figure = a.plot()
    shown = [text.get_text() for text in words(drawn(figure))]
    assert shown[:4] == ["$\\frac{x$", "a_b^c$", "\\u202eevil\\x00", "<b>"]
    assert shown[4].startswith("yyyy")
    assert shown[4].endswith("…")
    assert not outside(figure, list(figure.axes[0].texts))


def test_values_that_are_no_text_say_so() -> None:
    with pytest.raises(ResultError, match="out of range"):
        plots.text(result(), records=[2])
    with pytest.raises(ResultError, match="3 names for 18 tokens"):
        plots.text(result(), records=[0], tokens=["a", "b", "c"])
    with pytest.raises(ResultError, match="one quantity"):
        plots.text(Attribution(np.ones((2, 1, 3)), explained=np.ones((2, 1))))


def test_words_of_methods_without_sums_have_a_note() -> None:
    said = " ".join(text.get_text() for text in drawn(plots.text(result(gap=None), records=[0])).texts)
    assert "do not add up" in said
    assert "do not add up" not in " ".join(text.get_text() for text in drawn(plots.text(result(), records=[0])).texts)


# Matrices


def matrix(outputs: int = 4, columns: int = 6, **more: Any) -> Attribution:
    names = [["[CLS]", "The", "film", "##s", "end", "[PAD]"]] if columns == 6 else [[f"token{k}" for k in range(columns)]]
    values = RNG.normal(size=(outputs, 1, columns))
    return Attribution(values, explained=np.zeros((outputs, 1)), method="LeaveOneOut()(model)", **more).with_names(tokens=names)


def test_a_matrix_has_outputs_by_words_of_the_prompt() -> None:
    a = matrix()
    ax = drawn(plots.token_matrix(a, rows=["ĠIt", "ĠisĠso", "<b>", "Ø§"]))
    values = a.values[:, 0]
    (image,) = ax.images
    np.testing.assert_allclose(np.asarray(image.get_array()), np.stack([*values[:, :2].T, values[:, 2:4].sum(1), values[:, 4]], 1))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["[CLS]", "The", "films", "end"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["It", "is so", "<b>", "ا"]
    low, high = image.get_clim()
    assert -low == high
    assert len(ax.figure.axes) == 2  # with a colour bar


@pytest.mark.parametrize("columns", [6, 30, 200])
@pytest.mark.parametrize("width", [None, 3.54, 8.0])
def test_names_of_a_matrix_do_not_overlap(columns: int, width: float | None) -> None:
    figure = None if width is None else Figure(figsize=(width, 3.2), layout="constrained")
    figure = plots.token_matrix(matrix(8, columns), None if figure is None else figure.add_subplot())
    ax = drawn(figure)
    labels = [*ax.get_xticklabels(), *ax.get_yticklabels()]
    assert not overlap(figure, labels)
    assert not outside(figure, labels)
    assert ("strongest" in ax.get_title(loc="left")) == (len(ax.get_xticklabels()) < (4 if columns == 6 else columns))


def test_a_matrix_needs_several_quantities() -> None:
    with pytest.raises(ResultError, match="needs values"):
        plots.token_matrix(result())
    with pytest.raises(ResultError, match="2 names for 4 rows"):
        plots.token_matrix(matrix(), rows=["a", "b"])
    with pytest.raises(ResultError, match="Record 3"):
        plots.token_matrix(matrix(), record=3)


def long_text() -> Attribution:
    return Attribution(RNG.normal(size=(1, 500)) ** 3, method="Saliency()").with_names(tokens=[[f"word{k % 37}" for k in range(500)]])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("text", lambda ax: plots.text(result(), ax)),
        ("text-positive", lambda ax: plots.text(result(), ax, sign="positive")),
        ("text-absolute", lambda ax: plots.text(result(), ax, sign="absolute", cmap="Greys")),
        ("text-long", lambda ax: plots.text(long_text(), ax)),
        ("token-matrix", lambda ax: plots.token_matrix(matrix(), ax, rows=["It", "is", "so", "good"])),
        ("token-matrix-long", lambda ax: plots.token_matrix(matrix(8, 40), ax)),
    ],
)
def test_pictures_for_the_gallery(name: str, make: Any) -> None:
    check_picture(make, name)
