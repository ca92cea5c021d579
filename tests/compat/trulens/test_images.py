"""The visualizers follow the channels of the wrapped model: on the last axis."""

from __future__ import annotations

import numpy as np
import pytest

from ascribe.compat.trulens.nn.attribution import InputAttribution
from ascribe.compat.trulens.nn.models import get_model_wrapper
from ascribe.compat.trulens.nn.slices import Cut
from ascribe.compat.trulens.visualizations import ChannelMaskVisualizer, HeatmapVisualizer, MaskVisualizer, Tiler, Visualizer
from tests.support.trulens_keras import L, keras

pytestmark = pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 6, 5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def wrapper():
    x = keras.Input((6, 5, 3))
    found = L.Conv2D(4, 3, padding="same", activation="relu", name="conv", data_format="channels_last")(x)
    model = keras.Model(x, L.Dense(2)(L.GlobalAveragePooling2D(data_format="channels_last")(found)))
    return get_model_wrapper(model)


@pytest.fixture(autouse=True)
def in_use(wrapper):
    get_model_wrapper(wrapper.model)


def test_images_are_tiled():
    tiled = Tiler().tile(IMAGES)
    assert tiled.shape == (6, 15, 3)
    np.testing.assert_array_equal(tiled[:, 5:10], IMAGES[1])
    assert Tiler().tile(IMAGES[..., :1]).shape == (6, 15)


def test_attributions_as_images(wrapper, tmp_path):
    values = InputAttribution(wrapper, qoi=1).attributions(IMAGES)
    shown = Visualizer(normalization_type="unsigned_max")(values, imshow=False, output_file=tmp_path / "a.png")
    np.testing.assert_allclose(shown, values / np.abs(values).max((1, 2, 3), keepdims=True), rtol=1e-5)
    mean = Visualizer(combine_channels=True, normalization_type="unnormalized")(values, imshow=False)
    np.testing.assert_allclose(mean, values.mean(3, keepdims=True), rtol=1e-5)
    summed = Visualizer(normalization_type="magnitude_sum")(values, imshow=False)
    np.testing.assert_allclose(summed.sum((1, 2)), 1, rtol=1e-4)
    assert (tmp_path / "a.png").stat().st_size > 0
    with pytest.raises(ValueError, match="channels"):
        Visualizer()(np.moveaxis(IMAGES, -1, 1), imshow=False)


def test_blur_leaves_the_channels_apart():
    spot = np.zeros((1, 9, 9, 3), np.float32)
    spot[0, 4, 4, 1] = 1
    blurred = Visualizer(normalization_type="unnormalized", blur=1.0)(spot, imshow=False)
    assert blurred[..., 0].sum() == blurred[..., 2].sum() == 0
    np.testing.assert_allclose(blurred[..., 1].sum(), 1, rtol=1e-4)


def test_heatmaps_and_masks(wrapper):
    values = InputAttribution(wrapper, qoi=1).attributions(IMAGES)
    assert HeatmapVisualizer(blur=1.0)(values, IMAGES, imshow=False).shape == (3, 6, 5, 1)
    assert HeatmapVisualizer()(values, IMAGES, imshow=False, return_tiled=True).shape == (6, 15)
    masked = MaskVisualizer(blur=0.0, threshold=0.5, masked_opacity=0.0)(values, IMAGES, imshow=False, return_tiled=False)
    assert masked.shape == IMAGES.shape
    shown = (masked != 0).any(3).mean((1, 2))
    assert np.all(shown <= 0.55)


def test_the_part_of_an_image_that_a_channel_responds_to(wrapper):
    torch = pytest.importorskip("torch")
    show = ChannelMaskVisualizer(wrapper, "conv", 2, blur=0.0)
    expected = show(IMAGES, imshow=False)
    assert expected.shape == IMAGES.shape
    get_model_wrapper(torch.nn.Linear(3, 2))  # another framework in between changes nothing
    np.testing.assert_array_equal(show(IMAGES, imshow=False), expected)
    again = ChannelMaskVisualizer(wrapper, Cut("conv"), 2, channel_axis=3, blur=0.0)
    np.testing.assert_array_equal(again(IMAGES, imshow=False), expected)
    own = InputAttribution(wrapper, Cut("conv"), lambda y: y[..., 2]).attributions(IMAGES)
    np.testing.assert_allclose(show.infl_input.attributions(IMAGES), own, rtol=1e-4, atol=1e-6)
