"""Figures: what is drawn where, from the artists of the axes; nothing global is touched."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ascribe.display import colours
from ascribe.display.layouts import as_image
from ascribe.errors import ResultError
from ascribe.plots import compare, plot
from ascribe.result.attribution import Attribution, Check, Gap
from ascribe.utils.pooling import resize_maps

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 3, 8, 12))
TRICKY = ["$\\frac{x$", "a_b^c$", "\u202eevil\n\x00", "<b>", *(f"feature {i}" for i in range(16))]


def drawn(figure: Figure) -> Axes:
    """The axes with the picture; it has been rendered without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png")
    return figure.axes[0]


def bars(ax: Axes) -> list[Rectangle]:
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_yticklabels()]


# Images


def test_a_map_is_the_sum_of_the_channels_centred_at_zero() -> None:
    ax = drawn(Attribution(IMAGE).plot(record=1))
    (image,) = ax.images
    np.testing.assert_allclose(np.asarray(image.get_array()), IMAGE[1].sum(0))
    low, high = image.get_clim()
    assert -low == high == np.abs(IMAGE[1].sum(0)).max()
    assert image.cmap(0.5)[:3] == pytest.approx(to_rgb(colours.LIGHT[2]), abs=0.01)
    np.testing.assert_allclose(image.cmap(1.0)[:3], to_rgb(colours.LIGHT[-1]), atol=0.01)


def test_a_map_lies_over_its_record() -> None:
    ax = drawn(Attribution(IMAGE, np.abs(IMAGE)).plot())
    under, over = ax.images
    assert np.asarray(under.get_array()).shape == (8, 12)
    size = np.abs(IMAGE[0].sum(0))
    np.testing.assert_allclose(over.get_alpha(), np.sqrt(size / size.max()))  # nothing hides the record where nothing is


@pytest.mark.parametrize("record", [np.ones((2, 3, 16, 20)), np.ones((2, 16, 20, 3)), np.ones((2, 1, 16, 20))])
def test_a_coarse_map_is_brought_to_the_size_of_the_record(record: np.ndarray) -> None:
    values = RNG.normal(size=(2, 4, 5))
    under, over = drawn(Attribution(values, record).plot()).images
    np.testing.assert_allclose(np.asarray(over.get_array()), resize_maps(values[0], 16, 20))
    assert np.asarray(under.get_array()).shape == (16, 20)


def test_another_picture_can_lie_under_it() -> None:
    layer = Attribution(RNG.normal(size=(2, 7, 7)), RNG.normal(size=(2, 64, 7, 7)), cut="Cut('layer4')")
    assert len(drawn(layer.plot(kind="image")).images) == 1
    assert len(drawn(layer.plot(image=np.ones((3, 28, 28)))).images) == 2


def test_channels_may_come_last() -> None:
    values = RNG.normal(size=(1, 8, 12, 3))
    for kind in (None, "image_last"):
        (image,) = drawn(Attribution(values).plot(kind=kind)).images  # type: ignore[arg-type]
        np.testing.assert_allclose(np.asarray(image.get_array()), values[0].sum(-1))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_maps_without_numbers_are_drawn(bad: float) -> None:
    assert len(drawn(Attribution(np.full((1, 3, 8, 8), bad), np.ones((1, 3, 8, 8))).plot()).images) == 2


# Bars


def test_bars_are_the_strongest_and_the_rest_and_add_up() -> None:
    values = RNG.normal(size=(2, 20))
    ax = drawn(Attribution(values).plot(record=1, features=TRICKY, top=5))
    widths = [bar.get_width() for bar in bars(ax)]
    order = np.argsort(-np.abs(values[1]))[:5]
    np.testing.assert_allclose(widths[:5], values[1][order])
    assert sum(widths) == pytest.approx(values[1].sum())
    assert labels(ax)[-1] == "15 others together"
    ends = {colours.LIGHT[-1]: 1, colours.LIGHT[0]: -1}
    for bar in bars(ax):
        assert any(np.allclose(bar.get_facecolor()[:3], to_rgb(c)) and bar.get_width() * sign > 0 for c, sign in ends.items())
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the strongest is above


def test_names_are_text_and_no_formulas() -> None:
    ax = drawn(
        Attribution(np.arange(20.0)[None] - 30, method="$\\frac{", class_names=("$x^",), target=np.array([0])).plot(features=TRICKY, top=20)
    )
    assert labels(ax) == ["$\\frac{x$", "a_b^c$", "\\u202eevil\\n\\x00", "<b>", *TRICKY[4:]]
    assert ax.get_title(loc="left") == "$\\frac{"
    assert "$x^" in ax.get_xlabel()
    with pytest.raises(ResultError, match="There are 3 names for"):
        Attribution(np.ones((1, 20))).plot(features=["a", "b", "c"])


def test_few_features_have_no_rest() -> None:
    assert labels(drawn(Attribution(np.array([[1.0, -2.0]])).plot())) == ["feature 1", "feature 0"]


# Series


def test_a_series_is_a_line_over_its_colours() -> None:
    record = np.sin(np.arange(200) / 9)[None, None] * np.array([1.0, 2.0, 3.0])[:, None]
    values = RNG.normal(size=(1, 3, 200))
    ax = drawn(Attribution(values, record).plot(features=["x", "y", "z"]))
    assert labels(ax) == ["x", "y", "z"]
    assert len(ax.lines) == len(ax.images) == 3
    for lane, (line, strip) in enumerate(zip(ax.lines, ax.images, strict=True)):
        np.testing.assert_allclose(np.asarray(strip.get_array())[0], values[0, lane])
        np.testing.assert_allclose(np.corrcoef(lane - np.asarray(line.get_ydata()), record[0, lane])[0, 1], 1)
    assert "time" in ax.get_xlabel()


def test_time_may_come_first_and_the_record_may_be_missing() -> None:
    values = RNG.normal(size=(1, 200, 3))
    ax = drawn(Attribution(values, values).plot())
    np.testing.assert_allclose(np.asarray(ax.images[2].get_array())[0], values[0, :, 2])
    ax = drawn(Attribution(values).plot(kind="series_last", top=2))
    assert len(ax.images) == 0
    kept = np.sort(np.argsort(-np.abs(values[0]).sum(0))[:2])
    assert labels(ax) == [f"channel {k}" for k in kept]


def test_one_channel_is_a_series_on_request() -> None:
    values = RNG.normal(size=(1, 50))
    assert len(drawn(Attribution(values, values).plot(kind="series")).images) == 1


def test_constant_and_broken_series_are_drawn() -> None:
    for value in (0.0, np.nan):
        drawn(Attribution(np.full((1, 2, 50), value), np.zeros((1, 2, 50))).plot(kind="series"))


# Tokens


def test_embeddings_have_to_be_pooled_first() -> None:
    a = Attribution(RNG.normal(size=(1, 4, 32)))
    with pytest.raises(ResultError, match=r"a\.sum\('embedding'\)"):
        a.plot(tokens=["a", "b", "c", "d"])
    drawn(a.sum("embedding").plot(tokens=["a", "b", "c", "d"]))


# Everywhere


def test_open_shapes_show_the_choices() -> None:
    with pytest.raises(ResultError, match=r"kind='image'.*kind='series'.*kind='series_last'"):
        Attribution(RNG.normal(size=(1, 28, 28))).plot()


def test_one_of_several() -> None:
    several: list[tuple[Attribution, str]] = [
        (Attribution({"x": IMAGE, "y": IMAGE}), r"a\.part\('x'\), a\.part\('y'\)"),
        (Attribution(IMAGE[None], explained=np.zeros((1, 2))), r"quantity_at\(0\)"),
        (Attribution(IMAGE).records([0]), "Record 1 is out of range"),
    ]
    for a, said in several:
        with pytest.raises(ResultError, match=said):
            a.plot(record=1)
    under, _ = drawn(Attribution({"x": IMAGE}, {"x": IMAGE}).plot()).images
    assert under is not None


def test_captions_say_what_is_known() -> None:
    a = Attribution(
        RNG.normal(size=(2, 4)), method="Saliency()(model, x)", explained=np.array([1.0, 2.5]), target=np.array([0, 1]),
        class_names=("cat", "dog"), gap=Gap(np.zeros(2), np.array([0.0, 0.03])), checks=(Check("finite", "ok"),),
    )  # fmt: skip
    ax = drawn(a.plot(record=-1))
    assert ax.get_title(loc="left") == "Saliency()"
    assert ax.get_xlabel() == "record 1: score of class dog: 2.5, gap 3 %"


def test_given_axes_are_used() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert Attribution(np.ones((1, 4))).plot(right) is figure
    assert not left.patches
    assert right.patches


def test_results_side_by_side() -> None:
    a, b = Attribution(IMAGE, IMAGE, method="A()"), Attribution(RNG.normal(size=(2, 2, 3)), IMAGE, method="B()")
    figure = compare({"first": a, "second": b, "third": a - a}, columns=2, record=1)
    panels = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in panels] == ["first", "second", "third"]
    assert "record 1" in figure.get_suptitle()
    drawn(figure)
    with pytest.raises(ResultError, match="needs at least one result"):
        compare({})


def test_notebooks_get_a_picture_by_itself() -> None:
    figure: Any = Attribution(np.ones((1, 4))).plot()
    assert figure._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"


def test_pyplot_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from ascribe.result.attribution import Attribution\n"
        "assert not {'matplotlib', 'torch', 'pandas', 'rich'} & set(sys.modules), 'too early'\n"
        "Attribution(np.ones((1, 4))).plot().savefig(sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)


@pytest.mark.parametrize("held", [lambda a: a, lambda a: (a,)], ids=["an array", "one array of a structure"])
def test_bars_have_the_standard_errors_of_what_was_sampled(held: Any) -> None:
    values, error = RNG.normal(size=(2, 6)), RNG.random((2, 6))
    ax = drawn(Attribution(held(values), held(values), error=held(error)).plot(record=1, top=4))
    (spread,) = ax.collections
    order = np.argsort(-np.abs(values[1]))[:4]
    ends = [sorted((values[1, k] - error[1, k], values[1, k] + error[1, k])) for k in order]
    np.testing.assert_allclose([line[:, 0] for line in spread.get_segments()], ends)
    assert not drawn(Attribution(values).plot()).collections


def test_matplotlib_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib.axes", "ascribe.plots.draw"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr("ascribe.plots.draw", raising=False)
    for draws in (lambda: plot(Attribution(np.ones((1, 4)))), lambda: compare({"a": Attribution(np.ones((1, 4)))})):
        with pytest.raises(ResultError, match="needs matplotlib"):
            draws()


# Colours


def decoded(data: bytes) -> np.ndarray:
    """A PNG as matplotlib reads it, 0 to 255."""
    from matplotlib.image import imread

    return np.rint(imread(io.BytesIO(data)) * 255).astype(int)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3)])
def test_png_is_read_back(shape: tuple[int, ...]) -> None:
    pixels = RNG.integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(decoded(colours.encode_png(pixels)), pixels)


def test_the_palette_is_symmetric_about_zero() -> None:
    ends = colours.apply_palette(np.array([-1.0, 0.0, 1.0, -7.0, np.nan, np.inf]))
    as_hex = ["#" + bytes(colour).hex() for colour in ends]
    assert as_hex == [colours.LIGHT[0], colours.LIGHT[2], colours.LIGHT[4], colours.LIGHT[0], "#919191", colours.LIGHT[4]]
    for stops in (colours.LIGHT, colours.DARK):
        light = colours.apply_palette(np.linspace(-1, 1, 21), stops) @ np.array([0.299, 0.587, 0.114])
        away = np.abs(light - light[10])
        assert (np.diff(away[10:]) > 0).all()  # further from zero is further from the middle, on both sides
        assert (np.diff(away[10::-1]) > 0).all()


def test_scaling_keeps_zero_and_signs() -> None:
    values = np.array([0.0, -2.0, 1.0, np.nan])
    np.testing.assert_array_equal(colours.scale_to_limit(values), [0.0, -1.0, 0.5, np.nan])
    np.testing.assert_array_equal(colours.scale_to_limit(np.zeros(3)), np.zeros(3))
    spike = np.r_[np.ones(999), 1000.0]
    assert colours.scale_to_limit(spike)[0] == 1.0  # one spike does not darken the rest
    lone = np.r_[np.zeros(999), 5.0]
    assert colours.scale_to_limit(lone)[-1] == 1.0  # and is not lost where it is all there is


@pytest.mark.parametrize(
    ("shape", "out"),
    [((8, 12), (8, 12)), ((1, 8, 12), (8, 12)), ((3, 8, 12), (8, 12, 3)), ((4, 8, 12), (8, 12, 3)), ((8, 12, 3), (8, 12, 3)),
     ((64, 7, 7), None), ((7, 7, 64), None), ((3, 5, 3), None), ((9,), None)],
)  # fmt: skip
def test_photographs(shape: tuple[int, ...], out: tuple[int, ...] | None) -> None:
    photo = as_image(np.ones(shape))
    assert (None if photo is None else photo.shape) == out


def test_pictures_use_their_own_range() -> None:
    levels = colours.grey_levels(np.array([[-2.0, 0.0], [2.0, np.nan]]))
    assert levels.tolist() == [[0, 128], [255, 128]]
    assert colours.grey_levels(np.full((2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]
    photo = np.array([[10, 200]], np.uint8)
    assert colours.grey_levels(photo) is photo
