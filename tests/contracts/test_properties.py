"""What has to hold for every network: sums, linearity, indifference to how a function is written, and to who else is in the call."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ascribe as asc
from tests.support.small_models import DOUBLE, Branches, Pictures, Twice, chain, rows, seeded, sums

pytestmark = pytest.mark.filterwarnings("ignore:completeness:ascribe.AscribeWarning")

SMOOTH = {"tanh": torch.tanh, "softplus": F.softplus, "silu": F.silu, "gelu": F.gelu, "sigmoid": torch.sigmoid, "sine": torch.sin}
KINKED = {"relu": F.relu, "leaky": F.leaky_relu, "hardtanh": F.hardtanh, "abs": torch.abs}
KINDS = SMOOTH | KINKED


class Network(nn.Module):
    """Random depth, width and activations, with shortcuts; the activations are functions, not layers."""

    def __init__(self, sizes: tuple[int, ...], kinds: tuple[str, ...], shortcuts: tuple[bool, ...], classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head, self.kinds, self.shortcuts = nn.Linear(sizes[-1], classes), kinds, shortcuts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, kind, shortcut in zip(self.layers, self.kinds, self.shortcuts, strict=False):
            h = KINDS[kind](layer(x))
            x = h + x if shortcut and h.shape == x.shape else h
        return self.head(x)


def networks(kinds=KINDS, features: int = 4):
    """Networks for records of some features; 3 classes."""

    @st.composite
    def build(draw) -> nn.Module:
        depth = draw(st.integers(1, 3))
        sizes = (features, *(draw(st.sampled_from([features, 3, 6])) for _ in range(depth)))
        chosen = tuple(draw(st.sampled_from(sorted(kinds))) for _ in range(depth))
        shortcuts = tuple(draw(st.booleans()) for _ in range(depth))
        return seeded(lambda: Network(sizes, chosen, shortcuts, 3), draw(st.integers(0, 10**6)))

    return build()


SEEDS = st.integers(0, 10**6)
RECORDS = st.builds(lambda seed, n: rows(n, 4, seed=seed), SEEDS, st.integers(1, 4))
few = settings(max_examples=15)


def close(found, expected, rtol: float = 1e-8, atol: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


METHODS = {
    "saliency": asc.Saliency(),
    "input x gradient": asc.InputXGradient(),
    "integrated gradients": asc.IntegratedGradients(0.3, 6),
    "tolerance": asc.IntegratedGradients(0.3, tolerance=1e-3),
    "random path": asc.IntegratedGradients(0.3, 6, "random"),
    "smooth": asc.SmoothGrad(4),
    "squares": asc.SquareGrad(4),
    "variance": asc.VarGrad(4),
    "expected": asc.ExpectedGradients(rows(3, 4, seed=9), 6),
    "conductance": asc.Conductance(0.3, 4),
    "internal": asc.InternalInfluence(0.3, 4),
}


# Sums


@few
@given(net=networks(SMOOTH), x=RECORDS, seed=SEEDS)
def test_integrated_gradients_add_up_to_the_change_of_the_quantity(net, x, seed):
    base = rows(4, seed=seed)
    for of in (None, 1, asc.Contrast(0, 2), asc.LogProb()):
        found = asc.attribute(net, x, of=of, over=asc.Line(base, 100))
        scale = np.abs(found.explained).max() + 1
        np.testing.assert_allclose(found.gap.absolute, 0, atol=1e-6 * scale)
    found = asc.attribute(net, x, of=1, over=asc.Line(base, 100))
    change = (net(x) - net(base[None]))[:, 1].detach()
    np.testing.assert_allclose(sums(found.values).numpy() - found.gap.absolute, change, rtol=1e-9, atol=1e-12)


@few
@given(net=networks(), x=RECORDS, seed=SEEDS)
def test_the_gap_is_what_is_missing(net, x, seed):
    """Few steps of a poor rule on kinks: the sum is wrong, and the result says by how much."""
    background = rows(3, 4, seed=seed + 10**7)  # never the records themselves
    for over in (asc.Line(background[0], 3, "riemann-left"), asc.Background(background) * asc.Line(steps=2, quadrature="random")):
        found = asc.attribute(net, x, of=2, over=over, seed=3)
        with torch.no_grad():
            start = net(background[:1] if isinstance(over, asc.Line) else background)[:, 2].mean()
            change = (net(x)[:, 2] - start).numpy()
        np.testing.assert_allclose(found.gap.absolute, sums(found.values).numpy() - change, rtol=1e-8, atol=1e-12)
        scale = np.maximum(np.abs(change), found.values.abs().sum(1).numpy())
        np.testing.assert_allclose(found.gap.relative, np.abs(found.gap.absolute) / scale, rtol=1e-6, atol=1e-9)


@few
@given(net=networks(SMOOTH), x=RECORDS)
def test_a_tolerance_is_reached_for_every_record_as_if_it_were_alone(net, x):
    found = asc.attribute(net, x, of=1, over=asc.Line(0.0, tolerance=1e-2))
    assert (found.gap.relative <= 1e-2).all()
    alone = [asc.attribute(net, x[i : i + 1], of=1, over=asc.Line(0.0, tolerance=1e-2)) for i in range(len(x))]
    close(found.values, torch.cat([a.values for a in alone]))


def test_smooth_records_need_fewer_than_fifty_points_and_stop_each_by_itself():
    net, x = chain(4, 8, 8, 3), rows(12, 4) * torch.linspace(0.05, 2.5, 12, dtype=DOUBLE)[:, None]
    found = asc.attribute(net, x, of=1, over=asc.Line(0.0, tolerance=1e-3))
    steps = np.asarray(found.settings["steps"])
    assert (found.gap.relative <= 1e-3).all()
    assert steps.mean() < 50
    assert steps.min() < steps.max(), "records stop when they are done"
    rows_run = found.cost.rows - len(x) - 1  # the records, and the baseline that they share
    assert rows_run == steps.sum() < 50 * len(x)
    assert found.cost.backward < 50


@few
@given(net=networks(SMOOTH), x=RECORDS, share=st.floats(0.1, 0.9))
def test_two_pieces_of_a_path_add_up_to_the_whole(net, x, share):
    middle = 0.3 + share * (x - 0.3)
    first = asc.attribute(net, middle, of=1, over=asc.Line(0.3, 60)).values
    second = asc.attribute(net, x, of=1, over=asc.Line(middle, 60)).values
    close(first + second, asc.attribute(net, x, of=1, over=asc.Line(0.3, 120)).values, rtol=1e-5, atol=1e-7)


# The quantity


@few
@given(net=networks(), x=RECORDS, method=st.sampled_from(sorted(set(METHODS) - {"saliency", "squares", "variance", "tolerance"})))
def test_attribution_is_linear_in_the_quantity(net, x, method):
    """Of 2a - 3b: twice that of a, less three times that of b."""
    explain = METHODS[method]
    mixed = explain(net, x, of=lambda y: 2 * y[:, 0] - 3 * y[:, 2], seed=4).values
    close(mixed, 2 * explain(net, x, of=0, seed=4).values - 3 * explain(net, x, of=2, seed=4).values)


@few
@given(net=networks(), x=RECORDS)
def test_the_class_of_max_is_the_records_own_along_the_whole_path(net, x):
    best = net(x).argmax(1)
    for over in (None, asc.Line(-2.0, 7), asc.Gaussian(3.0, 5)):
        found, told = asc.attribute(net, x, over=over), asc.attribute(net, x, of=best, over=over)
        close(found.values, told.values)
        assert found.target.tolist() == best.tolist()


# How the function is written


def rewritten(net: Network, order: torch.Tensor) -> nn.Module:
    """The same function with the first layer's units in another order, its matrix as a product, modules in place of functions."""

    class Module(nn.Module):
        def __init__(self, fn) -> None:
            super().__init__()
            self.fn = fn

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fn(x)

    first, second = net.layers[0], net.layers[1] if len(net.layers) > 1 else net.head
    mixing = torch.linalg.qr(rows(4, 4, seed=5)).Q
    parts = [nn.Linear(4, 4, bias=False), nn.Linear(4, len(order)), Module(KINDS[net.kinds[0]]), nn.Linear(len(order), second.out_features)]
    modules = nn.Sequential(*parts).double()
    with torch.no_grad():
        modules[0].weight.copy_(mixing)
        modules[1].weight.copy_(first.weight[order] @ mixing.T)
        modules[1].bias.copy_(first.bias[order])
        modules[3].weight.copy_(second.weight[:, order])
        modules[3].bias.copy_(second.bias)
    return modules


@few
@given(kind=st.sampled_from(sorted(KINDS)), x=RECORDS, seed=SEEDS, method=st.sampled_from(sorted(METHODS)))
def test_two_ways_to_write_a_function_get_the_same_attribution(kind, x, seed, method):
    net = seeded(lambda: Network((4, 6), (kind,), (False,), 3), seed)
    same = rewritten(net, torch.randperm(6, generator=torch.Generator().manual_seed(seed)))
    torch.testing.assert_close(same(x), net(x))
    explain = METHODS[method]
    close(explain(same, x, of=1).values, explain(net, x, of=1).values, rtol=1e-6, atol=1e-9)
    close(explain(lambda z: torch.cat([same(z[:, :4])], 1), x, of=1).values, explain(net, x, of=1).values, rtol=1e-6, atol=1e-9)


@few
@given(net=networks(SMOOTH, features=5), seed=SEEDS, dummy=st.integers(0, 4), method=st.sampled_from(sorted(METHODS)))
def test_an_input_that_plays_no_part_gets_exactly_nothing(net, seed, dummy, method):
    """On smooth networks: between the kinks of others a gradient's variance is nothing at all, and rectifiers can all be off."""
    net.shortcuts = (False,) * 3
    with torch.no_grad():
        net.layers[0].weight[:, dummy] = 0
    x = rows(3, 5, seed=seed)
    explain = METHODS[method] if method != "expected" else asc.ExpectedGradients(rows(3, 5, seed=9), 6)
    found = explain(net, x, of=1).values
    assert (found[:, dummy] == 0).all()
    assert (found != 0).any()


@few
@given(seed=SEEDS, method=st.sampled_from(sorted(set(METHODS) - {"smooth", "squares", "variance", "expected"})))
def test_inputs_that_play_the_same_part_get_the_same(seed, method):
    net = seeded(lambda: Network((4, 6, 3), ("softplus", "tanh"), (False, False), 3), seed)
    with torch.no_grad():
        net.layers[0].weight[:, 2] = net.layers[0].weight[:, 0]
    x = rows(3, 4, seed=seed)
    x[:, 2] = x[:, 0]
    found = METHODS[method](net, x, of=1).values
    close(found[:, 2], found[:, 0])


# Who else is in the call, and how it is run


@settings(max_examples=25)
@given(net=networks(), seed=SEEDS, method=st.sampled_from(sorted(METHODS)), chunk=st.sampled_from([1, 3, 7]))
def test_chunks_change_nothing_but_rounding(net, seed, method, chunk):
    x = rows(4, 4, seed=seed)
    whole, pieces = METHODS[method](net, x, of=[0, 2, 1, 1], seed=2), METHODS[method](net, x, of=[0, 2, 1, 1], seed=2, chunk=chunk)
    close(pieces.values, whole.values)
    np.testing.assert_allclose(pieces.explained, whole.explained)
    if whole.gap is not None:
        np.testing.assert_allclose(pieces.gap.absolute, whole.gap.absolute, rtol=1e-6, atol=1e-10)


@settings(max_examples=25)
@given(net=networks(), seed=SEEDS, method=st.sampled_from(sorted(METHODS)))
def test_a_record_gets_the_same_alone_and_among_others(net, seed, method):
    x = rows(16, 4, seed=seed)
    among = METHODS[method](net, x, seed=2)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    close(METHODS[method](net, x[order], seed=2).values, among.values[order])
    for i in (0, 7):
        alone = METHODS[method](net, x[i : i + 1], seed=2)
        close(alone.values[0], among.values[i])
        assert alone.target[0] == among.target[i]


@pytest.mark.parametrize("at", ["conv1", "conv2", asc.Cut("fc", "in")], ids=repr)
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_layers_in_chunks(at, chunk):
    net, x = seeded(Pictures), rows(4, 2, 6, 6)
    for method in (asc.IntegratedGradients(0.2, 7), asc.Conductance(0.2, 7), asc.ExpectedGradients(rows(3, 2, 6, 6, seed=1), 5)):
        whole = torch.cat([method(net, x[i : i + 1], of=i % 3, at=at).values for i in range(4)])
        close(method(net, x, of=[0, 1, 2, 0], at=at, chunk=chunk).values, whole)


@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_uses_of_a_layer_in_chunks(chunk):
    net, x = seeded(Twice), rows(4, 4)
    found = asc.attribute(net, x, of=1, at="shared", over=asc.Line(0.2, 6), chunk=chunk).values
    for part, call in zip(found, (0, 1), strict=True):
        close(part, asc.attribute(net, x, of=1, at=asc.Cut("shared", call=call), over=asc.Line(0.2, 6)).values)


# Draws


def z_scores(found: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """How many standard errors the mean over the first axis is from the exact value."""
    return (found.mean(0) - exact).abs() / (found.std(0) / len(found) ** 0.5)


def test_expected_gradients_converge_to_the_mean_over_the_background():
    net, x, background = chain(4, 8, 3), rows(3, 4), rows(5, 4, seed=9)
    exact = torch.stack([asc.IntegratedGradients(row, 40)(net, x, of=1).values for row in background]).mean(0)
    drawn = torch.stack([asc.ExpectedGradients(background, 4)(net, x, of=1, seed=s).values for s in range(200)])
    assert (z_scores(drawn, exact) < 4).all()
    many = asc.ExpectedGradients(background, 4000)(net, x, of=1).values
    assert (many - exact).abs().max() < 0.1 * drawn.std(0).max()


def test_smooth_gradients_converge_to_the_mean_under_the_noise():
    """Of exp(w x) under normal noise of scale s: its gradient times exp(|w|^2 s^2 / 2)."""
    w, x, scale = rows(4, seed=1) * 0.5, rows(2, 4), 0.6
    exact = w * torch.exp(x @ w + (w @ w) * scale**2 / 2)[:, None]
    drawn = [asc.SmoothGrad(16, scale, relative=False)(lambda z: torch.exp(z @ w)[:, None], x, of=0, seed=s).values for s in range(150)]
    assert (z_scores(torch.stack(drawn), exact) < 4).all()


def test_random_positions_converge_to_the_integral():
    net, x = chain(4, 8, 3, activation=nn.ReLU), rows(3, 4)
    exact = asc.IntegratedGradients(0.1, 4000, "riemann-middle")(net, x, of=1).values
    drawn = torch.stack([asc.IntegratedGradients(0.1, 5, "random")(net, x, of=1, seed=s).values for s in range(200)])
    spread = drawn.std(0)
    assert ((drawn.mean(0) - exact).abs() < 4 * spread / len(drawn) ** 0.5 + 1e-3 * exact.abs().max()).all()


def test_influence_under_a_tolerance_is_the_influence_that_adds_up():
    net, x = chain(4, 16, 16, 3), rows(6, 4) * 2
    found = asc.influence(net, x, of=1, over=asc.Line(0.0, tolerance=1e-6))
    close(found.values, asc.influence(net, x, of=1, over=asc.Line(0.0, 200)).values, rtol=1e-3, atol=1e-6)
    assert found.gap is None
    assert found.ok


def test_conductance_of_a_part_is_not_blamed_for_the_rest():
    """A branch carries a part of the change, and two uses of a layer carry it twice: more steps would mend nothing."""
    for model, layer in ((Branches, "inner"), (Twice, "act")):
        found = asc.Conductance(0.3, 40)(seeded(model), rows(3, 4), of=1, at=layer)
        assert found.ok, found.checks[0]


def test_records_that_meet_stay_together_until_the_last_is_done():
    model, x = Centred(), rows(4, 3) * torch.tensor([[0.01], [1.0], [3.0], [9.0]], dtype=DOUBLE)
    found = asc.attribute(model, x, of=1, over=asc.Line(0.0, tolerance=1e-3, steps=32))
    steps = found.settings["steps"]
    assert isinstance(steps, int), "all went the same way"
    last = [k for k in (4, 8, 16, 32) if (k == 4) or sum((4, 8, 16, 32)[: (4, 8, 16, 32).index(k) + 1]) <= steps][-1]
    close(found.values, asc.attribute(model, x, of=1, over=asc.Line(0.0, steps=last)).values)


class Centred(nn.Module):
    def forward(self, x):
        return torch.tanh(3 * (x - x.mean(0)))
