"""Keras models as users write them: each a model and the arguments of a call, on whichever back end Keras runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

RANDOM = np.random.default_rng(5)
Built = tuple[Any, tuple[Any, ...], dict[str, Any]]


def rows(*shape: int) -> Any:
    return ops.convert_to_tensor(RANDOM.normal(size=shape).astype(np.float32))


def built(model: Any, *args: Any, **kwargs: Any) -> Built:
    """A model whose weights exist, and a call of it."""
    model(*args, **kwargs)
    return model, args, kwargs


class Trained(keras.Model):
    """A model with a training step and a metric of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = layers.Dense(5, activation="tanh", name="body"), layers.Dense(3, name="head")
        self.seen = keras.metrics.Mean(name="seen")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.body(x))

    def train_step(self, data: Any) -> Any:
        raise NotImplementedError


class Counting(layers.Layer):
    """A layer that counts its calls and keeps a running mean, which it does not use."""

    def build(self, shape: Any) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return ops.tanh(x)


class Repeated(keras.Model):
    """A model that calls one of its layers three times, through a method."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.head = layers.Dense(4, activation="tanh", name="step"), layers.Dense(3, name="head")

    def refine(self, x: Any) -> Any:
        return x + self.step(x)

    def call(self, x: Any) -> Any:
        for _ in range(3):
            x = self.refine(x)
        return self.head(x)


class Operations(keras.Model):
    """A model with weights of its own and operations in its call."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[-1], 3), name="w")
        self.built = True

    def call(self, x: Any) -> Any:
        y = ops.einsum("bi,ij->bj", x, self.w)
        return y * ops.sigmoid(y) + ops.logsumexp(x, axis=-1, keepdims=True)


class Sampling(keras.Model):
    """An encoder with a mean and a spread, which draws in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.spread, self.seeds = layers.Dense(3, name="mean"), layers.Dense(3, name="spread"), keras.random.SeedGenerator(0)

    def call(self, x: Any, training: bool = False) -> Any:
        mean, spread = self.mean(x), self.spread(x)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds) if training else 0.0
        return mean + ops.exp(0.5 * spread) * noise


@dataclass
class Answer:
    """What a model returns."""

    scores: Any
    hidden: Any


class Named(keras.Model):
    """A model that returns a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = layers.Dense(5, activation="tanh", name="body"), layers.Dense(3, name="head")

    def call(self, x: Any) -> Any:
        hidden = self.body(x)
        return {"logits": self.head(hidden), "hidden": hidden}


class Attending(keras.Model):
    """Attention over the steps that a mask allows."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm = layers.MultiHeadAttention(2, 4, name="attention"), layers.LayerNormalization(name="norm")
        self.head = layers.Dense(3, name="head")

    def call(self, x: Any, attention_mask: Any = None) -> Any:
        y = self.norm(x + self.attention(x, x, attention_mask=attention_mask, use_causal_mask=True))
        return self.head(ops.mean(y, axis=1))


def functional(shape: tuple[int, ...], *stack: Any) -> Any:
    x = y = keras.Input(shape)
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def reloaded() -> Built:
    model = functional((4,), layers.Dense(5, activation="gelu", name="body"), layers.Dense(3, activation="softmax", name="head"))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        return built(keras.models.load_model(Path(folder) / "model.keras"), rows(2, 4))


def normalised() -> Built:
    norm = layers.Normalization(name="norm")
    norm.adapt(RANDOM.normal(3.0, 2.0, size=(50, 4)).astype(np.float32))
    return built(functional((4,), norm, layers.Dense(3, activation="tanh"), layers.Dense(3)), rows(2, 4))


def siamese() -> Built:
    encoder = functional((4,), layers.Dense(5, activation="tanh"), layers.Dense(4))
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    head = layers.Dense(3, name="head")(layers.Multiply()([encoder(left), encoder(right)]))
    return built(keras.Model({"left": left, "right": right}, head), {"left": rows(2, 4), "right": rows(2, 4)})


def masked() -> Built:
    x = RANDOM.normal(size=(2, 5, 4)).astype(np.float32)
    x[0, 3:] = 0
    stack = layers.Masking(name="masking"), layers.Bidirectional(layers.LSTM(3), name="both"), layers.Dense(3, name="head")
    return built(functional((5, 4), *stack), ops.convert_to_tensor(x))


def dataclass_output() -> Built:
    body, head = layers.Dense(5, activation="tanh", name="body"), layers.Dense(3, name="head")
    head(body(rows(2, 4)))

    def call(x: Any) -> Answer:
        hidden = body(x)
        return Answer(head(hidden), hidden)

    return call, (rows(2, 4),), {}


def without_batch() -> Built:
    head = layers.Dense(3, name="head")
    head(rows(1, 4))
    return lambda x: head(x[None])[0], (rows(4),), {}


def image(*stack: Any) -> Built:
    return built(functional((8, 8, 2), *stack, layers.GlobalAveragePooling2D(), layers.Dense(3, name="head")), rows(2, 8, 8, 2))


ODD: dict[str, Callable[[], Built]] = {
    "training step": lambda: built(Trained(), rows(2, 4)),
    "layer with state": lambda: built(functional((4,), layers.Dense(4), Counting(name="counting"), layers.Dense(3)), rows(2, 4)),
    "repeated calls": lambda: built(Repeated(), rows(2, 4)),
    "Lambda": lambda: built(functional((4,), layers.Lambda(lambda x: ops.sin(x) * 2), layers.Dense(3)), rows(2, 4)),
    "Normalization": normalised,
    "operations": lambda: built(Operations(), rows(2, 4)),
    "loaded file": reloaded,
    "dictionary": lambda: built(Named(), rows(2, 4)),
    "dataclass": dataclass_output,
    "dropout in training": lambda: built(functional((4,), layers.Dropout(0.5, seed=1), layers.Dense(3)), rows(2, 4), training=True),
    "sampling": lambda: built(Sampling(), rows(2, 4)),
    "batch of one": lambda: built(functional((4,), layers.Dense(5, activation="tanh"), layers.Dense(3)), rows(1, 4)),
    "no batch": without_batch,
    "two inputs, one encoder": siamese,
    "series": lambda: built(
        functional((9, 2), layers.Conv1D(4, 3, padding="causal", activation="tanh"), layers.GlobalMaxPooling1D(), layers.Dense(3)),
        rows(2, 9, 2),
    ),
    "volume": lambda: built(
        functional((4, 4, 4, 1), layers.Conv3D(2, 2, activation="tanh"), layers.Flatten(), layers.Dense(3)), rows(2, 4, 4, 4, 1)
    ),
    "separable": lambda: image(
        layers.SeparableConv2D(4, 3, activation="tanh"), layers.DepthwiseConv2D(3, name="depthwise"), layers.BatchNormalization()
    ),
    "attention": lambda: built(Attending(), rows(2, 5, 4), attention_mask=ops.convert_to_tensor(np.ones((2, 5, 5), bool))),
    "masked LSTM": masked,
    "layer by time": lambda: built(
        functional((3, 4), layers.TimeDistributed(layers.Dense(3, activation="tanh")), layers.Flatten(), layers.Dense(3)), rows(2, 3, 4)
    ),
}  # fmt: skip
"""Models by what is odd about them."""
