"""Recipes that go over records, over pairs of a record and a row of a background, or over all points of a path at once.

Captum tells the convergence delta of every sample and hands every pair to a function of the user's; for those the pairs become
records of one call, which the executor cuts up like any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...distributions.members import Background, Line, Reference
from ...distributions.quadrature import quadrature_nodes
from ...engine.verbs import activation
from ...errors import MethodError
from ...rules.rescale import Rescale
from .asked import Asked, change, starts, totals
from .base import drawn_seed
from .conventions import quantity, spread
from .gradients import alone, expected, leaves, line, paired, path_start, pinned, quadrature, rows_of, with_delta
from .weighted import Through


def averaged(values: Any, times: int) -> Any:
    """The mean over the copies of each record: ``[records x times, ...]`` to ``[records, ...]``, in tuples and dictionaries too."""
    if isinstance(values, dict):
        return {key: averaged(v, times) for key, v in values.items()}
    if isinstance(values, (tuple, list)):
        return type(values)(averaged(v, times) for v in values)
    return values.reshape(-1, times, *values.shape[1:]).mean(1)


# DeepLIFT


def deep_lift(asked: Asked) -> Any:
    """Multipliers between the baselines and the record, times the difference, or whatever the user's function makes of them."""
    own = asked["custom_attribution_func"]
    found = asked.explained(Reference(path_start(asked)), asked["by"] or Rescale(), combine=as_tuples(own))
    return with_delta(asked, asked.result(found.values), found if asked.multiply and own is None else None)


def as_tuples(own: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A function of multipliers, of those and the inputs, or of those and the baselines too, which are always tuples for captum.

    Raises MethodError for one with other arguments.
    """
    if own is None:
        return None
    ways: dict[int, Callable[..., Any]] = {
        1: lambda m: own(leaves(m)),
        2: lambda m, x: own(leaves(m), leaves(x)),
        3: lambda m, x, b: own(leaves(m), leaves(x), leaves(b)),
    }
    count = len(inspect.signature(own).parameters)
    if count not in ways:
        raise MethodError(f"custom_attribution_func of {count} arguments", try_="one to three: multipliers, inputs, baselines")
    return ways[count]


def deep_lift_shap(asked: Asked) -> Any:
    """DeepLIFT averaged over the rows of a background."""
    rows = rows_of(asked)
    if not asked["return_convergence_delta"]:
        combine = as_tuples(asked["custom_attribution_func"])
        return asked.result(asked.explained(Background(tuple(rows)), asked["by"] or Rescale(), combine=combine).values)
    records, count = asked.inputs.records, len(rows[0])
    pairs = asked.spread(count).with_options(baselines=tuple(r.repeat(records, *[1] * (r.ndim - 1)) for r in rows))
    values, delta = deep_lift(pairs)
    return averaged(values, count), delta


# GradientSHAP


def gradient_shap(asked: Asked) -> Any:
    """Gradients at random points between random rows and the displaced record, times the distance at the place."""
    seed = drawn_seed()
    if not asked["return_convergence_delta"]:
        return asked.result(asked.explained(expected(asked, seed), seed=seed).values)
    alone(asked)
    begin, end, point = sampled(asked, seed)
    count = asked["n_samples"]
    pairs = asked.spread(count)
    found = leaves(pairs.result(pairs.on(point).explained(multiply=False).values))
    if asked.multiply:
        found = tuple(g * d for g, d in zip(found, distances(pairs, begin, end), strict=True))
    values = averaged(found, count)
    form = values if asked.within and len(values) > 1 else values[0] if asked.within else asked.inputs.like(values)
    return form, totals(found) - change(pairs, begin, end)


def distances(asked: Asked, begin: Sequence[Tensor], end: Sequence[Tensor]) -> list[Tensor]:
    """From one side to the other at the inputs, or at the layer."""
    if not asked.within:
        return [e - b for b, e in zip(begin, end, strict=True)]
    there = [leaves(asked.result(activation(asked.model, asked.on(side).call, at=asked.at).values)) for side in (begin, end)]
    return [e - b for b, e in zip(*there, strict=True)]


def sampled(asked: Asked, seed: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Starts, ends and points of the lines that the distribution draws, every record's samples in a row."""
    rows = rows_of(asked)
    draws = expected(asked, seed).draw(seed, len(rows[0]))
    assert draws.row is not None and draws.position is not None
    records, count = asked.inputs.records, len(draws)
    begin, end, point = [], [], []
    for leaf, (x, r) in enumerate(zip(asked.inputs.tensors, rows, strict=True)):
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


def on_path(asked: Asked, positions: np.ndarray) -> tuple[Asked, list[Tensor]]:
    """All points of the lines from the baselines as records, every record's in a row, and the distances."""
    count = len(positions)
    distance = [x - b for x, b in zip(asked.inputs.tensors, starts(asked, asked["baselines"]), strict=True)]
    points = []
    for x, d in zip(asked.inputs.tensors, distance, strict=True):
        share = torch.as_tensor(positions, dtype=x.dtype, device=x.device).repeat(len(x)).reshape(-1, *[1] * (x.ndim - 1))
        points.append(torch.repeat_interleave(x, count, 0) - (1 - share) * torch.repeat_interleave(d, count, 0))
    return asked.spread(count).on(points), distance


def conductance(asked: Asked) -> Any:
    """What flows through each part of a layer on the way from the baseline to the record."""
    quadrature(asked)
    if asked["captum_exact"]:
        return with_delta(asked, stepped(asked))
    found = asked.explained(Line(path_start(asked), asked["n_steps"], stepwise=True), multiply=True)
    return with_delta(asked, asked.result(found.values), found)


def stepped(asked: Asked) -> Any:
    """Captum's sum: the gradient at each point times the step to the next, over n + 1 points of the quadrature."""
    positions, _ = quadrature_nodes(quadrature(asked), asked["n_steps"] + 1)
    found = on_path(asked, positions)[0].explained(multiply=False)

    def summed(grad: Tensor, value: Tensor) -> Tensor:
        g, v = (t.reshape(asked.inputs.records, len(positions), *t.shape[1:]) for t in (grad, value))
        return (g[:, :-1] * (v[:, 1:] - v[:, :-1])).sum(1)

    return paired(summed, asked.result(found.values), asked.result(found.record))


def neuron_conductance(asked: Asked) -> Any:
    """What flows from the inputs through a neuron to the target.

    Of several neurons it is the sum of what flows through each. Captum multiplies the sum of the gradients by the sum of the
    influences instead, which counts paths that do not exist: ``captum_exact=True`` has that number.
    """
    if not asked["captum_exact"]:
        found = asked.explained(line(asked), multiply=False, of=Through(asked.of, quantity(asked["target"])))
        parts = leaves_of(asked, found.values)
        if asked.multiply:
            begin = starts(asked, asked["baselines"])
            parts = [part * (x - b) for part, x, b in zip(parts, asked.inputs.tensors, begin, strict=True)]
        return asked.inputs.like(parts)
    positions, weights = quadrature_nodes(quadrature(asked), asked["n_steps"])
    path, distance = on_path(asked, positions)
    passed_on = path.explained(multiply=False, of=spread(quantity(asked["target"]), len(positions)), at=asked.of.on).values
    factor = asked.of.bind(passed_on)(passed_on)
    weights = weights * pinned(asked)
    sums = []
    for grad, d in zip(leaves_of(path, path.explained(multiply=False).values), distance, strict=True):
        part = grad * factor.reshape(-1, *[1] * (grad.ndim - 1))
        share = torch.as_tensor(weights, dtype=part.dtype, device=part.device).reshape(1, -1, *[1] * (part.ndim - 1))
        total = (part.reshape(len(d), len(weights), *part.shape[1:]) * share).sum(1)
        sums.append(total * d if asked.multiply else total)
    return asked.inputs.like(sums)


def leaves_of(asked: Asked, values: Any) -> list[Tensor]:
    """Values at the inputs, one tensor for each."""
    found = asked.result(values)
    return list(found.values()) if isinstance(found, dict) else list(leaves(found))
