"""Nothing of the user's is changed: classes, modules, their state and JAX's settings, also after errors and in two threads at once."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("equinox")

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx

import ascribe as asc
from ascribe.errors import ModelError

REGISTRY: list[str] = []
X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)


class Registered(nnx.Module):
    """A class of the user's own that lists its subclasses."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        REGISTRY.append(cls.__name__)


class Block(Registered):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(6, 6, rngs=rngs)
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any, fail: bool = False) -> Any:
        if fail:
            raise RuntimeError("on purpose")
        return self.drop(jnp.tanh(self.norm(self.dense(x))))


class Net(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.blocks = nnx.List([Block(rngs), Block(rngs)])
        self.head = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x: Any, fail: bool = False) -> Any:
        for block in self.blocks:
            x = block(x, fail)
        return self.head(x)


class Small(eqx.Module):
    first: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self) -> None:
        keys = jax.random.split(jax.random.key(0))
        self.first, self.head = eqx.nn.Linear(6, 6, key=keys[0]), eqx.nn.Linear(6, 3, key=keys[1])

    def __call__(self, x: Any) -> Any:
        return self.head(jnp.tanh(self.first(x)))


def snapshot(model: Any) -> Any:
    graphdef, state = nnx.split(model)
    kinds = [type(module) for _, module in nnx.iter_modules(model)]
    calls = [kind.__call__ for kind in (Net, Block, nnx.Linear, nnx.BatchNorm, nnx.Dropout, Small, eqx.nn.Linear)]
    return graphdef, kinds, calls, dict(jax.config.values), [np.asarray(jax.random.key_data(a) if keys(a) else a) for a in leaves(state)]


def keys(a: Any) -> bool:
    return bool(jnp.issubdtype(a.dtype, jax.dtypes.prng_key))


def leaves(state: Any) -> list[Any]:
    return list(jax.tree.leaves(state))


def same(before: Any, after: Any) -> None:
    assert before[:4] == after[:4]
    for a, b in zip(before[4], after[4], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_in_training_mode_is_explained_so_and_stays_as_it_is() -> None:
    net = Net()
    before, listed = snapshot(net), list(REGISTRY)
    with pytest.warns(UserWarning, match="training mode"):
        result = asc.Saliency()(net, X, of=1)
    assert "BatchNorm, Dropout" in next(c.detail for c in result.checks if c.name == "model")
    with pytest.warns(UserWarning, match="training mode"):
        asc.InputXGradient()(net, X, of=1, at="blocks.0.norm")
    same(before, snapshot(net))
    assert listed == REGISTRY == ["Block"]
    net.eval()
    assert not [c for c in asc.Saliency()(net, X, of=1).checks if c.name == "model"]
    nnx.update(net, nnx.state(net))
    net(X)  # is still a model of its own


def test_a_model_that_fails_stays_as_it_is() -> None:
    net = Net()
    net.eval()
    before = snapshot(net)
    with pytest.raises(ModelError, match="on purpose"):
        asc.Saliency()(net, X, fail=True, of=1)
    same(before, snapshot(net))


def test_two_threads_explain_one_model_at_once() -> None:
    net, small = Net(), Small()
    net.eval()
    before = snapshot(net)
    truth = [np.asarray(asc.InputXGradient()(m, X, of=1, at=at).values) for m, at in ((net, "blocks.1"), (jax.vmap(small), "first"))]
    native, failures = np.asarray(net(X)), []

    def explain(seed: int) -> None:
        try:
            for k in range(2):
                rows = X[: 2 + (seed + k) % 2]  # other traces than before, while other threads trace
                mine = [asc.InputXGradient()(m, rows, of=1, at=at).values for m, at in ((net, "blocks.1"), (jax.vmap(small), "first"))]
                for a, b in zip(mine, truth, strict=True):
                    np.testing.assert_allclose(a, b[: len(rows)], rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(net(X), native, rtol=1e-6)
        except Exception as wrong:
            failures.append(wrong)

    threads = [threading.Thread(target=explain, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    same(before, snapshot(net))
    assert type(small.first) is eqx.nn.Linear
