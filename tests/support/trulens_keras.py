"""Small models of the Keras that ``ASCRIBE_TRULENS_KERAS`` names, with their values and gradients in NumPy."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

PACKAGE = os.environ.get("ASCRIBE_TRULENS_KERAS", "keras")
keras = importlib.import_module(PACKAGE)
L = keras.layers
LEGACY = PACKAGE == "tf_keras"
ENGINE = "tensorflow" if LEGACY else keras.config.backend()
BACKEND = "TENSORFLOW" if LEGACY else "KERAS"
"""The name of the framework that trulens gives these models."""

W1 = np.array([[1.0, -0.5, 0.25, 2.0], [0.5, 1.5, -1.0, 0.0], [-1.0, 0.75, 0.5, 1.0]], np.float32)
B1 = np.array([0.1, -0.2, 0.3, 0.05], np.float32)
W2 = np.array([[1.0, -1.0], [0.5, 2.0], [-1.5, 0.25], [0.75, 0.5]], np.float32)
B2 = np.array([0.2, -0.1], np.float32)
X = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 0.25], [-2.0, 1.0, 1.5], [0.3, 0.2, 0.9]], np.float32)


@dataclass
class Dense:
    """The two-layer network in NumPy: values before and after the ReLU, scores, and their gradients."""

    x: np.ndarray

    @property
    def before(self) -> np.ndarray:
        return self.x @ W1 + B1

    @property
    def hidden(self) -> np.ndarray:
        return np.maximum(self.before, 0)

    @property
    def scores(self) -> np.ndarray:
        return self.hidden @ W2 + B2

    @property
    def probabilities(self) -> np.ndarray:
        e = np.exp(self.scores - self.scores.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def gradient(self, c: int) -> np.ndarray:
        """The gradient of a score by the input."""
        return ((self.before > 0) * W2[:, c]) @ W1.T

    def gradient_of_probability(self, c: int) -> np.ndarray:
        p = self.probabilities
        return sum(p[:, c : c + 1] * ((k == c) - p[:, k : k + 1]) * self.gradient(k) for k in range(2))


def functional(last: str = "probs", activation: str = "softmax") -> Any:
    """Input ``x``, Dense ``hidden`` with a ReLU, Dense ``last``."""
    x = keras.Input((3,), name="x")
    hidden = L.Dense(4, activation="relu", name="hidden")(x)
    return filled(keras.Model(x, L.Dense(2, activation=activation, name=last)(hidden)))


def nested() -> Any:
    """The same, with the first layer inside the model ``inner``."""
    a = keras.Input((3,), name="a")
    inner = keras.Model(a, L.Dense(4, activation="relu", name="hidden")(a), name="inner")
    x = keras.Input((3,), name="x")
    return filled(keras.Model(x, L.Dense(2, name="logits")(inner(x))))


def sequential() -> Any:
    return filled(keras.Sequential([keras.Input((3,)), L.Dense(4, activation="relu", name="hidden"), L.Dense(2, name="logits")]))


class Subclassed(keras.Model):
    """The same as a class of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = L.Dense(4, activation="relu", name="hidden")
        self.second = L.Dense(2, name="scores")

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


def subclassed() -> Any:
    model = Subclassed()
    model(X)
    return filled(model)


def filled(model: Any) -> Any:
    model.set_weights([W1, B1, W2, B2])
    return model


def two_inputs(as_dict: bool = False) -> Any:
    """Two inputs ``a`` and ``b``, joined by ``joined``."""
    a, b = keras.Input((3,), name="a"), keras.Input((1,), name="b")
    hidden = L.Dense(3, activation="tanh", name="hidden")(a)
    y = L.Dense(2, name="logits")(L.Concatenate(name="joined")([hidden, b]))
    return keras.Model({"a": a, "b": b} if as_dict else [a, b], y)
