"""The networks of :mod:`.networks` in Flax NNX, in evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from .jax_networks import DENSE, linen_variables
from .networks import EPSILON, WIDTH

RNGS = nnx.Rngs(0)


def dense(inputs: int, outputs: int, bias: bool = True) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, use_bias=bias, rngs=RNGS)


class Network(nnx.Module):
    """A network whose dense layers have the names and the shapes of :data:`DENSE`."""

    def __init__(self, name: str, w: Mapping[str, Any]) -> None:
        for layer, (kernel, bias) in DENSE[name].items():
            if w[kernel].ndim == 2:
                setattr(self, layer, dense(*w[kernel].shape, bias is not None))


class Mlp(Network):
    def __call__(self, x: Any) -> Any:
        return self.head(nnx.relu(self.second(nnx.gelu(self.first(x)))))


class Cnn(Network):
    def __init__(self, name: str, w: Mapping[str, Any]) -> None:
        super().__init__(name, w)
        self.conv1 = nnx.Conv(2, WIDTH, (3, 3), rngs=RNGS)
        self.norm = nnx.BatchNorm(WIDTH, epsilon=EPSILON, rngs=RNGS)
        self.conv2 = nnx.Conv(WIDTH, WIDTH, (3, 3), rngs=RNGS)

    def __call__(self, x: Any) -> Any:
        x = nnx.max_pool(nnx.relu(self.norm(self.conv1(x))), (2, 2), (2, 2))
        return self.head(nnx.relu(self.conv2(x)).mean((1, 2)))


class Normed(Network):
    def __init__(self, name: str, w: Mapping[str, Any]) -> None:
        super().__init__(name, w)
        self.norm = nnx.LayerNorm(WIDTH, epsilon=EPSILON, rngs=RNGS)


class Residual(Normed):
    def __call__(self, x: Any) -> Any:
        y = self.stem(x)
        return self.head(self.norm(y + self.down(nnx.silu(self.up(y)))))


class Attention(Normed):
    def __call__(self, x: Any) -> Any:
        y = self.norm(x)
        q, k, v = (layer(y).reshape(*y.shape[:2], 2, -1).swapaxes(1, 2) for layer in (self.query, self.key, self.value))
        mixed = (nnx.softmax(q @ k.swapaxes(-1, -2) / 2) @ v).swapaxes(1, 2).reshape(y.shape)
        return self.head((x + self.out(mixed)).mean(1))


class Gru(Network):
    def __init__(self, name: str, w: Mapping[str, Any]) -> None:
        super().__init__(name, w)
        self.gru = nnx.RNN(nnx.GRUCell(4, WIDTH, rngs=RNGS))

    def __call__(self, x: Any) -> Any:
        return self.head(self.gru(x)[:, -1])


class TwoInputs(Network):
    def __call__(self, x: Any, z: Any) -> Any:
        return self.head(nnx.relu(self.left(x)) * jnp.tanh(self.right(z)))


class Embedding(Network):
    def __init__(self, name: str, w: Mapping[str, Any]) -> None:
        super().__init__(name, w)
        self.table = nnx.Embed(10, WIDTH, rngs=RNGS)

    def __call__(self, ids: Any) -> Any:
        return self.head(nnx.relu(self.hidden(self.table(ids))).mean(1))


KINDS: Mapping[str, type[Network]] = {
    "mlp": Mlp, "cnn": Cnn, "residual": Residual, "attention": Attention, "gru": Gru, "two_inputs": TwoInputs, "embedding": Embedding,
}  # fmt: skip


def build(name: str, w: Mapping[str, Any]) -> nnx.Module:
    """A network with these weights, in their precision: its layers have those of linen."""
    net = KINDS[name](name, w)
    for layer, arrays in linen_variables(name, dict(w))["params"].items():
        if layer != "GRUCell_0":
            for key, array in arrays.items():
                getattr(getattr(net, layer), key).set_value(jnp.asarray(array))
    if name == "cnn":
        net.norm.mean.set_value(w["mean"])
        net.norm.var.set_value(w["var"])
    if name == "gru":
        cell = net.gru.cell
        cell.dense_h = dense(WIDTH, 3 * WIDTH)  # with a bias, as PyTorch has
        cell.dense_i.kernel[...], cell.dense_i.bias[...] = w["wi"], w["bi"]  # in single precision, as its carry is
        cell.dense_h.kernel[...], cell.dense_h.bias[...] = w["wh"], w["bh"]
    net.eval()
    return net
