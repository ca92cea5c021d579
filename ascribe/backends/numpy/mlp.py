"""A small network of NumPy arrays with its gradients written by hand: for tests of algorithms, and as proof that the engine
assumes no framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Array

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "square": (lambda z: z**2, lambda z: 2 * z),
}


@dataclass(frozen=True, eq=False)
class Mlp:
    """Layers ``x -> activation(x @ weight + bias)``, the last one linear. Layer ``"0"`` is the first; cuts are their in and out.

    ``weights[i]`` is ``[in, out]``, ``biases[i]`` is ``[out]``.
    """

    weights: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    activation: str = "relu"

    ascribe_backend = "numpy"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``[records, in] -> [records, out]``."""
        for i in range(len(self.weights)):
            x = self.layer(i, x)[1]
        return x

    def layer(self, i: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pre-activation and value of one layer."""
        z = x @ self.weights[i] + self.biases[i]
        last = i == len(self.weights) - 1
        return z, z if last else ACTIVATIONS[self.activation][0](z)

    def pulled(self, i: int, z: np.ndarray, g: np.ndarray) -> Array:
        """The gradient at a layer's input, from that at its output."""
        last = i == len(self.weights) - 1
        slope: Any = 1.0 if last else ACTIVATIONS[self.activation][1](z)
        return (g * slope) @ self.weights[i].T
