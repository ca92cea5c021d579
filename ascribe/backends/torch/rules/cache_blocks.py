"""How many numbers are worked on at once where several passes go over them."""

from __future__ import annotations

import torch

Tensor = torch.Tensor

ELSEWHERE = 1 << 26
"""Where there is no cache to fit, only memory to spare."""


def at_once(like: Tensor, per_core: int) -> int:
    """So many for each core, whose cache they stay in from one pass to the next; on other devices one pass is as good as another."""
    return per_core * torch.get_num_threads() if like.device.type == "cpu" else ELSEWHERE
