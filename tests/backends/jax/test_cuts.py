"""Cuts inside of what JAX transforms are those of the same model written out: values, gradients, and values that are written there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
from jax.ad_checkpoint import checkpoint_name

import ascribe as asc
from ascribe.backends import open_session
from ascribe.backends.protocol import Job
from ascribe.cuts import OUTPUT
from ascribe.errors import BackendError, CutError, ModelError

RANDOM = np.random.default_rng(0)
STEPS = 3
X = jnp.asarray(RANDOM.normal(size=(4, 6)), jnp.float32)
W = jnp.asarray(RANDOM.normal(size=(STEPS, 6, 6)) / 2, jnp.float32)
H = jnp.asarray(RANDOM.normal(size=(6, 3)), jnp.float32)


# The same network in many forms: three dense layers, each followed by tanh, and a head


def written_out(x: Any, shifts: Any) -> tuple[Any, Any]:
    """The output, and the values of the three layers."""
    values = []
    for w, shift in zip(W, shifts, strict=True):
        values.append(x @ w + shift)
        x = jnp.tanh(values[-1])
    return x @ H, jnp.stack(values)


def function_scan(x: Any) -> Any:
    return jax.lax.scan(lambda x, w: (jnp.tanh(checkpoint_name(x @ w, "layer")), None), x, W)[0] @ H


def function_remat_in_jit(x: Any) -> Any:
    step = jax.jit(jax.checkpoint(lambda x, w: jnp.tanh(checkpoint_name(x @ w, "layer"))))
    for w in W:
        x = step(x, w)
    return x @ H


def function_vmap(x: Any) -> Any:
    def one(x: Any) -> Any:
        for w in W:
            x = jnp.tanh(checkpoint_name(x @ w, "layer"))
        return x @ H

    return jax.vmap(one)(x)


class NnxScan(nnx.Module):
    def __init__(self) -> None:
        make = nnx.vmap(lambda rngs: nnx.Linear(6, 6, use_bias=False, rngs=rngs))
        self.layer, self.head = make(nnx.Rngs(0).split(STEPS)), nnx.Linear(6, 3, use_bias=False, rngs=nnx.Rngs(0))
        self.layer.kernel[...], self.head.kernel[...] = W, H

    def __call__(self, x: Any) -> Any:
        step = nnx.scan(lambda x, layer: jnp.tanh(layer(x)), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        return self.head(step(x, self.layer))


class NnxRemat(nnx.Module):
    def __init__(self) -> None:
        self.layers = nnx.List([nnx.Linear(6, 6, use_bias=False, rngs=nnx.Rngs(0)) for _ in W])
        for layer, w in zip(self.layers, W, strict=True):
            layer.kernel[...] = w

    @nnx.jit
    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = jnp.tanh(nnx.remat(lambda layer, x: layer(x))(layer, x))
        return x @ H


class EquinoxScan(eqx.Module):
    layer: eqx.nn.Linear

    def __init__(self) -> None:
        make = eqx.filter_vmap(lambda key: eqx.nn.Linear(6, 6, use_bias=False, key=key))
        self.layer = eqx.tree_at(lambda m: m.weight, make(jax.random.split(jax.random.key(0), STEPS)), W.swapaxes(1, 2))

    def __call__(self, x: Any) -> Any:
        arrays, rest = eqx.partition(self.layer, eqx.is_array)
        step = eqx.filter_checkpoint(lambda x, arrays: (jnp.tanh(eqx.combine(arrays, rest)(x)), None))
        return jax.lax.scan(step, x, arrays)[0] @ H


class LinenStep(linen.Module):
    @linen.compact
    def __call__(self, x: Any, _: Any) -> Any:
        return jnp.tanh(linen.Dense(6, use_bias=False, name="layer")(x)), None


class LinenScan(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        steps = linen.scan(linen.remat(LinenStep), variable_axes={"params": 0}, split_rngs={"params": True}, length=STEPS)
        return steps(name="steps")(x, None)[0] @ H


def linen_scan() -> Any:
    return LinenScan().bind({"params": {"steps": {"layer": {"kernel": W}}}})


TOGETHER: dict[str, tuple[Callable[[], Any], str]] = {
    "function, scan": (lambda: function_scan, "layer"),
    "linen, scan of remat": (linen_scan, "steps.layer"),
    "nnx, scan": (NnxScan, "layer"),
    "equinox, scan of remat": (lambda: jax.vmap(EquinoxScan()), "layer"),
}
"""Models whose layers are the steps of one cut."""
APART: dict[str, tuple[Callable[[], Any], list[asc.Cut]]] = {
    "function, remat in jit": (lambda: function_remat_in_jit, [asc.Cut("layer", call=k) for k in range(STEPS)]),
    "function, vmap": (lambda: function_vmap, [asc.Cut("layer", call=k) for k in range(STEPS)]),
    "nnx, remat in jit": (NnxRemat, [asc.Cut(f"layers.{k}") for k in range(STEPS)]),
}
"""Models whose layers are cuts of their own."""


def truth() -> tuple[Any, Any]:
    """The values of the layers, ``[steps, records, ...]``, and the gradients of the second score there."""
    zeros = jnp.zeros((STEPS, 4, 6))
    values = written_out(X, zeros)[1]
    return values, jax.grad(lambda shifts: written_out(X, shifts)[0][:, 1].sum())(zeros)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-5, atol=1e-6)


def written(model: Any, at: asc.Cut, factor: float) -> Any:
    """The output after the value at a cut was replaced by a multiple of itself."""
    with open_session(model, asc.Call(X)) as session:
        cut = session.resolve(at, False)
        own = session.evaluate(Job(np.arange(4), read=(cut,))).reads[cut]
        job = Job(np.arange(4), 1, cut, tuple(own.spots), tuple(factor * a for a in own.arrays), read=(OUTPUT,))
        return session.evaluate(job).reads[OUTPUT].arrays[0][0]


@pytest.mark.parametrize("name", TOGETHER)
def test_steps_of_a_loop_are_one_cut(name: str) -> None:
    build, at = TOGETHER[name]
    model = build()
    values, gradients = truth()
    close(asc.InputXGradient()(model, X, of=1, at=at).values, values * gradients)
    close(written(model, asc.Cut(at), 2.0), jnp.tanh(2 * values[-1]) @ H)  # those of earlier steps have no effect: the last one is written
    assert [place.calls for place in asc.cuts_of(model, X) if place.cut == asc.Cut(at)] == [1]


@pytest.mark.parametrize("name", APART)
def test_layers_apart(name: str) -> None:
    build, cuts = APART[name]
    model = build()
    values, gradients = truth()
    for k, at in enumerate(cuts[:2]):
        close(asc.InputXGradient()(model, X, of=1, at=at).values, values[k] * gradients[k])
    close(written(model, cuts[1], 2.0), jnp.tanh(jnp.tanh(2 * values[1]) @ W[2]) @ H)


def test_the_branch_that_is_taken() -> None:
    def model(x: Any, first: Any) -> Any:
        branches = (lambda x: checkpoint_name(x @ W[0], "no") @ H, lambda x: jnp.tanh(checkpoint_name(x @ W[1], "yes")) @ H)
        return jax.lax.cond(first, branches[1], branches[0], x)

    value = X @ W[1]
    slope = jax.grad(lambda v: (jnp.tanh(v) @ H)[:, 1].sum())(value)
    close(asc.InputXGradient()(model, X, jnp.array(True), of=1, at="yes").values, value * slope)
    close(asc.InputXGradient()(model, X, jnp.array(False), of=1, at="no").values, X @ W[0] * H[:, 1])
    close(asc.InputXGradient()(model, X, jnp.array(False), of=1, at="yes").values, jnp.zeros((4, 6)))


def test_derivatives_of_their_own_are_not_gone_around() -> None:
    @jax.custom_jvp
    def clipped(x: Any) -> Any:
        return jnp.clip(checkpoint_name(x * 2, "inside"), -1, 1)

    clipped.defjvp(lambda primals, tangents: (clipped(*primals), tangents[0]))
    model = lambda x: clipped(x) @ H  # noqa: E731
    close(asc.LayerActivation()(model, X, at="inside").values, 2 * X)
    close(asc.Saliency(signed=True)(model, X, of=1).values, jnp.broadcast_to(H[:, 1], X.shape))
    with pytest.raises(CutError, match="custom_jvp_call") as raised:
        asc.Saliency()(model, X, of=1, at="inside")
    assert raised.value.code == "E-CUT-TRANSFORM"


def test_a_loop_without_a_fixed_length_is_refused() -> None:
    def model(x: Any) -> Any:
        return jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, jnp.tanh(checkpoint_name(s[1] @ W[0], "step"))), (0, x))[1] @ H

    with pytest.raises(CutError, match="while") as raised:
        asc.LayerActivation()(model, X, at="step")
    assert raised.value.code == "E-CUT-TRANSFORM"


# Paths


class Shared(nnx.Module):
    def __init__(self) -> None:
        self.first = nnx.Linear(6, 6, use_bias=False, rngs=nnx.Rngs(0))
        self.first.kernel[...] = W[0]
        self.tied = self.first

    def __call__(self, x: Any) -> Any:
        return {"logits": self.tied(jnp.tanh(self.first(x))) @ H, "steps": 2, "name": "a name"}


def test_a_shared_module_has_one_path_and_its_other_ones() -> None:
    model = Shared()
    value = jnp.tanh(X @ W[0]) @ W[0]
    found = [asc.InputXGradient()(model, X, of=1, at=asc.Cut(path, call=1)).values for path in ("first", "tied")]
    close(found[0], value * H[:, 1])
    close(found[1], found[0])
    assert [(p.cut.layer, p.calls) for p in asc.cuts_of(model, X)][1:-1] == [("first", 2), ("first", 2)]


# How models come in


class One(eqx.Module):
    layer: eqx.nn.Linear
    drop: eqx.nn.Dropout

    def __init__(self) -> None:
        self.layer, self.drop = eqx.nn.Linear(6, 3, key=jax.random.key(0)), eqx.nn.Dropout(0.5)

    def __call__(self, x: Any, key: Any = None) -> Any:
        return self.layer(self.drop(x, key=key))


def test_an_equinox_model_is_mapped_over_its_records() -> None:
    bare = eqx.nn.inference_mode(One())
    with pytest.raises(BackendError, match=r"jax\.vmap") as raised:
        asc.Saliency()(bare, X, of=1)
    assert raised.value.code == "E-BACKEND-RECORD"
    expected = X * bare.layer.weight[1]
    for model in (
        jax.vmap(bare),
        eqx.filter_vmap(bare),
        jax.jit(jax.vmap(bare)),
        jax.vmap(partial(bare, key=None)),
        lambda x: jax.vmap(bare)(x),
    ):
        close(asc.InputXGradient()(model, X, of=1, at=asc.Cut("layer", "in")).values, expected)


def test_keys_of_random_generators_go_with_their_records() -> None:
    model, keys = jax.vmap(One()), jax.random.split(jax.random.key(1), 4)
    with pytest.warns(UserWarning, match="training mode"):
        found = asc.Saliency(signed=True)(model, X, keys, of=1).values
    close(found, jax.vmap(jax.grad(lambda x, key: One()(x, key)[1]))(X, keys))
    one = jax.vmap(One(), in_axes=(0, None))
    with pytest.warns(UserWarning, match="training mode"):
        found = asc.Saliency(signed=True)(one, X, keys[0], of=1).values
    close(found, jax.vmap(jax.grad(lambda x: One()(x, keys[0])[1]))(X))


class Normed(eqx.Module):
    layer: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self) -> None:
        self.layer, self.norm = eqx.nn.Linear(6, 4, key=jax.random.key(0)), eqx.nn.BatchNorm(4, "batch", mode="batch")

    def __call__(self, x: Any, state: Any) -> Any:
        return self.norm(self.layer(x), state)


def test_a_state_is_passed_through() -> None:
    net, state = eqx.nn.make_with_state(Normed)()
    model = jax.vmap(net, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    with pytest.warns(UserWarning, match="BatchNorm"):
        found = asc.Saliency(signed=True)(model, X, state, of=1).values
    close(found, jax.grad(lambda x: model(x, state)[0][:, 1].sum())(X))  # the records depend on each other, and are run together
    quiet = eqx.nn.inference_mode(net)
    found = asc.InputXGradient()(
        jax.vmap(quiet, axis_name="batch", in_axes=(0, None), out_axes=(0, None)), X, state, of=1, at="layer"
    ).values
    assert found.shape == (4, 4)


def test_random_streams_of_nnx_are_passed_through() -> None:
    net, rngs = nnx.Sequential(nnx.Dropout(0.5), nnx.Linear(6, 3, rngs=nnx.Rngs(0))), nnx.Rngs(7)
    with pytest.warns(UserWarning, match="Dropout"):
        found = asc.Saliency(signed=True)(net, X, rngs=rngs, of=1).values
    assert int(rngs.default.count[...]) == 0
    close(found, jax.grad(lambda x: net(x, rngs=nnx.Rngs(7))[:, 1].sum())(X))


def test_a_model_that_fails_says_why() -> None:
    with pytest.raises(ModelError, match="requires a key"):
        asc.Saliency()(jax.vmap(One()), X, of=1)
