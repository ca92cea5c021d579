"""The networks of this benchmark as NumPy weights: every framework builds the same ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

CLASSES = 10
POINTS = 32
"""Points of integrated gradients: midpoints of equal intervals."""
WINDOW = 7
"""Width of the windows of occlusion: 16 on 28 x 28 pixels."""
BLOCKS, HEADS, WIDTH, TOKENS = 6, 4, 128, 64
EPSILON = 1e-5
Weights = Mapping[str, np.ndarray]


def inputs(network: str) -> np.ndarray:
    """The records: 32 images ``[28, 28, 1]``, 32 rows of a table, or 8 sequences of 64 vectors."""
    shape = {"cnn": (32, 28, 28, 1), "mlp": (32, 20), "transformer": (8, TOKENS, WIDTH)}[network]
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def weights(network: str, seed: int = 0) -> dict[str, np.ndarray]:
    """The weights of a network."""
    shapes: dict[str, tuple[int, ...]] = {
        "cnn": {"k1": (3, 3, 1, 16), "b1": (16,), "k2": (3, 3, 16, 32), "b2": (32,), "w1": (1568, 64), "c1": (64,), "w2": (64, CLASSES),
                "c2": (CLASSES,)},
        "mlp": {"w1": (20, 64), "b1": (64,), "w2": (64, 64), "b2": (64,), "w3": (64, CLASSES), "b3": (CLASSES,)},
        "transformer": {
            **{f"{name}{i}": shape for i in range(BLOCKS) for name, shape in (
                ("q", (WIDTH, WIDTH)), ("k", (WIDTH, WIDTH)), ("v", (WIDTH, WIDTH)), ("o", (WIDTH, WIDTH)),
                ("up", (WIDTH, 4 * WIDTH)), ("down", (4 * WIDTH, WIDTH)))},
            "head": (WIDTH, CLASSES),
        },
    }[network]  # fmt: skip
    random = np.random.default_rng(seed)
    return {
        name: (random.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[:-1])))).astype(np.float32) for name, shape in shapes.items()
    }


def positions() -> np.ndarray:
    """The positions of the points between baseline and record."""
    return ((np.arange(POINTS) + 0.5) / POINTS).astype(np.float32)


def masks() -> np.ndarray:
    """The images' windows, ``[16, 1, 28, 28, 1]``: 0 where a window covers, 1 elsewhere."""
    across = 28 // WINDOW
    made = np.ones((across, across, 1, 28, 28, 1), np.float32)
    for i in range(across):
        for j in range(across):
            made[i, j, :, i * WINDOW : (i + 1) * WINDOW, j * WINDOW : (j + 1) * WINDOW] = 0
    return made.reshape(-1, 1, 28, 28, 1)
