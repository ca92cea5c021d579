"""Features that take the values of other records, by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...arrays import Array
from ...errors import FeatureError
from ...removal import RemovalContext, Replacement


def permute_feature(x: Tensor, feature_mask: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """``x`` with the numbers under a mask taken from other records, by one permutation. Raises FeatureError for one record."""
    if len(x) < 2:
        raise FeatureError("a permutation of one record", try_="a batch of several")
    same = torch.arange(len(x))
    order = torch.randperm(len(x), generator=generator)
    while torch.equal(order, same):
        order = torch.randperm(len(x), generator=generator)
    return torch.where(feature_mask.bool(), x[order.to(x.device)], x)


@dataclass(frozen=True, eq=False)
class PermutedBy:
    """What ``mix(x, mask)`` makes of all records where a feature, whose numbers the mask shows, is removed."""

    mix: Callable[[Tensor, Tensor], Tensor]

    def replacement_for(self, context: RemovalContext) -> Replacement:
        return Mixed(self, context)

    def given(self, x: Tensor, mask: Tensor) -> Tensor:
        """What the function gives. Raises FeatureError where that is not shaped as the records are."""
        found = self.mix(x, mask)
        if not isinstance(found, Tensor) or found.shape != x.shape:
            there = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise FeatureError("what perm_func gives", there=there, try_=f"records of shape {tuple(x.shape)}")
        return found


@dataclass(frozen=True, eq=False)
class Mixed:
    """The function at the records of a call: it sees them all, and what it gives for those that are here is kept."""

    by: PermutedBy
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
