"""The networks of :mod:`.networks` in Equinox, in inference mode and mapped over the records."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .networks import EPSILON, WIDTH

KEY = jax.random.key(0)
Weights = Mapping[str, Any]


def dense(weight: Any, bias: Any = None) -> eqx.nn.Linear:
    layer = eqx.nn.Linear(*weight.shape, use_bias=bias is not None, key=KEY)
    layer = eqx.tree_at(lambda m: m.weight, layer, weight.T)
    return layer if bias is None else eqx.tree_at(lambda m: m.bias, layer, bias)


def convolution(kernel: Any, bias: Any) -> eqx.nn.Conv2d:
    layer = eqx.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1, key=KEY)
    return eqx.tree_at(lambda m: (m.weight, m.bias), layer, (kernel.transpose(3, 2, 0, 1), bias[:, None, None]))


def layer_norm(w: Weights) -> eqx.nn.LayerNorm:
    return eqx.tree_at(lambda m: (m.weight, m.bias), eqx.nn.LayerNorm(WIDTH, eps=EPSILON), (w["scale"], w["shift"]))


class Mlp(eqx.Module):
    first: eqx.nn.Linear
    second: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, w: Weights) -> None:
        self.first, self.second, self.head = dense(w["w1"], w["b1"]), dense(w["w2"], w["b2"]), dense(w["w3"], w["b3"])

    def __call__(self, x: Any) -> Any:
        return self.head(jax.nn.relu(self.second(jax.nn.gelu(self.first(x)))))


class Cnn(eqx.Module):
    conv1: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    conv2: eqx.nn.Conv2d
    pool: eqx.nn.MaxPool2d
    head: eqx.nn.Linear

    def __init__(self, w: Weights) -> None:
        self.conv1, self.conv2, self.head = convolution(w["k1"], w["b1"]), convolution(w["k2"], w["b2"]), dense(w["w"], w["b"])
        norm = eqx.nn.BatchNorm(WIDTH, "batch", eps=EPSILON, inference=True, mode="batch")
        self.norm = eqx.tree_at(lambda m: (m.weight, m.bias), norm, (w["scale"], w["shift"]))
        self.pool = eqx.nn.MaxPool2d(2, 2)

    def __call__(self, x: Any, state: Any) -> Any:
        x, _ = self.norm(self.conv1(x), state)
        return self.head(jax.nn.relu(self.conv2(self.pool(jax.nn.relu(x)))).mean((1, 2)))


class Residual(eqx.Module):
    stem: eqx.nn.Linear
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, w: Weights) -> None:
        self.stem, self.up, self.down = dense(w["w0"], w["b0"]), dense(w["w1"], w["b1"]), dense(w["w2"], w["b2"])
        self.norm, self.head = layer_norm(w), dense(w["w"], w["b"])

    def __call__(self, x: Any) -> Any:
        y = self.stem(x)
        return self.head(self.norm(y + self.down(jax.nn.silu(self.up(y)))))


class Attention(eqx.Module):
    norm: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    head: eqx.nn.Linear

    def __init__(self, w: Weights) -> None:
        self.norm, self.head = layer_norm(w), dense(w["w"], w["b"])
        attention = eqx.nn.MultiheadAttention(2, WIDTH, key=KEY)
        names = {"query_proj": "q", "key_proj": "k", "value_proj": "v", "output_proj": "o"}
        self.attention = eqx.tree_at(lambda m: [getattr(m, n) for n in names], attention, [dense(w[k]) for k in names.values()])

    def __call__(self, x: Any) -> Any:
        y = jax.vmap(self.norm)(x)
        return self.head((x + self.attention(y, y, y)).mean(0))


class Gru(eqx.Module):
    gru: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __init__(self, w: Weights) -> None:
        cell = eqx.nn.GRUCell(4, WIDTH, key=KEY)
        bias = w["bi"].at[: 2 * WIDTH].add(w["bh"][: 2 * WIDTH])
        arrays = (w["wi"].T, w["wh"].T, bias, w["bh"][2 * WIDTH :])
        self.gru = eqx.tree_at(lambda m: (m.weight_ih, m.weight_hh, m.bias, m.bias_n), cell, arrays)
        self.head = dense(w["w"], w["b"])

    def __call__(self, x: Any) -> Any:
        def step(state: Any, now: Any) -> Any:
            return self.gru(now, state), None

        return self.head(jax.lax.scan(step, jnp.zeros(WIDTH, x.dtype), x)[0])


class TwoInputs(eqx.Module):
    left: eqx.nn.Linear
    right: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, w: Weights) -> None:
        self.left, self.right, self.head = dense(w["w1"], w["b1"]), dense(w["w2"], w["b2"]), dense(w["w"], w["b"])

    def __call__(self, x: Any, z: Any) -> Any:
        return self.head(jax.nn.relu(self.left(x)) * jnp.tanh(self.right(z)))


class Embedding(eqx.Module):
    table: eqx.nn.Embedding
    hidden: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, w: Weights) -> None:
        self.table = eqx.nn.Embedding(weight=w["table"])
        self.hidden, self.head = dense(w["w1"], w["b1"]), dense(w["w"], w["b"])

    def __call__(self, ids: Any) -> Any:
        return self.head(jax.nn.relu(jax.vmap(self.hidden)(jax.vmap(self.table)(ids))).mean(0))


KINDS: Mapping[str, Any] = {
    "mlp": Mlp, "cnn": Cnn, "residual": Residual, "attention": Attention, "gru": Gru, "two_inputs": TwoInputs, "embedding": Embedding,
}  # fmt: skip


def build(name: str, w: Weights) -> Any:
    """A network with these weights. The statistics of the batch norm are a state of their own in Equinox, bound to the CNN."""
    net, state = eqx.nn.make_with_state(KINDS[name])(w)
    if name != "cnn":
        return jax.vmap(net)
    state = state.set(net.norm.batch_state_index, (w["mean"], w["var"]))
    state = state.set(net.norm.batch_counter, jnp.array(10**6))  # after so many batches there is no correction for the first ones
    return jax.vmap(partial(net, state=state))
