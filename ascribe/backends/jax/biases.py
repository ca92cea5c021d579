"""The biases of layers of Flax and Equinox, and the implicit ones of batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..protocol import Bias

LINEAR = frozenset({"Dense", "DenseGeneral", "Linear", "LinearGeneral", "Einsum"})
CONVOLUTION = "Conv"
PIECEWISE_LINEAR = frozenset({"Dropout", "Identity", "PReLU", "Embed", "Embedding", "Lambda"})
"""Layers that add nothing; those of pooling are recognised by their names. A lambda of Equinox may be anything, as any function."""
CONTAINERS = frozenset({"Sequential", "MLP", "List", "Dict", "Module", "Shared", "StatefulLayer"})
ARRAYS = ("bias", "scale", "mean", "var")
"""The arrays that are read of a layer."""
LIBRARIES = ("flax", "equinox")


@dataclass(frozen=True)
class KnownLayer:
    """A layer, its arrays by name, and whether its channels are first (Equinox) or last (Flax)."""

    module: Any
    arrays: Mapping[str, Any]
    channels_first: bool

    @property
    def kind(self) -> str:
        """The name of the class."""
        return type(self.module).__name__

    @property
    def known(self) -> bool:
        """True for a class of the libraries. A class of the user's own may do anything, whatever its name."""
        return type(self.module).__module__.partition(".")[0] in LIBRARIES

    @property
    def convolves(self) -> bool:
        """True for a convolution."""
        return self.kind.startswith(CONVOLUTION) and "LSTM" not in self.kind

    def bias(self) -> Bias | None:
        """The bias; None for a layer without, and for one that is not linear plus a bias of one number per channel."""
        if not self.known:
            return None
        if self.kind == "BatchNorm" and "mean" in self.arrays and "var" in self.arrays:
            return self._shift()
        bias = self.arrays.get("bias")
        if bias is None or not (self.convolves or self.kind in LINEAR):
            return None
        flat = np.asarray(bias)
        if flat.size != max(flat.shape, default=0):  # several axes of outputs, or one bias for each of several layers
            return None
        return Bias(flat.reshape(-1), 1 if self.convolves and self.channels_first else -1)

    def _shift(self) -> Bias | None:
        """The bias of a batch normalisation by stored statistics: ``bias - scale * mean / std``."""
        mean, var = (np.asarray(self.arrays[name]) for name in ("mean", "var"))
        scale, bias = (self.arrays.get(name) for name in ("scale", "bias"))
        trains = getattr(self.module, "use_running_average", None) is False  # by the statistics of the batch
        if trains or mean.ndim != 1 or not isinstance(self.module.axis, int):
            return None
        factor = (1.0 if scale is None else np.asarray(scale)) / np.sqrt(var + self.module.epsilon)
        return Bias((0.0 if bias is None else np.asarray(bias)) - mean * factor, self.module.axis)

    def bends(self) -> bool:
        """True if the layer is neither linear plus a known bias nor known to add nothing. Modules of the user's own hold others."""
        if not self.known:
            return False
        if self.kind == "BatchNorm" or self.convolves or self.kind in LINEAR:
            return self.bias() is None and (self.kind == "BatchNorm" or self.arrays.get("bias") is not None)
        return not (self.kind in PIECEWISE_LINEAR or self.kind in CONTAINERS or "Pool" in self.kind)


def read_biases(layers: Iterable[str], known: Callable[[str], KnownLayer | None]) -> tuple[dict[str, Bias], list[str]]:
    """The biases among these layers, and the names of those that bend: ``norm (LayerNorm)``."""
    held = {name: layer for name in layers if (layer := known(name)) is not None}
    biases = {name: bias for name, layer in held.items() if (bias := layer.bias()) is not None}
    return biases, [f"{name} ({layer.kind})" for name, layer in held.items() if layer.bends()]
