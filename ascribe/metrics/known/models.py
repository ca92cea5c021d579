"""Builds a model from NumPy weights in a framework: the same few operations, spelled in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from ...errors import InputError

Weights = Mapping[str, np.ndarray]
Forward = Callable[["Operations", Any], Any]


class Operations(Protocol):
    """What the models are made of. Images are in the order of axes of the framework; parts are called by the names of their weights."""

    def array(self, name: str) -> Any:
        """Returns a weight."""

    def dense(self, name: str, x: Any) -> Any:
        """Returns ``x @ w``."""

    def conv(self, name: str, x: Any) -> Any:
        """Returns a convolution in steps of its kernel's size, without overlap."""

    def lookup(self, name: str, ids: Any) -> Any:
        """Returns the rows of a table."""

    def relu(self, x: Any) -> Any:
        """Returns the positive part."""

    def tanh(self, x: Any) -> Any:
        """Returns the hyperbolic tangent."""

    def stack(self, values: Sequence[Any]) -> Any:
        """Returns ``[records]`` arrays as ``[records, outputs]``."""

    def flatten(self, x: Any) -> Any:
        """Returns a map ``[records, places * channels]``, the channels of a place next to each other."""

    def mean_places(self, x: Any) -> Any:
        """Returns the mean over the places of a map, ``[records, channels]``."""

    def sum_steps(self, x: Any) -> Any:
        """Returns the sum over the steps of a sequence."""


class NumpyOperations:
    """In NumPy, images with their channels last."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def array(self, name: str) -> Any:
        return self.weights[name]

    def dense(self, name: str, x: Any) -> Any:
        return x @ self.array(name)

    def conv(self, name: str, x: Any) -> Any:
        kernel = self.array(name)
        height, width = kernel.shape[:2]
        cells = x.reshape(x.shape[0], x.shape[1] // height, height, x.shape[2] // width, width, x.shape[3])
        return np.einsum("nahbwc,hwcd->nabd", cells, kernel)

    def lookup(self, name: str, ids: Any) -> Any:
        return self.array(name)[ids]

    def relu(self, x: Any) -> Any:
        return np.maximum(x, 0)

    def tanh(self, x: Any) -> Any:
        return np.tanh(x)

    def stack(self, values: Sequence[Any]) -> Any:
        return np.stack(values, 1)

    def flatten(self, x: Any) -> Any:
        return x.reshape(len(x), -1)

    def mean_places(self, x: Any) -> Any:
        return x.mean((1, 2))

    def sum_steps(self, x: Any) -> Any:
        return x.sum(1)


class JaxOperations(NumpyOperations):
    """In JAX, images with their channels last; ids whose embeddings can be named as a cut."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.np, self.jax = import_module("jax.numpy"), import_module("jax")

    def array(self, name: str) -> Any:
        return self.np.asarray(self.weights[name])

    def conv(self, name: str, x: Any) -> Any:
        kernel = self.array(name)
        found = self.jax.lax.conv_general_dilated(x, kernel, kernel.shape[:2], "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return self.named(found, name)

    def lookup(self, name: str, ids: Any) -> Any:
        return self.named(self.np.take(self.array(name), ids, axis=0), name)

    def named(self, x: Any, name: str) -> Any:
        """Returns a value under a name, by which it can be cut."""
        return import_module("jax.ad_checkpoint").checkpoint_name(x, name)

    def relu(self, x: Any) -> Any:
        return self.jax.nn.relu(x)

    def tanh(self, x: Any) -> Any:
        return self.np.tanh(x)

    def stack(self, values: Sequence[Any]) -> Any:
        return self.np.stack(values, 1)


class TensorflowOperations(NumpyOperations):
    """In TensorFlow, images with their channels last."""

    def __init__(self, weights: Weights) -> None:
        self.tf = import_module("tensorflow")
        super().__init__({name: self.tf.Variable(w, name=name) for name, w in weights.items()})
        self.tables = {name: tensorflow_table(self.tf, name, w) for name, w in self.weights.items() if name == "table"}

    def dense(self, name: str, x: Any) -> Any:
        return self.tf.matmul(x, self.array(name))

    def conv(self, name: str, x: Any) -> Any:
        kernel = self.array(name)
        return self.tf.nn.conv2d(x, kernel, [int(n) for n in kernel.shape[:2]], "VALID")

    def lookup(self, name: str, ids: Any) -> Any:
        return self.tables[name](ids)

    def relu(self, x: Any) -> Any:
        return self.tf.nn.relu(x)

    def tanh(self, x: Any) -> Any:
        return self.tf.tanh(x)

    def stack(self, values: Sequence[Any]) -> Any:
        return self.tf.stack(values, 1)

    def flatten(self, x: Any) -> Any:
        return self.tf.reshape(x, [self.tf.shape(x)[0], -1])

    def mean_places(self, x: Any) -> Any:
        return self.tf.reduce_mean(x, [1, 2])

    def sum_steps(self, x: Any) -> Any:
        return self.tf.reduce_sum(x, 1)


class LayerOperations(NumpyOperations):
    """By the layers of a framework: dense layers, convolutions and embeddings by name, and its functions."""

    def __init__(self, layers: Any, weights: Weights) -> None:
        super().__init__(weights)
        self.layers = layers

    def dense(self, name: str, x: Any) -> Any:
        return self.layers[name](x)

    def conv(self, name: str, x: Any) -> Any:
        return self.layers[name](x)

    def lookup(self, name: str, ids: Any) -> Any:
        return self.layers[name](ids)


class TorchOperations(LayerOperations):
    """In PyTorch, images with their channels first."""

    def __init__(self, layers: Any, weights: Weights) -> None:
        super().__init__(layers, weights)
        self.torch = import_module("torch")

    def array(self, name: str) -> Any:
        return self.layers[name].weight

    def relu(self, x: Any) -> Any:
        return self.torch.relu(x)

    def tanh(self, x: Any) -> Any:
        return self.torch.tanh(x)

    def stack(self, values: Sequence[Any]) -> Any:
        return self.torch.stack(list(values), 1)

    def flatten(self, x: Any) -> Any:
        return x.permute(0, 2, 3, 1).flatten(1)

    def mean_places(self, x: Any) -> Any:
        return x.mean((2, 3))

    def sum_steps(self, x: Any) -> Any:
        return x.sum(1)


class KerasOperations(LayerOperations):
    """In Keras on any back end, images with their channels last."""

    def __init__(self, layers: Any, weights: Weights) -> None:
        super().__init__(layers, weights)
        self.ops = import_module("keras").ops

    def relu(self, x: Any) -> Any:
        return self.ops.relu(x)

    def tanh(self, x: Any) -> Any:
        return self.ops.tanh(x)

    def stack(self, values: Sequence[Any]) -> Any:
        return self.ops.stack(list(values), 1)

    def flatten(self, x: Any) -> Any:
        return self.ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))

    def mean_places(self, x: Any) -> Any:
        return self.ops.mean(x, (1, 2))

    def sum_steps(self, x: Any) -> Any:
        return self.ops.sum(x, 1)


def torch_model(forward: Forward, weights: Weights) -> Any:
    """Returns a PyTorch module with layers by the names of the weights."""
    torch = import_module("torch")
    nn = torch.nn

    class Known(nn.Module):  # type: ignore[misc, name-defined]
        """A model with a known answer."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({name: torch_layer(torch, name, w) for name, w in weights.items()})
            self.eval()

        def forward(self, x: Any) -> Any:
            """Returns the scores."""
            return forward(TorchOperations(self.parts, weights), x)

    return Known()


def torch_layer(torch: Any, name: str, weight: np.ndarray) -> Any:
    """Returns a layer of PyTorch with a weight, without a bias."""
    nn, held = torch.nn, torch.from_numpy(np.array(weight))
    if weight.ndim == 4:
        layer = nn.Conv2d(weight.shape[2], weight.shape[3], weight.shape[:2], stride=weight.shape[:2], bias=False)
        held = held.permute(3, 2, 0, 1).contiguous()
    elif name == "table":
        layer = nn.Embedding(*weight.shape)
    elif weight.ndim == 2:
        layer, held = nn.Linear(*weight.shape, bias=False), held.T.contiguous()
    else:
        layer = nn.Module()
    layer.weight = nn.Parameter(held)
    return layer


def keras_model(forward: Forward, weights: Weights) -> Any:
    """Returns a Keras model with layers by the names of the weights."""
    keras = import_module("keras")

    class Known(keras.Model):  # type: ignore[misc, name-defined]
        """A model with a known answer."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = {name: keras_layer(keras, name, w) for name, w in weights.items() if w.ndim > 1}

        def call(self, x: Any) -> Any:
            """Returns the scores."""
            return forward(KerasOperations(self.parts, weights), x)

    return Known()


def keras_layer(keras: Any, name: str, weight: np.ndarray) -> Any:
    """Returns a layer of Keras with a weight, without a bias."""
    layers = keras.layers
    if weight.ndim == 4:
        layer = layers.Conv2D(weight.shape[3], weight.shape[:2], strides=weight.shape[:2], use_bias=False, name=name)
        layer.build((None, None, None, weight.shape[2]))
    elif name == "table":
        layer = layers.Embedding(*weight.shape, name=name)
        layer.build(None)
    else:
        layer = layers.Dense(weight.shape[1], use_bias=False, name=name)
        layer.build((None, weight.shape[0]))
    layer.set_weights([weight])
    return layer


def tensorflow_table(tf: Any, name: str, weight: Any) -> Any:
    """Returns a module that looks up the rows of a table, so that its result is a cut."""

    class Table(tf.Module):  # type: ignore[misc]
        """A table of embeddings."""

        def __init__(self) -> None:
            super().__init__(name=name)
            self.rows = weight

        def __call__(self, ids: Any) -> Any:
            return tf.gather(self.rows, ids)

    return Table()


def tensorflow_model(forward: Forward, weights: Weights) -> Any:
    """Returns a ``tf.Module``."""
    tf = import_module("tensorflow")

    class Known(tf.Module):  # type: ignore[misc, name-defined]
        """A model with a known answer."""

        def __init__(self) -> None:
            super().__init__()
            self.ops = TensorflowOperations(weights)
            self.held, self.tables = list(self.ops.weights.values()), list(self.ops.tables.values())

        def __call__(self, x: Any) -> Any:
            return forward(self.ops, x)

    return Known()


def jax_forward(weights: Weights, forward: Forward, x: Any) -> Any:
    """Returns the scores of a model in JAX."""
    return forward(JaxOperations(weights), x)


def jax_model(forward: Forward, weights: Weights) -> Any:
    """Returns a function of JAX whose weights are bound."""
    return partial(jax_forward, dict(weights), forward)


def numpy_model(forward: Forward, weights: Weights) -> Any:
    """Returns a function of NumPy arrays: a black box."""
    return partial(forward, NumpyOperations(weights))


FRAMEWORKS: dict[str, Callable[[Forward, Weights], Any]] = {
    "numpy": numpy_model,
    "torch": torch_model,
    "jax": jax_model,
    "tensorflow": tensorflow_model,
    "keras": keras_model,
}


def build_model(forward: Forward, weights: Weights, framework: str) -> Any:
    """Returns a model in a framework. Raises InputError for an unknown one."""
    if framework not in FRAMEWORKS:
        raise InputError("There is no such framework", found=repr(framework), advice=f"one of {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[framework](forward, weights)


def inputs_of(x: np.ndarray, framework: str) -> tuple[Any, ...]:
    """Returns records as the arrays of a framework, ids as 64-bit integers where it takes them."""
    if framework == "torch":
        held = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
        return (import_module("torch").from_numpy(np.ascontiguousarray(held)),)
    if framework == "jax":
        return (import_module("jax.numpy").asarray(x),)
    if framework == "tensorflow":
        return (import_module("tensorflow").constant(x),)
    return (import_module("keras").ops.convert_to_tensor(x) if framework == "keras" else x.copy(),)
