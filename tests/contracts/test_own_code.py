"""Mistakes in rules and removals of one's own, and in the arguments of a first call: each has an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import ascribe as asc
from ascribe.errors import AscribeError, CutError, DistributionError, FeatureError, ResultError, RuleError
from ascribe.features.table import label_places
from ascribe.rules import LayerRule
from ascribe.rules.layer import Answer, LinearLayer, share

torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
X = torch.randn(2, 4)


@dataclass(frozen=True, repr=False)
class Plain(LayerRule):
    """A rule with no field but its own."""

    epsilon: float = 0.0

    def propagate(self, layer: LinearLayer, relevance: Any) -> Answer:
        return layer.backward(share(relevance, layer.y, self.epsilon), layer.weight, layer.bias), None


class Misnamed:
    """A removal whose method has another name."""

    def replace(self, context: Any) -> Any:
        return context.values

    def __repr__(self) -> str:
        return "Misnamed()"


class Incomplete:
    """A rule that treats operations, without all attributes of such a rule."""

    compares = False
    points = 1
    treats: ClassVar[Mapping[str, str]] = {"linear": "gradient"}

    def __repr__(self) -> str:
        return "Incomplete()"


def black_box(x: np.ndarray) -> np.ndarray:
    return x[:, :2] * 2


def shapley(by: Any) -> Any:
    return asc.KernelShap(by=by)(NET, X, of=1)


def test_a_layer_rule_needs_no_strict_of_its_own() -> None:
    a = asc.attribute(NET, X, of=1, by=Plain())
    torch.testing.assert_close(a.values, asc.attribute(NET, X, of=1, by=asc.rules.Epsilon(epsilon=0.0)).values)
    assert Plain().strict is False
    table = asc.explain_rules(NET, X, by=Plain(), of=1)
    assert [row.rule for row in table.rows if row.kind == "dense"] == ["Plain()", "Plain()"]


MISTAKES: dict[str, tuple[Callable[[], Any], type[AscribeError], str]] = {
    "a rule without strict": (
        lambda: asc.attribute(NET, X, of=1, by=Incomplete()),  # type: ignore[arg-type]
        RuleError,
        "A rule with `treats` needs the attributes `points` and `strict`. Found: by=Incomplete() without strict.",
    ),
    "a rule's class": (
        lambda: asc.attribute(NET, X, of=1, by=Plain),  # type: ignore[arg-type]
        RuleError,
        "`by=` is a class, not a rule. Found: the class Plain. Try: by=Plain().",
    ),
    "a removal's class": (
        lambda: shapley(asc.Blur),
        FeatureError,
        "`by=` is a class, not a removal. Found: the class Blur. Try: by=Blur().",
    ),
    "a rule over coalitions": (
        lambda: shapley(Plain()),
        RuleError,
        "`by=` is a rule for gradients, which does not apply to coalitions of features. Found: by=Plain(). Try: by=asc.Replace(0.0).",
    ),
    "a removal with a misnamed method": (
        lambda: shapley(Misnamed()),
        FeatureError,
        "`by=` needs a method `replacement_for(context)`. Found: by=Misnamed(). Try: by=0.0, by=asc.Resample(rows), or an object with",
    ),
    "rows as a value": (lambda: shapley(torch.zeros(20, 4)), DistributionError, "Try: by=asc.Resample(rows) for rows of data, by=0.0,"),
    "a value without numbers": (lambda: shapley("meen"), DistributionError, 'Try: by="mean". [E-DISTRIBUTION]'),
    "gradients of a black box": (
        lambda: asc.Saliency()(black_box, np.ones((2, 3))),
        RuleError,
        "A black box has no gradients. Found: function: a function of arrays.",
    ),
    "a layer of a black box": (
        lambda: asc.KernelShap()(black_box, np.ones((2, 3)), at="0"),
        CutError,
        "A black box has no layer Cut('0'). Found: its arguments and what it returns. Try: at=asc.INPUT.",
    ),
    "one name": (lambda: label_places(["a"], 6, "token"), ResultError, "There is 1 name for 6 tokens. Found: names=['a']. Try: one name"),
    "two names": (lambda: label_places(["a", "b"], 1, "token"), ResultError, "There are 2 names for 1 token. Found: names=['a', 'b']."),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_an_error_that_says_what_to_write(name: str) -> None:
    call, kind, text = MISTAKES[name]
    with pytest.raises(kind) as raised:
        call()
    assert text in str(raised.value)


def test_default_features_name_the_limit() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 18 * 18, 2)).eval()
    a = asc.FeatureAblation(by=0.0)(net, torch.ones(1, 1, 20, 20), of=0)
    check = next(c for c in a.checks if c.name == "features")
    assert "because the input has more than 256 elements; set features= to change it" in check.detail
    a = asc.FeatureAblation(by=0.0)(net, torch.ones(1, 1, 20, 20), of=0, at="0")
    check = next(c for c in a.checks if c.name == "features")
    assert "because the layer has more than 256 elements; set features= to change it" in check.detail
