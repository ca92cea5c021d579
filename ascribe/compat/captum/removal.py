"""Recipes of the methods that only run the model: features are taken out, and what the quantity loses is theirs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...coalitions import Exact, LeaveOneOut, Permutations, ShapleyRegression
from ...cuts import INPUT, OUTPUT
from ...engine.verbs import activation
from ...errors import AscribeError, FeatureError, QuantityError
from ...features import Masks, Windows
from ...quantities import scores
from ...removal import Replace
from ...result.attribution import Attribution as Result
from ...tree import walk
from .asked import Asked, starts
from .base import drawn_seed
from .cells import as_kind, at_cells, cells_of, changed, features_of, known_of, smooth
from .conventions import At
from .pared import answer, nothing, promoted, without
from .permuted import PermutedBy, permute_feature
from .whole import Play, Together, floated, play_together

MOST = 20  # features of which all coalitions are run, 2^20 of them


def stand_in(asked: Asked) -> Replace:
    """``baselines`` or ``layer_baselines`` as what stands in for a removed feature."""
    if asked.within:
        given = asked["layer_baselines"]
        return Replace(given[0] if isinstance(given, (tuple, list)) and len(given) == 1 else 0.0 if given is None else given)
    begin = starts(asked, asked["baselines"])
    return Replace(begin[0] if len(begin) == 1 else tuple(begin))


def played(asked: Asked, over: Any, by: Any, seed: int = 0, exact: bool = False) -> Any:
    """One game about the features that were asked for, in captum's form; of several quantities on the first axis.

    ``exact`` is for differences of outputs, which have the outputs' own type; means are floating.
    """
    found, kind = asked.removed(over, by, features_of(asked), seed=seed)
    kind = kind if exact else smooth(asked, kind)
    if asked.within:
        return changed(asked.result(found.values), partial(as_kind, kind=kind))
    assert found.features is not None
    return at_cells(asked, found.features.values, kind)


AT_ONCE = ("E-RECORDS", "E-QUANTITY-TYPE", "E-TARGET-WHICH", "E-CUT-FOLDED")
"""What is said of a model that does not answer record by record."""


def everywhere(play: Play, beside: bool = False, one: bool = False) -> Play:
    """A recipe for whatever the model gives: one number per record, several without a target, or some for all records together.

    Several numbers of a record follow each other on the first axis, or with ``beside`` have axes of their own; with ``one`` they are
    refused.
    """

    def recipe(asked: Asked) -> Any:
        asked = promoted(unasked(asked))
        part, completed = without(asked)
        if part is None:
            return nothing(asked)
        return completed(answered(part))

    def answered(asked: Asked) -> Any:
        if not asked.within and len(set(map(len, asked.inputs.tensors))) > 1:
            return at_once(asked, play, beside, one)
        try:
            return apart(asked)
        except AscribeError as error:
            if asked.of.on != OUTPUT or error.code not in AT_ONCE or asked.within:
                raise
        return at_once(asked, play, beside, one)

    def apart(asked: Asked) -> Any:
        if beside and asked["target"] is None and asked.of.on == OUTPUT:
            return several(asked, play, True)  # an axis of one number is an axis, too
        try:
            return play(asked)
        except AscribeError as error:
            if asked.of.on != OUTPUT or error.code != "E-TARGET-NONE":
                raise
            if one:
                there = "several numbers for each record"
                raise QuantityError("no target", there=there, try_="target=: the number to explain", code="E-TARGET-NONE") from error
        return several(asked, play, beside)

    return recipe


def at_once(asked: Asked, play: Play, beside: bool, one: bool) -> Any:
    """:func:`everywhere` for a model that answers for all records together."""
    y = answer(asked)
    if (each := floated(asked, y)) is not None:
        return several(each, play, beside) if asked["target"] is None and y.ndim + beside > 1 else play(each)
    if one and asked["target"] is None and torch.as_tensor(y).numel() != 1:
        raise QuantityError("several numbers for all records", there=f"an output of shape {tuple(y.shape)}", try_="one number")
    return play_together(asked, play, y, own_masks=one)


def unasked(asked: Asked) -> Asked:
    """What is asked of a function without arguments: it is called without any."""
    run = asked.model
    if not inspect.isfunction(run) or inspect.signature(run).parameters:
        return asked
    return replace(asked, model=lambda *args, **named: run())


def several(asked: Asked, play: Play, beside: bool) -> Any:
    """Every number of the output for every record: ``[records x numbers, ...]``, or ``[records, *numbers, ...]``."""
    y = scores(activation(asked.model, asked.call, at=OUTPUT).values, asked.of)
    if not y.ndim or len(y) != asked.inputs.records:
        return play_together(asked, play)
    if y.ndim == 1:
        return play(asked)
    spots = [At(*map(int, spot)) for spot in np.ndindex(*y.shape[1:])]
    lead = tuple(y.shape) if beside else (-1,)
    return changed(play(replace(asked, of=spots)), lambda v: v.transpose(0, 1).reshape(*lead, *v.shape[2:]))


# Methods


def ablated(asked: Asked) -> Any:
    """What the quantity loses when a feature takes its baseline."""
    return played(asked, LeaveOneOut(), stand_in(asked), exact=True)


def permuted(asked: Asked) -> Any:
    """What the quantity loses when a feature takes the value of another record."""
    mix = asked["perm_func"]
    if mix in (None, permute_feature):  # draws of its own: what is drawn within a call is forgotten after it
        mix = partial(permute_feature, generator=torch.Generator().manual_seed(drawn_seed()))
    by = PermutedBy(partial(within_batch, mix) if isinstance(asked.model, Together) else mix)
    return played(asked, LeaveOneOut(), by, exact=True)


def within_batch(mix: Callable[[Tensor, Tensor], Tensor], batches: Tensor, mask: Tensor) -> Tensor:
    """Records exchanged inside batches that stand as records."""
    return torch.stack([mix(batch, mask[0]) for batch in batches])


def sampled_shapley(asked: Asked) -> Any:
    """The mean contribution over ``n_samples`` orders, each beside its reverse."""
    count = features_count(asked)
    pairs = -(-asked["n_samples"] // 2)
    over = Permutations(2 + pairs * 2 * max(count - 1, 1))
    return played(asked, over, stand_in(asked), drawn_seed())


def exact_shapley(asked: Asked) -> Any:
    """The mean contribution over all orders, from all coalitions."""
    return played(asked, Exact(most=MOST), stand_in(asked))


def kernel_shap(asked: Asked) -> Any:
    """Shapley values by regression on ``n_samples`` coalitions, or as few as determine them where that is more."""
    least = 3 * features_count(asked) + 2
    over = ShapleyRegression(max(asked["n_samples"], least))
    found, kind = asked.removed(over, stand_in(asked), features_of(asked), seed=drawn_seed())
    assert found.features is not None
    return coefficients(asked, found.features.values, smooth(asked, kind))


def coefficients(asked: Asked, by_feature: Any, kind: torch.dtype) -> Any:
    """Values at their coordinates, or with ``return_input_shape=False`` one for each feature."""
    if asked["return_input_shape"]:
        return at_cells(asked, by_feature, kind)
    return torch.as_tensor(np.asarray(by_feature), dtype=kind, device=asked.inputs.tensors[0].device)


def features_count(asked: Asked) -> int:
    """How many features there are."""
    return len(known_of(cells_of(asked)))


def occluded(asked: Asked) -> Any:
    """What the quantity loses when a window takes its baseline; the mean over the windows that a coordinate lies in.

    Raises FeatureError for shapes that are none, or more or fewer than the inputs.
    """
    shapes, begin, x = asked["sliding_window_shapes"], starts(asked, asked["baselines"]), asked.inputs.tensors
    if not isinstance(shapes, (tuple, list)):
        raise FeatureError(f"sliding_window_shapes={shapes!r}", try_="a tuple with a size for each axis behind the records")
    each = shapes if shapes and isinstance(shapes[0], (tuple, list)) else (shapes,)
    if len(each) != len(x):
        raise FeatureError(f"{len(each)} window shapes", there=f"{len(x)} inputs", try_="one for each input")
    found = []
    for k, (shape, stride) in enumerate(zip(each, steps(asked["strides"], len(each)), strict=True)):
        at = INPUT if len(each) == 1 else INPUT.at(asked.inputs.names[k])
        one, kind = asked.removed(LeaveOneOut(), Replace(begin[k]), windows(asked, x[k], shape, stride), at=at)
        found.append(as_kind(leaf_of(one), smooth(asked, kind)))
    return asked.inputs.like(found)


def leaf_of(found: Result) -> Tensor:
    """The only array of a result."""
    leaf: Tensor = next(leaf for _, leaf in walk(found.values))
    return leaf


def windows(asked: Asked, x: Tensor, shape: Any, stride: Any) -> Any:
    """Windows of a shape that step by a stride; over inputs of one number for each record, that number.

    Raises FeatureError for shapes and strides with more or fewer axes than a record has.
    """
    batch = tuple(x.shape[1 : 1 + isinstance(asked.model, Together)])  # records of a batch that is one record go together
    sizes = tuple(x.shape[1 + len(batch) :])
    strides = (1 if stride is None else stride,) * len(sizes) if stride is None or isinstance(stride, int) else tuple(stride)
    for axes, what in ((shape, "sliding_window_shapes"), (strides, "strides")):
        if len(axes) != len(sizes):
            there = f"records of shape {sizes}"
            raise FeatureError(f"{what} of {len(axes)} axes", there=there, try_=f"{len(sizes)} whole numbers", code="E-FEATURES-SHAPE")
    if not batch + sizes:
        return Masks(torch.zeros(1, dtype=torch.long))
    fitting = [min(s, w) if w == n else s for s, w, n in zip(strides, shape, sizes, strict=True)]  # one window has nowhere to step to
    return Windows((*batch, *shape), (*batch, *fitting))


def steps(strides: Any, inputs: int) -> list[Any]:
    """``strides`` for each input: a number, a tuple, or None for every place. Raises FeatureError where they are more or fewer."""
    alone = inputs == 1 and not (isinstance(strides, tuple) and len(strides) == 1 and isinstance(strides[0], tuple))
    each = [strides] if alone else [strides] * inputs if strides is None or isinstance(strides, int) else list(strides)
    if len(each) != inputs:
        raise FeatureError(f"{len(each)} strides", there=f"{inputs} inputs", try_="one for each input")
    return each


ablate, permute, occlude = map(everywhere, (ablated, permuted, occluded))
regress_shapley = everywhere(kernel_shap, one=True)
sample_shapley, all_shapley = everywhere(sampled_shapley, True), everywhere(exact_shapley, True)
