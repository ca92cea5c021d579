"""Numbers that are known without this package: closed forms, finite differences, exact integrals, and passes written by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc
from ascribe.backends.numpy.mlp import Mlp
from ascribe.distributions.quadrature import QUADRATURES, quadrature_nodes
from tests.support.small_models import (
    DOUBLE,
    Branches,
    Dense,
    Pictures,
    Quadratic,
    Twice,
    TwoInputs,
    chain,
    differences,
    gradient,
    rows,
    seeded,
    sums,
)

pytestmark = pytest.mark.filterwarnings("ignore:completeness:ascribe.AscribeWarning")

X, BASE = rows(5, 4), rows(4, seed=7)
CLASSES = [0, 2, 1, 1, 0]
RULES = tuple(rule for rule in QUADRATURES if rule != "random")


def close(found, expected, **tolerance) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected).detach(), **{"rtol": 1e-9, "atol": 1e-11, **tolerance})


# Linear networks


class TestLinear:
    net = chain(4, 3)
    weight = net[0].weight.detach()[CLASSES]

    def test_one_pass(self):
        close(asc.influence(self.net, X, of=CLASSES).values, self.weight)
        close(asc.Saliency()(self.net, X, of=CLASSES).values, self.weight.abs())
        close(asc.Saliency(signed=True)(self.net, X, of=CLASSES).values, self.weight)
        close(asc.InputXGradient()(self.net, X, of=CLASSES).values, self.weight * X)

    @pytest.mark.parametrize("quadrature", QUADRATURES)
    @pytest.mark.parametrize("steps", [2, 7])
    def test_a_path_is_the_weight_times_the_distance_under_every_rule(self, quadrature, steps):
        found = asc.IntegratedGradients(BASE, steps, quadrature)(self.net, X, of=CLASSES)
        close(found.values, self.weight * (X - BASE))
        np.testing.assert_allclose(found.gap.absolute, 0, atol=1e-12)

    def test_noise_changes_nothing(self):
        close(asc.SmoothGrad(7)(self.net, X, of=CLASSES).values, self.weight)
        close(asc.SquareGrad(7)(self.net, X, of=CLASSES).values, self.weight**2)
        close(asc.VarGrad(7)(self.net, X, of=CLASSES).values, torch.zeros(5, 4, dtype=DOUBLE))

    def test_a_background_counts_with_its_mean(self):
        background = rows(6, 4, seed=3)
        close(asc.ExpectedGradients(background, 18)(self.net, X, of=CLASSES).values, self.weight * (X - background.mean(0)))

    def test_a_layer_of_a_deep_linear_network(self):
        net = chain(4, 6, 3, activation=nn.Identity)
        outer = net[2].weight.detach()[CLASSES]
        moved = net[0](X) - net[0](BASE)
        close(asc.Conductance(BASE, 3)(net, X, of=CLASSES, at="0").values, outer * moved)
        close(asc.IntegratedGradients(BASE, 3)(net, X, of=CLASSES, at="0").values, outer * moved)
        close(asc.InternalInfluence(BASE, 3)(net, X, of=CLASSES, at="0").values, outer)
        close(asc.InputXGradient()(net, X, of=CLASSES, at="0").values, outer * net[0](X))
        close(asc.LayerActivation()(net, X, at="0").values, net[0](X))


# Quadratic functions: gradients that are linear in the point


class TestQuadratic:
    net = Quadratic()

    def slope(self, x):
        return torch.stack([self.net.slope(x[i : i + 1], c)[0] for i, c in enumerate(CLASSES)]).detach()

    @pytest.mark.parametrize(("quadrature", "steps"), [("gauss-legendre", 1), ("riemann-middle", 1), ("trapezoid", 2), ("trapezoid", 9)])
    def test_a_path_is_the_gradient_at_its_middle(self, quadrature, steps):
        found = asc.IntegratedGradients(BASE, steps, quadrature)(self.net, X, of=CLASSES)
        close(found.values, (X - BASE) * self.slope((X + BASE) / 2))
        np.testing.assert_allclose(found.gap.relative, 0, atol=1e-11)

    @pytest.mark.parametrize(("quadrature", "side"), [("riemann-left", -1), ("riemann-right", 1)])
    def test_riemann_sums_are_off_by_half_a_step(self, quadrature, side):
        found = asc.IntegratedGradients(BASE, 8, quadrature)(self.net, X, of=CLASSES).values
        half = side * (self.slope(X) - self.slope(BASE.expand(5, 4))) / 16
        close(found, (X - BASE) * (self.slope((X + BASE) / 2) + half))

    @pytest.mark.parametrize("over", [asc.Gaussian(0.3, 6), asc.Uniform(0.3, 6), asc.Gaussian(0.3, 6, relative=True)], ids=repr)
    def test_noise_averages_like_its_draws(self, over):
        noise = over.draw(4).noise
        drawn = torch.stack([torch.from_numpy(noise.draw(k, 0, (4,))).double() for k in range(6)])
        span = (X.amax(1) - X.amin(1))[:, None] if over.relative else torch.ones(5, 1, dtype=DOUBLE)
        points = [X + d * span for d in drawn]
        slopes = torch.stack([self.slope(p) for p in points])
        close(asc.influence(self.net, X, of=CLASSES, over=over, seed=4).values, slopes.mean(0))
        close(asc.attribute(self.net, X, of=CLASSES, over=over, seed=4).values, (slopes * torch.stack(points)).mean(0))

    @pytest.mark.parametrize("chunk", [None, 1, 3])
    def test_squares_and_variances_of_noisy_gradients(self, chunk):
        drawn = asc.SmoothGrad(6, 0.4).over(asc.INPUT).draw(4).noise
        span = (X.amax(1) - X.amin(1))[:, None]
        slopes = torch.stack([self.slope(X + torch.from_numpy(drawn.draw(k, 0, (4,))).double() * span) for k in range(6)])
        for method, expected in (
            (asc.SmoothGrad(6, 0.4), slopes.mean(0)),
            (asc.SquareGrad(6, 0.4), (slopes**2).mean(0)),
            (asc.VarGrad(6, 0.4), slopes.var(0, unbiased=False)),
        ):
            close(method(self.net, X, of=CLASSES, seed=4, chunk=chunk).values, expected)

    def test_a_small_variance_of_a_large_gradient_does_not_cancel(self):
        """Variance as the mean of squares less the square of the mean would keep no digit here."""
        net, x, method = Quadratic(), torch.full((1, 4), 1e6, dtype=DOUBLE), asc.VarGrad(8, 1e-3, relative=False)
        drawn = method.over(asc.INPUT).draw(0).noise
        slopes = torch.stack([net.slope(x + torch.from_numpy(drawn.draw(k, 0, (4,))).double(), 1).detach() for k in range(8)])
        about = slopes - slopes[0]
        close(method(net, x, of=1).values, about.var(0, unbiased=False), rtol=1e-4, atol=0)

    def test_expected_gradients_are_the_mean_over_their_draws(self):
        background, method = rows(3, 4, seed=3), asc.ExpectedGradients(rows(3, 4, seed=3), 8)
        draws = method.over(asc.INPUT).draw(9, 3)
        terms = []
        for row, position in zip(draws.row, draws.position, strict=True):
            away = X - background[row]
            terms.append(away * self.slope(background[row] + position * away))
        found = method(self.net, X, of=CLASSES, seed=9)
        close(found.values, torch.stack(terms).mean(0))
        used = np.bincount(draws.row, minlength=3) / 8
        values = self.net(background).detach().numpy()[:, CLASSES]
        np.testing.assert_allclose(sums(found.values).numpy() - found.gap.absolute, found.explained - used @ values)

    def test_smooth_integrated_gradients(self):
        over = asc.Gaussian(0.3, 4) * asc.Line(BASE, 3)
        noise = over.draw(2).noise
        ends = [X + torch.from_numpy(noise.draw(3 * k, 0, (4,))).double() for k in range(4)]
        found = asc.attribute(self.net, X, of=CLASSES, over=over, seed=2)
        close(found.values, torch.stack([(e - BASE) * self.slope((e + BASE) / 2) for e in ends]).mean(0))
        np.testing.assert_allclose(found.gap.absolute, 0, atol=1e-10)


# Piecewise linear networks: the gradient is constant between kinks, and the kinks can be found


def kinks(net: nn.Sequential, start: torch.Tensor, end: torch.Tensor) -> list[float]:
    """Where on the line from start to end a unit of a Linear-ReLU chain switches, with 0 and 1 around them."""
    found = [0.0, 1.0]
    for k in range(0, len(net) - 1, 2):
        before = net[: k + 1]
        values = [before(start + a * (end - start)) for a in found]
        for (a, b), (u, v) in zip(pairwise(found), pairwise(values), strict=True):
            crossed = (u * v < 0).nonzero()[:, 0]
            found = found + [float(a + u[i] / (u[i] - v[i]) * (b - a)) for i in crossed]
        found = sorted(found)
    return found


def on_pieces(net: nn.Sequential, start: torch.Tensor, end: torch.Tensor, c: int) -> tuple[np.ndarray, np.ndarray]:
    """The lengths of the linear pieces of the path, and the gradient on each."""
    with torch.no_grad():
        at = kinks(net, start, end)
    middles = torch.stack([start + (a + b) / 2 * (end - start) for a, b in pairwise(at)])
    return np.diff(at), gradient(lambda z: net(z)[:, c], middles).numpy()


def discrepancy(position: np.ndarray, weight: np.ndarray) -> float:
    """The most by which a rule misses the length of any piece [0, t]: its error for a step function, per unit of jump."""
    after = np.cumsum(weight)
    return float(max(np.abs(position - after).max(), np.abs(position - (after - weight)).max()))


class TestPiecewiseLinear:
    net = chain(4, 16, 16, 3, activation=nn.ReLU)

    @pytest.mark.parametrize("record", range(4))
    def test_the_path_in_pieces_is_the_exact_integral(self, record):
        """One point on each piece is exact; the pieces put together are complete, and agree with the integral by hand."""
        end, c = X[record], CLASSES[record]
        lengths, slopes = on_pieces(self.net, BASE, end, c)
        assert len(lengths) > 3, "a path with kinks"
        exact = (lengths[:, None] * slopes).sum(0) * (end - BASE).numpy()
        with torch.no_grad():
            at = kinks(self.net, BASE, end)
        total = torch.zeros(4, dtype=DOUBLE)
        for a, b in pairwise(at):
            piece = [BASE + t * (end - BASE) for t in (a, b)]
            total += asc.attribute(self.net, piece[1][None], of=c, over=asc.Line(piece[0], 1)).values[0]
        close(total, exact)
        change = (self.net(end) - self.net(BASE))[c].item()
        assert exact.sum() == pytest.approx(change, abs=1e-12)

    @pytest.mark.parametrize("quadrature", RULES)
    @pytest.mark.parametrize("steps", [5, 50, 400])
    def test_the_error_is_at_most_the_jumps_times_the_rules_discrepancy(self, quadrature, steps):
        found = asc.IntegratedGradients(BASE, steps, quadrature)(self.net, X, of=CLASSES)
        spacing = discrepancy(*quadrature_nodes(quadrature, steps))
        assert spacing < 2.5 / steps
        for record, c in enumerate(CLASSES):
            lengths, slopes = on_pieces(self.net, BASE, X[record], c)
            away = (X[record] - BASE).numpy()
            exact = (lengths[:, None] * slopes).sum(0) * away
            bound = np.abs(np.diff(slopes, axis=0)).sum(0) * np.abs(away) * spacing
            assert (np.abs(found.values[record].numpy() - exact) <= bound + 1e-12).all()
            assert abs(found.gap.absolute[record]) <= bound.sum() + 1e-12

    def test_gradient_times_input_is_complete_without_biases(self):
        net = chain(4, 7, 6, 3, activation=nn.ReLU)
        for layer in net[::2]:
            nn.init.zeros_(layer.bias)
        close(sums(asc.InputXGradient()(net, X, of=CLASSES).values), net(X)[range(5), CLASSES])


# Any network: finite differences


def differences_agree(found, value, x, **tolerance) -> None:
    close(found, differences(value, x), **{"rtol": 1e-6, "atol": 1e-8, **tolerance})


QUANTITIES: dict[str, tuple[asc.Unit, Callable]] = {
    "max": (None, lambda y, c: y[range(len(y)), c]),
    "unit": (asc.Unit(1), lambda y, c: y[:, 1]),
    "labels": (asc.Labels((2, 0, 1)), lambda y, c: y[range(3), [2, 0, 1]]),
    "contrast": (asc.Contrast(2, 0), lambda y, c: y[:, 2] - y[:, 0]),
    "logprob": (asc.LogProb(1), lambda y, c: F.log_softmax(y, 1)[:, 1]),
    "likeliest": (asc.LogProb(), lambda y, c: F.log_softmax(y, 1)[range(len(y)), c]),
    "prob": (asc.Prob(1), lambda y, c: F.softmax(y, 1)[:, 1]),
    "total": (asc.Total(), lambda y, c: y.sum(1)),
    "threshold": (asc.Threshold(0.1), lambda y, c: (torch.sign(y - 0.1) * y).sum(1)),
    "custom": (lambda y: (y**2).sum(1).sqrt(), lambda y, c: (y**2).sum(1).sqrt()),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_gradients_of_quantities(name):
    net, x = chain(4, 6, 3), X[:3]
    of, value = QUANTITIES[name]
    best = net(x).argmax(1)
    differences_agree(asc.influence(net, x, of=of).values, lambda z: value(net(z), best), x)


DENSE: dict[str, tuple[object, Callable]] = {
    "pixel": (asc.Unit(2, 1, 3), lambda y: y[:, 2, 1, 3]),
    "box": (asc.Box(1, (1, 0, 4, 2)), lambda y: y[:, 1, 1:4, :2].mean((1, 2))),
    "mask": (asc.Region(0, rows(2, 4, 5, seed=3).abs()), lambda y: torch.einsum("nhw,nhw->n", y[:, 0], MASK)),
    "mean": (asc.Channel(1, "mean"), lambda y: y[:, 1].mean((1, 2))),
    "max": (asc.Channel(1, "max"), lambda y: y[:, 1].amax((1, 2))),
}
MASK = rows(2, 4, 5, seed=3).abs()
MASK = MASK / MASK.sum((1, 2), keepdim=True)


@pytest.mark.parametrize("name", DENSE)
def test_gradients_of_dense_quantities(name):
    net, x = seeded(Dense), rows(2, 2, 4, 5, seed=1)
    of, value = DENSE[name]
    differences_agree(asc.influence(net, x, of=of).values, lambda z: value(net(z)), x)


def test_gradients_inside_a_network():
    net, x = seeded(Pictures), rows(3, 2, 6, 6)

    def behind(h: torch.Tensor) -> torch.Tensor:
        return net.fc(F.max_pool2d(torch.tanh(h), 2).flatten(1))[:, 1]

    with torch.no_grad():
        first = net.conv1(x)
        second = net.conv2(F.softplus(first))
    differences_agree(asc.influence(net, x, of=1, at="conv2").values, behind, second)
    differences_agree(asc.influence(net, x, of=1, at="conv1").values, lambda h: behind(net.conv2(F.softplus(h))), first)
    entering = F.softplus(first)
    differences_agree(asc.influence(net, x, of=1, at=asc.Cut("conv2", "in")).values, lambda h: behind(net.conv2(h)), entering)
    both = asc.influence(net, x, of=1, at=["conv2", "conv1", asc.INPUT]).values
    for found, at in zip(both, ("conv2", "conv1", asc.INPUT), strict=True):
        close(found, asc.influence(net, x, of=1, at=at).values)


def test_gradients_of_several_inputs():
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3, seed=1)
    shift = rows(5, seed=2)
    left, right, *_ = asc.influence(net, a, b, shift, of=1, scale=0.5, flip=True).values
    differences_agree(left, lambda z: net(z, b, shift, 0.5, flip=True)[:, 1], a)
    differences_agree(right, lambda z: net(a, z, shift, 0.5, flip=True)[:, 1], b)


def test_a_place_on_one_branch_is_that_branch_alone():
    net = seeded(Branches)
    with torch.no_grad():
        h = torch.tanh(net.stem(X))
    one = {
        "inner": lambda z: net.head(2 * h + torch.tanh(z))[:, 1],
        "drop": lambda z: net.head(2 * h + torch.tanh(net.inner(z)))[:, 1],
    }
    for layer, value in one.items():
        here = net.inner(h).detach() if layer == "inner" else h
        differences_agree(asc.influence(net, X, of=1, at=layer).values, value, here)
        line = asc.attribute(net, X, of=1, at=layer, over=asc.Line(0.0, 40, at=asc.Cut(layer)))
        close(sums(line.values), value(here) - value(torch.zeros_like(here)))


def test_each_use_of_a_layer_is_a_place_of_its_own():
    net = seeded(Twice)
    with torch.no_grad():
        first = net.shared(X)
        second = net.shared(torch.tanh(first))
    late = lambda h: net.head(torch.tanh(h))[:, 1]  # noqa: E731
    early = lambda h: late(net.shared(torch.tanh(h)))  # noqa: E731
    differences_agree(asc.influence(net, X, of=1, at=asc.Cut("shared", call=0)).values, early, first)
    differences_agree(asc.influence(net, X, of=1, at=asc.Cut("shared", call=1)).values, late, second)
    whole = asc.influence(net, X, of=1, at="shared")
    differences_agree(whole.values[0], early, first)
    differences_agree(whole.values[1], late, second)
    assert any(check.name == "calls" for check in whole.checks)


# Paths through a layer, against integrals done by hand with 64 points


GRID, SHARE = (lambda p, w: ((p + 1) / 2, w / 2))(*np.polynomial.legendre.leggauss(64))


def along(net: nn.Sequential, split: int, c: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients at what ``net[:split]`` gives and that value's own velocity, at 64 points of the line from BASE to x."""
    slopes, speeds = [], []
    for t in GRID:
        point = BASE + t * (x - BASE)
        hidden, speed = torch.autograd.functional.jvp(net[:split], point, x - BASE)
        slopes.append(gradient(lambda h: net[split:](h)[:, c], hidden))
        speeds.append(speed.detach())
    return torch.stack(slopes), torch.stack(speeds)


class TestThroughLayers:
    net = chain(4, 6, 5, 3)

    def weighed(self, values: torch.Tensor) -> torch.Tensor:
        return torch.einsum("k,k...->...", torch.from_numpy(SHARE), values)

    @pytest.mark.parametrize("split", [1, 2, 3])
    def test_internal_influence_is_the_mean_gradient(self, split):
        slopes, _ = along(self.net, split, 1, X)
        close(asc.InternalInfluence(BASE, 32)(self.net, X, of=1, at=str(split - 1)).values, self.weighed(slopes))

    @pytest.mark.parametrize("split", [1, 2, 3])
    def test_conductance_converges_to_the_integral_with_the_second_order(self, split):
        slopes, speeds = along(self.net, split, 1, X)
        exact = self.weighed(slopes * speeds)
        errors = [(asc.Conductance(BASE, n)(self.net, X, of=1, at=str(split - 1)).values - exact).abs().max() for n in (32, 64, 128)]
        assert errors[2] < 1e-3 * exact.abs().max()
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
        assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)

    def test_conductance_of_a_layer_before_a_linear_one_is_exact(self):
        """The quantity is linear in this layer: what each unit moved, times its weight, whatever the path."""
        found = asc.Conductance(BASE, 4)(self.net, X, of=1, at="3")
        close(found.values, self.net[4].weight[1] * (self.net[:4](X) - self.net[:4](BASE)))
        np.testing.assert_allclose(found.gap.absolute, 0, atol=1e-12)

    def test_a_line_at_a_layer_starts_where_the_baseline_arrives(self):
        here, start = self.net[:3](X).detach(), self.net[:3](BASE).detach()
        slopes = torch.stack([gradient(lambda h: self.net[3:](h)[:, 1], start + t * (here - start)) for t in GRID])
        found = asc.IntegratedGradients(BASE, 32)(self.net, X, of=1, at="2")
        close(found.values, self.weighed(slopes) * (here - start))
        np.testing.assert_allclose(found.gap.relative, 0, atol=1e-8)

    def test_attribution_at_a_layer_over_a_line_at_the_input_has_the_layers_own_distance(self):
        slopes, _ = along(self.net, 3, 1, X)
        moved = (self.net[:3](X) - self.net[:3](BASE)).detach()
        close(asc.attribute(self.net, X, of=1, at="2", over=asc.Line(BASE, 32)).values, self.weighed(slopes) * moved)

    def test_integrated_gradients_of_a_smooth_network(self):
        slopes = torch.stack([gradient(lambda z: self.net(z)[:, 1], BASE + t * (X - BASE)) for t in GRID])
        close(asc.IntegratedGradients(BASE, 32)(self.net, X, of=1).values, self.weighed(slopes) * (X - BASE))

    def test_a_hidden_unit(self):
        slopes = torch.stack([gradient(lambda z: self.net[:3](z)[:, 4], BASE + t * (X - BASE)) for t in GRID])
        found = asc.IntegratedGradients(BASE, 32)(self.net, X, of=asc.Unit(4, on=asc.Cut("2")))
        close(found.values, self.weighed(slopes) * (X - BASE))
        np.testing.assert_allclose(found.gap.relative, 0, atol=1e-8)


def test_noise_at_the_inputs_travels_the_layers_own_distance():
    net, over = chain(4, 6, 3), asc.Gaussian(0.3, 6)
    noise = over.draw(5).noise
    found = []
    for k in range(6):
        h = net[:2](X + torch.as_tensor(noise.draw(k, 0, (4,)))).detach()
        found.append(h * gradient(lambda z: net[2:](z)[:, 1], h))
    close(asc.attribute(net, X, of=1, at="1", over=over, seed=5).values, torch.stack(found).mean(0), rtol=1e-6, atol=1e-8)


# The same numbers from NumPy: gradients written by hand, no framework

INPUT_OF = (asc.INPUT, asc.INPUT)
HIDDEN = (asc.Cut("1"), asc.Cut("0"))  # an Mlp's layer is a linear map with its activation
ENTERING = (asc.Cut("2", "in"), asc.Cut("1", "in"))


@pytest.mark.parametrize("name", ["relu", "tanh"])
@pytest.mark.parametrize(
    ("over", "at"),
    [
        (lambda cut: asc.Point(), INPUT_OF),
        (lambda cut: asc.Point(), HIDDEN),
        (lambda cut: asc.Line(BASE.numpy(), 9), INPUT_OF),
        (lambda cut: asc.Line(0.0, 9, stepwise=True), HIDDEN),
        (lambda cut: asc.Line(0.0, 9, "riemann-left"), ENTERING),
        (lambda cut: asc.Line(0.0, 9, "trapezoid", at=cut), HIDDEN),
        (lambda cut: asc.Line(0.0, tolerance=1e-3), INPUT_OF),
        (lambda cut: asc.Gaussian(0.2, 5, relative=True), INPUT_OF),
        (lambda cut: asc.Gaussian(0.2, 5, at=cut) * asc.Line(0.5, 3, at=cut), HIDDEN),
        (lambda cut: asc.Background(rows(3, 4, seed=3).numpy(), 7) * asc.Line(steps=2, quadrature="random"), INPUT_OF),
    ],
)
def test_numpy_gives_what_torch_gives(name, over, at):
    net = chain(4, 6, 3, activation={"relu": nn.ReLU, "tanh": nn.Tanh}[name])
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    mlp = Mlp([layer.weight.detach().numpy().T for layer in layers], [layer.bias.detach().numpy() for layer in layers], name)
    for verb in (asc.attribute, asc.influence):
        for of in (CLASSES, asc.Contrast(0, 2), None):
            theirs = verb(net, X, of=of, over=over(at[0]), at=at[0], seed=3)
            ours = verb(mlp, X.numpy(), of=of, over=over(at[1]), at=at[1], seed=3)
            np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(ours.explained, theirs.explained)


def test_one_of_several_inputs_while_the_path_moves_them_all():
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3, seed=1)
    whole = asc.attribute(net, a, b, of=1, over=asc.Line(0.2, 8))
    close(asc.attribute(net, a, b, of=1, at=asc.INPUT.at(1), over=asc.Line(0.2, 8)).values, whole.values[1])
    both = asc.IntegratedGradients(0.2, 8)(net, a, b, of=1, at=[asc.INPUT.at(1), asc.INPUT.at(0)])
    close(both.values[0], whole.values[1])
    close(both.values[1], whole.values[0])


def test_the_baseline_beside_arguments_of_each_record_is_run_beside_each_of_them():
    """One row stands for all starts; what else belongs to records does not."""
    net, a, b = seeded(TwoInputs), rows(5, 4), rows(5, 3, seed=1)
    found = asc.attribute(net, asc.Call(a, b).only(0), of=1, over=asc.Line(0.0, 24))
    with torch.no_grad():
        change = (net(a, b) - net(0 * a, b))[:, 1]
    np.testing.assert_allclose(found.gap.absolute, (sums(found.values) - change).numpy(), atol=1e-10)
    assert found.gap.relative.max() < 1e-6
