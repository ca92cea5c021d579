"""The model of the contract suite in JAX: a function, and modules of Flax and Equinox."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax.ad_checkpoint import checkpoint_name

from ascribe.cuts import Cut

Entry = tuple[Any, Any, Cut, bool, Any, bool]


class Linen(linen.Module):
    """Two layers; ``act`` is a module, so that its output is a cut."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        hidden = Act(name="act")(linen.Dense(5, name="hidden", param_dtype=jnp.float64)(x))
        return linen.Dense(3, name="head", param_dtype=jnp.float64)(hidden)


class Act(linen.Module):
    def __call__(self, x: Any) -> Any:
        return linen.relu(x)


class Relu(nnx.Module):
    def __call__(self, x: Any) -> Any:
        return nnx.relu(x)


class Nnx(nnx.Module):
    """The same model in Flax NNX."""

    def __init__(self, w: Any, b: Any, v: Any, c: Any) -> None:
        self.hidden, self.act, self.head = layer(w, b), Relu(), layer(v, c)

    def __call__(self, x: Any) -> Any:
        return self.head(self.act(self.hidden(x)))


def layer(w: Any, b: Any) -> nnx.Linear:
    made = nnx.Linear(*w.shape, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    made.kernel[...], made.bias[...] = w, b
    return made


class Equinox(eqx.Module):
    """The same model in Equinox."""

    hidden: eqx.nn.Linear
    act: eqx.nn.Lambda
    head: eqx.nn.Linear

    def __init__(self, w: Any, b: Any, v: Any, c: Any) -> None:
        key = jax.random.key(0)
        made = (eqx.nn.Linear(*w.shape, key=key), eqx.nn.Linear(*v.shape, key=key))
        arrays = [jnp.asarray(a) for a in (w.T, b, v.T, c)]
        made = eqx.tree_at(lambda m: (m[0].weight, m[0].bias, m[1].weight, m[1].bias), made, arrays)
        self.hidden, self.act, self.head = made[0], eqx.nn.Lambda(jax.nn.relu), made[1]

    def __call__(self, x: Any) -> Any:
        return self.head(self.act(self.hidden(x)))


def two_layers(w: Any, x: Any) -> Any:
    return checkpoint_name(jnp.maximum(x @ w[0] + w[1], 0), "act") @ w[2] + w[3]


def mixing(x: Any) -> Any:
    return x - x.mean(0)


def entries(w: np.ndarray, b: np.ndarray, v: np.ndarray, c: np.ndarray) -> dict[str, Entry]:
    """The fields of each ``Backend``."""
    variables = {"params": {"hidden": {"kernel": w, "bias": b}, "head": {"kernel": v, "bias": c}}}
    act = Cut("act")
    return {
        "jax function": (lambda: partial(two_layers, list(map(jnp.asarray, (w, b, v, c)))), jnp.array, act, True, lambda: mixing, True),
        "jax linen": (lambda: Linen().bind(variables), jnp.array, act, True, None, True),
        "jax nnx": (lambda: Nnx(w, b, v, c), jnp.array, act, True, None, True),
        "jax equinox": (lambda: jax.vmap(Equinox(w, b, v, c)), jnp.array, act, True, None, True),
    }
