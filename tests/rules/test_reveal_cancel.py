"""RevealCancel against the paper's formulas, against Shapley values by enumeration, and its completeness on anything."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ascribe as asc
from ascribe.errors import RuleError
from tests.support.rescale_zoo import NETS, batch, net

DOUBLE = torch.float64
RULE = asc.rules.RevealCancel()


def explained(model: nn.Module, x: torch.Tensor, **more) -> asc.Attribution:
    more = {"of": 1, "over": asc.Reference(batch(1, x.dtype, seed=7)), "by": RULE, **more}
    return asc.attribute(model, x, **more)


@pytest.mark.parametrize("name", NETS)
def test_complete(name):
    found = explained(net(name), batch())
    assert found.gap.relative.max() < 1e-9
    told = next(c for c in found.checks if c.name == "rule")
    assert told.status == ("warn" if name == "choosing" else "ok"), told


@pytest.mark.parametrize("name", [n for n in NETS if n != "packed lstm"])
def test_a_record_is_explained_by_itself(name):
    model, x = net(name), batch(4)
    together = explained(model, x).values
    torch.testing.assert_close(explained(model, x[2:3]).values[0], together[2], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["relu module", "gelu", "softmax head", "encoder layer", "max pool 1d"])
def test_one_reference_row_stands_for_all(name):
    model, x, row = net(name), batch(), batch(1, seed=7)
    each = explained(model, x, over=asc.Reference(row.expand_as(x).clone())).values
    torch.testing.assert_close(explained(model, x).values, each, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("other", ["relu function", "relu in place", "relu by hand", "clamp"])
def test_spellings_agree(other):
    torch.testing.assert_close(explained(net(other), batch()).values, explained(net("relu module"), batch()).values)


# ---- the paper's formulas, slowly


def relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0)


def ratio(a: np.ndarray, b: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The multiplier of a part, and its limit for one that vanishes: the mean derivative at the two places where it would come."""
    limit = ((first > 0).astype(float) + (second > 0)) / 2
    return np.divide(a, b, out=limit, where=b != 0)


def by_the_paper(weights: list[np.ndarray], biases: list[np.ndarray], x: np.ndarray, x0: np.ndarray, unit: int) -> np.ndarray:
    """Dense layers with ReLUs between them, one record: sections 3.2, 3.5.1 and 3.5.3, neuron by neuron.

    Contributions are found from multipliers ``m[source sign, target sign]`` and the chain rule.
    """
    layers = len(weights)
    d = x - x0
    plus, minus = relu(d), -relu(-d)
    z0 = x0
    chain: list[tuple[str, np.ndarray]] = []
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        m = np.zeros((2, 2, w.shape[1], w.shape[0]))  # sign of the input, sign of the output, input, output
        for i in range(w.shape[1]):
            for j in range(w.shape[0]):
                push = w[j, i] * (plus[i] + minus[i])
                to_plus, to_minus = (0.5, 0.5) if abs(push) < 1e-12 else (1.0, 0.0) if push > 0 else (0.0, 1.0)
                m[:, 0, i, j], m[:, 1, i, j] = to_plus * w[j, i], to_minus * w[j, i]
        new_plus = np.einsum("i,ij->j", plus, m[0, 0]) + np.einsum("i,ij->j", minus, m[1, 0])
        new_minus = np.einsum("i,ij->j", plus, m[0, 1]) + np.einsum("i,ij->j", minus, m[1, 1])
        chain.append(("dense", m))
        plus, minus, z0 = new_plus, new_minus, w @ z0 + b
        if k < layers - 1:
            f = relu
            up = (f(z0 + plus) - f(z0) + f(z0 + minus + plus) - f(z0 + minus)) / 2
            down = (f(z0 + minus) - f(z0) + f(z0 + plus + minus) - f(z0 + plus)) / 2
            chain.append(("relu", np.stack([ratio(up, plus, z0, z0 + minus), ratio(down, minus, z0, z0 + plus)])))
            plus, minus, z0 = up, down, f(z0)
    back = np.zeros((2, len(z0)))
    back[:, unit] = 1
    for kind, m in reversed(chain):
        back = m * back if kind == "relu" else np.einsum("stij,tj->si", m, back)
    return back[0] * relu(d) + back[1] * -relu(-d)


def dense(sizes: tuple[int, ...], seed: int) -> tuple[nn.Sequential, list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(b, a)) for a, b in pairwise(sizes)]
    biases = [rng.normal(size=b) * 0.5 for b in sizes[1:]]
    layers: list[nn.Module] = []
    for w, b in zip(weights, biases, strict=True):
        layer = nn.Linear(w.shape[1], w.shape[0]).double()
        layer.weight.data, layer.bias.data = torch.tensor(w), torch.tensor(b)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]), weights, biases


@pytest.mark.parametrize("sizes", [(5, 3), (5, 7, 3), (6, 8, 7, 5, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_the_formulas_of_the_paper(sizes, seed):
    model, weights, biases = dense(sizes, seed)
    rng = np.random.default_rng(seed + 100)
    x, x0 = rng.normal(size=(3, sizes[0])), rng.normal(size=sizes[0])
    found = asc.attribute(model, torch.tensor(x), of=1, over=asc.Reference(x0), by=RULE).values.numpy()
    expected = np.stack([by_the_paper(weights, biases, row, x0, 1) for row in x])
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    rescaled = asc.attribute(model, torch.tensor(x), of=1, over=asc.Reference(x0), by=asc.rules.Rescale()).values.numpy()
    assert len(sizes) == 2 or np.abs(rescaled - expected).max() > 1e-2, "the two rules differ here"


def test_a_record_that_is_its_reference_somewhere():
    """A part of the input that does not move gets nothing, and takes nothing away."""
    model, weights, biases = dense((6, 8, 7, 2), 0)
    rng = np.random.default_rng(5)
    x, x0 = rng.normal(size=(1, 6)), rng.normal(size=6)
    x[0, 2:4] = x0[2:4]
    found = asc.attribute(model, torch.tensor(x), of=0, over=asc.Reference(x0), by=RULE)
    np.testing.assert_allclose(found.values.numpy()[0], by_the_paper(weights, biases, x[0], x0, 0), rtol=1e-8, atol=1e-10)
    assert not found.values[0, 2:4].any()


# ---- Shapley values by enumeration


def shapley(f: Callable[[np.ndarray], float], x: np.ndarray, x0: np.ndarray) -> np.ndarray:
    """The mean of every order in which the features can change."""
    total = np.zeros(len(x))
    orders = list(permutations(range(len(x))))
    for order in orders:
        z = x0.copy()
        for i in order:
            before = f(z)
            z[i] = x[i]
            total[i] += f(z) - before
    return total / len(orders)


class Of(nn.Module):
    """A function of the columns."""

    def __init__(self, fn: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fn(*x.unbind(1))[:, None]


GAMES = {
    "minimum": lambda a, b: a - (a - b).relu(),
    "maximum": lambda a, b: b + (a - b).relu(),
    "distance": lambda a, b: (a - b).relu() + (b - a).relu(),
    "either and not both": lambda a, b: (a - b).relu() - 2 * (a - b - 0.3).relu(),
    "smooth": lambda a, b: torch.nn.functional.softplus(a - b) + torch.tanh(a - 2 * b),
}
NUMBERS = st.floats(0.05, 3)


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")  # a change of nothing but rounding has no relative gap
@pytest.mark.parametrize("name", GAMES)
@settings(max_examples=40, deadline=None)
@given(start=st.tuples(st.floats(-2, 2), st.floats(-2, 2)), rise=st.tuples(NUMBERS, NUMBERS), both_up=st.booleans())
def test_shapley_values_where_two_inputs_pull_against_each_other(name, start, rise, both_up):
    """Both rise, or both fall: one of them pushes ``a - b`` up, the other down."""
    x0 = np.array(start)
    x = x0 + (1 if both_up else -1) * np.array(rise)
    model = Of(GAMES[name])
    found = asc.attribute(model, torch.tensor(x)[None], of=0, over=asc.Reference(x0), by=RULE).values[0].numpy()
    expected = shapley(lambda z: float(model(torch.tensor(z)[None])), x, x0)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_the_minimum_of_two_inputs_is_shared_where_rescale_gives_all_to_one():
    """The example of the paper's figure: o = min(i1, i2) from (0, 0)."""
    model = Of(GAMES["minimum"])
    x = torch.tensor([[3.0, 2.0]], dtype=DOUBLE)
    values = [asc.attribute(model, x, of=0, over=asc.Reference(0.0), by=by).values[0].tolist() for by in (RULE, asc.rules.Rescale())]
    np.testing.assert_allclose(values[0], [1.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(values[1], [0.0, 2.0], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_minimum_and_maximum_of_two_sums_are_shared_between_the_sums(seed):
    """Groups that push one way each are the two players; what a group gets is shared in proportion to what its members push."""
    rng = np.random.default_rng(seed)
    w = rng.uniform(0.2, 1, size=6)
    x0 = rng.normal(size=6)
    x = x0 + rng.uniform(0.1, 2, size=6)
    weights = torch.tensor(w)

    def game(z: torch.Tensor, sign: int) -> torch.Tensor:
        a, b = (z[:, :3] * weights[:3]).sum(1), (z[:, 3:] * weights[3:]).sum(1)
        return a - sign * (sign * (a - b)).relu()

    for sign in (1, -1):
        model = Of(lambda *columns, sign=sign: game(torch.stack(columns, 1), sign))
        found = asc.attribute(model, torch.tensor(x)[None], of=0, over=asc.Reference(x0), by=RULE).values[0].numpy()

        def merged(z: np.ndarray, model: nn.Module = model) -> float:
            full = np.where(np.repeat(z, 3) > 0.5, x, x0)
            return float(model(torch.tensor(full)[None]))

        groups = shapley(merged, np.ones(2), np.zeros(2))
        np.testing.assert_allclose(found.reshape(2, 3).sum(1), groups, rtol=1e-9)
        push = w * (x - x0)
        np.testing.assert_allclose(found, push / np.repeat(push.reshape(2, 3).sum(1), 3) * np.repeat(groups, 3), rtol=1e-9)


# ---- places and distributions


def test_at_layers_shares_add_up_too():
    model = net("relu module")
    found = explained(model, batch(), at=["layers.a", asc.Cut("layers.head", "in"), asc.INPUT])
    for values in found.values:
        torch.testing.assert_close(values.flatten(1).sum(1), found.values[2].flatten(1).sum(1))


def test_influence_times_distance_is_the_attribution():
    model, x, row = net("gelu"), batch(), batch(1, seed=7)
    m = asc.influence(model, x, of=1, over=asc.Reference(row), by=RULE).values
    torch.testing.assert_close(m * (x - row), explained(model, x).values)


def test_over_a_background_and_as_a_named_method():
    model, x, rows = net("gelu"), batch(), batch(4, seed=3)
    found = asc.DeepLiftShap(rows, by=RULE)(model, x, of=1)
    each = torch.stack([explained(model, x, over=asc.Reference(rows[i : i + 1])).values for i in range(4)])
    torch.testing.assert_close(found.values, each.mean(0), rtol=1e-9, atol=1e-12)
    alone = asc.DeepLiftShap(rows, by=RULE)(model, x[:1], of=1)  # references on the tape, the record beside them
    torch.testing.assert_close(alone.values[0], found.values[0], rtol=1e-9, atol=1e-12)
    assert "RevealCancel(" in found.method


def test_a_domain_that_the_parts_leave_is_named():
    model = Of(lambda a, b: (a - b).log())
    x, row = torch.tensor([[5.0, 1.5]], dtype=DOUBLE), torch.tensor([[1.0, 0.5]], dtype=DOUBLE)
    found = asc.attribute(model, x, of=0, over=asc.Reference(row), by=RULE)
    assert found.gap.relative.max() < 1e-9
    assert "log" in next(c for c in found.checks if c.name == "rule").detail
    with pytest.raises(RuleError, match="log"):
        asc.attribute(model, x, of=0, over=asc.Reference(row), by=asc.rules.RevealCancel(strict=True))


@pytest.mark.filterwarnings("ignore::ascribe.AscribeWarning")
def test_where_a_part_alone_leaves_the_domain_it_is_taken_whole():
    """What pushes down would take the logarithm of a negative number; the whole does not."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False, dtype=DOUBLE), Logarithm())
    model[0].weight.data.fill_(1.0)
    x, start = torch.tensor([[4.0, -2.0]], dtype=DOUBLE), torch.tensor([[0.5, 0.5]], dtype=DOUBLE)
    found = asc.attribute(model, x, of=0, over=asc.Reference(start), by=RULE)
    slope = np.log(2.0) / (2.0 - 1.0)
    torch.testing.assert_close(found.values, slope * (x - start))
    assert next(c for c in found.checks if c.name == "rule").status == "warn"


def test_what_does_not_move_gets_the_mean_of_both():
    """Of what pushes up by 2 and down by 1 at a rectifier, 3/4 and 1/2 arrive (section 3.5.3)."""
    net = nn.Sequential(nn.Linear(3, 1, bias=False, dtype=DOUBLE), nn.ReLU())
    net[0].weight.data.fill_(1.0)
    x = torch.tensor([[0.0, 2.0, -1.0]], dtype=DOUBLE)
    found = asc.influence(net, x, of=0, over=asc.Reference(0.0), by=RULE).values
    torch.testing.assert_close(found, torch.tensor([[0.625, 0.75, 0.5]], dtype=DOUBLE))


class Logarithm(nn.Module):
    def forward(self, x):
        return x.log()


def test_real_gates_of_a_fourier_transform_get_real_numbers() -> None:
    class Filters(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.gate, self.last = nn.Linear(5, 3), nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.fft.irfft(torch.fft.rfft(x) * torch.sigmoid(self.gate(x)), n=5))

    model, x = Filters().to(DOUBLE), torch.randn(3, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    found = asc.attribute(model, x, of=1, over=asc.Reference(x.flip(0) * 0.3), by=RULE)
    torch.testing.assert_close(found.values.sum(1), (model(x) - model(x.flip(0) * 0.3))[:, 1].detach(), rtol=1e-9, atol=1e-12)
