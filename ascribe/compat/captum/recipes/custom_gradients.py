"""Methods that use only derivatives, with the derivatives of a function of the user's that replaces captum's ``gradient_func``.

The graph of that function is kept: values under ``create_graph=True`` can be differentiated again, for penalties on attributions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ....distributions.quadrature import quadrature_nodes
from ....errors import RuleError
from ..translate.call import CaptumCall, compute_change, draw_seed, make_baselines, sum_per_record
from ..translate.inputs import repeat_rows
from ..translate.targets import TargetPerRecord, TargetUnit
from .gradients import add_delta, parse_quadrature, trapezoid_factor
from .samples import average_copies, draw_samples

GradientFunction = Callable[..., tuple[Tensor, ...]]


def call_gradients(call: CaptumCall, gradients: GradientFunction) -> list[Tensor]:
    """Returns the derivatives at the inputs. Raises RuleError for quantities of ascribe and for inputs passed by name."""
    if not isinstance(call.of, (TargetUnit, TargetPerRecord)) or not isinstance(call.inputs.names[0], int):
        there, advice = f"{call.of!r} of inputs {call.inputs.names}", "inputs in a tuple, targets as captum takes them"
        raise RuleError("A `gradient_func` of your own needs inputs and targets as captum takes them", found=there, advice=advice)
    model = partial(call.model, **call.extra_kwargs) if call.extra_kwargs else call.model
    here = tuple(x if x.requires_grad else x.detach().requires_grad_() for x in call.inputs.tensors)
    with torch.enable_grad():
        return list(gradients(model, here, call["target"], call.extra_args or None))


def repeat_at_points(call: CaptumCall, times: int, points: Sequence[Tensor]) -> CaptumCall:
    """Returns the call at other points, ``times`` for each record."""
    target = repeat_rows(call["target"], times, call.inputs.records)
    return replace(call.repeat_records(times).with_inputs(points), options={**call.options, "target": target})


def broadcast_rows(x: Tensor, numbers: Tensor) -> Tensor:
    """Returns one number for each row, with as many axes as ``x``."""
    return numbers.to(x).reshape(-1, *[1] * (x.ndim - 1))


def compute_saliency(call: CaptumCall, gradients: GradientFunction) -> Any:
    """Returns the absolute derivative; with ``abs=False`` the derivative."""
    return call.inputs.pack([g.abs() if call["abs"] else g for g in call_gradients(call, gradients)])


def compute_input_x_gradient(call: CaptumCall, gradients: GradientFunction) -> Any:
    """Returns the derivative multiplied by the input."""
    return call.inputs.pack([g * x for g, x in zip(call_gradients(call, gradients), call.inputs.tensors, strict=True)])


def compute_integrated_gradients(call: CaptumCall, gradients: GradientFunction) -> Any:
    """Returns integrated gradients; ``internal_batch_size`` limits the points of one evaluation."""
    positions, weights = (torch.as_tensor(n) for n in quadrature_nodes(parse_quadrature(call), call["n_steps"]))
    x, begin, records = call.inputs.tensors, make_baselines(call, call["baselines"]), call.inputs.records
    each = max(1, (call["internal_batch_size"] or len(positions) * records) // records)
    total: list[Any] = [0.0] * len(x)
    for here, share in zip(positions.split(each), weights.split(each), strict=True):
        points = [torch.repeat_interleave(b.expand_as(t), len(here), 0) for b, t in zip(begin, x, strict=True)]
        ends = [torch.repeat_interleave(t, len(here), 0) for t in x]
        points = [b + broadcast_rows(b, here.repeat(records)) * (t - b) for b, t in zip(points, ends, strict=True)]
        found = call_gradients(repeat_at_points(call, len(here), points), gradients)
        parts = [(g * broadcast_rows(g, share.repeat(records))).reshape(records, len(here), *g.shape[1:]).sum(1) for g in found]
        total = [t + part for t, part in zip(total, parts, strict=True)]
    total = [t * trapezoid_factor(call) for t in total]
    if call.multiply:
        total = [t * (end - b) for t, end, b in zip(total, x, begin, strict=True)]
    return add_delta(call, call.inputs.pack(total))


def compute_gradient_shap(call: CaptumCall, gradients: GradientFunction) -> Any:
    """Returns the derivatives at random points between background rows and noisy records, multiplied by the distance."""
    begin, end, point = draw_samples(call, draw_seed())
    count = call["n_samples"]
    found = call_gradients(repeat_at_points(call, count, point), gradients)
    if call.multiply:
        found = [g * (e - b) for g, e, b in zip(found, end, begin, strict=True)]
    values = call.inputs.pack(average_copies(tuple(found), count))
    if not call["return_convergence_delta"]:
        return values
    pairs = call.repeat_records(count)
    return values, sum_per_record(tuple(found)) - compute_change(pairs, begin, end)
