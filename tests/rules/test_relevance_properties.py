"""What holds of relevance in any network: sums, spellings, reused layers, branches; and captum's rules where they are right."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ascribe as asc
from ascribe.backends import open_session
from ascribe.engine.request import make_request
from ascribe.engine.run import run_request
from tests.support.rescale_zoo import Fn, batch

DOUBLE = torch.float64
Tensor = torch.Tensor
FIRST = asc.rules.Where(position=0)
CONSERVING = (
    asc.rules.Epsilon(1e-13),
    asc.rules.Epsilon(1e-13, bias=False),
    asc.rules.Gamma(0.3, 1e-13),
    asc.rules.Gamma(0.3, 1e-13, generalised=True),
    asc.rules.Norm(1e-13),
    asc.rules.Absolute(),
    asc.rules.RelativeAttributing(),
    asc.rules.RELATIVE_PROPAGATION,
    asc.rules.AttnLRP(),
    asc.rules.CPLRP(),
    asc.rules.RuleBook(((FIRST, asc.rules.Flat(1e-13)),), otherwise=asc.rules.Epsilon(1e-13)),
    asc.rules.RuleBook(((FIRST, asc.rules.WSquare(1e-13)),), otherwise=asc.rules.Epsilon(1e-13)),
    asc.rules.RuleBook(((FIRST, asc.rules.ZBox(-4.0, 4.0, 1e-13)),), otherwise=asc.rules.Epsilon(1e-13)),
)
"""Rules that lose nothing where there are no biases. (A neuron whose contributions have one sign cannot pass on all under z+.)"""

LOSING = (asc.rules.ZPlus(1e-13), asc.rules.AlphaBeta(2, 1, 1e-13), asc.rules.EPSILON_PLUS, asc.rules.EXCITATION_BACKPROP)


def random_net(seed: int, depth: int, kind: str) -> tuple[nn.Module, Tensor]:
    """A network without biases, of layers and rectifiers, with a residual addition, and records for it."""
    g = torch.Generator().manual_seed(seed)
    rank = {"dense": 0, "conv1": 1, "conv2": 2}[kind]
    wide = [3, *torch.randint(2, 6, (depth,), generator=g).tolist()]
    conv = {1: nn.Conv1d, 2: nn.Conv2d}
    pairs = list(pairwise(wide))
    layers = [conv[rank](a, b, 3, padding=1, bias=False) if rank else nn.Linear(a, b, bias=False) for a, b in pairs]

    def forward(x: Tensor, **parts: nn.Module) -> Tensor:
        h = x
        for name, layer in parts.items():
            if name != "head":
                h = F.relu(layer(h))
        h = h + F.relu(h) / 2
        return parts["head"](h.flatten(2).mean(2) if rank else h)

    model = Fn(forward, **{f"a{i}": layer for i, layer in enumerate(layers)}, head=nn.Linear(wide[-1], 2, bias=False))
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=g)
    return model.to(DOUBLE).eval(), torch.randn(3, 3, *[5] * rank, generator=g).to(DOUBLE)


CASES = {"seed": st.integers(0, 10**6), "depth": st.integers(1, 3), "kind": st.sampled_from(["dense", "conv1", "conv2"])}


@pytest.mark.parametrize("rule", CONSERVING, ids=repr)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(**CASES)
def test_without_biases_nothing_is_lost(rule, seed, depth, kind):
    model, x = random_net(seed, depth, kind)
    with torch.no_grad():
        alive = model(x)[:, 1].abs() > 1e-6
    found = asc.attribute(model, x, of=1, by=rule)
    total = found.values.flatten(1).sum(1)
    torch.testing.assert_close(total[alive], torch.as_tensor(found.explained)[alive], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rule", LOSING, ids=repr)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(**CASES)
def test_what_is_lost_is_in_the_books(rule, seed, depth, kind):
    model, x = random_net(seed, depth, kind)
    with open_session(model, asc.Call(x)) as session:
        _, (block,) = run_request(session, make_request(1, asc.INPUT, None, rule))
    lost = sum(flow.lost + flow.absorbed for flow in block.trace.flows.values())
    assert float(block.values[0][0].sum()) + lost == pytest.approx(block.explained.sum(), rel=1e-6, abs=1e-6)


class Reusing(nn.Module):
    """One layer and one rectifier, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act, self.head = nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.layer(self.act(self.layer(x)))))


def made(make: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().to(DOUBLE).eval()


EVERY = (*CONSERVING, *LOSING, asc.rules.EPSILON_ALPHA2_BETA1_FLAT)


@pytest.mark.parametrize("rule", EVERY, ids=repr)
def test_a_layer_used_twice_is_two_layers(rule):
    one = made(Reusing)
    two = nn.Sequential(*(copy.deepcopy(m) for m in (one.layer, one.act, one.layer, one.act, one.head)))
    x = torch.randn(3, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    a, b = (asc.attribute(m, x, of=1, by=rule).values for m in (one, two))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rule", [rule for rule in EVERY if not isinstance(rule, asc.rules.RuleBook)], ids=repr)
def test_a_twin_branch_on_something_fixed_changes_nothing(rule):
    """The same trunk on the record and on a second input that does not move, as two groups of outputs."""
    trunk, head = made(lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU())), made(lambda: nn.Linear(6, 3))
    fixed = torch.randn(1, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(2))
    x = torch.randn(3, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    twins = Fn(lambda x, t, h: torch.cat([h(t(x)), h(t(fixed.expand_as(x)))], 1), t=trunk, h=head)
    a, b = (asc.attribute(m, x, of=1, by=rule).values for m in (twins, nn.Sequential(trunk, head)))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_a_residual_addition_shares_in_proportion_to_values():
    """Two ways to one sum: each way's relevance is its value's part of the sum's."""
    a, b, head = made(lambda: nn.Linear(5, 6)), made(lambda: nn.Linear(5, 6)), made(lambda: nn.Linear(6, 3))
    x = torch.randn(3, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    model = Fn(lambda x, a, b, head: head(a(x) + b(x)), a=a, b=b, head=head)
    ways = asc.attribute(model, x, of=1, at=["layers.a", "layers.b"], by=asc.rules.Epsilon(1e-13)).values
    with torch.no_grad():
        one, other = a(x), b(x)
        whole = asc.attribute(head, one + other, of=1, by=asc.rules.Epsilon(1e-13)).values
    torch.testing.assert_close(ways[0], whole * one / (one + other))
    torch.testing.assert_close(ways[1], whole * other / (one + other))


def captums(rule: Any) -> nn.Module:
    """A network that captum's LRP takes, with its rule at every layer that has weights."""
    model = made(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    )
    whole = Fn(lambda x, a, b: b(a(x).view(len(x), 5)), a=model, b=made(lambda: nn.Linear(5, 4)))
    for m in whole.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            m.rule = rule()
    return whole


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (asc.rules.Epsilon(1e-9), EpsilonRule),
        (asc.rules.Epsilon(0.1), lambda: EpsilonRule(0.1)),
        (asc.rules.Gamma(0.25, 1e-9, bias=False), lambda: GammaRule(0.25, set_bias_to_zero=True)),
        (asc.rules.ZPlus(1e-9, bias=False), lambda: Alpha1_Beta0_Rule(set_bias_to_zero=True)),
    ],
    ids=["epsilon", "large epsilon", "gamma without bias", "z+ without bias"],
)
def test_captums_rules_where_inputs_are_not_negative(ours, theirs):
    """Its gamma leaves biases as they are, where the paper's rule strengthens them like weights: compared without biases."""
    x = batch().abs()
    expected = LRP(captums(theirs)).attribute(x.clone(), target=1).detach()
    found = asc.attribute(captums(theirs), x, of=1, by=ours).values
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))
