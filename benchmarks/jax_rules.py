"""Rules on JAX against one native gradient, on a transformer of six blocks: ``python -m benchmarks.jax_rules``.

Prints, for each rule, the time of a repeated call and of the first call as multiples of the same network's ``jax.jit(jax.grad(...))``: of
its run, and of its tracing and compilation. Times are processor times; that of a call is the smallest of several.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import ascribe as asc
from ascribe import rules
from ascribe.backends.jax.traces import counts

RECORDS, LENGTH, WIDTH, HEADS, BLOCKS, CLASSES = 8, 64, 128, 4, 6, 10
BARS = {"AttnLRP": 1.5, "Rescale": 2.5}
FIRST = 2.5


class Block(nn.Module):
    """Attention and a multi-layer perceptron, each after a norm."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = x + nn.MultiHeadDotProductAttention(HEADS, name="attention")(nn.LayerNorm(name="first")(x))
        y = nn.gelu(nn.Dense(4 * WIDTH, name="up")(nn.LayerNorm(name="second")(x)))
        return x + nn.Dense(WIDTH, name="down")(y)


class Transformer(nn.Module):
    """``[records, positions, width] -> [records, classes]``."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        for number in range(BLOCKS):
            x = Block(name=f"block{number}")(x)
        return nn.Dense(CLASSES, name="head")(nn.LayerNorm(name="last")(x).mean(1))


def parameters(seed: int, x: Any) -> Any:
    """Weights of the network, all of them away from zero."""
    found = jax.jit(Transformer().init)(jax.random.key(seed), x)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: a + jnp.asarray(rng.normal(size=a.shape) / 50, a.dtype), found)


def native(given: Any, x: Any, labels: Any) -> Any:
    """The gradient of the labels' scores, written by hand."""
    return jax.grad(lambda x: jnp.take_along_axis(Transformer().apply(given, x), labels[:, None], 1).sum())(x)


def seconds(call: Callable[[], Any]) -> float:
    """The processor time of a call."""
    began = time.process_time()
    jax.block_until_ready(call())
    return time.process_time() - began


def best(call: Callable[[], Any], times: int = 9) -> float:
    """The smallest time of several calls."""
    return min(seconds(call) for _ in range(times))


def main() -> None:
    x = jnp.asarray(np.random.default_rng(2).normal(size=(RECORDS, LENGTH, WIDTH)), jnp.float32)
    given, other = parameters(0, x), parameters(1, x)
    labels = list(range(RECORDS))
    program = jax.jit(native)
    jax.block_until_ready(jnp.ones(3) + 1)
    first = seconds(lambda: program(given, x, jnp.asarray(labels)))
    run = best(lambda: program(given, x, jnp.asarray(labels)))
    print(f"native gradient: {run * 1e3:.1f} ms, first call {first:.2f} s")
    model, second = Transformer().bind(given), Transformer().bind(other)
    for name, rule, over in (("AttnLRP", rules.AttnLRP(), None), ("Rescale", rules.Rescale(), asc.Reference(0.0))):

        def call(model: Any = model, of: Any = labels, rule: Any = rule, over: Any = over) -> Any:
            return asc.attribute(model, x, of=of, by=rule, **({} if over is None else {"over": over})).values

        cold = seconds(call)
        before = counts.programs
        warm = best(call)
        call(of=labels[::-1])
        call(model=second)
        line = (
            f"{name}: {warm / run:.2f} of one gradient (bar {BARS[name]}), first call {cold / first:.2f} of its compilation (bar {FIRST})"
        )
        print(f"{line}, {counts.programs - before} programs compiled by later calls")


if __name__ == "__main__":
    main()
