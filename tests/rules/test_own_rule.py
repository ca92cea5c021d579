"""A rule for layers from outside the package: a value and its formula, in fewer than 15 lines."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.rules import Epsilon, LayerRule, RuleBook
from ascribe.rules.layer import Answer, LinearLayer, share


@dataclass(frozen=True, repr=False)
class Sharpened(LayerRule):
    """Shares by a power of the weights that keeps their sign: large weights take more."""

    power: int = 3
    epsilon: float = 1e-6
    strict: bool = False

    def propagate(self, layer: LinearLayer, relevance: object) -> Answer:
        weight = layer.weight**self.power
        return layer.backward(share(relevance, layer.forward(layer.x, weight, None), self.epsilon), weight, None), None


def test_a_rule_of_ones_own_is_used_like_any_other() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).double().eval()
    x = torch.randn(2, 5).double()
    first, second = model[0].weight.detach() ** 3, model[2].weight.detach() ** 3
    h = model[1](model[0](x)).detach()
    came = h * second[1] / (h @ second[1])[:, None] * model(x)[:, 1:2].detach()
    expected = x * ((came / (x @ first.T)) @ first)
    values = asc.attribute(model, x, of=1, by=Sharpened(epsilon=0.0)).values
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(
        asc.attribute(model, x, of=1, by=Sharpened(1)).values, asc.attribute(model, x, of=1, by=Epsilon(bias=False)).values
    )


def test_it_has_a_name_and_a_place_in_a_book() -> None:
    assert repr(Sharpened(5)) == "Sharpened(5)"
    assert Sharpened() == Sharpened(3)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).double().eval()
    x = torch.randn(2, 5).double()
    table = asc.explain_rules(model, x, by=RuleBook((("0", Sharpened()),)), of=1)
    assert [row.rule for row in table.rows if row.kind == "dense"] == ["Sharpened()", "rules.Epsilon()"]
    with pytest.raises(asc.errors.RuleError):
        Sharpened(epsilon=-1.0)
