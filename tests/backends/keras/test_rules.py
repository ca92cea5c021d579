"""Backward rules on Keras models are PyTorch's numbers on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ascribe as asc
from tests.backends.keras.test_numbers import check, keras_network
from tests.support.networks import NAMES

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "DeepLift": lambda m, a: asc.DeepLift()(m, *a),
    "AttnLRP": lambda m, a: asc.AttnLRP()(m, *a),
    "LibraGrad": lambda m, a: asc.LibraGrad()(m, *a),
    "GIM": lambda m, a: asc.GIM()(m, *a),
}
EXACT = [name for name in NAMES if name != "gru"]
"""Networks whose operations are the same ones in both: the gates of a GRU are written in another form."""


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("name", EXACT)
def test_rules(name: str, method: str) -> None:
    check(name, RULES[method])


def test_rescale_through_a_recurrent_layer() -> None:
    check("gru", RULES["DeepLift"])


@pytest.mark.parametrize("name", ["mlp", "residual", "attention"])
def test_rules_between_layers(name: str) -> None:
    check(name, lambda m, a: asc.attribute(m, *a, by=asc.rules.Rescale(), over=asc.Reference(0.5), at=asc.Cut("head", "in")))


def test_operations_are_listed_with_the_layer_that_they_run_in() -> None:
    model, args = keras_network("residual")
    rows = asc.explain_rules(model, *args, by=asc.rules.Epsilon())
    assert "norm" in repr(rows)
