"""The networks of :mod:`.networks` in JAX: as functions of weights and arguments, and in Flax linen.

Images have their channels last in Flax, first in functions and Equinox. Layers have the names that they have in PyTorch.
:mod:`.nnx_networks` and :mod:`.equinox_networks` have those of the other libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jax.ad_checkpoint import checkpoint_name

from .networks import EPSILON, WIDTH, inputs, weights

Weights = Mapping[str, Any]
FAMILIES = ("function", "linen", "nnx", "equinox")


def normalised(x: Any, scale: Any, shift: Any) -> Any:
    """A layer norm of the last axis."""
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + EPSILON) * scale + shift


def mlp(w: Weights, x: Any) -> Any:
    first = checkpoint_name(x @ w["w1"] + w["b1"], "first")
    second = checkpoint_name(jax.nn.gelu(first) @ w["w2"] + w["b2"], "second")
    return jax.nn.relu(second) @ w["w3"] + w["b3"]


def convolved(x: Any, kernel: Any, bias: Any) -> Any:
    made = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NCHW", "HWIO", "NCHW"))
    return made + bias[:, None, None]


def cnn(w: Weights, x: Any) -> Any:
    x = checkpoint_name(convolved(x, w["k1"], w["b1"]), "conv1")
    mean, var, scale, shift = (w[name][:, None, None] for name in ("mean", "var", "scale", "shift"))
    x = jax.nn.relu((x - mean) * jax.lax.rsqrt(var + EPSILON) * scale + shift)
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = checkpoint_name(convolved(x, w["k2"], w["b2"]), "conv2")
    return jax.nn.relu(x).mean((2, 3)) @ w["w"] + w["b"]


def residual(w: Weights, x: Any) -> Any:
    y = checkpoint_name(x @ w["w0"] + w["b0"], "stem")
    up = checkpoint_name(y @ w["w1"] + w["b1"], "up")
    y = y + (jax.nn.silu(up) @ w["w2"] + w["b2"])
    return normalised(y, w["scale"], w["shift"]) @ w["w"] + w["b"]


def attention(w: Weights, x: Any) -> Any:
    y = checkpoint_name(normalised(x, w["scale"], w["shift"]), "norm")
    q, k, v = ((y @ w[name]).reshape(*y.shape[:2], 2, -1).transpose(0, 2, 1, 3) for name in "qkv")
    scores = jax.nn.softmax(q @ k.swapaxes(-1, -2) / 2, -1)
    mixed = (scores @ v).transpose(0, 2, 1, 3).reshape(y.shape)
    return (x + mixed @ w["o"]).mean(1) @ w["w"] + w["b"]


def gru(w: Weights, x: Any) -> Any:
    def step(state: Any, now: Any) -> Any:
        given, own = jnp.split(now @ w["wi"] + w["bi"], 3, -1), jnp.split(state @ w["wh"] + w["bh"], 3, -1)
        reset, update = (jax.nn.sigmoid(given[i] + own[i]) for i in range(2))
        new = jnp.tanh(given[2] + reset * own[2])
        state = new + update * (state - new)
        return checkpoint_name(state, "state"), None

    state, _ = jax.lax.scan(step, jnp.zeros((len(x), WIDTH), x.dtype), x.swapaxes(0, 1))
    return state @ w["w"] + w["b"]


def two_inputs(w: Weights, x: Any, z: Any) -> Any:
    left = checkpoint_name(x @ w["w1"] + w["b1"], "left")
    return (jax.nn.relu(left) * jnp.tanh(z @ w["w2"] + w["b2"])) @ w["w"] + w["b"]


def embedding(w: Weights, ids: Any) -> Any:
    table = checkpoint_name(w["table"][ids], "table")
    return jax.nn.relu(table @ w["w1"] + w["b1"]).mean(1) @ w["w"] + w["b"]


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "mlp": mlp, "cnn": cnn, "residual": residual, "attention": attention, "gru": gru, "two_inputs": two_inputs, "embedding": embedding,
}  # fmt: skip


def dense(name: str, bias: bool = True, width: int = WIDTH) -> linen.Dense:
    return linen.Dense(width, use_bias=bias, name=name)


class LinenMlp(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        return dense("head", width=3)(linen.relu(dense("second")(linen.gelu(dense("first")(x)))))


class LinenCnn(linen.Module):
    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.Conv(WIDTH, (3, 3), name="conv1")(x)
        x = linen.BatchNorm(use_running_average=not train, epsilon=EPSILON, name="norm")(x)
        x = linen.max_pool(linen.relu(x), (2, 2), (2, 2))
        return dense("head", width=3)(linen.relu(linen.Conv(WIDTH, (3, 3), name="conv2")(x)).mean((1, 2)))


class LinenResidual(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        y = dense("stem")(x)
        y = y + dense("down")(linen.silu(dense("up")(y)))
        return dense("head", width=3)(linen.LayerNorm(epsilon=EPSILON, name="norm")(y))


class LinenAttention(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        y = linen.LayerNorm(epsilon=EPSILON, name="norm")(x)
        q, k, v = (dense(name, False)(y).reshape(*y.shape[:2], 2, -1).swapaxes(1, 2) for name in ("query", "key", "value"))
        mixed = (linen.softmax(q @ k.swapaxes(-1, -2) / 2) @ v).swapaxes(1, 2).reshape(y.shape)
        return dense("head", width=3)((x + dense("out", False)(mixed)).mean(1))


class LinenGru(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        return dense("head", width=3)(linen.RNN(linen.GRUCell(WIDTH), name="gru")(x)[:, -1])


class LinenTwoInputs(linen.Module):
    @linen.compact
    def __call__(self, x: Any, z: Any) -> Any:
        return dense("head", width=3)(linen.relu(dense("left")(x)) * jnp.tanh(dense("right")(z)))


class LinenEmbedding(linen.Module):
    @linen.compact
    def __call__(self, ids: Any) -> Any:
        return dense("head", width=3)(linen.relu(dense("hidden")(linen.Embed(10, WIDTH, name="table")(ids))).mean(1))


LINEN: Mapping[str, type[linen.Module]] = {
    "mlp": LinenMlp, "cnn": LinenCnn, "residual": LinenResidual, "attention": LinenAttention, "gru": LinenGru,
    "two_inputs": LinenTwoInputs, "embedding": LinenEmbedding,
}  # fmt: skip

DENSE: Mapping[str, Mapping[str, tuple[str, str | None]]] = {
    "mlp": {"first": ("w1", "b1"), "second": ("w2", "b2"), "head": ("w3", "b3")},
    "cnn": {"conv1": ("k1", "b1"), "conv2": ("k2", "b2"), "head": ("w", "b")},
    "residual": {"stem": ("w0", "b0"), "up": ("w1", "b1"), "down": ("w2", "b2"), "head": ("w", "b")},
    "attention": {"query": ("q", None), "key": ("k", None), "value": ("v", None), "out": ("o", None), "head": ("w", "b")},
    "gru": {"head": ("w", "b")},
    "two_inputs": {"left": ("w1", "b1"), "right": ("w2", "b2"), "head": ("w", "b")},
    "embedding": {"hidden": ("w1", "b1"), "head": ("w", "b")},
}
"""The weights of each dense or convolutional layer: kernel and bias."""


def linen_variables(name: str, w: Weights) -> dict[str, Any]:
    """The variables of a linen network."""
    layers = {layer: {"kernel": w[k]} | ({"bias": w[b]} if b else {}) for layer, (k, b) in DENSE[name].items()}
    params: dict[str, Any] = dict(layers)
    if "scale" in w:
        params["norm"] = {"scale": w["scale"], "bias": w["shift"]}
    if name == "embedding":
        params["table"] = {"embedding": w["table"]}
    if name == "gru":
        wi, wh, bi, bh = (np.split(w[key], 3, -1) for key in ("wi", "wh", "bi", "bh"))
        params["GRUCell_0"] = {
            "ir": {"kernel": wi[0], "bias": bi[0] + bh[0]}, "iz": {"kernel": wi[1], "bias": bi[1] + bh[1]},
            "in": {"kernel": wi[2], "bias": bi[2]}, "hr": {"kernel": wh[0]}, "hz": {"kernel": wh[1]},
            "hn": {"kernel": wh[2], "bias": bh[2]},
        }  # fmt: skip
    variables: dict[str, Any] = {"params": params}
    if name == "cnn":
        variables["batch_stats"] = {"norm": {"mean": w["mean"], "var": w["var"]}}
    return variables


def build(family: str, name: str, w: Weights) -> Any:
    """A network of a family with these weights."""
    if family == "function":
        return partial(FUNCTIONS[name], dict(w))
    if family == "linen":
        return LINEN[name]().bind(linen_variables(name, w))
    return import_module(f"tests.support.{family}_networks").build(name, w)


def jax_network(family: str, name: str) -> tuple[Any, tuple[Any, ...]]:
    """A network and the arguments of a call; images are channels-last in Flax, channels-first in functions and Equinox."""
    w = {key: jnp.asarray(value) for key, value in weights(name).items()}
    args = tuple(jnp.asarray(a) for a in inputs(name))
    if name == "cnn" and family in ("linen", "nnx"):
        args = (args[0].transpose(0, 2, 3, 1),)
    return build(family, name, w), args
