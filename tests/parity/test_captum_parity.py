"""Captum 0.9.0 in double precision: the same numbers where it is right, and ours held to closed forms where it is not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import captum.attr as ca
import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
import ascribe.compat.captum.attr as oa
from tests.support.small_models import DOUBLE, Dense, Pictures, Twice, chain, gradient, rows, seeded, sums

pytestmark = [
    pytest.mark.filterwarnings("ignore:completeness:ascribe.AscribeWarning"),
    pytest.mark.filterwarnings("ignore:Input Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:Setting backward hooks:UserWarning"),
]

RULES = {
    "gausslegendre": "gauss-legendre",
    "riemann_left": "riemann-left",
    "riemann_right": "riemann-right",
    "riemann_middle": "riemann-middle",
}
STEPS = 11


class Mixed(nn.Module):
    """Two inputs to explain, a whole number for each record and a plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.kinds = nn.Linear(4, 5), nn.Linear(3, 5), nn.Embedding(3, 5)
        self.act, self.head = nn.Softplus(), nn.Linear(5, 3)

    def forward(self, a: torch.Tensor, b: torch.Tensor, kind: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return self.head(self.act(torch.tanh(self.left(a)) * self.right(b) * scale + self.kinds(kind)))


A, B, KIND, SCALE = rows(5, 4), rows(5, 3, seed=1), torch.tensor([0, 2, 1, 1, 0]), 1.5
MORE = (KIND, SCALE)
STARTS = (rows(5, 4, seed=6), rows(1, 3, seed=7))
LABELS = torch.tensor([2, 0, 1, 0, 2])
PICTURES, BLANK = rows(3, 2, 6, 6), rows(1, 2, 6, 6, seed=8)


@pytest.fixture(scope="module")
def mixed() -> nn.Module:
    return seeded(Mixed)


@pytest.fixture(scope="module")
def pictures() -> nn.Module:
    return seeded(Pictures)


def close(found: Any, theirs: Any, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    if isinstance(found, (tuple, list)):
        for one, other in zip(found, theirs, strict=True):
            close(one, other, rtol, atol)
        return
    torch.testing.assert_close(found, theirs.detach(), rtol=rtol, atol=atol)


def near(found: Any, theirs: Any) -> None:
    """Along a path: Captum keeps the weights of its points in single precision, whatever the model's."""
    close(found, theirs, rtol=1e-6, atol=1e-7)


# Without a path


@pytest.mark.parametrize("target", [1, LABELS, LABELS.tolist()], ids=["one", "tensor", "list"])
def test_saliency_and_input_x_gradient(mixed, target):
    call = {"target": target, "additional_forward_args": MORE}
    close(asc.Saliency()(mixed, A, B, *MORE, of=target).values, ca.Saliency(mixed).attribute((A, B), **call))
    close(asc.Saliency(signed=True)(mixed, A, B, *MORE, of=target).values, ca.Saliency(mixed).attribute((A, B), abs=False, **call))
    close(asc.InputXGradient()(mixed, A, B, *MORE, of=target).values, ca.InputXGradient(mixed).attribute((A, B), **call))


def test_one_number_for_each_record():
    net = chain(4, 6, 1)
    for fn in (net, lambda x: net(x)[:, 0]):
        close(asc.Saliency()(fn, A).values, ca.Saliency(fn).attribute(A))


def test_a_position_in_a_dense_output():
    net = seeded(Dense)
    for target in [(1, 2, 3), (2, 0, 5)]:
        close(asc.InputXGradient()(net, PICTURES, of=target).values, ca.InputXGradient(net).attribute(PICTURES, target=target))
        ours = asc.IntegratedGradients(BLANK, STEPS)(net, PICTURES, of=asc.Unit(*target))
        near(ours.values, ca.IntegratedGradients(net).attribute(PICTURES, BLANK, target=target, n_steps=STEPS))


# Along a path


@pytest.mark.parametrize("theirs", RULES)
@pytest.mark.parametrize("baseline", [STARTS, (0.5, 0.0), None], ids=["rows", "numbers", "none"])
def test_integrated_gradients(mixed, theirs, baseline):
    values, delta = ca.IntegratedGradients(mixed).attribute(
        (A, B), baseline, LABELS, MORE, n_steps=STEPS, method=theirs, return_convergence_delta=True
    )
    ours = asc.IntegratedGradients(baseline, STEPS, RULES[theirs])(mixed, A, B, *MORE, of=LABELS)
    near(ours.values, values)
    np.testing.assert_allclose(ours.gap.absolute, delta, atol=1e-6)


def test_integrated_gradients_without_the_distance(mixed):
    theirs = ca.IntegratedGradients(mixed, multiply_by_inputs=False).attribute((A, B), STARTS, 1, MORE, n_steps=STEPS)
    near(asc.influence(mixed, A, B, *MORE, of=1, over=asc.Line(STARTS, STEPS)).values, theirs)


def test_weights_have_the_models_precision():
    net = chain(4, 3)
    exact = (net[0].weight[LABELS] * A).detach()
    ours = asc.IntegratedGradients(0.0, STEPS)(net, A, of=LABELS).values
    theirs = ca.IntegratedGradients(net).attribute(A, 0.0, LABELS, n_steps=STEPS)
    assert float((ours - exact).abs().max()) < 1e-14
    assert float((theirs - exact).abs().max()) > 1e-10


def test_the_trapezoid_adds_up_here():
    """Captum's weights sum to (n - 1) / n: every attribution is too small by that, also of a linear model."""
    net, n = chain(4, 3), 8
    theirs = ca.IntegratedGradients(net).attribute(A, 0.0, LABELS, n_steps=n, method="riemann_trapezoid")
    ours = asc.IntegratedGradients(0.0, n, "trapezoid")(net, A, of=LABELS)
    exact = net[0].weight[LABELS] * A
    close(ours.values, exact)
    near(ours.values * (n - 1) / n, theirs)
    np.testing.assert_allclose(ours.gap.absolute, 0, atol=1e-12)


@pytest.mark.parametrize("n", [4, 15])
def test_the_trapezoid_of_a_curved_network_is_captums_with_its_weights_mended(mixed, n):
    theirs = ca.IntegratedGradients(mixed).attribute((A, B), STARTS, 1, MORE, n_steps=n, method="riemann_trapezoid")
    ours = asc.IntegratedGradients(STARTS, n, "trapezoid")(mixed, A, B, *MORE, of=1)
    near(ours.values, tuple(t * n / (n - 1) for t in theirs))


# Noise: the same draws in both


@pytest.fixture
def same_noise(monkeypatch):
    """Make Captum's noise that of a distribution: sample k is the same for every record, rows are records x samples."""

    def give(over: Any, samples: int, seed: int) -> None:
        noise = over.draw(seed).noise
        calls = iter(range(100))

        def normal(mean: float, deviation: torch.Tensor) -> torch.Tensor:
            leaf, shape = next(calls), tuple(deviation.shape[1:])
            drawn = torch.stack([torch.from_numpy(noise.draw(k * noise.each, leaf, shape)).double() for k in range(samples)])
            return drawn.repeat(len(deviation) // samples, *[1] * len(shape))

        monkeypatch.setattr(torch, "normal", normal)

    return give


@pytest.mark.parametrize(("kind", "method"), [("smoothgrad", asc.SmoothGrad), ("smoothgrad_sq", asc.SquareGrad), ("vargrad", asc.VarGrad)])
def test_noise_tunnels(mixed, same_noise, kind, method):
    explain = method(6, 0.3, relative=False)
    same_noise(explain.over(asc.INPUT), 6, seed=4)
    tunnel = ca.NoiseTunnel(ca.Saliency(mixed))
    theirs = tunnel.attribute((A, B), kind, 6, stdevs=0.3, target=LABELS, additional_forward_args=MORE, abs=False)
    close(explain(mixed, A, B, *MORE, of=LABELS, seed=4).values, theirs)


def test_a_noise_tunnel_around_a_path(mixed, same_noise):
    over = asc.Gaussian(0.3, 4) * asc.Line(STARTS, STEPS)
    same_noise(over, 4, seed=2)
    theirs = ca.NoiseTunnel(ca.IntegratedGradients(mixed)).attribute(
        (A, B), "smoothgrad", 4, stdevs=0.3, target=1, additional_forward_args=MORE, baselines=STARTS, n_steps=STEPS
    )
    near(asc.attribute(mixed, A, B, *MORE, of=1, over=over, seed=2).values, theirs)


# Backgrounds: the same expectation


def apart(first: list[torch.Tensor], second: list[torch.Tensor] | torch.Tensor) -> torch.Tensor:
    """How many standard errors two means are apart; the second may be exact."""
    a = torch.stack(first)
    if isinstance(second, torch.Tensor):
        return (a.mean(0) - second).abs() / (a.std(0) / len(a) ** 0.5)
    b = torch.stack(second)
    return (a.mean(0) - b.mean(0)).abs() / (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()


@contextmanager
def fixed_draws() -> Iterator[None]:
    """Captum draws rows with NumPy's generator and positions with PyTorch's: both begin the same and are put back."""
    numpys = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        np.random.seed(0)
        yield
    np.random.set_state(numpys)


def test_gradient_shap_has_the_same_expectation():
    net, background = chain(4, 6, 3), rows(4, 4, seed=9)
    exact = torch.stack([asc.IntegratedGradients(row, 40)(net, A, of=LABELS).values for row in background]).mean(0)
    with fixed_draws():
        theirs = [ca.GradientShap(net).attribute(A, background, 20, target=LABELS).detach() for _ in range(60)]
    ours = [asc.ExpectedGradients(background, 20)(net, A, of=LABELS, seed=s).values for s in range(60)]
    assert (apart(theirs, exact) < 4.5).all()
    assert (apart(ours, exact) < 4.5).all()
    assert (apart(ours, theirs) < 4.5).all()
    assert torch.stack(ours).std(0).mean() < 0.5 * torch.stack(theirs).std(0).mean(), "rows and positions are spread evenly"


def test_rows_of_several_inputs_are_drawn_together():
    """Of a product whose background has equal factors; Captum draws the rows of each input by themselves and loses the relation."""
    product = lambda a, b: a * b  # noqa: E731
    a, b, paired = torch.ones(1, 1, dtype=DOUBLE), torch.ones(1, 1, dtype=DOUBLE), torch.tensor([[-2.0], [2.0]], dtype=DOUBLE)
    change = 1 - (paired * paired).mean()
    with fixed_draws():
        theirs = [sums(ca.GradientShap(product).attribute((a, b), (paired, paired), 100)) for _ in range(40)]
    ours = [sums(asc.ExpectedGradients((paired, paired), 100)(product, a, b, seed=s).values) for s in range(40)]
    assert (apart(ours, change) < 4.5).all()
    assert (apart(theirs, change) > 20).all()


# Layers


@pytest.mark.parametrize("entering", [False, True])
def test_layer_activation_and_gradient_x_activation(mixed, entering):
    at = asc.Cut("act", "in" if entering else "out")
    call = {"additional_forward_args": MORE, "attribute_to_layer_input": entering}
    close(asc.LayerActivation()(mixed, A, B, *MORE, at=at).values, ca.LayerActivation(mixed, mixed.act).attribute((A, B), **call))
    theirs = ca.LayerGradientXActivation(mixed, mixed.act).attribute((A, B), LABELS, **call)
    close(asc.InputXGradient()(mixed, A, B, *MORE, of=LABELS, at=at).values, theirs)
    alone = ca.LayerGradientXActivation(mixed, mixed.act, multiply_by_inputs=False).attribute((A, B), LABELS, **call)
    close(asc.influence(mixed, A, B, *MORE, of=LABELS, at=at).values, alone)


def test_several_layers_at_once(mixed):
    layers = [mixed.left, mixed.act]
    theirs = ca.LayerActivation(mixed, layers).attribute((A, B), MORE)
    close(asc.LayerActivation()(mixed, A, B, *MORE, at=["left", "act"]).values, tuple(theirs))
    theirs = ca.LayerGradientXActivation(mixed, layers).attribute((A, B), 1, MORE)
    close(asc.InputXGradient()(mixed, A, B, *MORE, of=1, at=["left", "act"]).values, tuple(theirs))


@pytest.mark.parametrize("theirs", RULES)
@pytest.mark.parametrize("entering", [False, True])
def test_layer_integrated_gradients(mixed, theirs, entering):
    """Captum's baseline is what the layer holds at the baseline of the inputs."""
    place = asc.Cut("act", "in" if entering else "out")
    starts = (STARTS[0], STARTS[1].expand(5, 3))
    values, delta = ca.LayerIntegratedGradients(mixed, mixed.act).attribute(
        (A, B), starts, LABELS, MORE, STEPS, theirs, return_convergence_delta=True, attribute_to_layer_input=entering
    )
    over = asc.Line(asc.Call(*starts, *MORE), STEPS, RULES[theirs], at=place)
    ours = asc.attribute(mixed, A, B, *MORE, of=LABELS, at=place, over=over)
    near(ours.values, values)
    np.testing.assert_allclose(ours.gap.absolute, delta, atol=1e-6)
    named = asc.IntegratedGradients(starts, STEPS, RULES[theirs])(mixed, A, B, *MORE, of=LABELS, at=place)
    near(named.values, values)


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_layers_of_pictures(pictures, layer):
    module = getattr(pictures, layer)
    theirs = ca.LayerIntegratedGradients(pictures, module).attribute(PICTURES, BLANK, target=1, n_steps=STEPS)
    near(asc.IntegratedGradients(BLANK, STEPS)(pictures, PICTURES, of=1, at=layer).values, theirs)
    theirs = ca.InternalInfluence(pictures, module).attribute(PICTURES, BLANK, target=1, n_steps=STEPS)
    near(asc.InternalInfluence(BLANK, STEPS)(pictures, PICTURES, of=1, at=layer).values, theirs)


@pytest.mark.parametrize("theirs", RULES)
@pytest.mark.parametrize("entering", [False, True])
def test_internal_influence(mixed, theirs, entering):
    values = ca.InternalInfluence(mixed, mixed.act).attribute(
        (A, B), STARTS, LABELS, MORE, STEPS, theirs, attribute_to_layer_input=entering
    )
    at = asc.Cut("act", "in" if entering else "out")
    near(asc.InternalInfluence(STARTS, STEPS, RULES[theirs])(mixed, A, B, *MORE, of=LABELS, at=at).values, values)


def test_conductance_converges_faster_than_captums():
    """Against the integral by 64 points: Captum's pieces meet no end of the path, an error of order 1/n; ours is 1/n^2."""
    net, base = chain(4, 6, 5, 3), rows(1, 4, seed=7)
    grid, share = np.polynomial.legendre.leggauss(64)
    exact = torch.zeros(5, 5, dtype=DOUBLE)
    for t, w in zip((grid + 1) / 2, share / 2, strict=True):
        hidden, speed = torch.autograd.functional.jvp(net[:3], base + t * (A - base), A - base)
        exact += w * gradient(lambda h: net[3:](h)[:, 1], hidden) * speed.detach()
    ours, theirs = {}, {}
    for n in (20, 40, 80):
        ours[n] = float((asc.Conductance(base, n)(net, A, of=1, at="2").values - exact).abs().max())
        theirs[n] = float((ca.LayerConductance(net, net[2]).attribute(A, base, target=1, n_steps=n).detach() - exact).abs().max())
    assert ours[20] / ours[40] > 3.5
    assert ours[40] / ours[80] > 3.5
    assert theirs[20] / theirs[40] < 2.5
    assert theirs[40] / theirs[80] < 2.5
    assert all(ours[n] < 0.2 * theirs[n] for n in ours)
    fine = ca.LayerConductance(net, net[2]).attribute(A, base, target=1, n_steps=2000).detach()
    assert float((fine - exact).abs().max()) < 2 * theirs[80] * 80 / 2000, "and both go to the same limit"


def test_a_bend_in_a_piece_of_conductance_is_exact():
    """One rectifier above the layer bends somewhere inside a piece: its share of the piece is known by what the score changes."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1), torch.nn.ReLU()).double()
    with torch.no_grad():
        net[0].weight.copy_(rows(4, 3))
        net[0].bias.zero_()
        net[1].weight.copy_(rows(1, 4, seed=1))
        net[1].bias.fill_(0.0)
    x = rows(6, 3, seed=2)
    start = -0.37 * x  # the score is linear along the line, and 0 at 0.37 / 1.37 of it
    hidden = net[0](x) - net[0](start)
    last = net[:2](x)[:, 0] > 0
    share = torch.where(last, 1 - 0.37 / 1.37, 0.37 / 1.37)[:, None]
    exact = (hidden * net[1].weight * share).detach()
    for n in (1, 2, 7):
        torch.testing.assert_close(asc.Conductance(start, n)(net, x, of=0, at="0").values, exact, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("act", [torch.nn.ReLU, torch.nn.Sigmoid, torch.nn.GELU])
def test_conductance_is_as_complete_as_captums_at_equal_steps(act):
    for seed in range(4):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(*[m for k in (5, 12, 12) for m in (torch.nn.Linear(k, 12), act())], torch.nn.Linear(12, 3)).double()
        for p in net.parameters():
            p.data *= 3
        x, base = rows(6, 5, seed=seed), rows(6, 5, seed=seed + 50)
        for layer in (1, 2, 3):
            for n in (5, 50):
                ask = {"target": 1, "n_steps": n, "return_convergence_delta": True}
                theirs = ca.LayerConductance(net, net[layer]).attribute(x, base, **ask)[1]
                ours = oa.LayerConductance(net, net[layer]).attribute(x, base, **ask)[1]
                assert float(ours.abs().mean()) <= float(theirs.abs().mean())


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_grad_cam(pictures, layer, relu):
    theirs = ca.LayerGradCam(pictures, getattr(pictures, layer)).attribute(PICTURES, torch.tensor([0, 2, 1]), relu_attributions=relu)
    close(asc.GradCam(layer, relu=relu)(pictures, PICTURES, of=[0, 2, 1]).values, theirs)


def test_every_use_of_a_layer_is_there():
    """Captum overwrites the first use of a layer with the second."""
    net = seeded(Twice)
    first = net.shared(A).detach()
    second = net.shared(torch.tanh(first)).detach()
    close(asc.LayerActivation()(net, A, at="shared").values, (first, second))
    close(ca.LayerActivation(net, net.shared).attribute(A), second)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ca.LayerGradientXActivation(net, net.shared).attribute(A, 1)
    close(asc.InputXGradient()(net, A, of=1, at=asc.Cut("shared", call=1)).values, theirs)
    early = first * gradient(lambda h: net.head(torch.tanh(net.shared(torch.tanh(h))))[:, 1], first)
    close(asc.InputXGradient()(net, A, of=1, at="shared").values[0], early)


# Neurons


NEURONS = {"a unit": (4, asc.Unit(4, on=asc.Cut("act"))), "a range": ((slice(1, 4),), asc.Unit(slice(1, 4), on=asc.Cut("act")))}
NEURONS["a function"] = (lambda h: h.tanh().sum(1), asc.quantities.Custom(lambda h: h.tanh().sum(1), on=asc.Cut("act")))


@pytest.mark.parametrize("name", NEURONS)
def test_neurons(mixed, name):
    selector, of = NEURONS[name]
    theirs = ca.NeuronGradient(mixed, mixed.act).attribute((A, B), selector, MORE)
    close(asc.influence(mixed, A, B, *MORE, of=of).values, theirs)
    theirs = ca.NeuronIntegratedGradients(mixed, mixed.act).attribute((A, B), selector, STARTS, MORE, n_steps=STEPS)
    near(asc.IntegratedGradients(STARTS, STEPS)(mixed, A, B, *MORE, of=of).values, theirs)


def test_neurons_of_pictures(pictures):
    for selector in [(1, 2, 3), (0, 0, 0)]:
        of = asc.Unit(*selector, on=asc.Cut("conv1"))
        theirs = ca.NeuronGradient(pictures, pictures.conv1).attribute(PICTURES, selector)
        close(asc.influence(pictures, PICTURES, of=of).values, theirs)
        entering = asc.Unit(*selector, on=asc.Cut("conv2", "in"))
        theirs = ca.NeuronIntegratedGradients(pictures, pictures.conv2).attribute(
            PICTURES, selector, BLANK, n_steps=STEPS, attribute_to_neuron_input=True
        )
        near(asc.IntegratedGradients(BLANK, STEPS)(pictures, PICTURES, of=entering).values, theirs)


def test_neurons_over_a_background():
    net, background = chain(4, 6, 3), rows(4, 4, seed=9)
    of = asc.Unit(2, on=asc.Cut("1"))
    with fixed_draws():
        theirs = [ca.NeuronGradientShap(net, net[1]).attribute(A, 2, background, 20).detach() for _ in range(40)]
    ours = [asc.ExpectedGradients(background, 20)(net, A, of=of, seed=s).values for s in range(40)]
    assert (apart(ours, theirs) < 4.5).all()


def test_layers_over_a_background():
    """Captum's path is at the inputs, its distance at the layer, and the sum is not the change; ours has both at the layer."""
    net, background = chain(4, 6, 5, 3), rows(4, 4, seed=9)
    with fixed_draws():
        theirs = [ca.LayerGradientShap(net, net[1]).attribute(A, background, 20, target=1).detach() for _ in range(150)]
    mixed_paths = torch.stack([asc.attribute(net, A, of=1, at="1", over=asc.Line(row, 40)).values for row in background]).mean(0)
    assert (apart(theirs, mixed_paths) < 4.5).all()
    over = asc.Background(background, 20) * asc.Line(steps=1, quadrature="random")
    assert (apart([asc.attribute(net, A, of=1, at="1", over=over, seed=s).values for s in range(60)], mixed_paths) < 4.5).all()
    at_the_layer = torch.stack([asc.IntegratedGradients(row, 40)(net, A, of=1, at="1").values for row in background]).mean(0)
    ours = [asc.ExpectedGradients(background, 20)(net, A, of=1, at="1", seed=s).values for s in range(60)]
    assert (apart(ours, at_the_layer) < 4.5).all()
    change = (net(A)[:, 1] - net(background)[:, 1].mean()).detach()
    assert (apart([sums(o) for o in ours], change) < 4.5).all()
    close(sums(at_the_layer), change)
    assert float((sums(mixed_paths) - change).abs().max()) > 1e-4
