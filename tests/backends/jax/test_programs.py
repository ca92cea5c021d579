"""Programs are compiled once for a definition; weights, closures and flags that changed between calls are seen."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("equinox")

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import linen, nnx

import ascribe as asc
from ascribe.backends.jax.traces import counts

RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(4, 6)), jnp.float32)
METHOD = asc.IntegratedGradients(steps=4)


class Settings:
    """A mutable object, equal to itself only."""

    def __init__(self) -> None:
        self.scale = 1.0


class Nnx(nnx.Module):
    def __init__(self, seed: int, settings: Any = None) -> None:
        self.first, self.head = (nnx.Linear(6, n, rngs=nnx.Rngs(seed)) for n in (5, 3))
        self.head = nnx.Linear(5, 3, rngs=nnx.Rngs(seed))
        self.drop, self.settings = nnx.Dropout(0.5, rngs=nnx.Rngs(seed)), settings
        self.eval()

    def __call__(self, x: Any) -> Any:
        y = self.head(self.drop(jnp.tanh(self.first(x))))
        return y if self.settings is None else y * self.settings.scale


class Equinox(eqx.Module):
    first: eqx.nn.Linear
    head: eqx.nn.Linear
    settings: Any = eqx.field(static=True)

    def __init__(self, seed: int, settings: Any = None) -> None:
        one, two = jax.random.split(jax.random.key(seed))
        self.first, self.head, self.settings = eqx.nn.Linear(6, 5, key=one), eqx.nn.Linear(5, 3, key=two), settings

    def __call__(self, x: Any) -> Any:
        y = self.head(jnp.tanh(self.first(x)))
        return y if self.settings is None else y * self.settings.scale


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        return linen.Dense(3, name="head")(jnp.tanh(linen.Dense(5, name="first")(x)))


def bound(seed: int) -> Any:
    return Linen().bind(Linen().init(jax.random.key(seed), X))


FAMILIES: dict[str, Callable[[int], Any]] = {"nnx": Nnx, "equinox": lambda seed: jax.vmap(Equinox(seed)), "linen": bound}


def values(model: Any, of: int = 1, **kwargs: Any) -> np.ndarray:
    return np.asarray(METHOD(model, X, of=of, chunk=16, **kwargs).values)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_labels_and_weights_compile_nothing(family: str) -> None:
    model = FAMILIES[family](0)
    first = values(model, at="first")
    before = (counts.traces, counts.programs)
    np.testing.assert_array_equal(values(model, at="first"), first)
    other = values(model, of=2, at="first")
    rebuilt = values(FAMILIES[family](1), at="first")
    assert (counts.traces, counts.programs) == before
    assert not np.allclose(other, first)
    assert not np.allclose(rebuilt, first)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_first_call_compiles_at_most_six_programs(family: str) -> None:
    model = FAMILIES[family](0)
    before = counts.programs
    asc.IntegratedGradients(steps=32)(model, jnp.tile(X, (3, 1))[:9], of=1)  # nine records: no other test has run such rows
    assert 0 < counts.programs - before <= 6


def test_weights_of_other_shapes_and_types_are_other_programs() -> None:
    class Free(nnx.Module):
        def __init__(self, w: Any) -> None:
            self.w = nnx.Param(w)

        def __call__(self, x: Any) -> Any:
            return x @ self.w[...]

    w = jnp.ones((6, 3))
    assert asc.Saliency()(Free(w), X, of=1).values.dtype == jnp.float32
    assert asc.Saliency()(Free(w[:, :2]), X, of=1).values.shape == (4, 6)
    np.testing.assert_allclose(asc.Saliency()(Free(w.astype(jnp.bfloat16)), X, of=1).values, np.ones((4, 6)))


def test_weights_and_flags_that_changed_are_seen() -> None:
    net = Nnx(0)
    first = values(net)
    net.head.kernel[...] = 2 * net.head.kernel[...]
    np.testing.assert_allclose(values(net), 2 * first, rtol=1e-5)
    net.train()
    with pytest.warns(UserWarning, match="training mode"):
        assert not np.allclose(values(net), 2 * first)
    net.eval()
    np.testing.assert_allclose(values(net), 2 * first, rtol=1e-5)


@pytest.mark.parametrize("family", ["nnx", "equinox"])
def test_settings_and_closures_that_changed_are_seen(family: str) -> None:
    settings = Settings()
    model = Nnx(0, settings) if family == "nnx" else jax.vmap(Equinox(0, settings))
    first = values(model)
    programs = counts.programs
    values(model)
    assert counts.programs == programs  # it is traced anew, to the same program
    settings.scale = 3.0
    np.testing.assert_allclose(values(model), 3 * first, rtol=1e-5)
    share = types.SimpleNamespace(of=1.0)
    around = lambda x: model(x) * share.of  # noqa: E731
    np.testing.assert_allclose(values(around), 3 * first, rtol=1e-5)
    share.of = 0.5
    np.testing.assert_allclose(values(around), 1.5 * first, rtol=1e-5)


def run(code: str, **env: str) -> None:
    """Run code in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_double_precision() -> None:
    run(
        """
import numpy as np, ascribe as asc
from tests.support.jax_networks import jax_network
from tests.support.torch_networks import torch_network
for family in ("function", "equinox"):
    net, args = torch_network("residual", double=True)
    model, arguments = jax_network(family, "residual")
    for method in (asc.IntegratedGradients(steps=5), asc.ShapleySampling(36)):
        truth, found = (np.asarray(method(m, *a, of=1).values) for m, a in ((net, args), (model, arguments)))
        assert found.dtype == np.float64
        assert np.abs(found - truth).max() <= 1e-9 * np.abs(truth).max(), np.abs(found - truth).max()
""",
        JAX_ENABLE_X64="1",
    )


def test_float64_without_x64_is_noted_once() -> None:
    result = asc.Saliency()(Nnx(0), np.asarray(X, np.float64), of=1)
    assert [c.detail for c in result.checks if "float64" in c.detail] == ["the arguments are float64, JAX works in float32"]


def test_arrays_on_several_devices_stay_where_they_are() -> None:
    run(
        """
import jax, jax.numpy as jnp, numpy as np, ascribe as asc
from functools import partial
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
mesh = Mesh(np.array(jax.devices()), ("data",))
x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
w = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
model = lambda w, x: jnp.tanh(x) @ w
truth = asc.IntegratedGradients(steps=4)(partial(model, jnp.asarray(w)), jnp.asarray(x), of=1).values
shared = jax.device_put(x, NamedSharding(mesh, P("data")))
everywhere = jax.device_put(w, NamedSharding(mesh, P()))
found = asc.IntegratedGradients(steps=4)(partial(model, everywhere), shared, of=1).values
assert found.sharding.device_set == set(jax.devices()), found.sharding
np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)
second = jax.devices()[1]
found = asc.IntegratedGradients(steps=4)(partial(model, jax.device_put(w, second)), jax.device_put(x, second), of=1).values
assert found.devices() == {second}, found.devices()
""",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
