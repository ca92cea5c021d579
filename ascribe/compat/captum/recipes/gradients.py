"""Recipes of captum's gradient methods. The cut (input, layer, neuron) is in the call, so that one recipe serves all three."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ....calls.call import Call
from ....cuts import INPUT
from ....distributions.baselines import FromInput
from ....distributions.draws import Distribution
from ....distributions.members import Background, Gaussian, Line
from ....distributions.quadrature import Quadrature
from ....engine.verbs import activation
from ....errors import DistributionError, MethodError, RuleError
from ....result.attribution import Attribution as Result
from ....rules import Deconv, Guided, Rule
from ....tree import map_leaves, walk
from ..translate.call import CaptumCall, compute_change, make_baselines, sum_per_record
from ..translate.inputs import parse_inputs, parse_stdevs
from .joint_layers import run_at_layers

METHODS: dict[str, Quadrature] = {
    "gausslegendre": "gauss-legendre",
    "riemann_left": "riemann-left",
    "riemann_right": "riemann-right",
    "riemann_middle": "riemann-middle",
    "riemann_trapezoid": "trapezoid",
}


def parse_quadrature(call: CaptumCall) -> Quadrature:
    """Returns ``method`` as a quadrature. Raises DistributionError for a name that captum does not know."""
    if call["method"] not in METHODS:
        there, advice = f"method={call['method']!r}", f"one of {', '.join(METHODS)}"
        raise DistributionError("`method` must be an integration method of captum", found=there, advice=advice, code="E-CAPTUM-METHOD")
    return METHODS[call["method"]]


def trapezoid_factor(call: CaptumCall) -> float:
    """Returns the factor of captum's trapezoid weights, whose sum is ``(n - 1) / n``; 1 without ``captum_exact``."""
    exact = call["captum_exact"] and call["method"] == "riemann_trapezoid"
    return (call["n_steps"] - 1) / call["n_steps"] if exact else 1.0


def scale_values(values: Any, factor: float) -> Any:
    """Returns tensors in tuples and lists, multiplied by a number."""
    if factor == 1.0:
        return values
    return [scale_values(v, factor) for v in values] if isinstance(values, list) else (
        tuple(scale_values(v, factor) for v in values) if isinstance(values, tuple) else values * factor
    )  # fmt: skip


def add_delta(call: CaptumCall, values: Any, found: Result | None = None) -> Any:
    """Returns values and, with ``return_convergence_delta``, the convergence delta: their sum minus the change of the quantity."""
    if not call["return_convergence_delta"]:
        return values
    if found is not None and found.gap is not None:
        first = next(leaf for _, leaf in walk(values))
        return values, torch.as_tensor(found.gap.absolute, dtype=first.dtype, device=first.device)
    refuse_delta_of_layers(call)
    ends = call.inputs.tensors
    begin = [s.expand_as(x) for s, x in zip(make_baselines(call, call["baselines"]), ends, strict=True)]
    return values, sum_per_record(values) - compute_change(call, begin, ends)


def compute_saliency(call: CaptumCall) -> Any:
    """Returns the absolute gradient; with ``abs=False`` the gradient."""
    found = call.attribute(multiply=False)
    return call.format_values(map_leaves(found.values, lambda _, leaf: leaf.abs()) if call["abs"] else found.values)


def compute_gradient(call: CaptumCall) -> Any:
    """Returns the gradient, multiplied by the value if the class multiplies."""
    return call.format_values(call.attribute().values)


def read_layer(call: CaptumCall) -> Any:
    """Returns the value of a layer, or of each of several. One forward pass."""
    return call.format_values(activation(call.model, call.model_call, at=call.at).values)


def make_rule_recipe(rule: Rule) -> Any:
    """Returns the recipe for the influence under a rule."""

    def recipe(call: CaptumCall) -> Any:
        try:
            found = call.attribute(by=rule, multiply=False)
        except RuleError:
            if not call.of.on.layer:
                raise
            found = call.attribute(multiply=False)  # a neuron before the first ReLU: there is nothing to correct
        return call.format_values(found.values)

    return recipe


compute_guided, compute_deconvolution = make_rule_recipe(Guided()), make_rule_recipe(Deconv())


def make_line(call: CaptumCall) -> Distribution:
    """Returns the path of integrated gradients: a line at the inputs, or at the layer from its value at the baseline."""
    begin = make_path_start(call)
    if call.at_layer:
        return Line(begin if isinstance(begin, Call) else FromInput(begin), call["n_steps"], parse_quadrature(call), at=call.at)
    return Line(begin, call["n_steps"], parse_quadrature(call))


def make_path_start(call: CaptumCall) -> Any:
    """Returns the start of paths at the inputs; for token ids a call with other ids."""
    begin = make_baselines(call, call["baselines"])
    if all(t.is_floating_point() for t in call.inputs.tensors):
        return tuple(begin)
    return call.with_inputs([b.expand_as(x) for b, x in zip(begin, call.inputs.tensors, strict=True)]).model_call


def compute_integrated_gradients(call: CaptumCall) -> Any:
    """Returns integrated gradients; for several layers, along one path through all of them."""
    if isinstance(call.at, list):
        return run_at_layers(call, compute_integrated_gradients)
    found = call.attribute(make_line(call))
    values = scale_values(call.format_values(found.values), trapezoid_factor(call))
    return add_delta(call, values, found if call.multiply and trapezoid_factor(call) == 1.0 else None)


def compute_internal_influence(call: CaptumCall) -> Any:
    """Returns the gradient at a layer, averaged over a line at the inputs."""
    found = call.attribute(Line(make_path_start(call), call["n_steps"], parse_quadrature(call)), multiply=False)
    return scale_values(call.format_values(found.values), trapezoid_factor(call))


def compute_grad_cam(call: CaptumCall) -> Any:
    """Returns the channels weighted by their mean gradient over spatial positions, summed with ``attr_dim_summation``."""
    found = call.attribute(multiply=False)
    return map_pairs(partial(weight_channels, call=call), call.format_values(found.values), call.format_values(found.record))


def weight_channels(grad: Tensor, value: Tensor, call: CaptumCall) -> Tensor:
    """Returns the map of one tensor ``[records, channels, ...]``."""
    weight = grad.mean(tuple(range(2, grad.ndim)), keepdim=True) if grad.ndim > 2 else grad
    found = weight * value
    found = found.sum(1, keepdim=True) if call["attr_dim_summation"] else found
    return found.relu() if call["relu_attributions"] else found


def map_pairs(fn: Callable[[Tensor, Tensor], Tensor], one: Any, other: Any) -> Any:
    """Applies a function to the corresponding tensors of two equal structures."""
    if isinstance(one, (tuple, list)):
        return type(one)(map_pairs(fn, a, b) for a, b in zip(one, other, strict=True))
    return fn(one, other)


def as_tuple(values: Any) -> tuple[Any, ...]:
    """Returns one tensor, or several in a tuple or list, as a tuple."""
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def refuse_delta_of_layers(call: CaptumCall) -> None:
    """Raises MethodError for the convergence delta of several layers: it would add their values up."""
    if isinstance(call.at, list):
        what = "`return_convergence_delta=True` is not defined for several layers"
        raise MethodError(what, found=f"{len(call.at)} layers", advice="one call for each layer")


def compute_guided_grad_cam(call: CaptumCall) -> Any:
    """Returns guided backpropagation at the inputs, multiplied by the layer's map at the resolution of the inputs.

    Raises MethodError for inputs or layers without spatial positions.
    """
    maps = as_tuple(compute_grad_cam(call.with_options(attr_dim_summation=True, relu_attributions=True)))
    values = compute_guided(replace(call, at=INPUT))
    return call.inputs.pack([one * upsample_map(one, maps, call["interpolate_mode"]) for one in parse_inputs(values).tensors])


def upsample_map(one: Tensor, maps: Sequence[Tensor], mode: str) -> Tensor:
    """Returns a map at the resolution of an input. Raises MethodError if that is impossible."""
    cause: Exception | None = None
    try:
        if len(maps) == 1 and isinstance(maps[0], Tensor) and maps[0].ndim == one.ndim:
            return functional.interpolate(maps[0], one.shape[2:], mode=mode)
    except (ValueError, RuntimeError) as error:  # there is no such mode, or not for so many axes
        cause = error
    shapes = [tuple(leaf.shape) for _, leaf in walk(maps)]
    there = f"an input of shape {tuple(one.shape)}, maps of {shapes}, interpolate_mode={mode!r}"
    raise MethodError(
        "The map of the layer cannot be resized to the input",
        found=there,
        advice="a layer with spatial positions, inputs with as many axes, and an interpolate_mode for them",
    ) from cause


# Backgrounds


def parse_background(call: CaptumCall) -> list[Tensor]:
    """Returns ``baselines`` as the rows of a background, one tensor for each input; a function computes them.

    Raises DistributionError if the numbers of rows differ.
    """
    found = call["baselines"]
    if callable(found):
        found = call_baseline_function(found, call)
    rows = make_baselines(call, found)
    if len({len(r) for r in rows}) > 1:
        there = f"{[len(r) for r in rows]} rows"
        raise DistributionError("The baselines of all inputs need the same number of rows", found=there, advice="baselines with one length")
    return rows


def call_baseline_function(make: Any, call: CaptumCall) -> Any:
    """Calls a function of the inputs, or one without arguments."""
    try:
        takes = make.__code__.co_argcount - (1 if hasattr(make, "__self__") else 0)
    except AttributeError:
        takes = 1
    return make(call.inputs.pack(call.inputs.tensors)) if takes else make()


def parse_noise(call: CaptumCall) -> Gaussian | None:
    """Returns ``stdevs`` as noise; None if all are 0."""
    scales = parse_stdevs(call.inputs, call["stdevs"])
    return Gaussian(scales, 1) if any(scales) else None


def make_shap_distribution(call: CaptumCall, seed: int) -> Distribution:
    """Returns lines from random background rows to noisy records, with one random position on each."""
    over: Any = Background(tuple(parse_background(call)), call["n_samples"])
    displaced = parse_noise(call)
    over = over if displaced is None else over * displaced
    product: Distribution = over * Line(steps=1, quadrature="random")
    return product
