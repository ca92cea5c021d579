"""The model of the contract suite in JAX: a function, and modules of Flax and Equinox."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen
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


def two_layers(w: Any, x: Any) -> Any:
    return checkpoint_name(jnp.maximum(x @ w[0] + w[1], 0), "act") @ w[2] + w[3]


def mixing(x: Any) -> Any:
    return x - x.mean(0)


def entries(w: np.ndarray, b: np.ndarray, v: np.ndarray, c: np.ndarray) -> dict[str, Entry]:
    """The fields of each ``Backend``."""
    variables = {"params": {"hidden": {"kernel": w, "bias": b}, "head": {"kernel": v, "bias": c}}}
    act = Cut("act")
    return {
        "jax function": (lambda: partial(two_layers, list(map(jnp.asarray, (w, b, v, c)))), jnp.array, act, True, lambda: mixing, False),
        "jax linen": (lambda: Linen().bind(variables), jnp.array, act, True, None, True),
    }
