"""The device that a PyTorch model runs on."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ...utils.entry import out_of_memory
from ..device import free_memory

SHARE = 0.8
"""The share of the free memory of a GPU that one chunk may take."""


class TorchDevice:
    """The GPU of a call's arguments, or the computer itself. See :class:`ascribe.backends.device.Device`."""

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self.gpu: torch.device | None = None
        for tensor in tensors:
            if tensor.is_cuda and self.gpu is None:
                self.gpu = tensor.device

    def wait(self) -> None:
        """Return when the GPU is done."""
        if self.gpu is not None:
            torch.cuda.synchronize()

    def out_of_memory(self, error: BaseException) -> bool:
        """True if fewer rows at once may fit; frees what PyTorch holds back if so."""
        full = out_of_memory(error)
        if full and torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return full

    def spare_memory(self) -> int:
        """Bytes that a chunk may take."""
        return free_memory() if self.gpu is None else int(torch.cuda.mem_get_info(self.gpu)[0] * SHARE)
