"""Methods that take nothing but derivatives, with those of a function of the user's: captum's ``gradient_func``, replaced.

The model is run as it is and the function's graph is kept: values under ``create_graph=True`` can be differentiated again, as penalties on
attributions are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...distributions.quadrature import quadrature_nodes
from ...errors import RuleError
from .asked import Asked, change, starts, totals
from .base import drawn_seed
from .conventions import At, Each, repeated
from .gradients import pinned, quadrature, with_delta
from .pairs import averaged, sampled

Gradients = Callable[..., tuple[Tensor, ...]]


def slopes(asked: Asked, gradients: Gradients) -> list[Tensor]:
    """The function's derivatives at the inputs. Raises RuleError for targets that are none of captum's, and for inputs by name."""
    if not isinstance(asked.of, (At, Each)) or not isinstance(asked.inputs.names[0], int):
        there, try_ = f"{asked.of!r} of inputs {asked.inputs.names}", "inputs in a tuple, targets as captum takes them"
        raise RuleError("a gradient_func of your own", there=there, try_=try_)
    model = partial(asked.model, **asked.named) if asked.named else asked.model
    here = tuple(x if x.requires_grad else x.detach().requires_grad_() for x in asked.inputs.tensors)
    with torch.enable_grad():
        return list(gradients(model, here, asked["target"], asked.more or None))


def many(asked: Asked, times: int, points: Sequence[Tensor]) -> Asked:
    """The same at points, every record's in a row."""
    target = repeated(asked["target"], times, asked.inputs.records)
    return replace(asked.spread(times).on(points), options={**asked.options, "target": target})


def shaped(x: Tensor, numbers: Tensor) -> Tensor:
    """One number for each row of an array, with as many axes as the array."""
    return numbers.to(x).reshape(-1, *[1] * (x.ndim - 1))


def saliency(asked: Asked, gradients: Gradients) -> Any:
    """The derivative, or its size."""
    return asked.inputs.like([g.abs() if asked["abs"] else g for g in slopes(asked, gradients)])


def times_input(asked: Asked, gradients: Gradients) -> Any:
    """The derivative times the input."""
    return asked.inputs.like([g * x for g, x in zip(slopes(asked, gradients), asked.inputs.tensors, strict=True)])


def integrated(asked: Asked, gradients: Gradients) -> Any:
    """Derivatives averaged on the line from the baseline, so many steps at a time as ``internal_batch_size`` has room for."""
    positions, weights = (torch.as_tensor(n) for n in quadrature_nodes(quadrature(asked), asked["n_steps"]))
    x, begin, records = asked.inputs.tensors, starts(asked, asked["baselines"]), asked.inputs.records
    each = max(1, (asked["internal_batch_size"] or len(positions) * records) // records)
    total: list[Any] = [0.0] * len(x)
    for here, share in zip(positions.split(each), weights.split(each), strict=True):
        points = [torch.repeat_interleave(b.expand_as(t), len(here), 0) for b, t in zip(begin, x, strict=True)]
        ends = [torch.repeat_interleave(t, len(here), 0) for t in x]
        points = [b + shaped(b, here.repeat(records)) * (t - b) for b, t in zip(points, ends, strict=True)]
        found = slopes(many(asked, len(here), points), gradients)
        parts = [(g * shaped(g, share.repeat(records))).reshape(records, len(here), *g.shape[1:]).sum(1) for g in found]
        total = [t + part for t, part in zip(total, parts, strict=True)]
    total = [t * pinned(asked) for t in total]
    if asked.multiply:
        total = [t * (end - b) for t, end, b in zip(total, x, begin, strict=True)]
    return with_delta(asked, asked.inputs.like(total))


def gradient_shap(asked: Asked, gradients: Gradients) -> Any:
    """Derivatives at random points between random rows and the displaced record, times the distance."""
    begin, end, point = sampled(asked, drawn_seed())
    count = asked["n_samples"]
    found = slopes(many(asked, count, point), gradients)
    if asked.multiply:
        found = [g * (e - b) for g, e, b in zip(found, end, begin, strict=True)]
    values = asked.inputs.like(averaged(tuple(found), count))
    if not asked["return_convergence_delta"]:
        return values
    pairs = asked.spread(count)
    return values, totals(tuple(found)) - change(pairs, begin, end)
