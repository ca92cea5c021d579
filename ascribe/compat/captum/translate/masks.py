"""Translates captum's feature masks, and maps the values of features back to the elements of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....errors import FeatureError
from ....features import EachElement, Masks
from .call import CaptumCall


def fit_mask(mask: Tensor, x: Tensor) -> Tensor:
    """Returns a mask with as many axes as its input, batch first. Raises FeatureError if it does not broadcast to the input."""
    mask = torch.as_tensor(mask)
    mask = mask[(None,) * (x.ndim - mask.ndim)] if mask.ndim < x.ndim else mask
    if mask.ndim != x.ndim or any(n not in (1, size) for n, size in zip(mask.shape, x.shape, strict=True)):
        there = f"a mask of shape {tuple(mask.shape)} for an input of shape {tuple(x.shape)}"
        advice = f"a mask of shape {tuple(x.shape[1:])}; any axis may be 1"
        raise FeatureError("A mask must broadcast to its input", found=there, advice=advice, code="E-FEATURES-SHAPE")
    return mask


def mask_each_element(x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Returns masks in which every element of a record is a feature, numbered across the inputs."""
    found, count = [], 0
    for t in x:
        size = t[:1].numel()
        found.append(torch.arange(count, count + size).reshape(t[:1].shape))
        count += size
    return tuple(found)


def parse_masks(call: CaptumCall) -> list[Tensor]:
    """Returns ``feature_mask`` for each input; without one, every element is a feature. Raises FeatureError for a wrong number of masks."""
    mask, inputs = call["feature_mask"], call.inputs
    if isinstance(mask, Mapping):
        mask = tuple(mask[name] for name in inputs.names)
    masks = mask_each_element(inputs.tensors) if mask is None else mask if isinstance(mask, (tuple, list)) else (mask,)
    if len(masks) != len(inputs.tensors):
        there, advice = f"{len(masks)} masks for {len(inputs.tensors)} inputs", "one mask for each input"
        raise FeatureError("The number of masks differs from the number of inputs", found=there, advice=advice, code="E-FEATURE-COUNT")
    return [fit_mask(m, x) for m, x in zip(masks, inputs.tensors, strict=True)]


def parse_features(call: CaptumCall) -> Any:
    """Returns ``feature_mask`` or ``layer_mask`` as features; without one, every element is a feature."""
    if not call.at_layer:
        cells = parse_masks(call) if call["feature_mask"] is not None else ()
        return Masks(cells[0] if len(cells) == 1 else tuple(cells)) if cells else EachElement()
    mask = call["layer_mask"]
    if mask is None:
        return EachElement()
    masks = mask if isinstance(mask, (tuple, list)) else (mask,)
    return Masks(masks[0] if len(masks) == 1 else tuple(masks))


def list_features(cells: list[Tensor]) -> Tensor:
    """Returns the sorted distinct feature numbers; negative numbers mark elements of no feature."""
    every = torch.unique(torch.cat([m.reshape(-1).cpu() for m in cells]))
    return every[every >= 0]


def scatter_values(call: CaptumCall, values: Any, kind: torch.dtype) -> Any:
    """Returns features' values ``[..., records, features]`` at the elements of the features: ``[..., *input]`` for each input."""
    table, cells = torch.as_tensor(np.asarray(values)), parse_masks(call)
    known, device = list_features(cells), call.inputs.tensors[0].device
    table = torch.nn.functional.pad(table, (0, 1))  # the last: numbers of no feature
    found = []
    for x, cell in zip(call.inputs.tensors, cells, strict=True):
        cell = cell.cpu()
        where = torch.where(cell < 0, len(known), torch.searchsorted(known, cell)).expand(len(cell), *x.shape[1:])
        index = where.reshape(len(where), -1).expand(*table.shape[:-2], x.shape[0], -1)
        found.append(cast_values(torch.gather(table, -1, index).reshape(*table.shape[:-2], *x.shape), kind).to(device))
    return call.inputs.pack(found)


def cast_values(values: Tensor, kind: torch.dtype) -> Tensor:
    """Returns values in a dtype; for integer dtypes they are rounded."""
    return values.to(kind) if kind.is_floating_point else values.round().to(kind)


def choose_mean_dtype(call: CaptumCall, kind: torch.dtype) -> torch.dtype:
    """Returns the dtype of values that are means: float32 as in captum, or float64 if inputs and output have it."""
    double = kind == torch.float64 and any(x.dtype == torch.float64 for x in call.inputs.tensors)
    return torch.float64 if double else torch.float32


def map_tensors(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Returns the structure of ``values`` with ``change`` applied to every tensor."""
    if isinstance(values, dict):
        return {key: map_tensors(v, change) for key, v in values.items()}
    return type(values)(map_tensors(v, change) for v in values) if isinstance(values, (tuple, list)) else change(values)
