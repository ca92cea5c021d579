"""Rules run as compiled programs: one for each form of a call, whatever the weights, the labels and the references are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

import ascribe as asc  # noqa: E402
from ascribe import rules  # noqa: E402
from ascribe.backends.jax.traces import counts  # noqa: E402

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32)
ROWS = jnp.asarray(RNG.normal(size=(3, 6)), jnp.float32)


def weights(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((6, 5), (5,), (5, 3))]


def network(given: list[Any], x: Any) -> Any:
    w, b, head = given
    return jnp.maximum(x @ w + b, 0) @ head


def compiled(call: Any) -> tuple[Any, int]:
    """The result of a call, and how many programs were compiled."""
    before = counts.programs
    return call(), counts.programs - before


RULES = {
    "AttnLRP": (rules.AttnLRP(), {}),
    "Epsilon": (rules.Epsilon(), {}),
    "ZPlus": (rules.ZPlus(), {}),
    "a book": (rules.EPSILON_PLUS, {}),
    "Rescale": (rules.Rescale(), {"over": asc.Background(ROWS)}),
    "RevealCancel": (rules.RevealCancel(), {"over": asc.Background(ROWS)}),
}


@pytest.mark.parametrize("name", RULES)
def test_other_weights_labels_and_references_compile_nothing(name: str) -> None:
    rule, over = RULES[name]
    first, _ = compiled(lambda: asc.attribute(partial(network, weights(0)), X, of=[0, 1, 2, 0], by=rule, **over))
    again, programs = compiled(lambda: asc.attribute(partial(network, weights(0)), X, of=[0, 1, 2, 0], by=rule, **over))
    assert programs == 0
    np.testing.assert_array_equal(first.values, again.values)
    other = {"over": asc.Background(ROWS + 1)} if over else {}
    found, programs = compiled(lambda: asc.attribute(partial(network, weights(1)), X[::-1], of=[2, 2, 1, 0], by=rule, **other))
    assert programs == 0
    if over:
        y, start = np.asarray(network(weights(1), X[::-1])), np.asarray(network(weights(1), ROWS + 1)).mean(0)
        chosen = np.array([2, 2, 1, 0])
        difference = y[np.arange(4), chosen] - start[chosen]
        np.testing.assert_allclose(np.asarray(found.values).sum(1), difference, rtol=1e-4, atol=1e-5)


def test_a_rule_that_was_changed_is_another() -> None:
    small, _ = compiled(lambda: asc.attribute(partial(network, weights(0)), X, of=1, by=rules.Epsilon(1e-6)))
    large, programs = compiled(lambda: asc.attribute(partial(network, weights(0)), X, of=1, by=rules.Epsilon(1.0)))
    assert programs == 1
    assert np.abs(np.asarray(small.values) - large.values).max() > 1e-3


def test_a_users_quantity_is_compiled_once() -> None:
    def call(seed: int) -> Any:
        return asc.attribute(partial(network, weights(seed)), X, of=lambda y: y[:, 0] * 2, by=rules.AttnLRP())

    call(0)
    second, programs = compiled(partial(call, 1))
    assert programs == 0
    plain = asc.attribute(partial(network, weights(1)), X, of=0, by=rules.AttnLRP())
    np.testing.assert_allclose(second.values, 2 * np.asarray(plain.values), rtol=1e-5)


def branching(given: list[Any], x: Any, flag: Any) -> Any:
    return jax.lax.cond(flag, lambda y: network(given, y), lambda y: jnp.tanh(y) @ given[0][:, :3], x)


def test_each_branch_is_a_program() -> None:
    def call(flag: bool) -> Any:
        given = asc.Call(X, jnp.asarray(flag)).only(0)
        return asc.attribute(partial(branching, weights(0)), given, of=1, by=rules.Rescale(), over=asc.Reference(0.5))

    for flag in (True, False):
        call(flag)
    for flag in (True, False, True):
        found, programs = compiled(partial(call, flag))
        assert programs == 0
        y, y0 = (branching(weights(0), jnp.asarray(z), flag)[:, 1] for z in (X, np.full_like(X, 0.5)))
        np.testing.assert_allclose(np.asarray(found.values).sum(1), y - y0, rtol=1e-4, atol=1e-5)


def test_a_constant_that_becomes_infinite_is_no_bias() -> None:
    def call(b: float) -> Any:
        given = weights(0)
        given[1] = given[1].at[0].set(b)
        return asc.attribute(partial(lambda w, x: jax.nn.sigmoid((x + w[1][0]) @ w[0]) @ w[2], given), X, of=1, by=rules.Epsilon())

    assert np.isfinite(np.asarray(call(0.5).values)).all()
    call(float("inf"))
    _, programs = compiled(lambda: call(0.25))
    assert programs <= 1


@dataclass(frozen=True)
class Looking(rules.LayerRule):
    """A rule that looks at numbers in Python."""

    strict: bool = False

    def propagate(self, layer: Any, relevance: Any) -> Any:
        share = relevance / (layer.y + 1e-6 * (1.0 if float(layer.y.sum()) > 0 else -1.0))
        return layer.transpose(share, layer.weight), None


def test_a_users_rule_may_look_at_numbers() -> None:
    found = asc.attribute(partial(network, weights(0)), X, of=1, by=Looking())
    near = asc.attribute(partial(network, weights(0)), X, of=1, by=rules.Epsilon(1e-6))
    np.testing.assert_allclose(found.values, near.values, rtol=1e-3, atol=1e-4)
