"""When two results are the same but for rounding."""

from __future__ import annotations

import torch

Tensor = torch.Tensor
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""The difference that rounding may make, as a share of the largest number."""
TELLING = 10
"""Times the tolerance by which two results must differ to say something about what is made of them together."""


def close(a: Tensor, b: Tensor, share: float | None = None) -> bool:
    """True if two results are the same up to ``share`` of the largest number in ``b``, by default the rounding of its type."""
    if a.shape != b.shape:
        return False
    share = TOLERANCE.get(b.dtype, 1e-4) if share is None else share
    scale = float(torch.nan_to_num(b.detach()).abs().max()) if b.numel() else 0.0
    return torch.allclose(a, b, rtol=0.0, atol=share * scale + 1e-30, equal_nan=True)


def unlike(a: Tensor, b: Tensor) -> bool:
    """True if two results differ by far more than rounding."""
    if a.shape != b.shape:
        return True
    if not a.numel():
        return False
    scale = float(torch.nan_to_num(b).abs().max())
    return bool((a - b).abs().max() > TELLING * TOLERANCE.get(b.dtype, 1e-4) * scale)
