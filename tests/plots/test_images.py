"""Figures of images: pixels at known places, ranges of colours, legends; nothing clipped at two sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ascribe.display import boxes, colours
from ascribe.errors import ArgumentError, ResultError
from ascribe.plots import compare, frames, image, volume
from ascribe.plots.maps import STYLES
from ascribe.result.attribution import Attribution
from tests.plots.gallery import check_picture

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 40, 60
RED, BLUE = np.array(to_rgb(colours.LIGHT[-1])), np.array(to_rgb(colours.LIGHT[0]))


def photo() -> np.ndarray:
    """A photograph: green on the left, dark on the right."""
    levels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    levels[:, : WIDTH // 2] = (30, 160, 60)
    levels[:, WIDTH // 2 :] = (40, 20, 60)
    return levels


def squares() -> np.ndarray:
    """A map that is 1 in a square on the left, -1 in one on the right, and 0 elsewhere."""
    values = np.zeros((HEIGHT, WIDTH))
    values[12:28, 8:24] = 1.0
    values[12:28, 36:52] = -1.0
    return values


def result(values: np.ndarray, **more: Any) -> Attribution:
    known: dict[str, Any] = {"record": photo()[None], "target": np.array([1]), "class_names": ("dog", "cat"), "method": "Method()"} | more
    return Attribution(values[None], **known)


def colour_at(figure: Figure, row: float, column: float) -> np.ndarray:
    """The colour that a figure has at a place of its first picture, red, green and blue between 0 and 1."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    x, y = figure.axes[0].transData.transform((column, row))
    colour: np.ndarray = pixels[len(pixels) - 1 - int(y), int(x)]
    return colour


def legend(figure: Figure) -> list[str]:
    return [ax.get_xlabel() for ax in figure.axes[1:] if ax.get_label() == "<colorbar>"]


def test_the_overlay_has_the_colours_of_both_signs_where_the_values_are() -> None:
    figure = check_picture(lambda ax: image(result(squares()), ax), "image-overlay")
    np.testing.assert_allclose(colour_at(figure, 20, 16), RED, atol=0.02)
    np.testing.assert_allclose(colour_at(figure, 20, 44), BLUE, atol=0.02)
    red, green, blue = colour_at(figure, 4, 4)
    assert red == pytest.approx(green, abs=0.02) == pytest.approx(blue, abs=0.02)  # the photograph is grey where nothing is
    assert legend(figure) == ["against ← class cat → for"]


def test_the_photograph_is_beside_the_map() -> None:
    figure = check_picture(lambda ax: image(result(squares()), ax, side_by_side=True), "image-beside")
    np.testing.assert_allclose(colour_at(figure, 20, 16), np.array([30, 160, 60]) / 255, atol=0.02)
    np.testing.assert_allclose(colour_at(figure, 20, 1.04 * WIDTH + 16), RED, atol=0.02)
    np.testing.assert_allclose(colour_at(figure, 20, 1.04 * WIDTH + 44), BLUE, atol=0.02)
    np.testing.assert_allclose(colour_at(figure, 4, 1.04 * WIDTH + 4), to_rgb(colours.LIGHT[2]), atol=0.02)
    with pytest.raises(ResultError, match="no photograph"):
        image(result(squares(), record=None), side_by_side=True)


def test_signs_select_values() -> None:
    a = result(squares())
    positive, negative, absolute = (image(a, sign=sign) for sign in ("positive", "negative", "absolute"))  # type: ignore[arg-type]
    np.testing.assert_allclose(colour_at(positive, 20, 16), RED, atol=0.02)
    np.testing.assert_allclose(colour_at(negative, 20, 44), BLUE, atol=0.02)
    np.testing.assert_allclose(colour_at(absolute, 20, 44), RED, atol=0.02)
    for figure, place in ((positive, 44), (negative, 16)):
        assert np.ptp(colour_at(figure, 20, place)) < 0.02
    assert [legend(f)[0] for f in (positive, negative, absolute)] == [
        "importance for class cat", "against class cat", "importance for class cat",
    ]  # fmt: skip
    nothing = image(result(-np.abs(squares())), sign="positive")
    assert nothing.axes[0].images[-1].get_clim() == (0, 1)


def test_maps_of_one_sign_start_at_0_and_maps_without_0_have_their_own_range() -> None:
    size = RNG.random((HEIGHT, WIDTH))
    size[0, 0] = 0
    assert image(result(size), percentile=100).axes[0].images[-1].get_clim() == (0, size.max())
    means = 0.26 + 0.03 * size
    figure = check_picture(lambda ax: image(result(means), ax, percentile=100), "image-rise")
    assert figure.axes[0].images[-1].get_clim() == (means.min(), means.max())
    ticks = [text.get_text() for text in figure.axes[1].get_xticklabels()]
    assert len(set(ticks)) == 3, "numbers of a narrow range need digits that tell them apart"
    assert abs(float(ticks[0]) - 0.26) < 1e-3


def test_the_percentile_has_full_colour() -> None:
    values = np.linspace(-1, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    for percentile in (50.0, 90.0):
        low, high = image(result(values), percentile=percentile).axes[0].images[-1].get_clim()
        assert -low == high == pytest.approx(percentile / 100, abs=0.01)


def test_smooth_maps_lie_over_the_colours_of_the_photograph() -> None:
    coarse = np.zeros((4, 6))
    coarse[1, 1] = 1.0
    figure = check_picture(lambda ax: image(result(coarse, method="GradCam()"), ax), "image-cam")
    under, over = figure.axes[0].images
    assert np.asarray(under.get_array()).shape == (HEIGHT, WIDTH, 3)
    values = np.asarray(over.get_array())
    assert values.shape == (HEIGHT, WIDTH)
    steps = np.abs(np.diff(values, axis=1)).max()
    assert steps < 0.2, "the coarse map is interpolated: 10 pixels lead from one value to the next"
    brightness = [colour_at(figure, *at) @ [0.299, 0.587, 0.114] for at in ((15, 15), (35, 15))]
    assert brightness[0] > brightness[1] + 0.2, "strong is brighter than weak, also in grey scale"
    fine = image(result(RNG.random((HEIGHT, WIDTH)))).axes[0].images[0]
    assert np.asarray(fine.get_array()).ndim == 2, "the photograph under a fine map is grey"


def test_a_mask_shows_the_photograph_where_the_map_is_strong() -> None:
    figure = check_picture(lambda ax: image(result(np.maximum(squares(), 0)), ax, style="mask"), "image-mask")
    np.testing.assert_allclose(colour_at(figure, 20, 16), np.array([30, 160, 60]) / 255, atol=0.05)
    assert colour_at(figure, 36, 56).min() > 0.8
    assert legend(figure) == []
    assert "visible" in figure.axes[0].get_xlabel()
    with pytest.raises(ResultError, match="needs a photograph"):
        image(result(squares(), record=None), style="mask")


def test_contours_surround_the_values() -> None:
    figure = check_picture(lambda ax: image(result(squares()), ax, style="contours"), "image-contours")
    solid, dashed = figure.axes[0].collections
    for lines, columns in ((solid, (4, 28)), (dashed, (32, 56))):
        points = np.concatenate([path.vertices for path in lines.get_paths() if len(path.vertices)])
        assert points[:, 0].min() > columns[0]
        assert points[:, 0].max() < columns[1]
    np.testing.assert_allclose(solid.get_edgecolor()[0][:3], RED, atol=0.02)
    np.testing.assert_allclose(dashed.get_edgecolor()[0][:3], BLUE, atol=0.02)
    np.testing.assert_allclose(colour_at(figure, 36, 4), np.array([30, 160, 60]) / 255, atol=0.02)


def test_boxes_are_around_the_strongest_regions() -> None:
    values = np.zeros((HEIGHT, WIDTH))
    values[12:24, 8:20] = 1.0
    values[12:24, 36:48] = -1.0
    figure = check_picture(lambda ax: image(result(values), ax, style="regions"), "image-regions")
    frames_drawn = figure.axes[0].patches
    assert [text.get_text() for text in figure.axes[0].texts] == [str(k + 1) for k in range(len(frames_drawn))]
    found = boxes.strongest_boxes(values, 3)
    assert len(found) == 2
    for box in found:
        left = 8 if box.positive else 36
        assert abs(box.top - 12) <= 2 >= abs(box.bottom - 23)
        assert abs(box.left - left) <= 2 >= abs(box.right - left - 11)
        assert box.share == pytest.approx(0.5, abs=0.1)


def test_boxes_do_not_overlap_and_lie_inside() -> None:
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=(25, 33)) ** 3
        found = boxes.strongest_boxes(values, 5)
        assert found
        assert not any(a.meets(b) for k, a in enumerate(found) for b in found[k + 1 :])
        assert all(0 <= b.top <= b.bottom < 25 and 0 <= b.left <= b.right < 33 for b in found)
    assert boxes.strongest_boxes(np.zeros((5, 5)), 3) == []
    assert boxes.strongest_boxes(np.full((1, 1), np.nan), 3) == []


def test_smoothing_is_the_mean_over_windows() -> None:
    values = RNG.normal(size=(9, 11))
    padded = np.pad(values, 1, mode="edge")
    once = np.array([[padded[i : i + 3, k : k + 3].mean() for k in range(11)] for i in range(9)])
    padded = np.pad(once, 1, mode="edge")
    twice = np.array([[padded[i : i + 3, k : k + 3].mean() for k in range(11)] for i in range(9)])
    np.testing.assert_allclose(boxes.smooth_map(values, 3), twice, atol=1e-12)
    np.testing.assert_array_equal(boxes.smooth_map(values, 1), values)


def test_regions_are_connected() -> None:
    inside = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 0]], bool)
    assert boxes.label_regions(inside).tolist() == [[1, 1, 0, 2], [0, 1, 0, 2], [3, 0, 0, 0]]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("values", [np.zeros((HEIGHT, WIDTH)), np.full((HEIGHT, WIDTH), np.nan), np.full((HEIGHT, WIDTH), 0.3)])
def test_every_style_draws_maps_without_structure(style: Any, values: np.ndarray) -> None:
    check_picture(lambda ax: image(result(values), ax, style=style), f"flat-{style}")


def test_unknown_settings_are_named() -> None:
    for settings, said in (({"style": "glow"}, "style='overlay'"), ({"cmap": "nope"}, "cmap='viridis'")):
        with pytest.raises(ResultError, match=said):
            image(result(squares()), **settings)
    with pytest.raises(ArgumentError, match=r"has no argument `colour=`"):
        image(result(squares()), colour="red")  # type: ignore[call-arg]
    with pytest.raises(ResultError, match="height and width"):
        image(Attribution(np.ones((1, 5))))


def test_a_colormap_and_a_title_are_used() -> None:
    figure = image(
        result(squares()), cmap="PiYG", title="$x^2$ and a title that goes on for so long that it does not fit into one line at all"
    )
    assert figure.axes[0].images[-1].cmap.name == "PiYG"
    assert figure.axes[0].get_title(loc="left").startswith("$x^2$")
    assert "\n" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize("shape", [(20, 100), (100, 20), (64, 64)])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_nothing_is_clipped_in_any_shape(shape: tuple[int, int], side_by_side: bool) -> None:
    a = Attribution(
        RNG.normal(size=(1, 3, *shape)), RNG.random((1, 3, *shape)), method="IntegratedGradients(baseline=Blur(sigma=3.0), steps=128)",
        target=np.array([0]), class_names=("a class with a name as long as those of ImageNet are",), explained=np.array([12.5]),
    )  # fmt: skip
    check_picture(lambda ax: image(a, ax, side_by_side=side_by_side), f"shape-{shape[0]}-{shape[1]}-{side_by_side}")


# Several methods


def many() -> dict[str, Attribution]:
    coarse = RNG.random((4, 6))
    return {
        "signed": result(squares()), "unsigned": result(np.abs(squares())), "a coarse map": result(coarse),
        "means": result(0.26 + 0.03 * RNG.random((HEIGHT, WIDTH))),
    }  # fmt: skip


def panels(figure: Figure) -> list[Any]:
    return [ax for ax in figure.axes if ax.get_title(loc="left")]


def test_methods_share_a_legend_for_each_palette() -> None:
    figure = check_picture(lambda ax: compare(many()), "compare", narrow=False)
    assert [ax.get_title(loc="left") for ax in panels(figure)] == list(many())
    assert legend(figure) == ["against ← class cat → for; each map on its own scale", "importance for class cat (a coarse map)"]
    maps = compare({name: many()[name] for name in ("unsigned", "means")}, style="map")
    assert legend(maps) == ["importance for class cat; each map on its own scale"]
    assert [text.get_text() for text in maps.axes[-1].get_xticklabels()] == ["least", "strongest"]


def test_the_photograph_is_a_panel_of_its_own() -> None:
    figure = check_picture(lambda ax: compare(many(), columns=3, side_by_side=True), "compare-beside", narrow=False)
    assert [ax.get_title(loc="left") for ax in panels(figure)] == ["photograph", *many()]
    np.testing.assert_allclose(colour_at(figure, 20, 16), np.array([30, 160, 60]) / 255, atol=0.02)
    with pytest.raises(ResultError, match="no photograph"):
        compare({"a": result(squares(), record=None)}, kind="image", side_by_side=True)


def test_maps_can_have_the_same_scale() -> None:
    figure = compare({"one": result(squares()), "half": result(squares() * 0.5)}, same_scale=True, percentile=100)
    assert {ax.images[-1].get_clim() for ax in panels(figure)} == {(-1, 1)}
    own = compare({"one": result(squares()), "half": result(squares() * 0.5)}, percentile=100)
    assert [ax.images[-1].get_clim() for ax in panels(own)] == [(-1, 1), (-0.5, 0.5)]


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_any_number_of_panels_is_readable(count: int) -> None:
    results = {f"A method with a rather long name {k}": result(RNG.normal(size=(HEIGHT, WIDTH))) for k in range(count)}
    for style in ("overlay", "regions"):
        check_picture(lambda ax, style=style: compare(results, columns=5, style=style), f"compare-{count}-{style}", narrow=False)


# Volumes and videos


def test_slices_of_a_volume_are_on_one_scale() -> None:
    values = RNG.normal(size=(1, 12, 16, 20))
    figure = check_picture(lambda ax: volume(Attribution(values, np.abs(values)), ax, slices=[0, 5, -1]), "volume")
    over = figure.axes[0].images[1::2]
    for picture, k in zip(over, (0, 5, 11), strict=True):
        np.testing.assert_allclose(np.asarray(picture.get_array()), values[0, k])
    assert len({picture.get_clim() for picture in over}) == 1
    assert [text.get_text() for text in figure.axes[0].texts] == ["depth 0", "depth 5", "depth 11"]
    across = volume(Attribution(values), axis=2, slices=4)
    assert np.asarray(across.axes[0].images[0].get_array()).shape == (12, 16)
    assert [text.get_text() for text in across.axes[0].texts] == ["column 2", "column 7", "column 12", "column 17"]


@pytest.mark.parametrize("shape", [(1, 12, 16, 20), (12, 16, 20, 1), (3, 12, 16, 20)])
def test_channels_of_a_volume_are_summed(shape: tuple[int, ...]) -> None:
    values = RNG.normal(size=(1, *shape))
    channel = 1 + int(np.argmin(shape))
    figure = volume(Attribution(values, np.abs(values)), slices=[3])
    np.testing.assert_allclose(np.asarray(figure.axes[0].images[-1].get_array()), values.sum(channel)[0, 3])


def test_frames_have_the_names_of_their_times() -> None:
    values = RNG.normal(size=(2, 9, 3, 16, 24))
    a = Attribution(values, np.abs(values)).with_names(times=np.arange(9) * 40, unit="ms")
    figure = check_picture(lambda ax: frames(a, ax, record=1, frames=3), "frames")
    assert [text.get_text() for text in figure.axes[0].texts] == ["40 ms", "160 ms", "280 ms"]
    for picture, k in zip(figure.axes[0].images[1::2], (1, 4, 7), strict=True):
        np.testing.assert_allclose(np.asarray(picture.get_array()), values[1, k].sum(0))
    last = frames(Attribution(np.moveaxis(values, 2, -1)), frames=[0])
    np.testing.assert_allclose(np.asarray(last.axes[0].images[0].get_array()), values[0, 0].sum(0))


def test_positions_outside_are_named() -> None:
    a = Attribution(RNG.normal(size=(1, 9, 16, 24)))
    for wrong in ([9], [], 0, [-10]):
        with pytest.raises(ResultError, match="out of range"):
            volume(a, slices=wrong)
    with pytest.raises(ResultError, match="axis=0"):
        volume(a, axis=3)
    with pytest.raises(ResultError, match="A volume needs"):
        volume(Attribution(np.ones((1, 4))))
    with pytest.raises(ResultError, match="A video needs"):
        frames(Attribution(np.ones((1, 4))))
