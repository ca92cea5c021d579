"""The rules for layers against the papers' formulas, on the matrix of each layer, written out number by number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import RuleError

DOUBLE = torch.float64
Tensor = torch.Tensor
EPS = 1e-3


def stable(z: Tensor, eps: float = EPS) -> Tensor:
    return z + eps * torch.where(z >= 0, 1.0, -1.0).to(DOUBLE)


def parts(z: Tensor) -> tuple[Tensor, Tensor]:
    return z.clamp(min=0), z.clamp(max=0)


def distribute(numerators: Tensor, denominators: Tensor, relevance: Tensor) -> Tensor:
    """``sum_j n_ij / s(d_j) R_j``: numerators ``[in (and one for the bias), out]``."""
    return (numerators / stable(denominators) * relevance).sum(1)


class Case:
    """One record of one layer: ``z = [x_i w_ij; b_j]``, with the weights and the relevance at the outputs."""

    def __init__(self, x: Tensor, w: Tensor, b: Tensor, relevance: Tensor) -> None:
        self.x, self.w, self.b, self.relevance = x, w, b, relevance
        self.z = torch.cat([x[:, None] * w, b[None]])
        self.out = self.z.sum(0)


def epsilon(c: Case) -> Tensor:
    return distribute(c.z, c.out, c.relevance)[:-1]


def epsilon_without_bias(c: Case) -> Tensor:
    return distribute(c.z[:-1], c.z[:-1].sum(0), c.relevance)


def gamma(c: Case) -> Tensor:
    w, b = c.w + 0.3 * c.w.clamp(min=0), c.b + 0.3 * c.b.clamp(min=0)
    return epsilon(Case(c.x, w, b, c.relevance))


def generalised(c: Case) -> Tensor:
    """Andeol et al. 2021: what pushes the neuron the way it went is strengthened."""
    up, down = parts(c.z)
    z = c.z + 0.3 * torch.where(c.out >= 0, up, down)
    signs = torch.where(c.out >= 0, 1.0, -1.0)
    total = z.sum(0)
    return (z / (total + EPS * torch.where(total == 0, signs, torch.sign(total))) * c.relevance).sum(1)[:-1]


def alphabeta(alpha: float, beta: float, bias: bool = True) -> Callable[[Case], Tensor]:
    def rule(c: Case) -> Tensor:
        up, down = parts(c.z if bias else c.z[:-1])
        found = alpha * up / stable(up.sum(0)) - beta * down / (down.sum(0) - EPS)
        return (found * c.relevance).sum(1)[: len(c.x)]

    return rule


def zbox(c: Case) -> Tensor:
    up, down = parts(c.w)
    low, high = torch.full_like(c.x, -2.5), torch.full_like(c.x, 3.0)
    z = c.x[:, None] * c.w - low[:, None] * up - high[:, None] * down
    return distribute(z, z.sum(0), c.relevance)


def wsquare(c: Case) -> Tensor:
    z = torch.cat([c.w, c.b[None]]).square()[:-1]
    return distribute(z, z.sum(0), c.relevance)


def wsquare_with_bias(c: Case) -> Tensor:
    z = torch.cat([c.w, c.b[None]]).square()
    return distribute(z, z.sum(0), c.relevance)[:-1]


REPLICAS: list[tuple[object, Callable[[Case], Tensor]]] = [
    (asc.rules.Epsilon(EPS), epsilon),
    (asc.rules.Epsilon(EPS, bias=False), epsilon_without_bias),
    (asc.rules.Norm(EPS), epsilon),
    (asc.rules.Gamma(0.3, EPS), gamma),
    (asc.rules.Gamma(0.3, EPS, generalised=True), generalised),
    (asc.rules.Gamma(0.3, EPS, generalised=True, bias=False), lambda c: generalised(Case(c.x, c.w, 0 * c.b, c.relevance))),
    (asc.rules.AlphaBeta(2, 1, EPS), alphabeta(2, 1)),
    (asc.rules.AlphaBeta(1.5, 0.5, EPS, bias=False), alphabeta(1.5, 0.5, bias=False)),
    (asc.rules.AlphaBeta(1, 0, EPS), alphabeta(1, 0)),
    (asc.rules.ZPlus(EPS), alphabeta(1, 0)),
    (asc.rules.ZPlus(EPS, bias=False), alphabeta(1, 0, bias=False)),
    (asc.rules.ZBox(-2.5, 3.0, EPS), zbox),
    (asc.rules.WSquare(EPS), wsquare),
    (asc.rules.WSquare(EPS, bias=True), wsquare_with_bias),
]

CONVOLUTIONS = [
    {},
    {"bias": False},
    {"stride": 2, "padding": 1},
    {"groups": 2},
    {"dilation": 2, "padding": 2},
    {"groups": 2, "stride": 2, "padding": 1, "bias": False},
]
KINDS = [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]


def layers() -> list[tuple[str, Callable[[], nn.Module], tuple[int, ...]]]:
    found: list[tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = [
        ("Linear", lambda: nn.Linear(5, 4), (5,)),
        ("Linear without bias", lambda: nn.Linear(5, 4, bias=False), (5,)),
        ("Linear over steps", lambda: nn.Linear(5, 4), (3, 5)),
        ("batch norm", lambda: statistics(nn.BatchNorm1d(5)), (5,)),
    ]
    for kind in KINDS:
        rank = int(kind.__name__[-2])
        for options in CONVOLUTIONS if rank < 3 else CONVOLUTIONS[2:4]:
            said = ", ".join(f"{k}={v}" for k, v in options.items())
            found.append((f"{kind.__name__}({said})", lambda kind=kind, options=options: kind(4, 6, 3, **options), (4, *[5] * rank)))
    return found


def statistics(norm: nn.Module) -> nn.Module:
    """Statistics that a trained network could have."""
    for name, low, high in (("running_mean", -1.0, 1.0), ("running_var", 0.5, 2.0), ("weight", -1.5, 1.5), ("bias", -0.5, 0.5)):
        getattr(norm, name).data.uniform_(low, high)
    return norm


def made(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().to(DOUBLE).eval()


def matrix_of(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``[in, out]`` and biases ``[out]`` of one record, by what the layer does to nothing and to each number alone."""
    with torch.no_grad():
        b = layer(torch.zeros_like(x)).flatten()
        return torch.stack([layer(e.view_as(x)).flatten() - b for e in torch.eye(x.numel(), dtype=DOUBLE)]), b


def squares(y: Tensor) -> Tensor:
    """Half the sum of squares, by way of products of two values: half to each, so an output's relevance is half its square."""
    return (y * y).flatten(1).sum(1) / 2


@pytest.mark.parametrize("sign", ["both signs", "not negative"])
@pytest.mark.parametrize(("rule", "replica"), REPLICAS, ids=[repr(rule) for rule, _ in REPLICAS])
@pytest.mark.parametrize(("name", "make", "shape"), layers(), ids=[name for name, _, _ in layers()])
def test_layers_are_their_matrices(name, make, shape, rule, replica, sign):
    layer = made(make)
    x = torch.randn(2, *shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    x = x.abs() if sign == "not negative" else x
    found = asc.attribute(layer, x, of=asc.quantities.Custom(squares), by=rule).values
    for i in range(2):
        w, b = matrix_of(layer, x[i : i + 1])
        y = x[i].flatten() @ w + b
        expected = replica(Case(x[i].flatten(), w, b, y * y / 2))
        torch.testing.assert_close(found[i].flatten(), expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))


@pytest.mark.parametrize(("name", "make", "shape"), layers(), ids=[name for name, _, _ in layers()])
def test_flat_counts_the_inputs_of_each_output(name, make, shape):
    layer = made(make)
    x = torch.randn(2, *shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    found = asc.attribute(layer, x, of=asc.quantities.Custom(squares), by=asc.rules.Flat(0.0)).values
    for i in range(2):
        w, b = matrix_of(layer, x[i : i + 1])
        connected = (w != 0).to(DOUBLE)
        y = x[i].flatten() @ w + b
        expected = (connected / connected.sum(0).clamp(min=1) * (y * y / 2)).sum(1)
        torch.testing.assert_close(found[i].flatten(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_rules_for_first_layers_reach_inputs_that_are_zero(value):
    """Relevance there is no multiple of the value."""
    layer = made(lambda: nn.Linear(3, 2))
    x = torch.full((1, 3), value, dtype=DOUBLE)
    for rule in (asc.rules.Flat(), asc.rules.WSquare(), asc.rules.ZBox(-1.0, 2.0)):
        found = asc.attribute(layer, x, of=1, by=rule)
        assert (found.values != 0).all()
        torch.testing.assert_close(found.values.sum(1), torch.as_tensor(found.explained), rtol=1e-4, atol=1e-6)


def test_relevance_that_is_no_multiple_of_a_value_is_found_at_a_layer():
    net = made(lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)))
    x = torch.randn(3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    expected = net(x)[:, 1:2].detach().expand(3, 5) / 5
    for layer in ("0", "1"):
        torch.testing.assert_close(asc.attribute(net, x, of=1, at=layer, by=asc.rules.Flat(0.0)).values, expected)


def test_pass_hands_on_what_it_gets():
    layer = made(lambda: nn.Linear(4, 4))
    x = torch.randn(3, 4, dtype=DOUBLE)
    found = asc.attribute(layer, x, of=asc.quantities.Custom(squares), by=asc.rules.Pass()).values
    torch.testing.assert_close(found, layer(x).detach().square() / 2)
    with pytest.raises(RuleError, match="shape"):
        asc.attribute(made(lambda: nn.Linear(4, 3)), x, of=0, by=asc.rules.Pass())


def test_box_bounds_for_each_channel_and_each_number():
    layer = made(lambda: nn.Conv2d(3, 4, 3, padding=1))
    x = torch.rand(2, 3, 5, 5, dtype=DOUBLE)
    low, high = (-1.0, -0.5, 0.0), (1.0, 2.0, 1.5)
    found = asc.attribute(layer, x, of=asc.quantities.Custom(squares), by=asc.rules.ZBox(low, high)).values
    spread = [torch.tensor(b, dtype=DOUBLE).view(3, 1, 1).expand(3, 5, 5) for b in (low, high)]
    for rule in (
        asc.rules.ZBox(torch.tensor(low), torch.tensor(high)),
        asc.rules.ZBox(*spread),
        asc.rules.ZBox(*(b.numpy() for b in spread)),
    ):
        torch.testing.assert_close(asc.attribute(layer, x, of=asc.quantities.Custom(squares), by=rule).values, found)
    with pytest.raises(RuleError, match="bound"):
        asc.attribute(layer, x, of=asc.quantities.Custom(squares), by=asc.rules.ZBox((0.0, 1.0), 1.0))


PRODUCTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "linear": lambda x, w, b: torch.nn.functional.linear(x, w, b),
    "operators": lambda x, w, b: x @ w.t() + b,
    "addmm": lambda x, w, b: torch.addmm(b, x, w.t()),
    "scaled addmm": lambda x, w, b: torch.addmm(b * 2, x, w.t() / 4, beta=0.5, alpha=4),
    "einsum": lambda x, w, b: torch.einsum("ni,oi->no", x, w) + b,
    "left": lambda x, w, b: (w @ x.t()).t() + b,
    "bmm": lambda x, w, b: torch.bmm(x[:, None], w.t().expand(len(x), -1, -1))[:, 0] + b,
    "convolution": lambda x, w, b: torch.nn.functional.conv1d(x[:, :, None], w[:, :, None], b)[:, :, 0],
    "steps": lambda x, w, b: (x[:, None] @ w.t() + b)[:, 0],
    "added in place": lambda x, w, b: (x @ w.t()).add_(b),
}


class Spelt(nn.Module):
    def __init__(self, product: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.product, self.layer = product, nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, self.layer.weight, self.layer.bias)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("rule", [rule for rule, _ in REPLICAS] + [asc.rules.Flat(EPS)], ids=repr)
def test_all_spellings_of_a_layer_are_one(name, rule):
    x = torch.randn(3, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    found, expected = (
        asc.attribute(made(lambda n=n: Spelt(PRODUCTS[n])), x, of=asc.quantities.Custom(squares), by=rule).values for n in (name, "linear")
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
