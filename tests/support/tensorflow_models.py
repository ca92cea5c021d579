"""The model of the contract suite in TensorFlow: as a module, and as a plain function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ascribe.cuts import Cut

from .tensorflow_networks import Dense


class Hidden(tf.Module):
    """A dense layer with ReLU."""

    def __init__(self, w: np.ndarray, b: np.ndarray) -> None:
        super().__init__()
        self.dense = Dense(w, b, tf.float64)

    def __call__(self, x: Any) -> Any:
        return tf.nn.relu(self.dense(x))


class Net(tf.Module):
    """The hidden layer and the scores."""

    def __init__(self, w: np.ndarray, b: np.ndarray, v: np.ndarray, c: np.ndarray) -> None:
        super().__init__()
        self.hidden, self.head = Hidden(w, b), Dense(v, c, tf.float64)

    def __call__(self, x: Any) -> Any:
        return self.head(self.hidden(x))


class TracedNet(Net):
    """The same inside ``tf.function``."""

    @tf.function
    def __call__(self, x: Any) -> Any:
        return self.head(self.hidden(x))


class Mixing(tf.Module):
    """A model whose records depend on each other."""

    def __call__(self, x: Any) -> Any:
        return x - tf.reduce_mean(x, 0)


def contract_models(w: np.ndarray, b: np.ndarray, v: np.ndarray, c: np.ndarray) -> dict[str, tuple[Any, ...]]:
    """The fields of the suite's backends: the model, its arrays, a layer, gradients, a model that mixes records."""
    array: Callable[[Any], Any] = tf.constant

    def function() -> Any:
        w_, b_, v_, c_ = (tf.constant(a) for a in (w, b, v, c))
        return lambda x: tf.nn.relu(x @ w_ + b_) @ v_ + c_

    return {
        "module": (lambda: Net(w, b, v, c), array, Cut("hidden"), True, Mixing),
        "traced module": (lambda: TracedNet(w, b, v, c), array, Cut("hidden"), True, Mixing),
        "function": (function, array, None, True, lambda: tf.function(lambda x: x - tf.reduce_mean(x, 0))),
    }
