"""The number of elements to process at once, so that several passes over them stay in the cache."""

from __future__ import annotations

import torch

Tensor = torch.Tensor

ELSEWHERE = 1 << 26
"""The number on devices other than the CPU."""


def at_once(like: Tensor, per_core: int) -> int:
    """The number for all cores of the CPU; a large one on other devices."""
    return per_core * torch.get_num_threads() if like.device.type == "cpu" else ELSEWHERE
