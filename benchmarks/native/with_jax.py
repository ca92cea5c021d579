"""The networks and the native programs in JAX: functions, and Flax linen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from .networks import BLOCKS, CLASSES, EPSILON, HEADS, WIDTH, Weights, inputs, masks, positions, weights
from .subject import Program, Subject


def pooled(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def convolved(x: Any, kernel: Any) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def cnn(w: Weights, x: Any) -> Any:
    x = pooled(jax.nn.relu(convolved(x, w["k1"]) + w["b1"]))
    x = pooled(jax.nn.relu(convolved(x, w["k2"]) + w["b2"]))
    return jax.nn.relu(x.reshape(len(x), -1) @ w["w1"] + w["c1"]) @ w["w2"] + w["c2"]


def mlp(w: Weights, x: Any) -> Any:
    return jax.nn.relu(jax.nn.relu(x @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]) @ w["w3"] + w["b3"]


def normalised(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + EPSILON)


def transformer(w: Weights, x: Any) -> Any:
    for i in range(BLOCKS):
        y = normalised(x)
        q, k, v = ((y @ w[f"{n}{i}"]).reshape(*y.shape[:2], HEADS, -1).swapaxes(1, 2) for n in "qkv")
        mixed = jax.nn.softmax(q @ k.swapaxes(-1, -2) / np.sqrt(WIDTH // HEADS), -1) @ v
        x = x + mixed.swapaxes(1, 2).reshape(x.shape) @ w[f"o{i}"]
        x = x + jax.nn.gelu(normalised(x) @ w[f"up{i}"]) @ w[f"down{i}"]
    return normalised(x).mean(1) @ w["head"]


def conv(width: int, name: str) -> Any:
    return linen.Conv(width, (3, 3), name=name)


class Cnn(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.max_pool(linen.relu(conv(16, "conv1")(x)), (2, 2), (2, 2))
        x = linen.max_pool(linen.relu(conv(32, "conv2")(x)), (2, 2), (2, 2))
        return linen.Dense(CLASSES, name="head")(linen.relu(linen.Dense(64, name="hidden")(x.reshape(len(x), -1))))


class Mlp(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        return linen.Dense(CLASSES)(linen.relu(linen.Dense(64)(linen.relu(linen.Dense(64)(x)))))


def flat(width: int, name: str) -> Any:
    return linen.Dense(width, use_bias=False, name=name)


class Transformer(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        for i in range(BLOCKS):
            y = linen.LayerNorm(epsilon=EPSILON, use_bias=False, use_scale=False)(x)
            q, k, v = (flat(WIDTH, f"{n}{i}")(y).reshape(*y.shape[:2], HEADS, -1).swapaxes(1, 2) for n in "qkv")
            mixed = linen.softmax(q @ k.swapaxes(-1, -2) / np.sqrt(WIDTH // HEADS), -1) @ v
            x = x + flat(WIDTH, f"o{i}")(mixed.swapaxes(1, 2).reshape(x.shape))
            y = linen.gelu(flat(4 * WIDTH, f"up{i}")(linen.LayerNorm(epsilon=EPSILON, use_bias=False, use_scale=False)(x)))
            x = x + flat(WIDTH, f"down{i}")(y)
        return flat(CLASSES, "head")(linen.LayerNorm(epsilon=EPSILON, use_bias=False, use_scale=False)(x).mean(1))


FUNCTIONS = {"cnn": cnn, "mlp": mlp, "transformer": transformer}
MODULES = {"cnn": Cnn, "mlp": Mlp, "transformer": Transformer}


def function(network: str) -> Subject:
    """A function of weights and records, with its weights bound by ``partial``."""
    one, two = ({k: jnp.asarray(v) for k, v in weights(network, seed).items()} for seed in (0, 2))
    x, fn = jnp.asarray(inputs(network)), FUNCTIONS[network]
    return Subject(partial(fn, one), partial(fn, two), x, programs(fn, one, x))


def module(network: str) -> Subject:
    """A bound Flax module."""
    made, x = MODULES[network](), jnp.asarray(inputs(network))
    one, two = (jax.jit(made.init)(jax.random.key(seed), x) for seed in (0, 2))
    return Subject(made.bind(one), made.bind(two), x, programs(made.apply, one, x))


def programs(fn: Callable[[Any, Any], Any], w: Any, x: Any) -> dict[str, Callable[[int], Program]]:
    """The programs written by hand: ``jit`` of ``vmap`` over points, with the sum inside."""

    def score(w: Any, x: Any, label: Any) -> Any:
        return fn(w, x)[:, label].sum()

    def integrated(w: Any, x: Any, label: Any, shares: Any) -> Any:
        return jax.vmap(lambda share: jax.grad(score, 1)(w, share * x, label))(shares).mean(0) * x

    def removed(w: Any, x: Any, label: Any, covers: Any) -> Any:
        return fn(w, x)[:, label] - jax.vmap(lambda cover: fn(w, cover * x)[:, label])(covers)

    def made(program: Any, *more: Any) -> Callable[[int], Program]:
        def start(label: int) -> Program:
            run, extra, which = jax.jit(program), [jnp.asarray(m) for m in more], jnp.asarray(label)
            return lambda: np.asarray(run(w, x, which, *extra))

        return start

    return {"IG": made(integrated, positions()), "Occlusion": made(removed, masks()), "gradient": made(jax.grad(score, 1))}
