"""Copies of a model with random weights, for every framework whose weights can be replaced in a copy."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..arrays import as_numpy, is_array, namespace
from ..calls.call import Call
from ..engine.run import list_cuts
from ..errors import MethodError

Permute = Callable[[Any], Any]


class RandomisedModels:
    """Copies of a model whose weights are permuted, layer by layer. The model itself is never touched.

    Raises MethodError for models whose weights cannot be copied: functions, black boxes.
    """

    def __init__(self, model: Any, call: Call, random: np.random.Generator) -> None:
        self.model, self.random = model, random
        self.layers = layers_with_weights(model, call)
        self.permutations: dict[str, int] = {layer: int(random.integers(1 << 62)) for layer in self.layers}

    def by_layer(self, order: str) -> Iterator[Any]:
        """Yields a copy for each layer: with that layer and those before it in the order, or that layer alone, permuted."""
        layers = self.layers if order == "bottom up" else self.layers[::-1]
        for k, layer in enumerate(layers):
            yield self.permuted([layer] if order == "independent" else layers[: k + 1])

    def everywhere(self) -> Any:
        """Returns a copy with all layers permuted."""
        return self.permuted(self.layers)

    def permuted(self, layers: Sequence[str]) -> Any:
        """Returns a copy in which the weights of these layers are permuted, each by draws of its own."""
        permuting = {layer: permutation(self.permutations[layer]) for layer in layers}
        if (found := tree_of(self.model)) is not None:
            return permute_tree(*found, permuting)
        made = copy_model(self.model)
        for layer, permute in permuting.items():
            permute_layer(made, layer, permute)
        return made


def permutation(seed: int) -> Permute:
    """Returns a function that permutes the elements of an array, with draws of its own for each array."""
    random = np.random.default_rng(seed)
    return lambda weight: random.permutation(weight.reshape(-1)).reshape(weight.shape)


def permute_tree(tree: Any, bind: Callable[[Any], Any], permuting: dict[str, Permute]) -> Any:
    """Returns a JAX model with the arrays of some layers permuted."""
    util = import_module("jax.tree_util")
    leaves = [
        namespace(leaf).asarray(permuting[layer](as_numpy(leaf)), leaf) if layer in permuting and is_array(leaf) else leaf
        for layer, leaf in leaves_by_layer(tree)
    ]
    return bind(util.tree_unflatten(util.tree_structure(tree), leaves))


def kind_of(model: Any) -> str:
    """Returns how the weights of a model are kept: "torch", "keras", "jax" or "". A subclass of both, Keras on PyTorch, is Keras."""
    names = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    if names & {"keras", "tf_keras"} and hasattr(model, "get_weights"):
        return "keras"
    if "torch" in names and hasattr(model, "named_parameters"):
        return "torch"
    return "jax" if tree_of(model) is not None else ""


def tree_of(model: Any) -> tuple[Any, Callable[[Any], Any]] | None:
    """Returns the weights of a JAX model as a tree, and a function that binds others: a bound Flax linen module, or bound arguments."""
    if hasattr(model, "unbind") and getattr(model, "scope", None) is not None:
        free, variables = model.unbind()
        return variables, free.bind
    if isinstance(model, partial) and "jax" in sys.modules:
        held = (model.args, model.keywords)
        return held, lambda tree: partial(model.func, *tree[0], **tree[1])
    return None


def leaves_by_layer(tree: Any) -> list[tuple[str, Any]]:
    """Returns the arrays of a tree of JAX with the name of the layer that each belongs to."""
    util = import_module("jax.tree_util")
    return [(util.keystr(path[:-1]), leaf) for path, leaf in util.tree_flatten_with_path(tree)[0]]


def layers_with_weights(model: Any, call: Call) -> list[str]:
    """Returns the names of the layers that have weights of their own, in the order in which they run."""
    kind = kind_of(model)
    if kind == "keras":
        own = [layer.name for layer in model.layers if layer.weights]
    elif kind == "jax":
        found = tree_of(model)
        assert found is not None
        return list(dict.fromkeys(layer for layer, leaf in leaves_by_layer(found[0]) if is_array(leaf) and np.ndim(leaf) > 0))
    elif kind == "torch":
        own = list(dict.fromkeys(name.rpartition(".")[0] for name, _ in model.named_parameters()))
    else:
        raise MethodError(
            "The weights of this model cannot be permuted in a copy",
            found=f"a model of type {type(model).__name__}",
            advice="a torch.nn.Module, a Keras model or module.bind(variables); metrics.RandomLogit() needs no weights",
        )
    order: dict[str, int] = {}
    for k, place in enumerate(list_cuts(model, call, fresh=False)[0]):
        order.setdefault(place.cut.layer, k)
    return sorted(own, key=lambda name: order.get(name, -1))


def copy_model(model: Any) -> Any:
    """Returns a copy of a model with weights of its own."""
    if kind_of(model) == "keras":
        import keras

        made = keras.models.clone_model(model)
        made.set_weights(model.get_weights())
        return made
    return copy.deepcopy(model)


def permute_layer(model: Any, layer: str, permute: Permute) -> None:
    """Permutes the weights of one layer of a copy."""
    if kind_of(model) == "keras":
        part = model.get_layer(layer)
        part.set_weights([permute(np.asarray(w)) for w in part.get_weights()])
        return
    own = model.get_submodule(layer) if layer else model
    for _, weight in own.named_parameters(recurse=False):
        moved = permute(as_numpy(weight.detach()))
        weight.data = namespace(weight.data).asarray(np.ascontiguousarray(moved), weight.data) if is_array(moved) else weight.data
