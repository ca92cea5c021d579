"""Recipes: what captum's gradient methods ask of the verb. The place (input, layer, neuron) is in what is asked, never here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...calls.call import Call
from ...cuts import INPUT
from ...distributions.baselines import FromInput
from ...distributions.draws import Distribution
from ...distributions.members import Background, Gaussian, Line
from ...distributions.quadrature import Quadrature
from ...errors import DistributionError, MethodError, RuleError
from ...result.attribution import Attribution as Result
from ...rules import Deconv, Guided, Rule
from ...tree import map_leaves, walk
from .asked import Asked, change, starts, totals
from .conventions import deviations, given
from .opened import together

METHODS: dict[str, Quadrature] = {
    "gausslegendre": "gauss-legendre",
    "riemann_left": "riemann-left",
    "riemann_right": "riemann-right",
    "riemann_middle": "riemann-middle",
    "riemann_trapezoid": "trapezoid",
}


def quadrature(asked: Asked) -> Quadrature:
    """``method`` as a quadrature. Raises DistributionError for a name that captum does not know."""
    if asked["method"] not in METHODS:
        raise DistributionError(f"method={asked['method']!r}", there=", ".join(METHODS), code="E-CAPTUM-METHOD")
    return METHODS[asked["method"]]


def pinned(asked: Asked) -> float:
    """What captum's own numbers are a multiple of: its trapezoid weights add up to (n - 1) / n."""
    exact = asked["captum_exact"] and asked["method"] == "riemann_trapezoid"
    return (asked["n_steps"] - 1) / asked["n_steps"] if exact else 1.0


def scaled(values: Any, factor: float) -> Any:
    """Tensors in tuples and lists, times a number."""
    if factor == 1.0:
        return values
    return [scaled(v, factor) for v in values] if isinstance(values, list) else (
        tuple(scaled(v, factor) for v in values) if isinstance(values, tuple) else values * factor
    )  # fmt: skip


def with_delta(asked: Asked, values: Any, found: Result | None = None) -> Any:
    """Values, and where it is asked for the convergence delta: what they add up to less the change of the quantity."""
    if not asked["return_convergence_delta"]:
        return values
    if found is not None and found.gap is not None:
        first = next(leaf for _, leaf in walk(values))
        return values, torch.as_tensor(found.gap.absolute, dtype=first.dtype, device=first.device)
    alone(asked)
    ends = asked.inputs.tensors
    begin = [s.expand_as(x) for s, x in zip(starts(asked, asked["baselines"]), ends, strict=True)]
    return values, totals(values) - change(asked, begin, ends)


def saliency(asked: Asked) -> Any:
    """The gradient, or its size."""
    found = asked.explained(multiply=False)
    return asked.result(map_leaves(found.values, lambda _, leaf: leaf.abs()) if asked["abs"] else found.values)


def gradient(asked: Asked) -> Any:
    """The gradient, times the value where the class multiplies."""
    return asked.result(asked.explained().values)


def ruled(rule: Rule) -> Any:
    """The recipe for the influence under a rule."""

    def recipe(asked: Asked) -> Any:
        try:
            found = asked.explained(by=rule, multiply=False)
        except RuleError:
            if not asked.of.on.layer:
                raise
            found = asked.explained(multiply=False)  # a neuron before the first rectifier: nothing on the way to correct
        return asked.result(found.values)

    return recipe


guided, deconvolved = ruled(Guided()), ruled(Deconv())


def line(asked: Asked) -> Distribution:
    """The line that integrated gradients follow: at the inputs, or at the layer from what it holds at the baseline."""
    begin = path_start(asked)
    if asked.within:
        return Line(begin if isinstance(begin, Call) else FromInput(begin), asked["n_steps"], quadrature(asked), at=asked.at)
    return Line(begin, asked["n_steps"], quadrature(asked))


def path_start(asked: Asked) -> Any:
    """Where paths start at the inputs; token ids are other ids there, in a call that is otherwise the same."""
    begin = starts(asked, asked["baselines"])
    if all(t.is_floating_point() for t in asked.inputs.tensors):
        return tuple(begin)
    return asked.on([b.expand_as(x) for b, x in zip(begin, asked.inputs.tensors, strict=True)]).call


def integrated(asked: Asked) -> Any:
    """Integrated gradients; of several layers together, each on a line of its own."""
    if isinstance(asked.at, list):
        return together(asked, integrated)
    found = asked.explained(line(asked))
    values = scaled(asked.result(found.values), pinned(asked))
    return with_delta(asked, values, found if asked.multiply and pinned(asked) == 1.0 else None)


def path_influence(asked: Asked) -> Any:
    """The gradient at a layer, averaged over a line at the inputs."""
    found = asked.explained(Line(path_start(asked), asked["n_steps"], quadrature(asked)), multiply=False)
    return scaled(asked.result(found.values), pinned(asked))


def grad_cam(asked: Asked) -> Any:
    """Channels weighted by their mean gradient over places, and summed where it is asked for."""
    found = asked.explained(multiply=False)
    return paired(partial(cam, asked=asked), asked.result(found.values), asked.result(found.record))


def cam(grad: Tensor, value: Tensor, asked: Asked) -> Tensor:
    """The map of one tensor ``[records, channels, ...]``."""
    weight = grad.mean(tuple(range(2, grad.ndim)), keepdim=True) if grad.ndim > 2 else grad
    found = weight * value
    found = found.sum(1, keepdim=True) if asked["attr_dim_summation"] else found
    return found.relu() if asked["relu_attributions"] else found


def paired(fn: Callable[[Tensor, Tensor], Tensor], one: Any, other: Any) -> Any:
    """A function of each tensor of one and its partner in the other, in the same tuples and lists."""
    if isinstance(one, (tuple, list)):
        return type(one)(paired(fn, a, b) for a, b in zip(one, other, strict=True))
    return fn(one, other)


def leaves(values: Any) -> tuple[Any, ...]:
    """One tensor, or several in a tuple or list, as a tuple."""
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def alone(asked: Asked) -> None:
    """Raises MethodError where a delta is asked for of several layers, whose values would be added up."""
    if isinstance(asked.at, list):
        raise MethodError("return_convergence_delta", there=f"{len(asked.at)} layers", try_="a call for each layer")


def guided_grad_cam(asked: Asked) -> Any:
    """Guided backpropagation at the inputs, times the layer's map at their resolution.

    Raises MethodError for inputs or layers without places: there is nothing to lay over each other.
    """
    maps = leaves(grad_cam(asked.with_options(attr_dim_summation=True, relu_attributions=True)))
    values = guided(replace(asked, at=INPUT))
    return asked.inputs.like([one * over(one, maps, asked["interpolate_mode"]) for one in given(values).tensors])


def over(one: Tensor, maps: Sequence[Tensor], mode: str) -> Tensor:
    """A map at the resolution of an input. Raises MethodError where that cannot be."""
    cause: Exception | None = None
    try:
        if len(maps) == 1 and isinstance(maps[0], Tensor) and maps[0].ndim == one.ndim:
            return functional.interpolate(maps[0], one.shape[2:], mode=mode)
    except (ValueError, RuntimeError) as error:  # there is no such mode, or not for so many axes
        cause = error
    shapes = [tuple(leaf.shape) for _, leaf in walk(maps)]
    there = f"an input of shape {tuple(one.shape)}, maps of {shapes}, interpolate_mode={mode!r}"
    raise MethodError(
        "a map to lay over the input", there=there, try_="a layer with places, inputs with as many axes, a mode for them"
    ) from cause


# Backgrounds


def rows_of(asked: Asked) -> list[Tensor]:
    """``baselines`` as a background, one tensor of rows for each input; a function gives them, from the inputs if it wants those.

    Raises DistributionError for inputs with different numbers of rows.
    """
    found = asked["baselines"]
    if callable(found):
        found = called(found, asked)
    rows = starts(asked, found)
    if len({len(r) for r in rows}) > 1:
        raise DistributionError(f"baselines of {[len(r) for r in rows]} rows", try_="the same number for each input: a row is drawn whole")
    return rows


def called(make: Any, asked: Asked) -> Any:
    """What a function of the inputs, or of nothing, gives."""
    try:
        takes = make.__code__.co_argcount - (1 if hasattr(make, "__self__") else 0)
    except AttributeError:
        takes = 1
    return make(asked.inputs.of(asked.inputs.tensors)) if takes else make()


def noise(asked: Asked) -> Gaussian | None:
    """``stdevs`` as noise; None where there is none."""
    scales = deviations(asked.inputs, asked["stdevs"])
    return Gaussian(scales, 1) if any(scales) else None


def expected(asked: Asked, seed: int) -> Distribution:
    """Lines from random rows of the background to the displaced record, one random position on each."""
    over: Any = Background(tuple(rows_of(asked)), asked["n_samples"])
    displaced = noise(asked)
    over = over if displaced is None else over * displaced
    product: Distribution = over * Line(steps=1, quadrature="random")
    return product
