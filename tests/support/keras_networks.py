"""The networks of :mod:`.networks` in Keras, on whichever back end it runs: functional models, with the layers' names of PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .networks import EPSILON, WIDTH, inputs, weights

Weights = Mapping[str, np.ndarray]


def filled(layer: Any, *arrays: np.ndarray) -> Callable[..., Any]:
    """A layer that takes these weights as soon as it is called."""

    def call(*args: Any) -> Any:
        output = layer(*args)
        layer.set_weights([a.astype(keras.config.floatx()) for a in arrays])
        return output

    return call


def dense(name: str, w: np.ndarray, b: np.ndarray, **more: Any) -> Callable[..., Any]:
    return filled(layers.Dense(w.shape[1], name=name, **more), w, b)


def layer_norm(w: Weights) -> Callable[..., Any]:
    return filled(layers.LayerNormalization(epsilon=EPSILON, name="norm"), w["scale"], w["shift"])


def mlp(w: Weights) -> Any:
    x = keras.Input((6,))
    y = dense("first", w["w1"], w["b1"])(x)
    y = dense("second", w["w2"], w["b2"])(ops.gelu(y, approximate=True))
    return keras.Model(x, dense("head", w["w3"], w["b3"])(ops.relu(y)))


def cnn(w: Weights) -> Any:
    x = keras.Input((2, 8, 8))
    conv1, conv2 = (layers.Conv2D(WIDTH, 3, padding="same", data_format="channels_last", name=n) for n in ("conv1", "conv2"))
    norm = layers.BatchNormalization(axis=-1, epsilon=EPSILON, name="norm")
    y = filled(norm, w["scale"], w["shift"], w["mean"], w["var"])(filled(conv1, w["k1"], w["b1"])(layers.Permute((2, 3, 1))(x)))
    y = layers.MaxPooling2D(2, data_format="channels_last")(ops.relu(y))
    y = ops.relu(filled(conv2, w["k2"], w["b2"])(y))
    return keras.Model(x, dense("head", w["w"], w["b"])(ops.mean(y, (1, 2))))


def residual(w: Weights) -> Any:
    x = keras.Input((6,))
    y = dense("stem", w["w0"], w["b0"])(x)
    z = dense("down", w["w2"], w["b2"])(ops.silu(dense("up", w["w1"], w["b1"])(y)))
    return keras.Model(x, dense("head", w["w"], w["b"])(layer_norm(w)(y + z)))


def attention(w: Weights) -> Any:
    x = keras.Input((5, WIDTH))
    mha = layers.MultiHeadAttention(2, WIDTH // 2, use_bias=False, name="attention")
    y = layer_norm(w)(x)
    heads = [w[name].reshape(WIDTH, 2, WIDTH // 2) for name in ("q", "k", "v")]
    y = x + filled(mha, *heads, w["o"].reshape(2, WIDTH // 2, WIDTH))(y, y)
    return keras.Model(x, dense("head", w["w"], w["b"])(ops.mean(y, 1)))


def gru(w: Weights) -> Any:
    x = keras.Input((5, 4))
    order = np.r_[WIDTH : 2 * WIDTH, 0:WIDTH, 2 * WIDTH : 3 * WIDTH]  # update, reset, new
    wi, wh, b = w["wi"][:, order], w["wh"][:, order], np.stack([w["bi"], w["bh"]])[:, order]
    return keras.Model(x, dense("head", w["w"], w["b"])(filled(layers.GRU(WIDTH, name="gru"), wi, wh, b)(x)))


def two_inputs(w: Weights) -> Any:
    x, z = keras.Input((6,)), keras.Input((3,))
    left, right = dense("left", w["w1"], w["b1"])(x), dense("right", w["w2"], w["b2"])(z)
    return keras.Model([x, z], dense("head", w["w"], w["b"])(ops.relu(left) * ops.tanh(right)))


def embedding(w: Weights) -> Any:
    ids = keras.Input((5,), dtype="int32")
    y = filled(layers.Embedding(10, WIDTH, name="table"), w["table"])(ids)
    y = ops.relu(dense("hidden", w["w1"], w["b1"])(y))
    return keras.Model(ids, dense("head", w["w"], w["b"])(ops.mean(y, 1)))


KINDS: Mapping[str, Callable[[Weights], Any]] = {
    "mlp": mlp, "cnn": cnn, "residual": residual, "attention": attention, "gru": gru, "two_inputs": two_inputs, "embedding": embedding,
}  # fmt: skip


def native(array: np.ndarray) -> Any:
    """An array of NumPy as one of the back end."""
    return ops.convert_to_tensor(array.astype(np.int32 if array.dtype.kind == "i" else keras.config.floatx()))


def keras_network(name: str, double: bool = False) -> tuple[Any, tuple[Any, ...]]:
    """A network and the arguments of a call; several inputs are one list. Double precision stays Keras' default from then on."""
    if double:
        keras.config.set_floatx("float64")
    args = [native(a) for a in inputs(name)]
    return KINDS[name](weights(name)), (args[0] if len(args) == 1 else args,)
