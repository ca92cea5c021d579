"""Rules without a reference, against slow replicas of the papers' sums, captum, and what they conserve."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ascribe as asc
from ascribe.errors import RuleError
from tests.support.rescale_zoo import NETS, Fn, batch, net

captum = pytest.importorskip("captum.attr")
DOUBLE = torch.float64
Tensor = torch.Tensor
RULES = (asc.rules.Epsilon(), asc.rules.Gamma(), asc.rules.AlphaBeta(), asc.rules.AlphaBeta(1, 0), asc.rules.AttnLRP(), asc.rules.CPLRP())


def stable(z: Tensor, eps: float = 1e-6) -> Tensor:
    return z + eps * torch.where(z >= 0, 1.0, -1.0)


def contributions(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """``x_i w_ij`` with the bias as one more input, ``[in + 1, out]``."""
    return torch.cat([x[:, None] * w.t(), b[None]])


def epsilon(x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> Tensor:
    z = contributions(x, w, b)
    return (z / stable(z.sum(0)) * relevance).sum(1)[:-1]


def gamma(x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> Tensor:
    return epsilon(x, w + 0.25 * w.clamp(min=0), b + 0.25 * b.clamp(min=0), relevance)


def alphabeta(a: float, b: float) -> Callable[..., Tensor]:
    def rule(x: Tensor, w: Tensor, bias: Tensor, relevance: Tensor) -> Tensor:
        z = contributions(x, w, bias)
        up, down = z.clamp(min=0), z.clamp(max=0)
        return ((a * up / stable(up.sum(0)) - b * down / (down.sum(0) - 1e-6)) * relevance).sum(1)[:-1]

    return rule


REPLICAS = {
    asc.rules.Epsilon(): epsilon,
    asc.rules.Gamma(): gamma,
    asc.rules.AlphaBeta(): alphabeta(2, 1),
    asc.rules.AlphaBeta(1, 0): alphabeta(1, 0),
}


def dense(bias: bool = True) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 9, bias), nn.ReLU(), nn.Linear(9, 7, bias), nn.ReLU(), nn.Linear(7, 3, bias))
    return model.to(DOUBLE).eval()


@pytest.mark.parametrize("rule", REPLICAS, ids=repr)
def test_dense_layers_are_the_papers_sums(rule):
    model = dense()
    x = batch().flatten(1)[:, :6]
    found = asc.attribute(model, x, of=1, by=rule).values
    for i in range(3):
        values = [x[i]]
        for layer in model:
            values.append(layer(values[-1]))
        relevance = torch.zeros(3, dtype=DOUBLE)
        relevance[1] = values[-1][1]
        for k in (4, 2, 0):
            relevance = REPLICAS[rule](values[k], model[k].weight.detach(), model[k].bias.detach(), relevance)
        torch.testing.assert_close(found[i], relevance.detach(), rtol=1e-8, atol=1e-8 * float(relevance.abs().max()))


@pytest.mark.parametrize("rule", REPLICAS, ids=repr)
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 3}, {"dilation": 2}, {"bias": False}])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d])
def test_convolutions_are_their_matrices(rule, options, kind):
    """A convolution's matrix, column by column, put through the replica for dense layers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = kind(3, 6, 2 if kind is nn.ConvTranspose2d else 3, **options).to(DOUBLE)
    x = batch(1)[:, :, :5, :5] if kind is not nn.Conv1d else batch(1)[:, :, 0]
    flat = x.flatten()
    with torch.no_grad():
        bias = layer(torch.zeros_like(x)).flatten()
        matrix = torch.stack([layer(e.view_as(x)).flatten() - bias for e in torch.eye(flat.numel(), dtype=DOUBLE)], 1)
        y = layer(x).flatten()
    found = asc.attribute(layer, x, of=asc.quantities.Custom(squares), by=rule).values.flatten()
    expected = REPLICAS[rule](flat, matrix, bias, y * (y / 2))  # of squares / 2 between zero and the record: half to each
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7 * float(expected.abs().max()))


def squares(y: Tensor) -> Tensor:
    """Half the sum of squares: a relevance for every output."""
    return (y * y).flatten(1).sum(1) / 2


@pytest.mark.parametrize("name", ["relu function", "relu in place", "relu module in place", "relu by hand", "clamp"])
@pytest.mark.parametrize("rule", [*RULES, asc.rules.Guided(), asc.rules.Deconv()], ids=repr)
def test_spellings_agree(name, rule):
    a, b = (asc.attribute(net(n), batch(), of=1, by=rule).values for n in ("relu module", name))
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def unbiased(name: str) -> nn.Module:
    model = net(name)
    for key, p in model.named_parameters():
        if "bias" in key:
            p.data.zero_()
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.zero_()
    return model


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("name", ["relu module", "gelu", "silu by hand", "amax", "max pool 1d", "product", "matmul"])
def test_without_biases_relevance_is_conserved(rule, name):
    """Through residual additions, overlapping pools, products and activations."""
    if name == "max pool 1d" and rule == asc.rules.AlphaBeta():
        pytest.skip("a neuron whose contributions are of one sign conserves alpha, or -beta, of its relevance")
    model, x = unbiased(name), batch()
    found = asc.attribute(model, x, of=1, by=rule)
    total = found.values.flatten(1).sum(1)
    torch.testing.assert_close(total, torch.as_tensor(found.explained), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["attention", "encoder layer", "encoder layer, norm first", "layer norm", "rms norm by hand"])
def test_cp_lrp_is_conserved_in_transformers(name):
    found = asc.attribute(unbiased(name), batch(), of=1, by=asc.rules.CPLRP())
    torch.testing.assert_close(found.values.flatten(1).sum(1), torch.as_tensor(found.explained), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("rule", [asc.rules.AttnLRP(), asc.rules.CPLRP(), asc.rules.Epsilon()], ids=repr)
def test_what_is_quadratic_in_one_value_is_shared_once(rule):
    found = asc.attribute(Fn(lambda x: torch.stack([x.flatten(1).var(1), 3 * x.flatten(1).var(1)], 1)), batch(), of=1, by=rule)
    torch.testing.assert_close(found.values.flatten(1).sum(1), torch.as_tensor(found.explained))


def test_parity_with_captum_lrp():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        model = Fn(lambda x, a, b: b(a(x).view(len(x), 4)), a=model, b=nn.Linear(4, 3)).to(DOUBLE).eval()
    x = batch()
    found = asc.attribute(model, x, of=1, by=asc.rules.Epsilon(1e-9)).values
    expected = captum.LRP(model).attribute(x.clone(), target=1).detach()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("rule", "theirs"), [(asc.rules.Guided(), "GuidedBackprop"), (asc.rules.Deconv(), "Deconvolution")])
def test_parity_with_captum_on_rectifiers(rule, theirs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
        model = model.to(DOUBLE).eval()
    x = batch()
    expected = getattr(captum, theirs)(model).attribute(x.clone(), target=1).detach()
    torch.testing.assert_close(asc.influence(model, x, of=1, by=rule).values, expected)


@pytest.mark.parametrize("rule", [asc.rules.Guided(), asc.rules.Deconv()], ids=repr)
def test_a_network_without_a_rectifier_is_refused(rule):
    with pytest.raises(RuleError, match="needs a model with a ReLU"):
        asc.influence(net("tanh"), batch(), of=1, by=rule)


@pytest.mark.parametrize("name", NETS)
def test_the_derivative_of_everything_else_is_the_derivative(name):
    """Where no rectifier is in the way, guided backpropagation is the gradient: every formula with the record as its own reference."""
    model = net(name)
    with_one = Fn(lambda x, m: torch.cat([m(x), F.relu(x.flatten(1))[:, :1]], 1), m=model)
    if any(word in name for word in ("relu", "clamp", "choosing", "softmax head", "centred", "instance", "writes")):
        return
    found = asc.influence(with_one, batch(), of=asc.Contrast(1, 4), by=asc.rules.Guided()).values
    expected = asc.influence(model, batch(), of=1).values
    skipped = torch.zeros_like(expected).flatten(1)
    expected = expected.flatten(1)
    torch.testing.assert_close(found.flatten(1)[:, 1:], expected[:, 1:] + skipped[:, 1:], rtol=1e-7, atol=1e-9)


class Guiding(torch.autograd.Function):
    """A rectifier that lets back what is positive where its value was."""

    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        return h.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        return g.clamp(min=0) * (ctx.saved_tensors[0] > 0)


AFTERWARDS = {
    "scaled": lambda r, h: 2 * r(h),
    "masked": lambda r, h: r(h) * (torch.arange(8) % 3).to(h.dtype),
    "shifted": lambda r, h: r(h) + 1,
    "beside its input": lambda r, h: h + r(h),
    "less its input": lambda r, h: r(h) - h / 2,
    "a function of it": lambda r, h: torch.tanh(r(h)),
    "a square": lambda r, h: r(h) ** 2,
    "twice": lambda r, h: r(r(h) - 0.1),
}


@pytest.mark.parametrize("name", AFTERWARDS)
@pytest.mark.parametrize("spelt", [torch.relu, lambda h: torch.where(h > 0, h, 0.0), lambda h: (h + h.abs()) / 2])
def test_a_rectifier_is_one_whatever_is_made_of_it(name, spelt):
    def forward(x: torch.Tensor, a: nn.Module, b: nn.Module, rectifier=spelt) -> torch.Tensor:
        return b(AFTERWARDS[name](rectifier, a(x)))

    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = Fn(forward, a=nn.Linear(6, 8), b=nn.Linear(8, 3)).double()
        x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    found = asc.influence(model, x.detach(), of=1, by=asc.rules.Guided()).values
    out = forward(x, **dict(model.layers.items()), rectifier=Guiding.apply)
    torch.testing.assert_close(found, torch.autograd.grad(out[:, 1].sum(), x)[0])


@pytest.mark.parametrize("over", [asc.Line(0.1, 4), asc.Gaussian(0.1, 3), asc.Background(batch(3, seed=5))])
def test_rules_run_over_distributions(over):
    model, x = net("relu module"), batch()
    found = asc.attribute(model, x, of=1, over=over, by=asc.rules.AttnLRP())
    assert found.values.shape == x.shape
    torch.testing.assert_close(asc.attribute(model, x, of=1, over=over, by=asc.rules.AttnLRP(), chunk=3).values, found.values)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_at_layers_and_neurons_and_record_by_record(rule):
    model, x = net("relu module"), batch()
    both = asc.attribute(model, x, of=1, at=["layers.a", asc.INPUT], by=rule).values
    torch.testing.assert_close(asc.attribute(model, x, of=1, at="layers.a", by=rule).values, both[0])
    neuron = asc.attribute(model, x, of=asc.Unit(2, on=asc.Cut("layers.head")), by=rule).values
    torch.testing.assert_close(asc.attribute(model, x[1:2], of=asc.Unit(2, on=asc.Cut("layers.head")), by=rule).values[0], neuron[1])


@pytest.mark.parametrize("by", [None, asc.rules.Gradient(), asc.rules.Rescale(), asc.rules.Epsilon], ids=repr)
def test_lrp_takes_rules_for_relevance(by):
    with pytest.raises(RuleError, match="LRP"):
        asc.LRP(by)


def test_alpha_and_beta_must_conserve():
    with pytest.raises(RuleError):
        asc.rules.AlphaBeta(2, 2)
