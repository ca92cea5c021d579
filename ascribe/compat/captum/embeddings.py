"""Helpers for text models: embeddings as inputs, token references, random baselines."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from .translate.errors import raise_as_captum


class InterpretableEmbeddingBase(nn.Module):
    """Replaces an embedding layer and returns its input unchanged, so that embeddings can be the inputs of the model."""

    def __init__(self, embedding: nn.Module, full_name: str) -> None:
        super().__init__()
        self.num_embeddings = getattr(embedding, "num_embeddings", None)
        self.embedding_dim = getattr(embedding, "embedding_dim", None)
        self.embedding, self.full_name = embedding, full_name

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Returns the first argument."""
        return inputs[0] if inputs else next(iter(kwargs.values()))

    def indices_to_embeddings(self, *inputs: Any, **kwargs: Any) -> Any:
        """Returns the embeddings of token ids, from the replaced layer."""
        return self.embedding(*inputs, **kwargs)


def configure_interpretable_embedding_layer(model: nn.Module, embedding_layer_name: str = "embedding") -> InterpretableEmbeddingBase:
    """Replaces an embedding layer, given by its dotted path; the model then takes embeddings as inputs.

    Raises InputError if it has been replaced already, AttributeError if there is no such layer.
    """
    layer = model.get_submodule(embedding_layer_name)
    with raise_as_captum():
        if isinstance(layer, InterpretableEmbeddingBase):
            there, advice = f"the layer {embedding_layer_name!r}", "remove_interpretable_embedding_layer(model, layer) first"
            raise InputError("The embedding layer has been replaced already", found=there, advice=advice)
    warnings.warn(f"the layer {embedding_layer_name!r} returns its input unchanged until it is restored", stacklevel=2)
    replacement = InterpretableEmbeddingBase(layer, embedding_layer_name)
    set_submodule(model, embedding_layer_name, replacement)
    return replacement


def remove_interpretable_embedding_layer(model: nn.Module, interpretable_emb: InterpretableEmbeddingBase) -> None:
    """Restores the embedding layer."""
    set_submodule(model, interpretable_emb.full_name, interpretable_emb.embedding)


def set_submodule(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Sets a layer by its dotted path."""
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)


class InputIdentity(nn.Module):
    """A layer that returns an input unchanged, so that layer methods can attribute to the input."""

    def __init__(self, input_name: str) -> None:
        super().__init__()
        self.input_name = input_name

    def forward(self, x: Tensor) -> Tensor:
        return x


class ModelInputWrapper(nn.Module):
    """A model whose inputs each pass through an :class:`InputIdentity`: ``wrapper.input_maps["x"]``."""

    def __init__(self, module_to_wrap: nn.Module) -> None:
        super().__init__()
        self.module = module_to_wrap
        self.arg_name_list = list(inspect.signature(module_to_wrap.forward).parameters)
        self.input_maps = nn.ModuleDict({name: InputIdentity(name) for name in self.arg_name_list})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        passed = [self.input_maps[name](a) for name, a in zip(self.arg_name_list, args, strict=False)]
        return self.module(*passed, **{name: self.input_maps[name](a) for name, a in kwargs.items()})


class Addition_Module(nn.Module):  # captum's own spelling
    """A sum as a module; here a plain ``+`` is treated in the same way."""

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return x1 + x2


class TokenReferenceBase:
    """A reference sequence of one repeated token."""

    def __init__(self, reference_token_idx: int = 0) -> None:
        self.reference_token_idx = reference_token_idx

    def generate_reference(self, sequence_length: int, device: torch.device | str) -> Tensor:
        """Returns the token repeated ``sequence_length`` times."""
        return torch.tensor([self.reference_token_idx] * sequence_length, device=device)


class ProductBaselines:
    """Baselines drawn for each feature from its own list; in a dictionary, a tuple of names draws those features together."""

    def __init__(self, baseline_values: Sequence[Sequence[Any]] | Mapping[Any, Sequence[Any]]) -> None:
        named = isinstance(baseline_values, Mapping)
        self.dict_keys: list[Any] = list(baseline_values) if named else []
        self.baseline_values = list(baseline_values.values()) if isinstance(baseline_values, Mapping) else list(baseline_values)

    def sample(self) -> list[Any] | dict[str, Any]:
        """Returns one value for each feature."""
        drawn = [random.choice(values) for values in self.baseline_values]
        if not self.dict_keys:
            return drawn
        found: dict[str, Any] = {}
        for key, value in zip(self.dict_keys, drawn, strict=True):
            found.update(zip(key, value, strict=True) if isinstance(key, tuple) else [(key, value)])
        return found

    def __call__(self) -> list[Any] | dict[str, Any]:
        return self.sample()
