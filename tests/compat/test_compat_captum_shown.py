"""What is shown of captum's numbers: statistics as they come, by class, pictures, series and words."""

from __future__ import annotations

from typing import Any

import captum.attr as ca
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import ascribe.compat.captum.attr as oa
from ascribe.compat.captum.visualization import VisualizeSign
from tests.support.captum_cases import same
from tests.support.small_models import rows

pytestmark = pytest.mark.filterwarnings("ignore")
X = rows(5, 4)


# Statistics


def stats(where: Any) -> list[Any]:
    return [*where.CommonStats(), where.Sum(), where.Count(), where.MSE(), where.Var(), where.StdDev()]


def equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            equal(ours[key], theirs[key])
    elif isinstance(theirs, list):
        for one, other in zip(ours, theirs, strict=True):
            equal(one, other)
    elif theirs is None:
        assert ours is None
    else:
        same(ours, theirs, 1e-9, 1e-12)


def test_summaries() -> None:
    for values in ([X[0], X[1], X[2]], [(X[0], X[1, :2]), (X[2], X[3, :2])], [3.0, 5.0], [torch.tensor([1, 4]), torch.tensor([2, 2])]):
        ours, theirs = oa.Summarizer(stats(oa)), ca.Summarizer(stats(ca))
        equal(ours.summary, theirs.summary)
        for value in values:
            ours.update(value)
            theirs.update(value)
        equal(ours.summary, theirs.summary)
    with pytest.raises(AssertionError):
        ours.update((X[0],))


@pytest.mark.parametrize("parts", [(X,), (X, X[:, :2])], ids=["one tensor", "a pair"])
def test_summaries_by_class(parts: tuple[torch.Tensor, ...]) -> None:
    def rows_of(*index: int) -> Any:
        found = tuple(part[list(index)] for part in parts)
        return found if len(found) > 1 else found[0]

    ours, theirs = oa.ClassSummarizer(oa.CommonStats()), ca.ClassSummarizer(ca.CommonStats())
    for batch, labels in ((range(5), [0, 1, 0, 2, 1]), (range(3), [2, 2, 0]), ([4], [1]), ([1, 2], [0]), ([3, 4], 2)):
        for one in (ours, theirs):
            one.update(rows_of(*batch), labels)
    equal(ours.class_summaries, theirs.class_summaries)
    equal(ours.summary, theirs.summary)
    tensors = oa.ClassSummarizer(oa.CommonStats())
    tensors.update(rows_of(*range(5)), torch.tensor([2, 2, 0, 0, 1]))
    assert set(tensors.class_summaries) == {0, 1, 2}
    with pytest.raises(AssertionError):
        ours.update(rows_of(*range(5)), [1, 2])
    whole = [where.ClassSummarizer(where.CommonStats()) for where in (oa, ca)]
    for one in whole:
        one.update(rows_of(*range(5)))
    equal(*(one.summary for one in whole))


def test_statistics_of_ones_own() -> None:
    class Last(oa.Mean.__mro__[2]):  # Stat
        """The last value, and how many came before."""

        def init(self) -> None:
            self.value: Any = None

        def update(self, x: Any) -> None:
            self.value = x

        def get(self) -> Any:
            return self.value

    summary = oa.Summarizer([Last("last"), oa.Count()])
    summary.update(X[0])
    summary.update(X[1])
    assert torch.equal(summary.summary["last"], X[1])
    assert oa.Var(order=1) == oa.Var(order=1) != oa.Var(order=0)


# Pictures


@pytest.mark.parametrize("method", ["heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling"])
@pytest.mark.parametrize("sign", [*VisualizeSign.__members__])
def test_pictures(method: str, sign: str) -> None:
    values, image = rows(5, 6, 3).numpy(), rows(5, 6, 3, seed=1).abs().clamp(max=1).numpy()
    if sign == "all" and method in ("masked_image", "alpha_scaling"):
        with pytest.raises(AssertionError):
            oa.visualization.visualize_image_attr(values, image, method, sign)
        return
    call = (values, image, method, sign)
    more = {"title": "t", "show_colorbar": True, "use_pyplot": False, "outlier_perc": 5}
    (ours, ax), (theirs, bx) = (w.visualization.visualize_image_attr(*call, **more) for w in (oa, ca))
    assert len(ours.axes) >= len(theirs.axes) - 1
    assert ax.get_title() == bx.get_title()
    for one, other in zip(ax.images, bx.images, strict=True):
        mine, wanted = np.asarray(one.get_array()), np.asarray(other.get_array())
        step = 1.0 if wanted.dtype == np.uint8 else 1e-9 * np.abs(wanted).max()  # a byte may be rounded the other way
        np.testing.assert_allclose(mine.astype(float), wanted.astype(float), rtol=0, atol=step)
        assert one.get_clim() == pytest.approx(other.get_clim(), abs=step)
    plt.close("all")


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_brightness_of_any_image(channels: tuple[int, ...]) -> None:
    """Captum's takes three channels only."""
    values, image = np.abs(rows(5, 6).numpy()), rows(5, 6, *channels, seed=1).abs().clamp(max=1).numpy()
    _, ax = oa.visualization.visualize_image_attr(torch.tensor(values), image, "alpha_scaling", "positive", use_pyplot=False)
    shown = np.asarray(ax.images[0].get_array())
    grey = np.broadcast_to(image.reshape(5, 6, -1)[:, :, :3], (5, 6, 3))
    np.testing.assert_array_equal(shown[..., :3], (grey * 255).astype(np.uint8))
    assert shown[..., 3].max() == 255


def test_pictures_beside_each_other() -> None:
    values, image = rows(5, 6, 3).numpy(), rows(5, 6, 3, seed=1).abs().numpy()
    draw = oa.visualization.visualize_image_attr_multiple
    figure, axes = draw(
        values, image, ["original_image", "heat_map"], ["all", "positive"], ["a", "b"], use_pyplot=False, show_colorbar=True
    )
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    assert len(figure.axes) == 3
    with pytest.raises(AssertionError):
        draw(values, image, ["heat_map"], ["all", "positive"], use_pyplot=False)


@pytest.mark.parametrize("method", ["overlay_individual", "overlay_combined", "colored_graph"])
def test_series(method: str) -> None:
    """Captum 0.9.0 cannot draw these with a current matplotlib."""
    values, data = rows(20, 3).numpy(), rows(20, 3, seed=1).numpy()
    call = {"method": method, "channel_labels": ["a", "b", "c"], "show_colorbar": True, "title": "t", "use_pyplot": False}
    figure, axes = oa.visualization.visualize_timeseries_attr(values, data, sign="all", **call)
    panels = np.ravel(np.asarray(axes, dtype=object))
    assert len(panels) == (1 if method == "overlay_combined" else 3)
    lines = sum(len(p.lines) + len(p.collections) for p in panels)
    assert lines >= 3
    oa.visualization.visualize_timeseries_attr(values.T, data.T, channels_last=False, **call)
    plt.close("all")
    assert figure is not None


def test_words() -> None:
    show = oa.visualization
    record = show.VisualizationDataRecord(torch.tensor([0.5, -0.3, 2.0]), 0.9, "good", "bad", "good", 1.2, ["<b>x", "<pad>", "y"], 0.1)
    page = show.visualize_text([record]).data
    assert "&lt;b&gt;x" in page
    assert "#pad" in page
    assert "hsl(120, 75%, 75%)" in page
    assert "good (0.90)" in page
    for value in (0.5, -0.3, 0.0):
        assert f"hsl({120 if value > 0 else 0}, 75%, " in show.format_word_importances(["x"], [value])
    theirs = ca.visualization.format_word_importances(["x", "y"], [0.5, -0.3])
    assert [part.split(")")[0] for part in theirs.split("hsl(")[1:]] == [
        part.split(")")[0] for part in show.format_word_importances(["x", "y"], [0.5, -0.3]).split("hsl(")[1:]
    ]
    assert show.format_word_importances([], []) == "<td></td>"
    assert show.format_special_tokens("<pad>") == ca.visualization.format_special_tokens("<pad>")


def test_masks_are_drawn() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:5, 1:5] = True
    _, ax = plt.subplots()
    oa.visualization.draw_mask_border(ax, mask, 1)
    oa.visualization.draw_mask_legend(ax, mask, "$x$")
    edge = np.asarray(ax.images[0].get_array())[..., 3] > 0
    assert edge.sum() == 12
    assert not edge[2:4, 2:4].any()
    assert ax.texts[0].get_position() == (2.5, 2.5)
    plt.close("all")
