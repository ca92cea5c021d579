"""Pictures, masks and coloured text in trulens' words: what is drawn, over what it is scaled, and that nothing else changes."""

from __future__ import annotations

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import ListedColormap
from scipy.ndimage import gaussian_filter1d

from ascribe.compat.trulens.nn.attribution import InputAttribution, IntegratedGradients, InternalInfluence
from ascribe.compat.trulens.nn.backend import CHOICE
from ascribe.compat.trulens.nn.models import get_model_wrapper
from ascribe.compat.trulens.nn.slices import Cut, OutputCut
from ascribe.compat.trulens.utils.typing import ModelInputs
from ascribe.compat.trulens.visualizations import (
    HTML,
    NLP,
    ChannelMaskVisualizer,
    HeatmapVisualizer,
    IPython,
    MaskVisualizer,
    Output,
    PlainText,
    Tiler,
    Visualizer,
)
from ascribe.compat.trulens.visualizations.images import make_hotcold
from ascribe.compat.trulens.visualizations.scaling import NORMALIZATIONS, blur_images
from ascribe.errors import InputError, ResultError
from tests.support.small_models import Pictures, Words, gradient, rows, seeded
from tests.support.snapshots import unchanged


@pytest.fixture(autouse=True)
def no_framework_in_use(monkeypatch):
    """Images have the channels of the framework of the model wrapped last: here none was."""
    monkeypatch.setattr(CHOICE, "last", None)


A = rows(5, 3, 8, 6, seed=1).numpy()
GREY = rows(4, 1, 8, 6, seed=2).numpy()


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    """Nothing can be shown here; figures that are left open would be a leak."""
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    yield
    assert plt.get_fignums() == []


class TestTiler:
    def test_a_grid_about_square(self):
        tiled = Tiler().tile(A)
        assert tiled.shape == (16, 18, 3)
        np.testing.assert_array_equal(tiled[:8, 6:12], A[1].transpose(1, 2, 0))
        np.testing.assert_array_equal(tiled[8:, :6], A[3].transpose(1, 2, 0))
        assert not tiled[8:, 12:].any()

    def test_grey_pictures_have_no_channels(self):
        assert Tiler().tile(GREY).shape == (16, 12)
        assert Tiler().tile(torch.as_tensor(GREY[:1])).shape == (8, 6)
        assert Tiler().tile(GREY[:1, :, :1]).shape == (1, 6)
        assert Tiler().tile(A[:1, :, :, :1]).shape == (8, 1, 3)


def largest(a: np.ndarray) -> np.ndarray:
    return np.abs(a).reshape(len(a), -1).max(1)


class TestScaling:
    """Maxima are those of a record, all its channels together; sums are those of each channel, as trulens' documents say."""

    def show(self, how, a=A):
        return Visualizer(normalization_type=how)(a, imshow=False)

    def test_largest_values_are_of_the_record(self):
        found = self.show("unsigned_max")
        np.testing.assert_allclose(largest(found), 1)
        np.testing.assert_allclose(found * largest(A)[:, None, None, None], A)
        assert (np.abs(found).max((2, 3)) < 1).any()
        np.testing.assert_allclose(self.show("unsigned_max_positive_centered"), found / 2 + 0.5)
        np.testing.assert_allclose(self.show("magnitude_max"), np.abs(found))

    def test_signs_by_themselves(self):
        found = self.show("signed_max")
        np.testing.assert_allclose(found.max((1, 2, 3)), 1)
        np.testing.assert_allclose(found.min((1, 2, 3)), -1)
        np.testing.assert_allclose(self.show("signed_max_positive_centered"), found / 2 + 0.5)

    def test_sums_are_of_the_channel(self):
        np.testing.assert_allclose(self.show("magnitude_sum").sum((2, 3)), 1)
        found = self.show("signed_sum")
        np.testing.assert_allclose(np.maximum(found, 0).sum((2, 3)), 1)
        np.testing.assert_allclose(np.minimum(found, 0).sum((2, 3)), -1)

    def test_from_lowest_to_highest(self):
        found = self.show("01")
        np.testing.assert_allclose(found.min((1, 2, 3)), 0)
        np.testing.assert_allclose(found.max((1, 2, 3)), 1)
        np.testing.assert_allclose(found[0, 0] - found[0, 1], (A[0, 0] - A[0, 1]) / np.ptp(A[0]))
        np.testing.assert_array_equal(self.show("unnormalized"), A)

    @pytest.mark.parametrize("how", NORMALIZATIONS)
    def test_nothing_but_zeros(self, how):
        assert np.isfinite(self.show(how, np.zeros((2, 3, 4, 4)))).all()

    def test_what_is_usual(self):
        np.testing.assert_allclose(self.show(None), self.show("unsigned_max_positive_centered"))
        np.testing.assert_allclose(self.show(None, GREY), self.show("unsigned_max", GREY))

    @pytest.mark.parametrize("how", NORMALIZATIONS)
    def test_numbers_of_any_kind(self, how):
        whole = (A * 20).round() + 100
        for kind in (np.uint8, np.int64, np.float16, np.float32):
            np.testing.assert_allclose(self.show(how, whole.astype(kind)), self.show(how, whole), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(self.show(how, A > 0), self.show(how, (A > 0).astype(np.float32)))
        assert np.isfinite(self.show(how, np.zeros((2, 3, 4, 4), np.float16))).all()

    @pytest.mark.parametrize("how", NORMALIZATIONS)
    def test_what_is_no_number_stays_alone(self, how):
        holed = A.copy()
        holed[0, 1, 2, 3] = np.nan
        found = self.show(how, holed)
        assert np.argwhere(np.isnan(found)).tolist() == [[0, 1, 2, 3]]
        np.testing.assert_array_equal(found[1:], self.show(how)[1:])

    def test_other_names(self):
        with pytest.raises(ValueError, match="signed_sum"):
            self.show("biggest")


class TestBlur:
    @pytest.mark.parametrize("radius", [0.5, 1.0, 3.0])
    def test_height_and_width_alone(self, radius):
        expected = gaussian_filter1d(gaussian_filter1d(A, radius, 2), radius, 3)
        np.testing.assert_allclose(blur_images(A, radius), expected, rtol=1e-9, atol=1e-12)

    def test_channels_do_not_mix_and_the_callers_array_is_its_own(self):
        a = np.zeros((1, 3, 9, 9))
        a[0, 0] = 1
        before = a.copy()
        found = Visualizer(normalization_type="unnormalized", blur=2.0)(a, imshow=False)
        np.testing.assert_allclose(found[0, :, 4, 4], [1, 0, 0], atol=1e-12)
        np.testing.assert_array_equal(a, before)


class TestVisualizer:
    def test_channels_combined(self):
        found = Visualizer(combine_channels=True, normalization_type="unnormalized")(A, imshow=False)
        np.testing.assert_allclose(found, A.mean(1, keepdims=True))
        assert Visualizer()(A, imshow=False, combine_channels=True).shape == (5, 1, 8, 6)
        with pytest.raises(ValueError, match="combine_channels"):
            Visualizer()(np.ones((1, 2, 4, 4)), imshow=False)
        assert Visualizer()(np.ones((1, 2, 4, 4)), imshow=False, combine_channels=True).shape == (1, 1, 4, 4)

    def test_options_of_the_call_come_first(self):
        tool = Visualizer(normalization_type="01", blur=3.0, cmap="gray")
        found = tool(GREY, imshow=False, normalization_type="unnormalized", blur=0.0, cmap="jet")
        np.testing.assert_array_equal(found, GREY)
        assert tool(GREY, imshow=False, return_tiled=True).shape == (16, 12)

    def test_written_and_shown(self, tmp_path):
        Visualizer()(torch.as_tensor(A), tmp_path / "a.png", imshow=False)
        Visualizer()(GREY, tmp_path / "b.png")
        figure = plt.figure()
        Visualizer()(GREY, imshow=False, fig=figure)
        assert len(figure.gca().images) == 1
        plt.close(figure)
        for name in ("a.png", "b.png"):
            assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")

    def test_what_is_no_picture(self):
        for wrong in (A[0], A[:0], A[:, :, :0]):
            with pytest.raises(ResultError, match="four axes"):
                Visualizer()(wrong)
        for wrong in (np.full((1, 1, 2, 2), "a"), A + 1j):
            with pytest.raises(ResultError, match="numbers"):
                Visualizer()(wrong)
        with pytest.raises(ResultError, match="blur=-1"):
            Visualizer(blur=-1.0)(A)

    @pytest.mark.parametrize(("how", "middle"), [("unsigned_max", 0.0), ("unsigned_max_positive_centered", 0.5), ("unnormalized", 0.0)])
    def test_nothing_is_black_and_less_than_nothing_cold(self, how, middle):
        """Also where most is above zero."""
        figure = plt.figure()
        Visualizer(normalization_type=how)(GREY + 1, imshow=False, fig=figure)
        (shown,) = figure.gca().images
        plt.close(figure)
        assert sum(shown.to_rgba(np.array([[middle]]))[0, 0, :3]) < 0.1
        cold, hot = shown.to_rgba(np.array([[middle - 0.2, middle + 0.2]]))[0, :, :3]
        assert cold[2] > cold[0]
        assert hot[2] < hot[0]

    @pytest.mark.parametrize("show", [True, False])
    def test_nothing_is_left_of_a_figure_of_its_own(self, show, monkeypatch, tmp_path):
        monkeypatch.setattr(plt, "show", lambda: None)  # as without a screen
        own = plt.figure()
        Visualizer()(A, tmp_path / "a.png", imshow=show)
        with pytest.raises(OSError):
            Visualizer()(A, tmp_path / "nowhere" / "a.png", imshow=show)
        with pytest.raises(ValueError):
            Visualizer()(GREY, tmp_path / "a.png", imshow=show, cmap="no such colours")
        assert plt.gcf() is own
        assert plt.get_fignums() == [own.number]
        plt.close(own)

    def test_matplotlib_is_for_drawing_alone(self):
        code = """
import sys
import numpy as np
from ascribe.compat.trulens.visualizations import HeatmapVisualizer, MaskVisualizer, Visualizer
from ascribe.errors import ResultError
sys.modules["matplotlib"] = None
a = np.ones((1, 1, 4, 4))
Visualizer()(a, imshow=False), HeatmapVisualizer()(a, a, imshow=False), MaskVisualizer()(a, a, imshow=False)
try:
    Visualizer()(a, "a.png")
except ResultError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "needs matplotlib" in done.stdout, done.stderr

    def test_its_colours(self):
        colours = make_hotcold()
        assert isinstance(colours, ListedColormap)
        assert colours.N == 256
        assert sum(colours(127)[:3]) < 0.1
        assert colours(0)[2] > colours(0)[0]


class TestHeatmap:
    def test_the_mean_of_the_channels_over_the_picture(self):
        found = HeatmapVisualizer(blur=0.0, normalization_type="unnormalized")(A, A, imshow=False)
        np.testing.assert_allclose(found, A.mean(1, keepdims=True))
        figure = plt.figure()
        tiled = HeatmapVisualizer(overlay_opacity=0.3)(A, A, imshow=False, fig=figure, return_tiled=True, overlay_opacity=0.7)
        assert tiled.shape == (16, 18)
        below, above = figure.gca().images
        assert above.get_alpha() == 0.7
        np.testing.assert_allclose(np.asarray(below.get_array())[:8, :6], (A[0] - A[0].min()).transpose(1, 2, 0) / np.ptp(A[0]))
        plt.close(figure)

    @pytest.mark.parametrize("x", [A[:2], A[:, :, :4], A.repeat(2, 3)], ids=np.shape)
    def test_over_other_pictures(self, x):
        with pytest.raises(ResultError, match="shape"):
            HeatmapVisualizer()(A, x, imshow=False)

    def test_written(self, tmp_path):
        HeatmapVisualizer()(GREY, GREY, tmp_path / "a.png")
        assert (tmp_path / "a.png").exists()


class TestMask:
    x = A - A.min((1, 2, 3), keepdims=True)
    x01 = x / x.max((1, 2, 3), keepdims=True)

    def test_what_lies_above_the_threshold_is_shown(self):
        found = MaskVisualizer(blur=None, threshold=0.75, masked_opacity=0.1, positive_only=False)(
            A, self.x, imshow=False, return_tiled=False
        )
        heat = A.mean(1, keepdims=True)
        above = heat > np.quantile(heat, 0.75, axis=(1, 2, 3), keepdims=True)
        np.testing.assert_allclose(found, np.where(above, 1.0, 0.1) * self.x01)
        assert above.mean() == pytest.approx(0.25, abs=0.02)

    def test_attributions_as_opacity(self):
        heat = A.mean(1, keepdims=True)
        expected = (heat - heat.min((1, 2, 3), keepdims=True)) / np.ptp(heat, (1, 2, 3), keepdims=True) * self.x01
        tool = MaskVisualizer(blur=0, use_attr_as_opacity=True, positive_only=False)
        np.testing.assert_allclose(tool(A, self.x, imshow=False, return_tiled=False), expected)
        np.testing.assert_allclose(MaskVisualizer(0, None, positive_only=False)(A, self.x, imshow=False, return_tiled=False), expected)

    def test_negative_attributions_count_as_nothing(self):
        def run(**options):
            tool = MaskVisualizer(blur=0, use_attr_as_opacity=True, combine_channels=False, **options)
            return tool(A, self.x, imshow=False, return_tiled=False)

        assert (run()[A <= 0] == 0).all()
        assert (run(positive_only=False)[A <= 0] != 0).any()

    def test_every_option_of_the_call_matters(self):
        tool = MaskVisualizer()
        usual = tool(A, self.x, imshow=False)
        assert usual.shape == (16, 18, 3)
        options = {"blur": 1.0, "threshold": 0.9, "masked_opacity": 0.7, "combine_channels": False, "use_attr_as_opacity": True}
        for name, value in (options | {"positive_only": False}).items():
            assert not np.allclose(tool(A, self.x, imshow=False, **{name: value}), usual), name

    def test_written_although_not_shown(self, tmp_path):
        MaskVisualizer()(A, self.x, tmp_path / "a.png", imshow=False)
        assert (tmp_path / "a.png").exists()

    def test_shapes(self):
        with pytest.raises(ValueError, match="shape"):
            MaskVisualizer()(A, A[:2])
        with pytest.raises(ValueError, match="four axes"):
            MaskVisualizer()(A[0], A[0])
        for share in (-0.1, 1.5, 50, np.nan):
            with pytest.raises(ResultError, match="threshold"):
                MaskVisualizer()(A, A, imshow=False, threshold=share)


class TestChannelMask:
    net, x = seeded(Pictures), rows(3, 2, 6, 6)

    def see(self, tool, **options):
        """The opacity that each pixel gets, found by looking at a white picture of three colours."""
        seen = {}
        tool.mask_visualizer = lambda a, x, *rest, **more: seen.update(attributions=a, options=more)
        tool(self.x, **options)
        return seen

    def test_it_looks_at_a_channel(self):
        seen = self.see(ChannelMaskVisualizer(get_model_wrapper(self.net), "conv1", 2))
        expected = gradient(lambda z: self.net.conv1(z)[:, 2].sum((1, 2)), self.x) * self.x
        torch.testing.assert_close(torch.as_tensor(seen["attributions"]), expected)

    def test_options_of_the_call_arrive(self, tmp_path):
        net = seeded(lambda: torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()))
        x = rows(2, 3, 8, 8)
        tool = ChannelMaskVisualizer(get_model_wrapper(net), Cut(0), 1, agg_fn=lambda c: (c**2).sum((1, 2)))
        usual = tool(x, imshow=False, output_file=tmp_path / "a.png")
        assert usual.shape == x.shape
        assert (tmp_path / "a.png").exists()
        for name, value in {"blur": 2.0, "threshold": 0.9, "masked_opacity": 0.7, "combine_channels": False}.items():
            assert not np.allclose(tool(x, imshow=False, **{name: value}), usual), name
        other = tool(x, x_preprocessed=-x, imshow=False)
        assert not np.allclose(other, usual)
        assert tool(x, return_tiled=True).shape == (8, 16, 3)


IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])
NAMES = {1: "<b>", 2: " good", 3: "!", 4: "un", 5: "kind", 6: "."}


class TestText:
    net = seeded(Words)
    wrapper = get_model_wrapper(net)
    method = IntegratedGradients(wrapper, doi_cut=Cut("embed"), qoi=1)

    def tool(self, **options):
        usual = {
            "labels": ["no", "yes", "maybe"],
            "tokenize": lambda texts: ModelInputs([], {"input_ids": IDS}),
            "decode": NAMES.__getitem__,
            "input_accessor": lambda inputs: inputs.kwargs["input_ids"],
            "output_accessor": lambda outputs: outputs["logits"],
        }
        return NLP(self.wrapper, **(usual | options))

    def sizes(self):
        found = self.method.attributions(input_ids=IDS).sum(2)
        return found / found.abs().max()

    @pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
    def test_plain(self):
        lines = self.tool().token_attribution(["a", "b"], self.method).split("\n\n")
        best = [["no", "yes", "maybe"][i] for i in self.net(IDS)["logits"].argmax(1)]
        size = self.sizes()
        assert lines[0] == f"{best[0]}: <b>({size[0, 0]:.3f}) good({size[0, 1]:.3f})!({size[0, 2]:.3f})"
        assert lines[1].startswith(f"{best[1]}: un({size[1, 0]:.3f})kind(")

    @pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
    def test_a_page(self):
        page = self.tool(output=HTML(), hidden_tokens={3}).token_attribution(["a", "b"], self.method)
        assert "&lt;b&gt;" in page
        assert "<b>" not in page
        assert page.count("title='") == 5
        assert page.count("<br/>") == 4
        shown = self.tool(output=IPython()).token_attribution(["a", "b"], self.method)
        assert shown._repr_html_() == str(shown)

    def test_colours_do_not_run_over(self):
        out = HTML()
        assert "rgb(0, 255, 0)" in out.magnitude_colored("a", 7.0)
        assert "rgb(255, 0, 0)" in out.magnitude_colored("a", -1.0)
        assert "rgb(255, 255, 255)" in out.magnitude_colored("a", 0.0)

    @pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
    def test_numbers_of_ones_own(self):
        text = self.tool(attr_aggregate=lambda a: np.abs(a).max(), decode=None, labels=None).token_attribution(["a"], self.method)
        assert "1(0." in text
        assert "-" not in text

    def test_plain_text_keeps_a_terminal_as_it_is(self):
        assert PlainText().escape("a\x1b[31mb") == "a\\x1b[31mb"

    @pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
    def test_what_is_missing(self):
        with pytest.raises(ValueError, match="tokenize"):
            NLP(self.wrapper).token_attribution(["a"], self.method)
        for name in ("input_accessor", "output_accessor"):
            with pytest.raises(ValueError, match=name):
                self.tool(**{name: None}).token_attribution(["a"], self.method)

    @pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
    def test_the_prediction_is_that_of_the_model_at_rest(self):
        """In training mode a dropout would draw, and a batch normalisation count."""
        words = seeded(Words)
        words.head = torch.nn.Sequential(words.head, torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.9)).double()
        tool = NLP(
            get_model_wrapper(words), **{name: getattr(self.tool(), name) for name in ("tokenize", "input_accessor", "output_accessor")}
        )
        expected = words.eval()(IDS)["logits"].argmax(1)
        with unchanged(words.train(), arguments=(IDS,)):
            text = tool.token_attribution(["a", "b"], InputAttribution(tool.wrapper, OutputCut(accessor=lambda o: o["logits"]), 1))
        assert [int(line.split(":")[0]) for line in text.split("\n\n")[:2]] == expected.tolist()

    @pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
    @pytest.mark.parametrize(
        ("options", "method", "said"),
        [
            ({"labels": ["only"]}, method, "one label for each class"),
            ({"output_accessor": lambda o: o["logits"].sum(1)}, method, "output_accessor"),
            ({"input_accessor": lambda inputs: inputs.kwargs["input_ids"][:1]}, method, "output_accessor"),
            ({}, IntegratedGradients(wrapper, doi_cut=Cut("embed"), qoi=(lambda y: [y[:, 0], y[:, 1]])), "one quantity"),
            ({}, InternalInfluence(wrapper, Cut("head", "in"), 1, "point"), "each token"),
        ],
    )
    def test_what_does_not_fit_together(self, options, method, said):
        with pytest.raises(InputError, match=said):
            self.tool(**({"labels": None} | options)).token_attribution(["a", "b"], method)

    def test_outputs_of_ones_own(self):
        with pytest.raises(TypeError):
            Output()
        assert isinstance(PlainText(), Output)
        assert PlainText().line("a") + PlainText().linebreak() == "a\n"


def test_attributions_go_straight_into_a_picture():
    net, x = seeded(Pictures), rows(3, 2, 6, 6)
    found = InputAttribution(get_model_wrapper(net)).attributions(x)
    assert Visualizer(combine_channels=True)(found, imshow=False).shape == (3, 1, 6, 6)
