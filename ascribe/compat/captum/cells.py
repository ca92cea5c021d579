"""Masks: which feature each number of the inputs belongs to, and features' values back at their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import FeatureError
from ...features import EachElement, Masks
from .asked import Asked


def fitted(mask: Tensor, x: Tensor) -> Tensor:
    """A mask with as many axes as its input, records first. Raises FeatureError for one that cannot be spread over the input."""
    mask = torch.as_tensor(mask)
    mask = mask[(None,) * (x.ndim - mask.ndim)] if mask.ndim < x.ndim else mask
    if mask.ndim != x.ndim or any(n not in (1, size) for n, size in zip(mask.shape, x.shape, strict=True)):
        there, try_ = f"an input of shape {tuple(x.shape)}", f"{tuple(x.shape[1:])}; any axis may be 1"
        raise FeatureError(f"a mask of shape {tuple(mask.shape)}", there=there, try_=try_, code="E-FEATURES-SHAPE")
    return mask


def own_columns(x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Masks in which every number of a record is a feature, counted on over the inputs."""
    found, count = [], 0
    for t in x:
        size = t[:1].numel()
        found.append(torch.arange(count, count + size).reshape(t[:1].shape))
        count += size
    return tuple(found)


def cells_of(asked: Asked) -> list[Tensor]:
    """``feature_mask`` for each input; without one every number is a feature. Raises FeatureError for more or fewer masks."""
    mask, inputs = asked["feature_mask"], asked.inputs
    if isinstance(mask, Mapping):
        mask = tuple(mask[name] for name in inputs.names)
    masks = own_columns(inputs.tensors) if mask is None else mask if isinstance(mask, (tuple, list)) else (mask,)
    if len(masks) != len(inputs.tensors):
        raise FeatureError(f"{len(masks)} masks", there=f"{len(inputs.tensors)} inputs", try_="one for each input", code="E-FEATURE-COUNT")
    return [fitted(m, x) for m, x in zip(masks, inputs.tensors, strict=True)]


def features_of(asked: Asked) -> Any:
    """``feature_mask`` or ``layer_mask`` as features; without one every number is a feature."""
    if not asked.within:
        cells = cells_of(asked) if asked["feature_mask"] is not None else ()
        return Masks(cells[0] if len(cells) == 1 else tuple(cells)) if cells else EachElement()
    mask = asked["layer_mask"]
    if mask is None:
        return EachElement()
    masks = mask if isinstance(mask, (tuple, list)) else (mask,)
    return Masks(masks[0] if len(masks) == 1 else tuple(masks))


def known_of(cells: list[Tensor]) -> Tensor:
    """The features' numbers, each once; those below 0 are none."""
    every = torch.unique(torch.cat([m.reshape(-1).cpu() for m in cells]))
    return every[every >= 0]


def at_cells(asked: Asked, values: Any, kind: torch.dtype) -> Any:
    """Features' values ``[..., records, features]`` at the numbers that belong to them: ``[..., *input]`` for each input."""
    table, cells = torch.as_tensor(np.asarray(values)), cells_of(asked)
    known, device = known_of(cells), asked.inputs.tensors[0].device
    table = torch.nn.functional.pad(table, (0, 1))  # the last: numbers of no feature
    found = []
    for x, cell in zip(asked.inputs.tensors, cells, strict=True):
        cell = cell.cpu()
        where = torch.where(cell < 0, len(known), torch.searchsorted(known, cell)).expand(len(cell), *x.shape[1:])
        index = where.reshape(len(where), -1).expand(*table.shape[:-2], x.shape[0], -1)
        found.append(as_kind(torch.gather(table, -1, index).reshape(*table.shape[:-2], *x.shape), kind).to(device))
    return asked.inputs.like(found)


def as_kind(values: Tensor, kind: torch.dtype) -> Tensor:
    """Values of a type; whole numbers are the nearest ones."""
    return values.to(kind) if kind.is_floating_point else values.round().to(kind)


def smooth(asked: Asked, kind: torch.dtype) -> torch.dtype:
    """A type for values that are means: single precision, as captum's, or double where inputs and output have it."""
    double = kind == torch.float64 and any(x.dtype == torch.float64 for x in asked.inputs.tensors)
    return torch.float64 if double else torch.float32


def changed(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Tensors in tuples, lists and dictionaries, changed."""
    if isinstance(values, dict):
        return {key: changed(v, change) for key, v in values.items()}
    return type(values)(changed(v, change) for v in values) if isinstance(values, (tuple, list)) else change(values)
