"""Seven small networks as NumPy weights, so that every framework builds the same ones: each explanation must then be the same numbers.

A framework's own module (``jax_networks.py``, ...) builds them from :func:`weights` and the layouts below. All dense weights are
``[inputs, outputs]``, convolutions ``[height, width, channels in, channels out]``, images ``[records, channels, height, width]``.
Widths are small: a compiled framework compiles each of them for every kind of call.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

RECORDS, CLASSES, WIDTH = 4, 3, 8
NAMES = ("mlp", "cnn", "residual", "attention", "gru", "two_inputs", "embedding")

SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    # x [4, 6] -> dense -> gelu (tanh) -> dense -> relu -> dense
    "mlp": {"w1": (6, WIDTH), "b1": (WIDTH,), "w2": (WIDTH, WIDTH), "b2": (WIDTH,), "w3": (WIDTH, CLASSES), "b3": (CLASSES,)},
    # x [4, 2, 8, 8] -> conv 3x3 same -> batch norm (stored statistics) -> relu -> max pool 2 -> conv 3x3 same -> relu -> mean -> dense
    "cnn": {
        "k1": (3, 3, 2, WIDTH),
        "b1": (WIDTH,),
        "scale": (WIDTH,),
        "shift": (WIDTH,),
        "mean": (WIDTH,),
        "var": (WIDTH,),
        "k2": (3, 3, WIDTH, WIDTH),
        "b2": (WIDTH,),
        "w": (WIDTH, CLASSES),
        "b": (CLASSES,),
    },
    # x [4, 6] -> dense -> y; y + dense(silu(dense(y))) -> layer norm -> dense
    "residual": {
        "w0": (6, WIDTH),
        "b0": (WIDTH,),
        "w1": (WIDTH, WIDTH),
        "b1": (WIDTH,),
        "w2": (WIDTH, WIDTH),
        "b2": (WIDTH,),
        "scale": (WIDTH,),
        "shift": (WIDTH,),
        "w": (WIDTH, CLASSES),
        "b": (CLASSES,),
    },
    # x [4, 5, 8] -> layer norm -> two heads of softmax(q k / 2) v -> dense, added to x -> mean over steps -> dense
    "attention": {
        "scale": (WIDTH,),
        "shift": (WIDTH,),
        "q": (WIDTH, WIDTH),
        "k": (WIDTH, WIDTH),
        "v": (WIDTH, WIDTH),
        "o": (WIDTH, WIDTH),
        "w": (WIDTH, CLASSES),
        "b": (CLASSES,),
    },
    # x [4, 5, 4] -> GRU, gates (reset, update, new) in torch's convention -> last state -> dense
    "gru": {"wi": (4, 3 * WIDTH), "wh": (WIDTH, 3 * WIDTH), "bi": (3 * WIDTH,), "bh": (3 * WIDTH,), "w": (WIDTH, CLASSES), "b": (CLASSES,)},
    # x [4, 6], z [4, 3] -> relu(dense(x)) * tanh(dense(z)) -> dense
    "two_inputs": {"w1": (6, WIDTH), "b1": (WIDTH,), "w2": (3, WIDTH), "b2": (WIDTH,), "w": (WIDTH, CLASSES), "b": (CLASSES,)},
    # ids [4, 5] below 10 -> embedding -> relu(dense) -> mean over steps -> dense
    "embedding": {"table": (10, WIDTH), "w1": (WIDTH, WIDTH), "b1": (WIDTH,), "w": (WIDTH, CLASSES), "b": (CLASSES,)},
}
EPSILON = 1e-5
"""Added to the variance by batch and layer norms."""


def weights(name: str) -> dict[str, np.ndarray]:
    """The weights of a network, float64: variances and scales are positive."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    found = {}
    for key, shape in SHAPES[name].items():
        fan = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
        found[key] = rng.normal(size=shape) * (1.5 / np.sqrt(fan) if len(shape) > 1 else 0.3)
        if key in ("var", "scale"):
            found[key] = rng.uniform(0.5, 1.5, shape)
    return found


def inputs(name: str) -> tuple[np.ndarray, ...]:
    """The arguments of a call, four records; images have channels first."""
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 1)
    if name == "embedding":
        return (rng.integers(0, 10, (RECORDS, 5)),)
    shapes = {"cnn": [(2, 8, 8)], "attention": [(5, WIDTH)], "gru": [(5, 4)], "two_inputs": [(6,), (3,)]}.get(name, [(6,)])
    return tuple(rng.normal(size=(RECORDS, *shape)) for shape in shapes)
