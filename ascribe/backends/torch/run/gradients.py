"""A quantity pulled back through autograd to the places where gradients are wanted."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ....cuts import Cut
from ....errors import ModelError
from ..context import Context
from ..model.errors import without_graph

Tensor = torch.Tensor


def differentiate(ctx: Context, value: Tensor, leaves: list[Tensor], cuts: Sequence[Cut]) -> list[Tensor]:
    """:func:`pull_back`, with errors of this package for those of the backward pass. Raises CutError where no gradient reaches any leaf."""
    try:
        found = pull_back(value, leaves) if value.requires_grad else None
    except Exception as wrong:
        if ctx.device.out_of_memory(wrong):
            raise
        first = (str(wrong).splitlines() or [""])[0]
        advice = "asc.FeatureAblation(by=asc.Replace(0.0))(model, x), which needs no gradient"
        raise ModelError(f"The backward pass raised {type(wrong).__name__}: {first}", advice=advice, code="E-MODEL-GRADIENT") from wrong
    if found is None:
        raise without_graph(ctx.host, cuts)
    return found


def pull_back(value: Tensor, leaves: list[Tensor]) -> list[Tensor] | None:
    """The gradient at each leaf of the sum of each quantity's numbers ``[quantities, ...]``: zero where a leaf has no influence, None where
    none of them has.
    """
    if len(value) == 1:
        alone = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
        if len(leaves) == 1:
            return None if alone[0] is None else [alone[0].unsqueeze(0)]
        return filled([alone], leaves)
    totals = value.flatten(1).sum(1)
    eye = torch.eye(len(totals), dtype=totals.dtype, device=totals.device)
    try:
        found = torch.autograd.grad(totals, leaves, eye, is_grads_batched=True, allow_unused=True, retain_graph=True)
    except RuntimeError:  # an operation without a batching rule: one backward for each
        return filled([torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True) for total in totals], leaves)
    if leaves and all(g is None for g in found):
        return None
    return [t.new_zeros((len(totals), *t.shape)) if g is None else g for g, t in zip(found, leaves, strict=True)]


def filled(rows: Sequence[Sequence[Tensor | None]], leaves: list[Tensor]) -> list[Tensor] | None:
    """One quantity's gradients after the other, ``[quantities, ...]`` for each leaf; None where there are none at all."""
    if leaves and all(g is None for row in rows for g in row):
        return None
    columns = zip(*rows, strict=True)
    return [torch.stack([torch.zeros_like(t) if g is None else g for g in column]) for column, t in zip(columns, leaves, strict=True)]
