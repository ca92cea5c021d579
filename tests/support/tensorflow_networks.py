"""The networks of :mod:`.networks` as modules of TensorFlow.

Images have their channels first, as in every framework; the CNN moves them last, because TensorFlow's CPU kernels need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from .networks import EPSILON, inputs, weights


class Dense(tf.Module):
    """``x w + b``."""

    def __init__(self, w: np.ndarray, b: np.ndarray | None = None, kind: Any = tf.float32) -> None:
        super().__init__()
        self.w = tf.Variable(w, dtype=kind)
        self.b = None if b is None else tf.Variable(b, dtype=kind)

    def __call__(self, x: Any) -> Any:
        y = tf.tensordot(x, self.w, 1)
        return y if self.b is None else y + self.b


class Conv(tf.Module):
    """A convolution that keeps the size of its image."""

    def __init__(self, k: np.ndarray, b: np.ndarray, kind: Any = tf.float32) -> None:
        super().__init__()
        self.k, self.b = tf.Variable(k, dtype=kind), tf.Variable(b, dtype=kind)

    def __call__(self, x: Any) -> Any:
        return tf.nn.conv2d(x, self.k, 1, "SAME") + self.b


class Norm(tf.Module):
    """A batch norm with stored statistics, or a layer norm where there are none."""

    def __init__(self, w: Mapping[str, np.ndarray], kind: Any = tf.float32) -> None:
        super().__init__()
        self.scale, self.shift = tf.Variable(w["scale"], dtype=kind), tf.Variable(w["shift"], dtype=kind)
        self.stored = [tf.Variable(w[n], dtype=kind, trainable=False) for n in ("mean", "var")] if "mean" in w else None

    def __call__(self, x: Any) -> Any:
        mean, var = self.stored or tf.nn.moments(x, [-1], keepdims=True)
        return (x - mean) * tf.math.rsqrt(var + EPSILON) * self.scale + self.shift


class Table(tf.Module):
    """An embedding of ids."""

    def __init__(self, table: np.ndarray, kind: Any = tf.float32) -> None:
        super().__init__()
        self.table = tf.Variable(table, dtype=kind)

    def __call__(self, ids: Any) -> Any:
        return tf.gather(self.table, ids)


class Network(tf.Module):
    """A network whose layers have the same names in every framework."""

    def __init__(self, w: Mapping[str, np.ndarray], kind: Any = tf.float32) -> None:
        super().__init__()
        self.kind = kind
        self.build(w)

    def dense(self, *w: np.ndarray) -> Dense:
        return Dense(*w, kind=self.kind)

    def build(self, w: Mapping[str, np.ndarray]) -> None:
        raise NotImplementedError


class Mlp(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.first, self.second, self.head = self.dense(w["w1"], w["b1"]), self.dense(w["w2"], w["b2"]), self.dense(w["w3"], w["b3"])

    def __call__(self, x: Any) -> Any:
        return self.head(tf.nn.relu(self.second(tf.nn.gelu(self.first(x), approximate=True))))


class Cnn(Network):
    channels_first = True

    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.conv1, self.conv2 = Conv(w["k1"], w["b1"], self.kind), Conv(w["k2"], w["b2"], self.kind)
        self.norm, self.head = Norm(w, self.kind), self.dense(w["w"], w["b"])

    def __call__(self, x: Any) -> Any:
        x = tf.transpose(x, [0, 2, 3, 1]) if self.channels_first else x
        x = tf.nn.max_pool2d(tf.nn.relu(self.norm(self.conv1(x))), 2, 2, "VALID")
        return self.head(tf.reduce_mean(tf.nn.relu(self.conv2(x)), [1, 2]))


class Residual(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.stem, self.up, self.down = self.dense(w["w0"], w["b0"]), self.dense(w["w1"], w["b1"]), self.dense(w["w2"], w["b2"])
        self.norm, self.head = Norm(w, self.kind), self.dense(w["w"], w["b"])

    def __call__(self, x: Any) -> Any:
        y = self.stem(x)
        return self.head(self.norm(y + self.down(tf.nn.silu(self.up(y)))))


class Attention(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.norm = Norm(w, self.kind)
        self.query, self.key, self.value, self.out = (self.dense(w[name]) for name in "qkvo")
        self.head = self.dense(w["w"], w["b"])

    def __call__(self, x: Any) -> Any:
        y, (n, steps, width) = self.norm(x), tf.unstack(tf.shape(x))
        q, k, v = (
            tf.transpose(tf.reshape(layer(y), [n, steps, 2, width // 2]), [0, 2, 1, 3]) for layer in (self.query, self.key, self.value)
        )
        scores = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / 2)
        mixed = tf.reshape(tf.transpose(tf.matmul(scores, v), [0, 2, 1, 3]), [n, steps, width])
        return self.head(tf.reduce_mean(x + self.out(mixed), 1))


class Cell(tf.Module):
    """One step of a GRU, in PyTorch's convention."""

    def __init__(self, w: Mapping[str, np.ndarray], kind: Any = tf.float32) -> None:
        super().__init__()
        self.into, self.back = Dense(w["wi"], w["bi"], kind), Dense(w["wh"], w["bh"], kind)

    def __call__(self, x: Any, state: Any) -> Any:
        (r, z, n), (hr, hz, hn) = (tf.split(a, 3, -1) for a in (self.into(x), self.back(state)))
        z, n = tf.sigmoid(z + hz), tf.tanh(n + tf.sigmoid(r + hr) * hn)
        return (1 - z) * n + z * state


class Gru(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.cell, self.head = Cell(w, self.kind), self.dense(w["w"], w["b"])
        self.width = len(w["w"])

    def __call__(self, x: Any) -> Any:
        state = tf.zeros([tf.shape(x)[0], self.width], x.dtype)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return self.head(state)


class TwoInputs(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.left, self.right, self.head = self.dense(w["w1"], w["b1"]), self.dense(w["w2"], w["b2"]), self.dense(w["w"], w["b"])

    def __call__(self, x: Any, z: Any) -> Any:
        return self.head(tf.nn.relu(self.left(x)) * tf.tanh(self.right(z)))


class Embedding(Network):
    def build(self, w: Mapping[str, np.ndarray]) -> None:
        self.table = Table(w["table"], self.kind)
        self.hidden, self.head = self.dense(w["w1"], w["b1"]), self.dense(w["w"], w["b"])

    def __call__(self, ids: Any) -> Any:
        return self.head(tf.reduce_mean(tf.nn.relu(self.hidden(self.table(ids))), 1))


KINDS: Mapping[str, type[Network]] = {
    "mlp": Mlp, "cnn": Cnn, "residual": Residual, "attention": Attention, "gru": Gru, "two_inputs": TwoInputs, "embedding": Embedding,
}  # fmt: skip


def tensorflow_network(name: str, double: bool = False) -> tuple[Any, tuple[Any, ...]]:
    """A network and the arguments of a call."""
    kind = tf.float64 if double else tf.float32
    tensors = tuple(tf.constant(a, kind if a.dtype.kind == "f" else tf.int64) for a in inputs(name))
    return KINDS[name]({key: w if double else w.astype(np.float32) for key, w in weights(name).items()}, kind), tensors
