"""The networks in Keras, on the back end that is loaded, with the native programs of its framework."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .networks import BLOCKS, CLASSES, EPSILON, HEADS, WIDTH, inputs, masks
from .subject import Subject


def cnn(x: Any) -> Any:
    for width in (16, 32):
        x = layers.MaxPooling2D(2)(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
    return layers.Dense(CLASSES)(layers.Dense(64, activation="relu")(layers.Flatten()(x)))


def mlp(x: Any) -> Any:
    return layers.Dense(CLASSES)(layers.Dense(64, activation="relu")(layers.Dense(64, activation="relu")(x)))


def transformer(x: Any) -> Any:
    for _ in range(BLOCKS):
        y = layers.LayerNormalization(epsilon=EPSILON)(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS, use_bias=False)(y, y)
        y = ops.gelu(layers.Dense(4 * WIDTH, use_bias=False)(layers.LayerNormalization(epsilon=EPSILON)(x)), approximate=True)
        x = x + layers.Dense(WIDTH, use_bias=False)(y)
    return layers.Dense(CLASSES, use_bias=False)(ops.mean(layers.LayerNormalization(epsilon=EPSILON)(x), 1))


def model(network: str) -> Subject:
    """A functional model."""
    made = []
    for seed in (0, 2):
        keras.utils.set_random_seed(seed)
        x = keras.Input(inputs(network).shape[1:])
        made.append(keras.Model(x, {"cnn": cnn, "mlp": mlp, "transformer": transformer}[network](x)))
    records: Any = inputs(network)
    backend, one = keras.config.backend(), made[0]
    if backend == "torch":
        import torch

        from . import with_torch

        for variable in one.variables:
            variable.trainable = False
        records = torch.tensor(records)
        return Subject(one, made[1], records, with_torch.programs(one, records, torch.tensor(masks())))
    if backend == "jax":
        import jax.numpy as jnp

        from . import with_jax

        records, values = jnp.asarray(records), [v.value for v in one.variables]
        return Subject(one, made[1], records, with_jax.programs(lambda w, x: one.stateless_call(w, [], x)[0], values, records))
    from . import with_tensorflow

    records = with_tensorflow.tf.constant(np.asarray(records))
    return Subject(one, made[1], records, with_tensorflow.programs(one, records))
