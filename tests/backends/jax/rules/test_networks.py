"""Backward rules on the seven networks in JAX give PyTorch's numbers, to 1e-5 of the largest."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("jax")

import ascribe as asc
from ascribe import rules
from tests.backends.jax.test_methods import arrays_of, channels_first
from tests.support.jax_networks import jax_network
from tests.support.networks import NAMES, inputs, weights
from tests.support.rules import AT, OF_RELUS, ROWS, UNREFERENCED, WITH_RELUS, peer
from tests.support.torch_networks import torch_network

RTOL = 1e-5


def compared(family: str, name: str, verb: Any, **kwargs: Any) -> tuple[Any, Any]:
    """The results of PyTorch and of JAX, after their values were compared."""
    net, args = peer(name, family)
    model, arguments = jax_network(family, name)
    truth, found = verb(net, *args, **kwargs), verb(model, *arguments, **kwargs)
    image = name == "cnn" and family in ("linen", "nnx")
    for mine, theirs in zip(arrays_of(found.values), arrays_of(truth.values), strict=True):
        mine = channels_first(mine) if image else mine
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=RTOL * np.abs(theirs).max())
    return truth, found


QUICK = {"AttnLRP", "CPLRP", "Epsilon", "epsilon plus"}
EVERY = [
    pytest.param(name, rule, marks=() if rule in QUICK or name == "mlp" else pytest.mark.slow) for name in NAMES for rule in UNREFERENCED
]
"""All rules on the first network, some on the others; the rest are slow, because each operation and shape is compiled."""


@pytest.mark.parametrize(("name", "rule"), EVERY)
def test_rules_without_references(name: str, rule: str) -> None:
    compared("function", name, asc.attribute, of=1, by=UNREFERENCED[rule], **AT.get(name, {}))


@pytest.mark.parametrize("rule", ["AttnLRP", "Epsilon"])
@pytest.mark.parametrize("name", ["cnn", "residual", "embedding", "gru", "attention"])
def test_rules_on_flax_linen(name: str, rule: str) -> None:
    compared("linen", name, asc.attribute, of=1, by=UNREFERENCED[rule], **AT.get(name, {}))


OTHERS = [("equinox", "cnn", "LstmLRP"), ("equinox", "gru", "LstmLRP"), ("nnx", "cnn", "Epsilon")]


@pytest.mark.parametrize(("family", "name", "rule"), OTHERS)
def test_rules_on_layers_of_nnx_and_equinox(family: str, name: str, rule: str) -> None:
    """With the large stabiliser of LstmLRP, a norm that is not merged with its convolution gives other numbers."""
    compared(family, name, asc.attribute, of=1, by=UNREFERENCED[rule])


def test_ids_that_a_function_looks_up_are_explained_where_they_are_named() -> None:
    (net, args), (model, arguments) = peer("embedding"), jax_network("function", "embedding")
    method = asc.IntegratedGradients(baseline=0.1)
    truth, found = method(net, *args, of=1, at="table"), method(model, *arguments, of=1, at="table")
    np.testing.assert_allclose(found.values, truth.values, rtol=0, atol=RTOL * float(truth.values.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["CPLRP", "GIM", "LstmLRP", "ZPlus", "epsilon plus"])
def test_rules_on_the_gru_of_flax(rule: str) -> None:
    compared("linen", "gru", asc.attribute, of=1, by=UNREFERENCED[rule])


@pytest.mark.parametrize("rule", [rules.Gamma(), rules.WSquare(), rules.ZPlus()], ids=str)
def test_rules_with_small_sums_in_double_precision(rule: Any) -> None:
    """In single precision rounding is multiplied on this network: PyTorch's own numbers are 3e-5 away from those in double precision."""
    import jax
    import jax.numpy as jnp

    net, args = torch_network("attention", double=True)
    truth = asc.attribute(net, *args, of=1, by=rule)
    with jax.enable_x64(True):
        model, _ = jax_network("function", "attention")
        held = {key: jnp.asarray(a) for key, a in weights("attention").items()}
        found = np.asarray(asc.attribute(partial(model.func, held), *map(jnp.asarray, inputs("attention")), of=1, by=rule).values)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, truth.values, rtol=0, atol=1e-11 * float(truth.values.abs().max()))


@pytest.mark.parametrize("rule", OF_RELUS)
@pytest.mark.parametrize("name", WITH_RELUS)
def test_rules_of_relus(name: str, rule: str) -> None:
    compared("function", name, asc.influence, of=1, by=OF_RELUS[rule], **AT.get(name, {}))


@pytest.mark.parametrize("rule", OF_RELUS)
def test_a_network_without_a_relu_is_refused(rule: str) -> None:
    model, arguments = jax_network("function", "residual")
    with pytest.raises(asc.errors.RuleError, match="needs a model with a ReLU"):
        asc.influence(model, *arguments, of=1, by=OF_RELUS[rule])


def references(family: str, name: str, framework: Any) -> Any:
    """Two rows as references, in the layout of a network."""
    rows = [a.transpose(0, 2, 3, 1) if name == "cnn" and family == "linen" else a for a in ROWS[name]]
    arrays = [framework(a.astype(np.float32)) for a in rows]
    return asc.Background(arrays[0] if len(arrays) == 1 else tuple(arrays))


COMPARED = [
    *((name, "function", rules.Rescale()) for name in ROWS),
    *((name, "linen", rules.Rescale()) for name in ("cnn", "residual")),
    *((name, "function", rules.RevealCancel()) for name in ("mlp", "residual")),
    pytest.param("attention", "linen", rules.Rescale(), marks=pytest.mark.slow),
    pytest.param("gru", "linen", rules.Rescale(), marks=pytest.mark.slow),
    pytest.param("attention", "function", rules.RevealCancel(), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "family", "rule"), COMPARED, ids=str)
def test_rules_that_compare_with_rows(name: str, family: str, rule: Any) -> None:
    import jax.numpy as jnp

    net, args = peer(name, family)
    model, arguments = jax_network(family, name)
    truth = asc.attribute(net, *args, of=1, by=rule, over=references("torch", name, torch.tensor))
    found = asc.attribute(model, *arguments, of=1, by=rule, over=references(family, name, jnp.asarray))
    assert float(found.gap.relative.max()) < 1e-5
    for mine, theirs in zip(arrays_of(found.values), arrays_of(truth.values), strict=True):
        mine = channels_first(mine) if name == "cnn" and family == "linen" else mine
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=RTOL * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_deep_lift_with_a_constant(name: str) -> None:
    compared("function", name, asc.DeepLift(baseline=0.3), of=1)


LAYERS = {"mlp": "second", "cnn": "conv2", "residual": "stem"}


@pytest.mark.parametrize("rule", ["AttnLRP", "ZPlus"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "residual"])
def test_rules_at_layers(name: str, rule: str) -> None:
    compared("function", name, asc.attribute, of=1, at=LAYERS[name], by=UNREFERENCED[rule])


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_rescale_at_layers(name: str) -> None:
    compared("function", name, asc.attribute, of=1, at=LAYERS[name], by=rules.Rescale(), over=asc.Reference(0.3))


@pytest.mark.parametrize("of", [asc.Prob(1), asc.LogProb(1), asc.Contrast(0, 2), [0, 2, 1, 1]], ids=str)
def test_quantities(of: Any) -> None:
    compared("function", "mlp", asc.attribute, of=of, by=rules.Rescale(), over=asc.Reference(0.3))
    compared("function", "mlp", asc.attribute, of=of, by=rules.AttnLRP())


def test_several_quantities_at_once() -> None:
    compared("function", "mlp", asc.attribute, of=[asc.Unit(0), asc.Unit(2)], by=rules.AttnLRP())
