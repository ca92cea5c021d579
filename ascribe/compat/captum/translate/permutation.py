"""Translates ``perm_func``: a feature is removed by taking its values from other records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....arrays import Array
from ....errors import FeatureError
from ....removal import RemovalContext, Replacement


def permute_feature(x: Tensor, feature_mask: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Returns ``x`` with the elements under a mask taken from other records by one permutation. Raises FeatureError for a single record."""
    if len(x) < 2:
        raise FeatureError("A permutation needs at least two records", found="one record", advice="a larger batch")
    same = torch.arange(len(x))
    order = torch.randperm(len(x), generator=generator)
    while torch.equal(order, same):
        order = torch.randperm(len(x), generator=generator)
    return torch.where(feature_mask.bool(), x[order.to(x.device)], x)


@dataclass(frozen=True, eq=False)
class PermutationRemoval:
    """Removes a feature by ``mix(x, mask)``, a function of all records in which ``mask`` marks the elements of the feature."""

    mix: Callable[[Tensor, Tensor], Tensor]

    def replacement_for(self, context: RemovalContext) -> Replacement:
        return PermutedRecords(self, context)

    def given(self, x: Tensor, mask: Tensor) -> Tensor:
        """Calls the function. Raises FeatureError if its result does not have the shape of the records."""
        found = self.mix(x, mask)
        if not isinstance(found, Tensor) or found.shape != x.shape:
            there = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise FeatureError(
                "`perm_func` must return values of the shape of the records", found=there, advice=f"a tensor of shape {tuple(x.shape)}"
            )
        return found


@dataclass(frozen=True, eq=False)
class PermutedRecords:
    """The removal bound to the records of a call: the function sees all records, and the rows of this batch are kept."""

    by: PermutationRemoval
    context: RemovalContext
    draws: int = 1
    random: bool = True

    def __call__(self, presence: np.ndarray, draw: np.ndarray) -> list[Array]:
        index, total = self.context.here.index, self.context.here.total
        everyone = self.context.read_records(np.arange(total))
        found = []
        for x, cells in zip(everyone, self.context.groups.cells, strict=True):
            gone = torch.as_tensor(~presence.astype(bool)[:, cells], device=x.device)
            mixed = torch.stack([self.by.given(x, mask) for mask in gone]) if len(gone) else x[None]
            found.append(mixed[:, torch.as_tensor(index, device=x.device)])
        return found
