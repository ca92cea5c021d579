"""Layers of several tensors, neurons as functions, LIME's parts, repeated modules and derivatives of one's own, under captum's names."""

from __future__ import annotations

from typing import Any

import captum.attr as ca
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLinearRegression
from torch import Tensor, nn

import ascribe.compat.captum.attr as oa
from ascribe.compat.captum import lime, linear, lrp
from ascribe.errors import AscribeError
from tests.support.captum_cases import same
from tests.support.small_models import chain, gradient, rows, seeded

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Pair(nn.Module):
    """Two tensors, and a keyword; both are bent."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, a: Tensor, b: Tensor, *, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        return torch.tanh(self.left(a)) * scale, torch.tanh(self.right(b) + a.sum(1, keepdim=True))


class Two(nn.Module):
    """An input that two layers share; one of them takes and gives two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.pair, self.head = nn.Linear(3, 4), Pair(), nn.Linear(4, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = self.pair(x, y, scale=0.5)
        return self.head(torch.sigmoid(self.one(x)) * a + b)


@pytest.mark.parametrize("side", [True, False])
@pytest.mark.parametrize("multiply", [True, False])
def test_several_layers_of_several_tensors(side: bool, multiply: bool) -> None:
    net, given = seeded(Two), (rows(4, 3), rows(4, 3, seed=1))
    layers = [net.one, net.pair]
    for more in ({}, {"method": "riemann_middle", "n_steps": 9}, {"internal_batch_size": 8}):
        call = {"target": 1, "attribute_to_layer_input": side, **more}
        methods = (where.LayerIntegratedGradients(net, layers, None, multiply) for where in (oa, ca))
        ours, theirs = (method.attribute(given, (0.2, -0.1), **call) for method in methods)
        same(ours, theirs, rtol=1e-5, atol=1e-7)
    ours, delta = oa.LayerIntegratedGradients(net, layers).attribute(
        given, (0.2, -0.1), target=1, n_steps=300, return_convergence_delta=True, attribute_to_layer_input=side
    )
    parts = [ours[0], *ours[1]]
    change = net(*given)[:, 1] - net(torch.full_like(given[0], 0.2), torch.full_like(given[1], -0.1))[:, 1]
    torch.testing.assert_close(sum(p.sum(1) for p in parts) - delta, change.detach(), rtol=1e-9, atol=1e-9)
    assert float(delta.abs().max()) < 1e-8


class Rectified(nn.Module):
    """A rectifier, in place or not, over one tensor or two."""

    def __init__(self, inplace: bool, several: bool) -> None:
        super().__init__()
        self.first, self.act, self.head = nn.Linear(3, 5), Both(inplace) if several else nn.ReLU(inplace), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        found = self.act(h, 2 * h - 1) if isinstance(self.act, Both) else self.act(h)
        return self.head(found[0] + found[1] if isinstance(found, tuple) else found)


class Both(nn.Module):
    """A rectifier of two tensors."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.relu(a), self.relu(b)


@pytest.mark.parametrize("side", [True, False])
@pytest.mark.parametrize("several", [True, False])
def test_deep_lift_at_a_rectifier_that_works_in_place(several: bool, side: bool) -> None:
    """As at one that does not."""
    x, begin = rows(4, 3), rows(4, 3, seed=5)
    found = []
    for inplace in (False, True):
        net = seeded(lambda inplace=inplace: Rectified(inplace, several))
        call = {"target": 1, "attribute_to_layer_input": side}
        found.append(oa.LayerDeepLift(net, net.act).attribute(x, begin, **call))
        shap = oa.LayerDeepLiftShap(net, net.act).attribute(x, begin, **call)
        assert type(shap) is type(found[0])
    same(found[1], found[0])
    parts = found[1] if several else (found[1],)
    change = net(x)[:, 1] - net(begin)[:, 1]
    torch.testing.assert_close(sum(p.sum(1) for p in parts), change.detach())


def test_neurons_as_functions_of_several_tensors() -> None:
    net, given = seeded(Two), (rows(4, 3), rows(4, 3, seed=1))
    chosen = lambda held: held[1][:, 1]  # noqa: E731  the other one depends on one input, which captum refuses
    kept_axis = lambda held: held[1][:, 1:2]  # noqa: E731
    call = {"target": 1, "n_steps": 9, "method": "riemann_middle"}
    method = oa.NeuronConductance(net, net.pair)
    theirs = ca.NeuronConductance(net, net.pair).attribute(given, chosen, **call)
    same(method.attribute(given, chosen, **call), theirs, rtol=1e-6, atol=1e-9)
    same(method.attribute(given, kept_axis, **call), theirs)
    total = lambda held: held[0].sum(1) + held[1][:, 0]  # noqa: E731
    ours = method.attribute(given, total, **call)
    alone = [*((0, k) for k in range(4)), (1, 0)]
    each = [method.attribute(given, lambda held, i=i, k=k: held[i][:, k], **call) for i, k in alone]
    same(ours, tuple(sum(parts) for parts in zip(*each, strict=True)))


@pytest.mark.parametrize("name", ["NeuronGradient", "NeuronIntegratedGradients", "NeuronDeepLift", "NeuronFeatureAblation"])
def test_neurons_as_numbers_without_an_axis(name: str) -> None:
    """For one record; a number about several records is refused, as it says nothing about each."""
    net, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double(), rows(1, 3)
    ours, theirs = (getattr(where, name)(net, net[1]).attribute(x.clone(), lambda held: held.sum()) for where in (oa, ca))
    same(ours, theirs.detach(), rtol=1e-6, atol=1e-8)
    with pytest.raises(AscribeError, match="E-RECORDS"):
        getattr(oa, name)(net, net[1]).attribute(rows(2, 3), lambda held: held.sum())


# LIME


def near(original: Tensor, moved: Tensor, code: Any, **kwargs: Any) -> Tensor:
    return torch.exp(-(original - moved).square().sum() / 20)


def same_noise() -> Any:
    """Samples near the input, the same for both."""
    drawn = iter(rows(60, 1, 4, seed=3))
    return lambda original, **kwargs: original + next(drawn)


def alone(x: Tensor) -> Tensor:
    """A model that takes one row."""
    assert len(x) == 1
    return x @ torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=x.dtype)


BAG = nn.EmbeddingBag(20, 4).double()
TAKES_ONE: dict[str, Any] = {
    "refuses": alone,
    "a float": lambda x: alone(x[:1]).item(),
    "an int": lambda x: int(100 * alone(x[:1])),
    "0-d": lambda x: alone(x[:1]).sum(),
    "reads its first row": lambda x: alone(x[:1]).expand(len(x)),
    "sums all rows": lambda x: (x @ torch.arange(4.0, dtype=x.dtype)).sum().expand(len(x)),
}


@pytest.mark.parametrize("name", TAKES_ONE)
def test_lime_base_of_a_model_that_takes_one_sample(name: str) -> None:
    """It is run as captum runs it: one at a time. Samples are run together only where that changes nothing."""
    parts = (False, None, lambda moved, original, **kwargs: moved)
    theirs = ca.LimeBase(TAKES_ONE[name], SkLearnLinearRegression(), near, same_noise(), *parts).attribute(rows(1, 4), n_samples=60)
    ours = oa.LimeBase(TAKES_ONE[name], linear.SkLearnLinearRegression(), near, same_noise(), *parts).attribute(rows(1, 4), n_samples=60)
    torch.testing.assert_close(ours.reshape(-1).double(), theirs.reshape(-1).double(), rtol=1e-3, atol=1e-3)


def test_lime_base_runs_samples_together_where_it_may() -> None:
    calls = []

    def net(x: Tensor) -> Tensor:
        calls.append(len(x))
        return x @ torch.arange(4.0, dtype=x.dtype)

    parts = (False, None, lambda moved, original, **kwargs: moved)
    oa.LimeBase(net, linear.SkLearnLinearRegression(), near, same_noise(), *parts).attribute(rows(1, 4), n_samples=60)
    assert len(calls) < 10
    calls.clear()
    method = oa.LimeBase(net, linear.SkLearnLinearRegression(), near, same_noise(), *parts)
    method.attribute(rows(1, 4), n_samples=60, perturbations_per_eval=20)
    assert calls == [20, 20, 20]


def test_the_parts_of_lime() -> None:
    x, start = torch.tensor([[20.0, 50.0, 30.0]]), torch.tensor([[9.0, 9.0, 9.0]])
    for one, other in ((oa.Lime(lambda x: x.sum(1)), ca.Lime(lambda x: x.sum(1))), (oa.KernelShap(lambda x: x.sum(1)), None)):
        assert one.perturb_interpretable_space
        assert one.to_interp_rep_transform is None
        named = {"feature_mask": torch.tensor([[0, 1, 1]]), "baselines": start, "num_interp_features": 2}
        moved = one.from_interp_rep_transform(torch.tensor([[1, 0]]), x, **named)
        assert moved.tolist() == [[20.0, 9.0, 9.0]]
        code = one.perturb_func(x, **named)
        assert code.shape == (1, 2)
        assert set(code.flatten().tolist()) <= {0, 1}
        if other is not None:
            same(moved, other.from_interp_rep_transform(torch.tensor([[1, 0]]), x, **named))
            assert float(one.similarity_func(x, moved, None)) == pytest.approx(other.similarity_func(x, moved, None), abs=1e-6)
            assert type(one.interpretable_model).__name__ == type(other.interpretable_model).__name__
    pair = lime.default_from_interp_rep_transform(
        torch.tensor([[1, 0]]), (x, x), feature_mask=(torch.tensor([[0, 0, 1]]), torch.tensor([[1, 1, 1]])), baselines=(0.0, start)
    )
    assert [p.tolist() for p in pair] == [[[20.0, 50.0, 0.0]], [[9.0, 9.0, 9.0]]]
    with pytest.raises(AscribeError, match="feature_mask"):
        lime.default_from_interp_rep_transform(torch.tensor([[1, 0]]), x)


def test_lime_of_several_targets_at_a_seed() -> None:
    """Each record's coefficients are those that it has alone, within the error of what is drawn."""
    net, x = chain(4, 6, 3), rows(3, 4)
    torch.manual_seed(0)
    found = oa.Lime(net).attribute(x, target=[2, 0, 1], n_samples=2000)
    for i, target in enumerate((2, 0, 1)):
        torch.manual_seed(0)
        own = oa.Lime(net).attribute(x[i : i + 1], target=target, n_samples=2000)[0]
        torch.manual_seed(0)
        theirs = ca.Lime(net).attribute(x[i : i + 1], target=target, n_samples=2000)[0]
        scale = float(theirs.abs().max())
        assert float((found[i] - own).abs().max()) < 1e-6 * scale, "one seed, one set of subsets"
        assert float((found[i] - theirs).abs().max()) < 0.15 * scale + 0.02


# Relevance


class Again(nn.Module):
    """A layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(3, 3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layer(self.act(self.layer(x)))).sum(1)


def test_modules_with_weights_that_are_used_twice_are_refused() -> None:
    net, x = seeded(Again), rows(2, 3)
    for where in (oa, ca):
        with pytest.raises(RuntimeError):
            where.LRP(net).attribute(x.clone())
    with pytest.raises(AscribeError, match=r"used 2 times.*asc\.LRP"):
        oa.LRP(net).attribute(x)
    once = nn.Sequential(net.layer, net.act, nn.Linear(3, 2).double(), net.act)  # an activation may be
    assert oa.LRP(once).attribute(x, target=1).shape == x.shape


def test_rules_that_are_none_and_targets_that_are_not_needed() -> None:
    net, x = seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))), rows(1, 3)
    ours, theirs = (where.LRP(net).attribute(x.clone()) for where in (oa, ca))
    same(ours, theirs.detach(), rtol=1e-5, atol=1e-6)
    net[0].rule = 3
    with pytest.raises(TypeError):
        oa.LRP(net).attribute(x)
    net[0].rule = lrp.EpsilonRule()
    same(oa.LRP(net).attribute(x), ours)


# Derivatives that can be differentiated again


def kept(forward_fn: Any, inputs: Any, target_ind: Any = None, additional_forward_args: Any = None) -> Any:
    """Captum's derivatives, with their graph."""
    with torch.enable_grad():
        y = forward_fn(*inputs, *(additional_forward_args or ()))
        picked = y[:, target_ind] if isinstance(target_ind, int) else y[torch.arange(len(y)), torch.as_tensor(target_ind)]
        return torch.autograd.grad(picked.sum(), inputs, create_graph=True)


PENALISED = {
    "Saliency": {"abs": False},
    "InputXGradient": {},
    "IntegratedGradients": {"n_steps": 6, "baselines": 0.3},
}


@pytest.mark.parametrize("target", [1, [2, 0, 1]])
@pytest.mark.parametrize("name", PENALISED)
def test_a_penalty_on_attributions_reaches_the_weights(name: str, target: Any) -> None:
    slopes = []
    for where in (oa, ca):
        net = chain(4, 5, 3)
        method = getattr(where, name)(net)
        method.gradient_func = kept
        values = method.attribute(rows(3, 4), target=target, **PENALISED[name])
        values.abs().sum().backward()
        slopes.append([values.detach(), *(p.grad for p in net.parameters() if p.grad is not None)])
        assert net.training == chain(4, 5, 3).training
    assert len(slopes[0]) > 2
    same(slopes[0], slopes[1], rtol=1e-6, atol=1e-9)


def test_a_penalty_in_batches_is_the_same() -> None:
    """Captum's loses all but a part of the graph there."""
    slopes = []
    for size in (None, 6, 1):
        net = chain(4, 5, 3)
        method = oa.IntegratedGradients(net)
        method.gradient_func = kept
        method.attribute(rows(3, 4), 0.3, target=1, n_steps=7, internal_batch_size=size).abs().sum().backward()
        slopes.append([p.grad for p in net.parameters() if p.grad is not None])
    same(slopes[1], slopes[0])
    same(slopes[2], slopes[0])


def test_a_penalty_by_finite_differences() -> None:
    """d/dw of the mean square of integrated gradients."""
    net, x = chain(3, 4, 2), rows(2, 3)
    method = oa.IntegratedGradients(net)
    method.gradient_func = kept
    weight = next(net.parameters())

    def penalty() -> Tensor:
        return method.attribute(x, target=1, n_steps=5).square().mean()

    found = torch.autograd.grad(penalty(), weight)[0]
    with torch.no_grad():
        for spot in ((0, 0), (2, 1)):
            ends = []
            for step in (1e-5, -1e-5):
                weight[spot] += step
                ends.append(float(penalty()))
                weight[spot] -= step
            assert float(found[spot]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-10)


def test_gradient_shap_keeps_the_graph() -> None:
    net, x = chain(4, 5, 3), rows(3, 4)
    method = oa.GradientShap(net)
    method.gradient_func = kept
    torch.manual_seed(0)
    values, delta = method.attribute(x, rows(5, 4, seed=2), target=1, n_samples=7, return_convergence_delta=True)
    plain = oa.GradientShap(net)
    torch.manual_seed(0)
    expected, other = plain.attribute(x, rows(5, 4, seed=2), target=1, n_samples=7, return_convergence_delta=True)
    same(values.detach(), expected)
    same(delta.detach(), other)
    values.sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.ndim > 1)


def test_derivatives_of_inputs_that_carry_a_graph() -> None:
    net, x = chain(4, 5, 3), rows(3, 4).requires_grad_()
    method = oa.Saliency(net)
    method.gradient_func = kept
    found = method.attribute(x, target=1, abs=False)
    second = torch.autograd.grad(found.sum(), x)[0]
    expected = gradient(lambda z: torch.autograd.grad(net(z)[:, 1].sum(), z, create_graph=True)[0], x)
    same(second, expected)
