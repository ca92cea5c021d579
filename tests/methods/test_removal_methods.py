"""The named methods that remove features: captum's and scikit-learn's numbers where those are right, formulas where they are not."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import MethodError
from ascribe.utils.pooling import resize_maps
from tests.support.small_models import Pictures, chain, rows, seeded
from tests.support.snapshots import unchanged

captum = pytest.importorskip("captum.attr")
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:captum"),
    pytest.mark.filterwarnings("ignore:.*different from the output.*"),
]

NET, X = chain(6, 5, 3), rows(4, 6)
PICTURES, IMAGES = seeded(Pictures), rows(3, 2, 6, 6)
MASK = torch.tensor([[0, 0, 1, 2, 2, 2]])


def close(ours: asc.Attribution, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours.values.double(), theirs.double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("target", [1, [0, 2, 1, 1]])
@pytest.mark.parametrize("mask", [None, MASK])
def test_feature_ablation(target, mask):
    base = rows(6, seed=4)
    theirs = captum.FeatureAblation(NET).attribute(X, baselines=base[None], target=target, feature_mask=mask)
    close(asc.FeatureAblation(base, mask)(NET, X, of=target), theirs)


def test_feature_ablation_of_several_inputs():
    def model(a: torch.Tensor, b: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return NET(torch.cat([a, b], 1)) * scale[:, None]

    a, b, scale = X[:, :2], X[:, 2:], rows(4, seed=5)
    masks = (torch.tensor([[0, 1]]), torch.tensor([[1, 2, 0, 2]]))
    theirs = captum.FeatureAblation(model).attribute((a, b), target=1, additional_forward_args=(scale,), feature_mask=masks)
    ours = asc.FeatureAblation(features=masks)(lambda a, b, *, scale_mask: model(a, b, scale_mask), a, b, scale_mask=scale, of=1)
    for mine, captums in zip(ours.values, theirs, strict=True):
        torch.testing.assert_close(mine, captums, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "stride"), [((2, 3, 3), (2, 3, 3)), ((2, 3, 4), (1, 2, 1)), ((1, 4, 4), (1, 3, 2)), ((1, 6, 6), (1, 1, 1))]
)
def test_occlusion(size, stride):
    theirs = captum.Occlusion(PICTURES).attribute(IMAGES, sliding_window_shapes=size, strides=stride, target=1, baselines=0.25)
    close(asc.Occlusion(size, stride, by=0.25)(PICTURES, IMAGES, of=1), theirs)


def test_shapley_values():
    theirs = captum.ShapleyValues(NET).attribute(X, target=2, baselines=0.5, feature_mask=MASK)
    close(asc.ShapleyExact(0.5, MASK)(NET, X, of=2), theirs)


def test_layer_and_neuron_ablation():
    theirs = captum.LayerFeatureAblation(NET, NET[0]).attribute(X, target=1, layer_baselines=0.5)
    close(asc.FeatureAblation(0.5)(NET, X, of=1, at="0"), theirs)
    neuron = captum.NeuronFeatureAblation(NET, NET[0]).attribute(X, neuron_selector=3, baselines=0.5)
    close(asc.FeatureAblation(0.5)(NET, X, of=asc.Unit(3, on="0")), neuron)


def test_permutation_with_the_same_permutation():
    """captum draws one for each feature; it is given ours, which is the same for all."""
    draw = np.random.default_rng((0, 7, 0)).permutation(len(X))

    def permuted(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.where(mask, x[draw], x)

    theirs = captum.FeaturePermutation(NET, permuted).attribute(X, target=1)
    close(asc.FeaturePermutation(samples=1)(NET, X, of=1), theirs)


def test_permutation_importance_of_scikit_learn():
    """Both are sample means of the same thing: they agree within their standard errors."""
    inspection, linear = pytest.importorskip("sklearn.inspection"), pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = x @ [2.0, -1.0, 0.5, 0.0] + 0.1 * rng.normal(size=60)
    model = linear.LinearRegression().fit(x, y)
    theirs = inspection.permutation_importance(model, x, y, scoring="neg_mean_squared_error", n_repeats=40, random_state=0)
    of = asc.quantities.Custom(lambda prediction: prediction)
    predicted = asc.FeaturePermutation(samples=40)(lambda x: -((model.predict(x[:, :4]) - x[:, 4]) ** 2), np.column_stack([x, y]), of=of,
        )  # fmt: skip
    ours = predicted.values.mean(0)[:4]
    spread = np.hypot(theirs.importances_std, theirs.importances_std) / np.sqrt(40) + 1e-6
    assert (np.abs(ours - theirs.importances_mean) < 5 * spread).all()
    assert ours[0] > ours[1] > ours[2] > 0


def test_masks_that_captum_gets_wrong():
    """S10: a mask of fewer axes, several features at once. S16: a mask for one of two inputs is refused, not guessed."""
    net, x, mask = nn.Sequential(nn.Flatten(), chain(12, 3)), rows(1, 3, 2, 2), torch.tensor([[0, 1], [2, 3]])
    right = captum.FeatureAblation(net).attribute(x, target=0, feature_mask=mask, perturbations_per_eval=1)
    wrong = captum.FeatureAblation(net).attribute(x, target=0, feature_mask=mask, perturbations_per_eval=3)
    assert not torch.allclose(right, wrong)
    for chunk in (1, 2, 3, None):
        close(asc.FeatureAblation(features=mask)(net, x, of=0, chunk=chunk), right)
    with pytest.raises(asc.AscribeError, match=r"must have one item for each input\. Found: 1 items"):
        asc.FeatureAblation(features=(MASK[:, :2],))(lambda a, b: NET(torch.cat([a, b], 1)), X[:, :2], X[:, 2:], of=0)


def test_one_feature_and_a_model_that_says_nothing():
    """Kernel SHAP of one feature raises in captum; here it is the whole change."""
    one = torch.zeros(1, 6, dtype=torch.long)
    for method in (
        asc.KernelShap(features=one),
        asc.ShapleyExact(features=one),
        asc.ShapleySampling(features=one),
        asc.FeatureAblation(features=one),
    ):
        found = method(NET, X, of=1)
        change = (NET(X) - NET(torch.zeros_like(X)))[:, 1].detach()
        torch.testing.assert_close(found.values, change[:, None].expand(4, 6), rtol=0, atol=1e-9)
    flat = nn.Linear(6, 3).double()
    with torch.no_grad():
        flat.weight.zero_()
    for method in (
        asc.KernelShap(),
        asc.ShapleyExact(),
        asc.ShapleySampling(),
        asc.FeatureAblation(),
        asc.Lime(100),
        asc.SobolIndices(70),
        asc.Hsic(64),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = method(flat, X, of=1)
        assert float(found.values.abs().max()) < 1e-9, method


def test_double_precision_stays_double():
    assert captum.KernelShap(NET).attribute(X[:1], target=0, n_samples=30).dtype == torch.float32
    for method in (asc.KernelShap(30), asc.Lime(40), asc.ShapleySampling(30)):
        assert method(NET, X, of=0).values.dtype == torch.float64


def test_shap_with_a_black_box():
    shap = pytest.importorskip("shap")
    background = rows(5, 6, seed=9).numpy()

    def model(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return NET(torch.as_tensor(x)).numpy()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = shap.ExactExplainer(model, shap.maskers.Independent(background))(X.numpy()).values
    box = asc.BlackBox(model)
    for c in range(3):
        ours = asc.ShapleyExact(asc.Resample(background))(box, X.numpy(), of=c)
        np.testing.assert_allclose(ours.values, theirs[..., c], atol=1e-6)


def test_all_classes_cost_what_one_costs():
    box_calls = []

    def model(x: np.ndarray) -> np.ndarray:
        box_calls.append(len(x))
        return x @ np.arange(18.0).reshape(6, 3)

    one = asc.KernelShap(60)(model, X.numpy(), of=0)
    first, box_calls[:] = sum(box_calls), []
    three = asc.KernelShap(60)(model, X.numpy(), of=[asc.Unit(c) for c in range(3)])
    assert sum(box_calls) == first
    np.testing.assert_allclose(three.values[0], one.values, atol=1e-12)
    assert three.features.values.shape == (3, 4, 6)
    np.testing.assert_array_equal(three.quantity_at(1).features.values, three.features.values[1])


ALL = (asc.FeatureAblation(), asc.FeaturePermutation(2), asc.ShapleyExact(), asc.ShapleySampling(40), asc.KernelShap(40), asc.Lime(40),
       asc.SobolIndices(60), asc.Hsic(64), asc.Partition(30))  # fmt: skip


@pytest.mark.parametrize("method", ALL, ids=repr)
def test_seeds_and_errors(method):
    a, b = (method(NET, X, of=1, seed=5) for _ in range(2))
    assert torch.equal(a.values, b.values)
    assert method(NET, X, of=1, seed=5).method == f"{method!r}(model, *inputs, of=Unit(1), seed=5)"
    if a.error is not None:
        assert not torch.equal(method(NET, X, of=1, seed=6).values, a.values)
        assert a.error.shape == a.values.shape
        assert any(check.name == "error" for check in a.checks)


@pytest.mark.parametrize("cam", [asc.AblationCam(), asc.ScoreCam()], ids=repr)
def test_maps_by_removal_leave_no_trace(cam):
    with unchanged(PICTURES, arguments=(IMAGES,)):
        found = cam(PICTURES, IMAGES, of=1)
    assert found.values.shape[:2] == (3, 1)
    assert (found.values >= 0).all()
    several = cam(PICTURES, IMAGES, of=[asc.Unit(0), asc.Unit(1)])
    torch.testing.assert_close(several.values[1], found.values, rtol=0, atol=1e-12)


def convolutions() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))


def test_ablation_cam_written_out():
    net = seeded(convolutions)
    with torch.no_grad():
        held = net[:2](IMAGES)
        whole = net(IMAGES)[:, 2]
        expected = torch.zeros_like(held[:, :1])
        for k in range(4):
            gone = held.clone()
            gone[:, k] = 0
            expected += (whole - net[2:](gone)[:, 2])[:, None, None, None] * held[:, k : k + 1]
    torch.testing.assert_close(asc.AblationCam("1")(net, IMAGES, of=2).values, expected.clamp(min=0), rtol=0, atol=1e-9)


def test_score_cam_written_out():
    net = seeded(convolutions)
    with torch.no_grad():
        held = net[:2](IMAGES)
        masks = torch.as_tensor(resize_maps(held.numpy(), 6, 6))
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = (masks - low) / torch.where(high > low, high - low, 1.0)
        dark = net(torch.zeros_like(IMAGES))[:, 2]
        expected = torch.zeros_like(held[:, :1])
        for k in range(4):
            expected += (net(IMAGES * masks[:, k : k + 1])[:, 2] - dark)[:, None, None, None] * held[:, k : k + 1]
    torch.testing.assert_close(asc.ScoreCam("1")(net, IMAGES, of=2).values, expected.clamp(min=0), rtol=0, atol=1e-9)
    with pytest.raises(MethodError):
        asc.ScoreCam("0")(chain(4, 5, 3), rows(2, 4))


class LastChannels(nn.Module):
    """Channels at the end of the picture and of the layer, which holds as many of them as it has rows."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed, self.head = nn.Linear(3, 6), nn.Linear(6 * 6 * 6, 2)

    def forward(self, x: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
        y = self.head(self.mixed(x).relu().flatten(1))
        return y if shift is None else y + shift


@pytest.mark.parametrize("cam", [asc.AblationCam, asc.ScoreCam])
def test_maps_by_removal_with_channels_at_the_end(cam):
    """The same network with its channels in front gives the same maps."""
    net = seeded(LastChannels)
    mixed, head = nn.Conv2d(3, 6, 1).double(), nn.Linear(216, 2).double()
    with torch.no_grad():
        mixed.weight.copy_(net.mixed.weight[:, :, None, None])
        mixed.bias.copy_(net.mixed.bias)
        head.weight.copy_(net.head.weight.reshape(2, 6, 6, 6).permute(0, 3, 1, 2).flatten(1))
        head.bias.copy_(net.head.bias)
    first = nn.Sequential(mixed, nn.ReLU(), nn.Flatten(), head)
    x = rows(2, 3, 6, 6)
    expected = cam("0", relu=False)(first, x, of=1)
    found = cam("mixed", relu=False)(net, x.permute(0, 2, 3, 1).contiguous(), of=1)
    torch.testing.assert_close(found.values.permute(0, 3, 1, 2), expected.values, rtol=0, atol=1e-9)


def test_score_cam_lights_one_picture():
    net, x, shift = seeded(LastChannels), rows(2, 6, 6, 3), rows(2, 2)
    with pytest.raises(MethodError, match="several inputs"):
        asc.ScoreCam("mixed")(net, x, shift, of=1)
    expected = asc.ScoreCam("mixed")(net, x, of=1)
    torch.testing.assert_close(asc.ScoreCam("mixed")(net, asc.Call(x, shift).only(0), of=1).values, expected.values, rtol=0, atol=1e-9)


def test_maps_by_removal_cost_what_their_parts_cost():
    net = seeded(convolutions)
    asc.AblationCam("1")(net, IMAGES, of=1)  # the layers are known from then on
    found = asc.AblationCam("1")(net, IMAGES, of=1)
    parts = (
        asc.activation(net, IMAGES, at="1"),
        asc.attribute(net, IMAGES, of=1, at="1", over=asc.coalitions.LeaveOneOut(), features=asc.features.Channels()),
    )
    assert found.cost.rows == sum(part.cost.rows for part in parts) == len(IMAGES) * (1 + 1 + 4)


def test_rise_finds_the_place_that_matters():
    class Corner(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, :3, :3].sum((1, 2, 3))[:, None]

    x = torch.ones(2, 2, 12, 12, dtype=torch.float64)
    found: Any = asc.Rise(2000, 4)(Corner(), x, of=0)
    assert found.values[0, 0, :3, :3].min() > found.values[0, 0, 7:, 7:].max()
    assert (found.error > 0).all()
