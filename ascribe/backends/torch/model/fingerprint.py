"""Fingerprints of arrays: all numbers of a small array, and some of the numbers of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

SMALL = 1 << 12
"""Bytes up to which an array is kept as it is."""
MIDDLE = 1 << 18
"""Bytes up to which all numbers of an array of NumPy are looked at: a fraction of a millisecond."""
SOME = 1 << 10
FEW = 16
"""Numbers looked at in a larger array, and in weights, of which there are hundreds: a step of training changes all of them."""
SHORT = {torch.bfloat16: torch.int16, torch.float8_e4m3fn: torch.int8, torch.float8_e5m2: torch.int8}
"""Types that NumPy does not have, and one of their length."""


def contents_of(array: Any) -> bytes | int:
    """The fingerprint of a NumPy array."""
    if array.nbytes <= SMALL:
        return bytes(array.tobytes())
    return hash(array.tobytes()) if array.nbytes <= MIDDLE else some(array, SOME)


def values_of(tensors: Sequence[torch.Tensor]) -> list[bytes | None]:
    """The fingerprint of each tensor; None for one that is not on the CPU, or whose numbers cannot be read."""
    found: list[bytes | None] = []
    for tensor in tensors:
        try:
            array = (tensor.data.view(SHORT[tensor.dtype]) if tensor.dtype in SHORT else tensor.data).numpy()
        except (RuntimeError, TypeError, ValueError, NotImplementedError):  # on a device, lazy, quantised, sparse
            found.append(None)
            continue
        found.append(bytes(array.data) if array.nbytes <= SMALL else some(array, FEW))
    return found


def some(array: np.ndarray, number: int) -> bytes:
    """About so many of an array's numbers, spread over all of it."""
    return array.flat[:: max(1, array.size // number)].tobytes()
