"""Autograd's vector-Jacobian product with given cotangents.

``torch.autograd.grad`` imports a library for symbolic mathematics as soon as it is given some, which takes a second. A scalar whose
derivative they are needs none, and no arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

Tensor = torch.Tensor


class Fed(torch.autograd.Function):
    """A zero whose derivative by each of ``outs`` is the given cotangent."""

    @staticmethod
    def forward(ctx: Any, back: Sequence[Tensor], *outs: Tensor) -> Tensor:
        ctx.back = back
        return torch.zeros((), dtype=torch.get_default_dtype(), device=outs[0].device)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> tuple[Any, ...]:
        return (None, *ctx.back)


def pulled(outs: Sequence[Tensor], back: Sequence[Tensor], ins: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """The cotangents of ``ins`` for those of ``outs``; None for an input that has no influence."""
    return torch.autograd.grad(Fed.apply(back, *outs), ins, allow_unused=True)  # type: ignore[no-untyped-call]
