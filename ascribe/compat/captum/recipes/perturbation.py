"""Recipes of captum's perturbation methods: features are removed, and the change of the quantity is attributed to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....coalitions import Exact, LeaveOneOut, Permutations, ShapleyRegression
from ....cuts import INPUT, OUTPUT
from ....engine.verbs import activation
from ....errors import AscribeError, FeatureError, QuantityError
from ....features import Masks, Windows
from ....quantities import select_scores
from ....removal import Replace
from ....result.attribution import Attribution as Result
from ....tree import walk
from ..translate.call import CaptumCall, draw_seed, make_baselines
from ..translate.masks import cast_values, choose_mean_dtype, list_features, map_tensors, parse_features, parse_masks, scatter_values
from ..translate.permutation import PermutationRemoval, permute_feature
from ..translate.targets import TargetUnit
from .batch_outputs import BatchModel, Recipe, convert_integer_model, run_on_batch
from .skipped_inputs import drop_inputs, make_zeros, promote_inputs, read_output

MOST_FEATURES = 20  # features of which all coalitions are run, 2^20 of them


def make_replacement(call: CaptumCall) -> Replace:
    """Returns ``baselines`` or ``layer_baselines`` as the replacement of removed features."""
    if call.at_layer:
        given = call["layer_baselines"]
        return Replace(given[0] if isinstance(given, (tuple, list)) and len(given) == 1 else 0.0 if given is None else given)
    begin = make_baselines(call, call["baselines"])
    return Replace(begin[0] if len(begin) == 1 else tuple(begin))


def run_game(call: CaptumCall, over: Any, by: Any, seed: int = 0, exact: bool = False) -> Any:
    """Returns the values of the call's features in captum's structure; several quantities are on the first axis.

    ``exact`` keeps the dtype of the output, for differences of outputs; means are floating-point.
    """
    found, kind = call.attribute_coalitions(over, by, parse_features(call), seed=seed)
    kind = kind if exact else choose_mean_dtype(call, kind)
    if call.at_layer:
        return map_tensors(call.format_values(found.values), partial(cast_values, kind=kind))
    assert found.features is not None
    return scatter_values(call, found.features.values, kind)


BATCH_ERRORS = ("E-RECORDS", "E-QUANTITY-TYPE", "E-TARGET-WHICH", "E-CUT-FOLDED")
"""Error codes of a model whose output is not one row per record."""


def support_any_output(play: Recipe, separate_axes: bool = False, single: bool = False) -> Recipe:
    """Returns a recipe for any form of output: one element per record, several without a target, or some for the whole batch.

    Several elements of a record follow each other on the first axis, or have axes of their own if ``separate_axes``. With ``single`` they
    are refused.
    """

    def recipe(call: CaptumCall) -> Any:
        call = promote_inputs(drop_arguments(call))
        part, completed = drop_inputs(call)
        if part is None:
            return make_zeros(call)
        return completed(answered(part))

    def answered(call: CaptumCall) -> Any:
        if not call.at_layer and len(set(map(len, call.inputs.tensors))) > 1:
            return run_for_batch(call, play, separate_axes, single)
        try:
            return apart(call)
        except AscribeError as error:
            if call.of.on != OUTPUT or error.code not in BATCH_ERRORS or call.at_layer:
                raise
        return run_for_batch(call, play, separate_axes, single)

    def apart(call: CaptumCall) -> Any:
        if separate_axes and call["target"] is None and call.of.on == OUTPUT:
            return run_each_output(call, play, True)  # an axis of one number is an axis, too
        try:
            return play(call)
        except AscribeError as error:
            if call.of.on != OUTPUT or error.code != "E-TARGET-NONE":
                raise
            if single:
                what, there = "The output has several elements, and no target selects one", "several elements for each record"
                raise QuantityError(what, found=there, advice="target=0", code="E-TARGET-NONE") from error
        return run_each_output(call, play, separate_axes)

    return recipe


def run_for_batch(call: CaptumCall, play: Recipe, separate_axes: bool, single: bool) -> Any:
    """Runs :func:`support_any_output` for a model with outputs for the whole batch."""
    y = read_output(call)
    if (each := convert_integer_model(call, y)) is not None:
        return run_each_output(each, play, separate_axes) if call["target"] is None and y.ndim + separate_axes > 1 else play(each)
    if single and call["target"] is None and torch.as_tensor(y).numel() != 1:
        what, there = "The output has several elements for the whole batch", f"an output of shape {tuple(y.shape)}"
        raise QuantityError(what, found=there, advice="target=0, or a model with one output")
    return run_on_batch(call, play, y, own_masks=single)


def drop_arguments(call: CaptumCall) -> CaptumCall:
    """Returns the call; a function that takes no arguments is called without any."""
    run = call.model
    if not inspect.isfunction(run) or inspect.signature(run).parameters:
        return call
    return replace(call, model=lambda *args, **named: run())


def run_each_output(call: CaptumCall, play: Recipe, separate_axes: bool) -> Any:
    """Returns the values for every element of the output: ``[records x elements, ...]``, or ``[records, *elements, ...]``."""
    y = select_scores(activation(call.model, call.model_call, at=OUTPUT).values, call.of)
    if not y.ndim or len(y) != call.inputs.records:
        return run_on_batch(call, play)
    if y.ndim == 1:
        return play(call)
    spots = [TargetUnit(*map(int, spot)) for spot in np.ndindex(*y.shape[1:])]
    lead = tuple(y.shape) if separate_axes else (-1,)
    return map_tensors(play(replace(call, of=spots)), lambda v: v.transpose(0, 1).reshape(*lead, *v.shape[2:]))


# Methods


def ablate_features(call: CaptumCall) -> Any:
    """Returns the decrease of the quantity when a feature takes its baseline."""
    return run_game(call, LeaveOneOut(), make_replacement(call), exact=True)


def permute_features(call: CaptumCall) -> Any:
    """Returns the decrease of the quantity when a feature takes the value of another record."""
    mix = call["perm_func"]
    if mix in (None, permute_feature):  # draws of its own: what is drawn within a call is forgotten after it
        mix = partial(permute_feature, generator=torch.Generator().manual_seed(draw_seed()))
    by = PermutationRemoval(partial(permute_within_batch, mix) if isinstance(call.model, BatchModel) else mix)
    return run_game(call, LeaveOneOut(), by, exact=True)


def permute_within_batch(mix: Callable[[Tensor, Tensor], Tensor], batches: Tensor, mask: Tensor) -> Tensor:
    """Permutes records within each batch, for models whose records are batches."""
    return torch.stack([mix(batch, mask[0]) for batch in batches])


def sample_orders(call: CaptumCall) -> Any:
    """Returns the mean contribution over ``n_samples`` random orders, each paired with its reverse."""
    count = count_features(call)
    pairs = -(-call["n_samples"] // 2)
    over = Permutations(2 + pairs * 2 * max(count - 1, 1))
    return run_game(call, over, make_replacement(call), draw_seed())


def enumerate_coalitions(call: CaptumCall) -> Any:
    """Returns the mean contribution over all orders, computed from all coalitions."""
    return run_game(call, Exact(most=MOST_FEATURES), make_replacement(call))


def regress_coalitions(call: CaptumCall) -> Any:
    """Returns Shapley values by regression on ``n_samples`` coalitions, at least as many as determine them."""
    least = 3 * count_features(call) + 2
    over = ShapleyRegression(max(call["n_samples"], least))
    found, kind = call.attribute_coalitions(over, make_replacement(call), parse_features(call), seed=draw_seed())
    assert found.features is not None
    return format_coefficients(call, found.features.values, choose_mean_dtype(call, kind))


def format_coefficients(call: CaptumCall, by_feature: Any, kind: torch.dtype) -> Any:
    """Returns values at the elements of their features, or with ``return_input_shape=False`` one for each feature."""
    if call["return_input_shape"]:
        return scatter_values(call, by_feature, kind)
    return torch.as_tensor(np.asarray(by_feature), dtype=kind, device=call.inputs.tensors[0].device)


def count_features(call: CaptumCall) -> int:
    """Returns the number of features."""
    return len(list_features(parse_masks(call)))


def occlude_windows(call: CaptumCall) -> Any:
    """Returns the decrease of the quantity when a window takes its baseline; an element has the mean over its windows.

    Raises FeatureError for invalid window shapes, or a wrong number of them.
    """
    shapes, begin, x = call["sliding_window_shapes"], make_baselines(call, call["baselines"]), call.inputs.tensors
    if not isinstance(shapes, (tuple, list)):
        there, advice = f"sliding_window_shapes={shapes!r}", "a tuple with a size for each axis after the batch"
        raise FeatureError("`sliding_window_shapes` must be a tuple", found=there, advice=advice)
    each = shapes if shapes and isinstance(shapes[0], (tuple, list)) else (shapes,)
    if len(each) != len(x):
        there = f"{len(each)} window shapes for {len(x)} inputs"
        raise FeatureError("The number of window shapes differs from the number of inputs", found=there, advice="one shape for each input")
    found = []
    for k, (shape, stride) in enumerate(zip(each, parse_strides(call["strides"], len(each)), strict=True)):
        at = INPUT if len(each) == 1 else INPUT.at(call.inputs.names[k])
        one, kind = call.attribute_coalitions(LeaveOneOut(), Replace(begin[k]), make_windows(call, x[k], shape, stride), at=at)
        found.append(cast_values(get_only_leaf(one), choose_mean_dtype(call, kind)))
    return call.inputs.pack(found)


def get_only_leaf(found: Result) -> Tensor:
    """Returns the only array of a result."""
    leaf: Tensor = next(leaf for _, leaf in walk(found.values))
    return leaf


def make_windows(call: CaptumCall, x: Tensor, shape: Any, stride: Any) -> Any:
    """Returns windows of a shape at a stride; for inputs with one element per record, that element.

    Raises FeatureError for shapes and strides with a wrong number of axes.
    """
    batch = tuple(x.shape[1 : 1 + isinstance(call.model, BatchModel)])  # records of a batch that is one record go together
    sizes = tuple(x.shape[1 + len(batch) :])
    strides = (1 if stride is None else stride,) * len(sizes) if stride is None or isinstance(stride, int) else tuple(stride)
    for axes, what in ((shape, "sliding_window_shapes"), (strides, "strides")):
        if len(axes) != len(sizes):
            there, advice = f"{what} of {len(axes)} axes for records of shape {sizes}", f"a tuple of {len(sizes)} integers"
            raise FeatureError("A window needs one size for each axis after the batch", found=there, advice=advice, code="E-FEATURES-SHAPE")
    if not batch + sizes:
        return Masks(torch.zeros(1, dtype=torch.long))
    fitting = [min(s, w) if w == n else s for s, w, n in zip(strides, shape, sizes, strict=True)]  # one window has nowhere to step to
    return Windows((*batch, *shape), (*batch, *fitting))


def parse_strides(strides: Any, inputs: int) -> list[Any]:
    """Returns the stride of each input: an integer, a tuple, or None for 1. Raises FeatureError for a wrong number of them."""
    alone = inputs == 1 and not (isinstance(strides, tuple) and len(strides) == 1 and isinstance(strides[0], tuple))
    each = [strides] if alone else [strides] * inputs if strides is None or isinstance(strides, int) else list(strides)
    if len(each) != inputs:
        there = f"{len(each)} strides for {inputs} inputs"
        raise FeatureError("The number of strides differs from the number of inputs", found=there, advice="one stride for each input")
    return each


compute_ablation, compute_permutation, compute_occlusion = map(support_any_output, (ablate_features, permute_features, occlude_windows))
compute_kernel_shap = support_any_output(regress_coalitions, single=True)
compute_sampled_shapley, compute_exact_shapley = support_any_output(sample_orders, True), support_any_output(enumerate_coalitions, True)
