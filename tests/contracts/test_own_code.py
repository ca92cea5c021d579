"""Mistakes in rules and removals of one's own, and in the arguments of a first call: each has an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import nn

import ascribe as asc
from ascribe.errors import (
    ArgumentError,
    AscribeError,
    CutError,
    DistributionError,
    FeatureError,
    InputError,
    MethodError,
    ModelError,
    ResultError,
    RuleError,
)
from ascribe.features.table import label_places
from ascribe.removal import FixedReplacement
from ascribe.result.attribution import Attribution
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


@dataclass(frozen=True, repr=False)
class Single(Plain):
    """A rule that returns no pair."""

    def propagate(self, layer: LinearLayer, relevance: Any) -> Answer:
        return super().propagate(layer, relevance)[0]


@dataclass(frozen=True)
class Fixed:
    """A removal that returns what it was given."""

    given: Any

    def replacement_for(self, context: Any) -> Any:
        return self.given

    def __repr__(self) -> str:
        return "Fixed()"


def fixed(*arrays: Any) -> Any:
    return shapley(Fixed(FixedReplacement(list(arrays))))


def quantity_at(array: torch.Tensor) -> np.ndarray:
    with asc.metrics.open_records(NET, asc.Call(X), 1) as records:
        return records.quantity_at([array])


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
    "a distribution's class": (
        lambda: asc.attribute(NET, X, of=1, over=asc.Line),  # type: ignore[arg-type]
        DistributionError,
        "`over=` is a class, not a distribution. Found: the class Line. Try: over=Line(...).",
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
        "A black box has no gradients. Found: a model of type function, called as a function of arrays.",
    ),
    "a layer of a black box": (
        lambda: asc.KernelShap()(black_box, np.ones((2, 3)), at="0"),
        CutError,
        "A black box has no layer Cut('0'). Found: a function with an input and an output. Try: at=asc.INPUT.",
    ),
    "a rule without a pair": (
        lambda: asc.attribute(NET, X, of=1, by=Single()),
        RuleError,
        "`propagate` must return a pair: multipliers and direct relevance. Found: Tensor from Single(). Try: return multipliers, None.",
    ),
    "a removal that returns a list": (
        lambda: shapley(Fixed([X[None]])),
        FeatureError,
        "`replacement_for` must return a replacement. Found: list from Fixed(). Try: return asc.removal.FixedReplacement(arrays).",
    ),
    "a replacement without draws": (
        lambda: fixed(X),
        FeatureError,
        "The arrays of a replacement must have the shape [draws, records or 1, ...]. Found: shapes (2, 4) from Fixed(), "
        "for values of shape (2, 4). Try: arrays of shape (1, 2, 4). [E-FEATURES-SHAPE]",
    ),
    "a replacement of other records": (lambda: fixed(torch.zeros(1, 3, 4)), FeatureError, "Found: shapes (1, 3, 4) from Fixed()"),
    "a replacement that would be broadcast": (lambda: fixed(torch.zeros(1, 2, 1)), FeatureError, "Found: shapes (1, 2, 1) from Fixed()"),
    "two replacements of one input": (lambda: fixed(X[None], X[None]), FeatureError, "Found: shapes (1, 2, 4), (1, 2, 4) from Fixed()"),
    "a replacement of lists": (lambda: fixed([[0.0] * 4]), FeatureError, "[E-FEATURES-SHAPE]"),
    "inputs without points": (
        lambda: quantity_at(X),
        InputError,
        "Changed inputs must have the shape [points, records, ...]. Found: shapes (2, 4) for inputs of shape (2, 4).",
    ),
    "an unknown axis of tokens": (
        lambda: Attribution(np.ones((1, 6, 32))).sum("tokens"),  # type: ignore[arg-type]
        ResultError,
        "The axis 'tokens' is not known. Found: the names 'channels', 'embedding'. Try: 'embedding', for one value per token.",
    ),
    "a misspelt axis": (lambda: Attribution(np.ones((1, 3, 4, 4))).sum("embeding"), ResultError, "Try: 'embedding'."),  # type: ignore[arg-type]
    "a map of a black box": (
        lambda: asc.ScoreCam()(black_box, np.ones((2, 3))),
        MethodError,
        "`ScoreCam` needs a layer with spatial positions. Found: no image, volume or series in the arguments. "
        "Try: asc.KernelShap()(model, x), which needs no layer.",
    ),
    "a map of a table": (
        lambda: asc.GradCam()(NET, X),
        MethodError,
        "Try: asc.KernelShap()(model, x), which needs no layer, or layer=..., with grid=(height, width) for tokens of an image.",
    ),
    "one row for an estimator": (
        lambda: asc.KernelShap(by=0.0)(LinearRegression().fit(np.eye(4), np.arange(4)), np.ones(4)),
        ModelError,
        "Try: x[None] if the input has no batch dimension.",
    ),
    "a class of another name": (lambda: asc.Saliency()(NET, X, target=3), ArgumentError, "Try: of=3;"),  # type: ignore[arg-type]
    "a number of steps": (lambda: asc.IntegratedGradients(n_steps=10), ArgumentError, "Try: IntegratedGradients(steps=10)."),  # type: ignore[call-arg]
    "steps of the verb": (lambda: asc.attribute(NET, X, n_steps=10), ArgumentError, "Try: over=asc.Line(0.0, steps=10);"),
    "samples of the verb": (lambda: asc.attribute(NET, X, nsamples=99), ArgumentError, "coalitions.ShapleyRegression(99);"),
    "a misspelt class": (lambda: asc.Saliency()(NET, X, off=2), ModelError, "Try: of=2, if that is what off= means."),
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


def test_fixed_replacements_of_numpy_serve_a_model_of_another_framework() -> None:
    expected = shapley(0.5).values
    torch.testing.assert_close(fixed(np.full((1, 1, 4), 0.5)).values, expected)
    torch.testing.assert_close(fixed(torch.full((1, 2, 4), 0.5)).values, expected)
