"""Backward rules on the seven networks in TensorFlow give PyTorch's numbers, to 1e-5 of the largest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

tf = pytest.importorskip("tensorflow")

import ascribe as asc  # noqa: E402
from ascribe import rules  # noqa: E402
from tests.backends.tensorflow.test_methods import arrays  # noqa: E402
from tests.support.networks import NAMES  # noqa: E402
from tests.support.rules import AT, OF_RELUS, ROWS, UNREFERENCED, WITH_RELUS, peer  # noqa: E402
from tests.support.tensorflow_networks import tensorflow_network  # noqa: E402

RTOL = 1e-5
UNSTABLE = [("attention", "ZPlus"), ("attention", "AlphaBeta")]
"""PyTorch's own numbers in single precision differ from those in double by 2e-5."""


def near(found: Any, truth: Any, rtol: float = RTOL) -> None:
    """Checks that two results have the same values."""
    for mine, theirs in zip(arrays(found), arrays(truth), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=rtol * np.abs(theirs).max())


def compared(name: str, verb: Any, **kwargs: Any) -> Any:
    """The result of TensorFlow, after its values were compared with PyTorch's."""
    (net, args), (model, tensors) = peer(name), tensorflow_network(name)
    found = verb(model, *tensors, **kwargs)
    near(found, verb(net, *args, **kwargs))
    return found


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name in NAMES for rule in UNREFERENCED if (name, rule) not in UNSTABLE])
def test_rules_without_references(name: str, rule: str) -> None:
    compared(name, asc.attribute, of=1, by=UNREFERENCED[rule], **AT.get(name, {}))


@pytest.mark.parametrize(("name", "rule"), [*UNSTABLE, ("residual", "ZPlus"), ("mlp", "AttnLRP")])
def test_rules_in_double_precision(name: str, rule: str) -> None:
    from tests.support.torch_networks import torch_network

    (net, args), (model, tensors) = torch_network(name, True), tensorflow_network(name, True)
    found, truth = (asc.attribute(m, *a, of=1, by=UNREFERENCED[rule]) for m, a in ((model, tensors), (net, args)))
    near(found, truth, 1e-9)


@pytest.mark.parametrize("rule", OF_RELUS)
@pytest.mark.parametrize("name", WITH_RELUS)
def test_rules_of_relus(name: str, rule: str) -> None:
    compared(name, asc.influence, of=1, by=OF_RELUS[rule], **AT.get(name, {}))


@pytest.mark.parametrize("rule", OF_RELUS)
def test_a_network_without_a_relu_is_refused(rule: str) -> None:
    model, tensors = tensorflow_network("residual")
    with pytest.raises(asc.errors.RuleError, match="needs a model with a ReLU"):
        asc.influence(model, *tensors, of=1, by=OF_RELUS[rule])


def references(name: str, framework: Any) -> Any:
    """Two rows as references."""
    rows = [framework(a.astype(np.float32)) for a in ROWS[name]]
    return asc.Background(rows[0] if len(rows) == 1 else tuple(rows))


@pytest.mark.parametrize("rule", [rules.Rescale(), rules.RevealCancel()], ids=str)
@pytest.mark.parametrize("name", ROWS)
def test_rules_that_compare_with_rows(name: str, rule: Any) -> None:
    (net, args), (model, tensors) = peer(name), tensorflow_network(name)
    found = asc.attribute(model, *tensors, of=1, by=rule, over=references(name, tf.constant))
    assert float(np.max(found.gap.relative)) < 1e-5
    near(found, asc.attribute(net, *args, of=1, by=rule, over=references(name, torch.tensor)))


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_deep_lift_with_a_constant(name: str) -> None:
    found = compared(name, asc.DeepLift(baseline=0.3), of=1)
    assert isinstance(found.values, tf.Tensor)


LAYERS = {"mlp": "second", "residual": "stem", "attention": "norm"}


@pytest.mark.parametrize("rule", ["AttnLRP", "ZPlus", "epsilon plus"])
@pytest.mark.parametrize("name", LAYERS)
def test_rules_at_layers(name: str, rule: str) -> None:
    if (name, rule) not in UNSTABLE:
        compared(name, asc.attribute, of=1, at=LAYERS[name], by=UNREFERENCED[rule])


@pytest.mark.parametrize("name", LAYERS)
def test_rescale_at_layers(name: str) -> None:
    compared(name, asc.attribute, of=1, at=LAYERS[name], by=rules.Rescale(), over=asc.Reference(0.3))


def test_layers_of_images_keep_their_layout() -> None:
    (net, args), (model, tensors) = peer("cnn"), tensorflow_network("cnn")
    for more in ({"by": rules.AttnLRP()}, {"by": rules.Rescale(), "over": asc.Reference(0.3)}):
        found, truth = (asc.attribute(m, *a, of=1, at="conv2", **more) for m, a in ((model, tensors), (net, args)))
        np.testing.assert_allclose(np.moveaxis(arrays(found)[0], -1, 1), arrays(truth)[0], rtol=0, atol=1e-5 * arrays(truth)[0].max())


@pytest.mark.parametrize("of", [asc.Prob(1), asc.LogProb(1), asc.Contrast(0, 2), [0, 2, 1, 1], asc.Unit(2, on="second")], ids=str)
def test_quantities(of: Any) -> None:
    compared("mlp", asc.attribute, of=of, by=rules.Rescale(), over=asc.Reference(0.3))
    compared("mlp", asc.attribute, of=of, by=rules.AttnLRP())


def test_several_quantities_at_once() -> None:
    compared("mlp", asc.attribute, of=[asc.Unit(0), asc.Unit(2)], by=rules.AttnLRP())


def test_a_quantity_of_the_user() -> None:
    compared("mlp", asc.attribute, of=lambda y: y[:, 0] ** 2, by=rules.AttnLRP())


def test_a_book_by_layers() -> None:
    compared(
        "mlp", asc.attribute, of=1, by=rules.RuleBook((("first", rules.ZPlus()), (rules.Where("dense", position=-1), rules.Epsilon(0.1))))
    )


def test_operations_are_listed_with_the_layer_that_they_run_in() -> None:
    model, tensors = tensorflow_network("attention")
    table = repr(asc.explain_rules(model, *tensors, by=rules.Epsilon()))
    for word in ("query", "layer_norm", "MatMul", "Softmax", "half each"):
        assert word in table
