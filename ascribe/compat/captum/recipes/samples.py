"""Recipes over pairs of a record and a baseline, or over all points of a path: DeepLIFT, GradientSHAP, conductance.

Captum returns the convergence delta of every sample and passes every pair to a function of the user's. In these cases the pairs become
the records of one call, and the engine splits them into chunks as any others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....distributions.members import Background, Line, Reference
from ....distributions.quadrature import quadrature_nodes
from ....engine.verbs import activation
from ....errors import MethodError
from ....rules.rescale import Rescale
from ..translate.call import CaptumCall, compute_change, draw_seed, make_baselines, sum_per_record
from ..translate.targets import parse_target, repeat_quantity
from .gradients import (
    add_delta,
    as_tuple,
    make_line,
    make_path_start,
    make_shap_distribution,
    map_pairs,
    parse_background,
    parse_quadrature,
    refuse_delta_of_layers,
    trapezoid_factor,
)
from .neuron_product import NeuronTimesTarget


def average_copies(values: Any, times: int) -> Any:
    """Returns the mean over each record's copies: ``[records x times, ...]`` becomes ``[records, ...]``."""
    if isinstance(values, dict):
        return {key: average_copies(v, times) for key, v in values.items()}
    if isinstance(values, (tuple, list)):
        return type(values)(average_copies(v, times) for v in values)
    return values.reshape(-1, times, *values.shape[1:]).mean(1)


# DeepLIFT


def compute_deep_lift(call: CaptumCall) -> Any:
    """Returns multipliers times the difference from the baselines, or the result of ``custom_attribution_func``."""
    own = call["custom_attribution_func"]
    found = call.attribute(Reference(make_path_start(call)), call["by"] or Rescale(), combine=wrap_attribution_function(own))
    return add_delta(call, call.format_values(found.values), found if call.multiply and own is None else None)


def wrap_attribution_function(own: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Returns the user's function of multipliers (and inputs, and baselines) with tuples as its arguments, as in captum.

    Raises MethodError for a function with other arguments.
    """
    if own is None:
        return None
    ways: dict[int, Callable[..., Any]] = {
        1: lambda m: own(as_tuple(m)),
        2: lambda m, x: own(as_tuple(m), as_tuple(x)),
        3: lambda m, x, b: own(as_tuple(m), as_tuple(x), as_tuple(b)),
    }
    count = len(inspect.signature(own).parameters)
    if count not in ways:
        what, advice = "`custom_attribution_func` must take one to three arguments", "lambda multipliers, inputs, baselines: ..."
        raise MethodError(what, found=f"{count} arguments", advice=advice)
    return ways[count]


def compute_deep_lift_shap(call: CaptumCall) -> Any:
    """Returns DeepLIFT averaged over the rows of a background."""
    rows = parse_background(call)
    if not call["return_convergence_delta"]:
        combine = wrap_attribution_function(call["custom_attribution_func"])
        return call.format_values(call.attribute(Background(tuple(rows)), call["by"] or Rescale(), combine=combine).values)
    records, count = call.inputs.records, len(rows[0])
    pairs = call.repeat_records(count).with_options(baselines=tuple(r.repeat(records, *[1] * (r.ndim - 1)) for r in rows))
    values, delta = compute_deep_lift(pairs)
    return average_copies(values, count), delta


# GradientSHAP


def compute_gradient_shap(call: CaptumCall) -> Any:
    """Returns gradients at random points between background rows and noisy records, multiplied by the distance."""
    seed = draw_seed()
    if not call["return_convergence_delta"]:
        return call.format_values(call.attribute(make_shap_distribution(call, seed), seed=seed).values)
    refuse_delta_of_layers(call)
    begin, end, point = draw_samples(call, seed)
    count = call["n_samples"]
    pairs = call.repeat_records(count)
    found = as_tuple(pairs.format_values(pairs.with_inputs(point).attribute(multiply=False).values))
    if call.multiply:
        found = tuple(g * d for g, d in zip(found, compute_distances(pairs, begin, end), strict=True))
    values = average_copies(found, count)
    form = values if call.at_layer and len(values) > 1 else values[0] if call.at_layer else call.inputs.pack(values)
    return form, sum_per_record(found) - compute_change(pairs, begin, end)


def compute_distances(call: CaptumCall, begin: Sequence[Tensor], end: Sequence[Tensor]) -> list[Tensor]:
    """Returns end minus start, at the inputs or at the layer."""
    if not call.at_layer:
        return [e - b for b, e in zip(begin, end, strict=True)]
    there = [
        as_tuple(call.format_values(activation(call.model, call.with_inputs(side).model_call, at=call.at).values)) for side in (begin, end)
    ]
    return [e - b for b, e in zip(*there, strict=True)]


def draw_samples(call: CaptumCall, seed: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Returns starts, ends and points of random lines, each record's samples in a row."""
    rows = parse_background(call)
    draws = make_shap_distribution(call, seed).draw(seed, len(rows[0]))
    assert draws.row is not None and draws.position is not None
    records, count = call.inputs.records, len(draws)
    begin, end, point = [], [], []
    for leaf, (x, r) in enumerate(zip(call.inputs.tensors, rows, strict=True)):
        start = r[torch.as_tensor(draws.row, device=r.device)].repeat(records, *[1] * (x.ndim - 1))
        stop = torch.repeat_interleave(x, count, 0)
        if draws.noise is not None:
            drawn = np.stack([draws.noise.draw(k, leaf, tuple(x.shape[1:])) for k in range(count)])
            stop = stop + torch.as_tensor(drawn, dtype=x.dtype, device=x.device).repeat(records, *[1] * (x.ndim - 1))
        share = torch.as_tensor(draws.position, dtype=x.dtype, device=x.device).repeat(records)
        begin.append(start)
        end.append(stop)
        point.append(start + share.reshape(-1, *[1] * (x.ndim - 1)) * (stop - start))
    return begin, end, point


# Conductance


def expand_path(call: CaptumCall, positions: np.ndarray) -> tuple[CaptumCall, list[Tensor]]:
    """Returns the call with all points of the lines from the baselines as records, and the distances."""
    count = len(positions)
    distance = [x - b for x, b in zip(call.inputs.tensors, make_baselines(call, call["baselines"]), strict=True)]
    points = []
    for x, d in zip(call.inputs.tensors, distance, strict=True):
        share = torch.as_tensor(positions, dtype=x.dtype, device=x.device).repeat(len(x)).reshape(-1, *[1] * (x.ndim - 1))
        points.append(torch.repeat_interleave(x, count, 0) - (1 - share) * torch.repeat_interleave(d, count, 0))
    return call.repeat_records(count).with_inputs(points), distance


def compute_conductance(call: CaptumCall) -> Any:
    """Returns the conductance of a layer's parts on the path from the baseline to the record (Dhamdhere et al. 2018)."""
    parse_quadrature(call)
    if call["captum_exact"]:
        return add_delta(call, sum_steps(call))
    found = call.attribute(Line(make_path_start(call), call["n_steps"], stepwise=True), multiply=True)
    return add_delta(call, call.format_values(found.values), found)


def sum_steps(call: CaptumCall) -> Any:
    """Returns captum's sum: the gradient at each point times the step to the next, over n + 1 points of the quadrature."""
    positions, _ = quadrature_nodes(parse_quadrature(call), call["n_steps"] + 1)
    found = expand_path(call, positions)[0].attribute(multiply=False)

    def summed(grad: Tensor, value: Tensor) -> Tensor:
        g, v = (t.reshape(call.inputs.records, len(positions), *t.shape[1:]) for t in (grad, value))
        return (g[:, :-1] * (v[:, 1:] - v[:, :-1])).sum(1)

    return map_pairs(summed, call.format_values(found.values), call.format_values(found.record))


def compute_neuron_conductance(call: CaptumCall) -> Any:
    """Returns the part of the target's change that passes from the inputs through a neuron.

    For several neurons the parts are added up. Captum multiplies the sum of the gradients by the sum of the influences instead, which
    counts paths that do not exist: ``captum_exact=True`` computes that number.
    """
    if not call["captum_exact"]:
        found = call.attribute(make_line(call), multiply=False, of=NeuronTimesTarget(call.of, parse_target(call["target"])))
        parts = list_leaves(call, found.values)
        if call.multiply:
            begin = make_baselines(call, call["baselines"])
            parts = [part * (x - b) for part, x, b in zip(parts, call.inputs.tensors, begin, strict=True)]
        return call.inputs.pack(parts)
    positions, weights = quadrature_nodes(parse_quadrature(call), call["n_steps"])
    path, distance = expand_path(call, positions)
    passed_on = path.attribute(multiply=False, of=repeat_quantity(parse_target(call["target"]), len(positions)), at=call.of.on).values
    factor = call.of.bind(passed_on)(passed_on)
    weights = weights * trapezoid_factor(call)
    sums = []
    for grad, d in zip(list_leaves(path, path.attribute(multiply=False).values), distance, strict=True):
        part = grad * factor.reshape(-1, *[1] * (grad.ndim - 1))
        share = torch.as_tensor(weights, dtype=part.dtype, device=part.device).reshape(1, -1, *[1] * (part.ndim - 1))
        total = (part.reshape(len(d), len(weights), *part.shape[1:]) * share).sum(1)
        sums.append(total * d if call.multiply else total)
    return call.inputs.pack(sums)


def list_leaves(call: CaptumCall, values: Any) -> list[Tensor]:
    """Returns values at the inputs, one tensor for each."""
    found = call.format_values(values)
    return list(found.values()) if isinstance(found, dict) else list(as_tuple(found))
