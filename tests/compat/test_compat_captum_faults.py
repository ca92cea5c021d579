"""Where captum's numbers are wrong without a word, ours are right: each against a closed form, or against what must hold."""

from __future__ import annotations

import warnings
from typing import Any

import captum.attr as ca
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc
import ascribe.compat.captum.attr as oa
from tests.support.small_models import DOUBLE, Twice, chain, gradient, rows, seeded, sums

pytestmark = pytest.mark.filterwarnings("ignore")
X = rows(3, 4)


def delta(where: Any, net: nn.Module, x: torch.Tensor, start: torch.Tensor, target: int = 1) -> float:
    """How far DeepLIFT is from complete."""
    _, missing = where.DeepLift(net).attribute(x.clone(), start, target=target, return_convergence_delta=True)
    return float(missing.abs().max())


# S2: weights of the trapezoid rule


def test_trapezoid_weights() -> None:
    net, n = chain(4, 3), 10
    exact = (net[0].weight[1] * X).detach()
    call = {"target": 1, "n_steps": n, "method": "riemann_trapezoid"}
    theirs = ca.IntegratedGradients(net).attribute(X.clone(), **call)
    torch.testing.assert_close(theirs, exact * (n - 1) / n, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(oa.IntegratedGradients(net).attribute(X, **call), exact)
    torch.testing.assert_close(oa.IntegratedGradients(net).attribute(X, **call, captum_exact=True), theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "InternalInfluence", "LayerConductance"])
@pytest.mark.parametrize("method", ["riemann_trapezoid", "riemann_left", "riemann_right", "riemann_middle", "gausslegendre"])
def test_captums_own_numbers_where_someone_needs_them(name: str, method: str) -> None:
    net, start = chain(4, 6, 5, 3), rows(1, 4, seed=7)
    call = {"baselines": start, "target": 1, "n_steps": 9, "method": method}
    theirs = getattr(ca, name)(net, net[2]).attribute(X.clone(), **call)
    ours = getattr(oa, name)(net, net[2]).attribute(X, **call, captum_exact=True)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-6, atol=1e-7)


# S3 to S6: DeepLIFT


def test_softmax_does_not_mix_records() -> None:
    net, start = nn.Sequential(chain(4, 5), nn.Softmax(-1), chain(5, 3)).eval(), rows(3, 4, seed=2)
    ours = oa.DeepLift(net).attribute(X, start, target=1)
    alone = torch.cat([oa.DeepLift(net).attribute(X[i : i + 1], start[i : i + 1], target=1) for i in range(3)])
    torch.testing.assert_close(ours, alone, rtol=1e-9, atol=1e-12)
    assert delta(oa, net, X, start) < 1e-12
    together = ca.DeepLift(net).attribute(X.clone(), start, target=1)
    theirs = torch.cat([ca.DeepLift(net).attribute(X[i : i + 1].clone(), start[i : i + 1], target=1) for i in range(3)])
    assert float((together - theirs).abs().max()) > 1e-3


def test_pools_do_not_mix_records() -> None:
    net = nn.Sequential(nn.Conv1d(1, 2, 1), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8, 2)).double().eval()
    x, start = rows(3, 1, 8), rows(3, 1, 8, seed=4)
    start[:, :, :4] = x[:, :, :4]  # where nothing changes the gradient is what is left
    ours = oa.DeepLift(net).attribute(x, start, target=1)
    alone = torch.cat([oa.DeepLift(net).attribute(x[i : i + 1], start[i : i + 1], target=1) for i in range(3)])
    torch.testing.assert_close(ours, alone, rtol=1e-9, atol=1e-12)
    assert delta(oa, net, x, start) < 1e-12


@pytest.mark.parametrize("layers", [(nn.MaxPool1d(2), nn.ReLU()), (nn.ReLU(), nn.MaxPool1d(2)), (nn.Sigmoid(), nn.Tanh())])
def test_neighbouring_non_linear_modules(layers: Any) -> None:
    net = seeded(lambda: nn.Sequential(nn.Conv1d(1, 3, 1), *layers, nn.Flatten(), nn.LazyLinear(2)))
    net(rows(2, 1, 8))
    net = net.double()
    x, start = rows(4, 1, 8), rows(4, 1, 8, seed=5)
    assert delta(oa, net, x, start) < 1e-12
    assert delta(ca, net, x, start) > 1e-4


class Written(nn.Module):
    """A layer, a function that is no module, a layer."""

    def __init__(self, fn: Any) -> None:
        super().__init__()
        self.first, self.last, self.fn = nn.Linear(4, 6), nn.Linear(6, 3), fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.fn(self.first(x)))


FUNCTIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "exp": torch.exp,
    "product": lambda h: h * h.flip(-1),
    "norm": lambda h: F.layer_norm(h, (6,)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_are_no_modules(name: str) -> None:
    net, start = seeded(lambda: Written(FUNCTIONS[name])), rows(1, 4, seed=7)
    assert delta(oa, net, X, start) < 1e-9
    assert delta(ca, net, X, start) > 1e-3


def test_modules_that_are_not_in_a_list() -> None:
    class Mine(nn.ReLU):
        """A rectifier all the same."""

    net = seeded(lambda: nn.Sequential(nn.Linear(4, 6), Mine(), nn.Linear(6, 3)))
    assert delta(oa, net, X, torch.zeros_like(X) + 0.5) < 1e-12
    assert delta(ca, net, X, torch.zeros_like(X) + 0.5) > 1e-4


def test_the_input_of_a_rectifier() -> None:
    """Captum gives the rectifier's input the multipliers of its output."""
    net, start = seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))), rows(1, 4, seed=7)
    call = {"baselines": start, "target": 1}
    before = oa.LayerDeepLift(net, net[0]).attribute(X, **call)
    torch.testing.assert_close(oa.LayerDeepLift(net, net[1]).attribute(X, **call, attribute_to_layer_input=True), before)
    torch.testing.assert_close(ca.LayerDeepLift(net, net[0]).attribute(X.clone(), **call).detach(), before)
    theirs = ca.LayerDeepLift(net, net[1]).attribute(X.clone(), **call, attribute_to_layer_input=True)
    change = (net(X) - net(start))[:, 1].detach()
    torch.testing.assert_close(before.sum(1), change)
    assert float((theirs.sum(1) - change).abs().max()) > 1e-3


# S7: guided backpropagation


@pytest.mark.parametrize("name", ["GuidedBackprop", "Deconvolution"])
def test_rectifiers_however_written(name: str) -> None:
    module = seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)))
    truth = getattr(ca, name)(module).attribute(X.clone(), target=1)
    for fn in (F.relu, lambda h: h.clamp(min=0), lambda h: torch.where(h > 0, h, 0.0)):
        written = Written(fn).double().eval()
        written.first, written.last = module[0], module[2]
        torch.testing.assert_close(getattr(oa, name)(written).attribute(X, target=1), truth)
        plain = gradient(lambda x, net=written: net(x)[:, 1], X)
        torch.testing.assert_close(getattr(ca, name)(written).attribute(X.clone(), target=1), plain)


# S10, S16: masks


def test_masks_with_fewer_axes_than_the_input() -> None:
    x, weight = rows(2, 3, 2, 2), rows(3, 2, 2, seed=3)
    net = lambda x: torch.tanh((x * weight).sum((1, 2, 3)))  # noqa: E731
    for mask in (torch.tensor([[0, 1], [2, 0]]), torch.tensor([[[0, 1], [1, 0]]])):
        full = mask.expand(1, 3, 2, 2)
        truth = ca.FeatureAblation(net).attribute(x, feature_mask=full)
        for at_once in (1, 2, 3):
            ours = oa.FeatureAblation(net).attribute(x, feature_mask=mask, perturbations_per_eval=at_once)
            torch.testing.assert_close(ours, truth)


def test_a_mask_for_every_input() -> None:
    both, mask = (rows(3, 4), rows(3, 2, seed=1)), torch.tensor([[0, 0, 1, 1]])
    net = lambda a, b: a.sum(1) * b.sum(1)  # noqa: E731
    for name in ("FeatureAblation", "ShapleyValueSampling", "KernelShap", "Lime"):
        with pytest.raises(AssertionError, match="1 masks"):
            getattr(oa, name)(net).attribute(both, feature_mask=(mask,))


# S11: baselines that belong together


def test_rows_of_several_inputs_stay_together() -> None:
    """Of a product whose baselines have equal factors."""
    net = lambda a, b: (a * b)[:, 0]  # noqa: E731
    one, paired = torch.ones(1, 1, dtype=DOUBLE), torch.tensor([[-2.0], [2.0]], dtype=DOUBLE)
    torch.manual_seed(0)
    found = torch.stack([sums(oa.GradientShap(net).attribute((one, one), (paired, paired), 100)) for _ in range(40)])
    error = found.std() / 40**0.5
    assert abs(float(found.mean()) - (1 - 4)) < 4.5 * float(error) + 1e-9
    tunnel = oa.NoiseTunnel(oa.IntegratedGradients(net))
    drawn = {"baselines": (paired, paired), "draw_baseline_from_distrib": True}
    found = torch.stack([sums(tunnel.attribute((one, one), nt_samples=40, stdevs=1e-6, **drawn)) for _ in range(20)])
    torch.testing.assert_close(found, torch.full_like(found, -3.0), rtol=1e-3, atol=1e-3)


# S12: layers used more than once


def test_every_use_of_a_layer() -> None:
    net = seeded(Twice)
    first = net.shared(X).detach()
    second = net.shared(torch.tanh(first)).detach()
    found = oa.LayerActivation(net, net.shared).attribute(X)
    torch.testing.assert_close(found, (first, second))
    torch.testing.assert_close(ca.LayerActivation(net, net.shared).attribute(X), second)
    torch.testing.assert_close(oa.LayerActivation(net, net.shared).attribute(X, captum_exact=True), second)
    late = ca.LayerGradientXActivation(net, net.shared).attribute(X.clone(), 1)
    torch.testing.assert_close(oa.LayerGradientXActivation(net, net.shared).attribute(X, 1, captum_exact=True), late.detach())
    torch.testing.assert_close(oa.LayerGradientXActivation(net, asc.Cut("shared", call=1)).attribute(X, 1), late.detach())
    torch.testing.assert_close(oa.NeuronGradient(net, net.shared).attribute(X, 2, captum_exact=True),
                               ca.NeuronGradient(net, net.shared).attribute(X.clone(), 2))  # fmt: skip


# S13: conductance


def test_conductance_converges_with_the_square_of_the_steps() -> None:
    net, start = chain(4, 6, 5, 3), rows(1, 4, seed=7)
    fine = oa.LayerConductance(net, net[2]).attribute(X, start, target=1, n_steps=3000)
    errors = {}
    for where in (oa, ca):
        for n in (20, 40):
            found = where.LayerConductance(net, net[2]).attribute(X.clone(), start, target=1, n_steps=n)
            errors[where, n] = float((found - fine).abs().max())
    assert errors[oa, 20] / errors[oa, 40] > 3.5
    assert errors[ca, 20] / errors[ca, 40] < 2.5
    assert errors[oa, 20] < 0.2 * errors[ca, 20]


def test_conductance_of_neurons_adds_up() -> None:
    """Of several neurons it is the sum over them; captum's counts paths from one neuron's input to another one's output."""
    net, start = chain(4, 6, 5, 3), rows(1, 4, seed=7)

    def through(where: Any, neuron: Any, **more: Any) -> torch.Tensor:
        call = {"target": 1, "n_steps": 20, "method": "gausslegendre", **more}
        return where.NeuronConductance(net, net[2]).attribute(X.clone(), neuron, start, **call).detach()

    each = sum(through(ca, i) for i in range(1, 4))
    torch.testing.assert_close(through(oa, (slice(1, 4),)), each, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(through(oa, lambda h: h[:, 1:4].sum(1)), each, rtol=1e-6, atol=1e-8)
    theirs = through(ca, (slice(1, 4),))
    assert float((theirs - each).abs().max()) > 1e-3
    torch.testing.assert_close(through(oa, (slice(1, 4),), captum_exact=True), theirs, rtol=1e-6, atol=1e-8)
    change = (net(X) - net(start))[:, 1].detach()
    torch.testing.assert_close(through(oa, (slice(None),)).sum(1), change, rtol=1e-6, atol=1e-8)


# S14: maps without places


def test_a_map_over_an_input_without_places_is_refused() -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ca.GuidedGradCam(net, net[0]).attribute(X.clone(), target=1).numel() == 0
    with pytest.raises(AssertionError, match="map of the layer cannot be resized to the input"):
        oa.GuidedGradCam(net, net[0]).attribute(X, target=1)


# What is left behind


def test_tensors_and_models_come_back_as_they_were() -> None:
    net, x = chain(4, 5, 3), rows(3, 4)
    with pytest.raises(IndexError):
        oa.Saliency(net).attribute(x, target=9)
    assert not x.requires_grad
    with pytest.raises(Exception, match="out of bounds"):
        ca.Saliency(net).attribute(x, target=9)
    assert x.requires_grad, "captum leaves it on"
    x = rows(3, 4)
    truth = gradient(lambda x: net(x)[:, 1], x).abs()
    with torch.inference_mode():
        torch.testing.assert_close(oa.Saliency(net).attribute(x, target=1), truth)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
