"""The networks and the native programs in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from .networks import BLOCKS, EPSILON, HEADS, WIDTH, inputs, masks, positions, weights
from .subject import Program, Subject


class Network(tf.Module):
    """A network that its user has compiled with ``tf.function``."""

    def __init__(self, network: str, seed: int) -> None:
        super().__init__()
        self.w = {name: tf.Variable(value, name=name) for name, value in weights(network, seed).items()}
        self.forward = {"cnn": self.cnn, "mlp": self.mlp, "transformer": self.transformer}[network]

    @tf.function(reduce_retracing=True)
    def __call__(self, x: Any) -> Any:
        return self.forward(x)

    def cnn(self, x: Any) -> Any:
        for i in "12":
            x = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(x, self.w[f"k{i}"], 1, "SAME") + self.w[f"b{i}"]), 2, 2, "VALID")
        return tf.nn.relu(tf.reshape(x, [-1, 1568]) @ self.w["w1"] + self.w["c1"]) @ self.w["w2"] + self.w["c2"]

    def mlp(self, x: Any) -> Any:
        x = tf.nn.relu(tf.nn.relu(x @ self.w["w1"] + self.w["b1"]) @ self.w["w2"] + self.w["b2"])
        return x @ self.w["w3"] + self.w["b3"]

    def transformer(self, x: Any) -> Any:
        for i in range(BLOCKS):
            y = normalised(x)
            q, k, v = (
                tf.transpose(tf.reshape(y @ self.w[f"{n}{i}"], [-1, y.shape[1], HEADS, WIDTH // HEADS]), [0, 2, 1, 3]) for n in "qkv"
            )
            mixed = tf.transpose(tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / np.sqrt(WIDTH // HEADS)) @ v, [0, 2, 1, 3])
            x = x + tf.reshape(mixed, tf.shape(x)) @ self.w[f"o{i}"]
            x = x + tf.nn.gelu(normalised(x) @ self.w[f"up{i}"], approximate=True) @ self.w[f"down{i}"]
        return tf.reduce_mean(normalised(x), 1) @ self.w["head"]


def normalised(x: Any) -> Any:
    mean, var = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(var + EPSILON)


class Eager(Network):
    """The same network without ``tf.function``."""

    def __call__(self, x: Any) -> Any:
        return self.forward(x)


def module(network: str) -> Subject:
    """A ``tf.Module`` whose call is a ``tf.function``."""
    x = tf.constant(inputs(network))
    one, two = Network(network, 0), Network(network, 2)
    return Subject(one, two, x, programs(one, x))


def eager(network: str) -> Subject:
    """A ``tf.Module`` that runs eagerly."""
    x = tf.constant(inputs(network))
    one, two = Eager(network, 0), Eager(network, 2)
    return Subject(one, two, x, programs(one, x))


def programs(model: Callable[..., Any], x: Any) -> dict[str, Callable[[int], Program]]:
    """The programs written by hand: ``tf.function`` with all points as rows of one run, and a ``GradientTape``."""
    rows = [-1, *x.shape[1:]]

    def picked(rows: Any, label: Any) -> Any:
        return tf.gather(model(rows), label, axis=1)

    def gradient(x: Any, label: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(picked(x, label))
        return tape.gradient(score, x)

    def integrated(x: Any, label: Any, shares: Any) -> Any:
        grads = gradient(tf.reshape(tf.reshape(shares, [-1, *[1] * len(x.shape)]) * x, rows), label)
        return tf.reduce_mean(tf.reshape(grads, [-1, *x.shape]), 0) * x

    def removed(x: Any, label: Any, covers: Any) -> Any:
        return picked(x, label) - tf.reshape(picked(tf.reshape(covers * x, rows), label), [-1, len(x)])

    def made(program: Any, *more: Any) -> Callable[[int], Program]:
        def start(label: int) -> Program:
            run, extra, which = tf.function(program), [tf.constant(m) for m in more], tf.constant(label)
            return lambda: run(x, which, *extra).numpy()

        return start

    return {"IG": made(integrated, positions()), "Occlusion": made(removed, masks()), "gradient": made(gradient)}
