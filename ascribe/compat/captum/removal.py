"""Recipes of the methods that only run the model: features are taken out, and what the quantity loses is theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...coalitions import Exact, LeaveOneOut, Permutations, ShapleyKernel
from ...cuts import INPUT, OUTPUT
from ...engine import activation
from ...errors import AscribeError, FeatureError
from ...features import Each, Masks, Windows
from ...quantities import scores
from ...removal import Permute, Replace
from .asked import Asked, starts
from .base import drawn_seed
from .conventions import At, Given
from .permuted import PermutedBy, permute_feature

MOST = 20  # features of which all coalitions are run, 2^20 of them
Play = Callable[[Asked], Any]


def features_of(asked: Asked) -> Any:
    """``feature_mask`` or ``layer_mask`` as features; without one every number is a feature.

    Raises FeatureError for masks that are more or fewer than the inputs.
    """
    mask = asked["layer_mask"] if asked.within else asked["feature_mask"]
    if mask is None:
        return Each()
    if isinstance(mask, Mapping):
        mask = tuple(mask[name] for name in asked.inputs.names)
    masks = mask if isinstance(mask, (tuple, list)) else (mask,)
    if not asked.within and len(masks) != len(asked.inputs.tensors):
        raise FeatureError(
            f"{len(masks)} masks", there=f"{len(asked.inputs.tensors)} inputs", try_="one for each input", code="E-FEATURE-COUNT"
        )
    if not asked.within:
        masks = tuple(fitted(m, x) for m, x in zip(masks, asked.inputs.tensors, strict=True))
    return Masks(masks[0] if len(masks) == 1 else tuple(masks))


def fitted(mask: Tensor, x: Tensor) -> Tensor:
    """A mask beside its input, with an axis for the records. Raises FeatureError for one that cannot be spread over the input."""
    mask = torch.as_tensor(mask)
    mask = mask[(None,) * (x.ndim - mask.ndim)] if mask.ndim < x.ndim else mask
    if mask.ndim != x.ndim or any(n not in (1, size) for n, size in zip(mask.shape, x.shape, strict=True)):
        there, try_ = f"an input of shape {tuple(x.shape)}", f"{tuple(x.shape[1:])}; any axis may be 1"
        raise FeatureError(f"a mask of shape {tuple(mask.shape)}", there=there, try_=try_, code="E-FEATURES-SHAPE")
    return mask


def stand_in(asked: Asked) -> Replace:
    """``baselines`` or ``layer_baselines`` as what stands in for a removed feature."""
    if asked.within:
        given = asked["layer_baselines"]
        return Replace(given[0] if isinstance(given, (tuple, list)) and len(given) == 1 else 0.0 if given is None else given)
    begin = starts(asked, asked["baselines"])
    return Replace(begin[0] if len(begin) == 1 else tuple(begin))


def played(asked: Asked, over: Any, by: Any, seed: int = 0) -> Any:
    """One game about the features that were asked for, in captum's form."""
    return asked.result(asked.removed(over, by, features_of(asked), seed=seed).values)


AT_ONCE = ("E-RECORDS", "E-QUANTITY-TYPE", "E-TARGET-WHICH", "E-CUT-FOLDED")
"""What is said of a model that does not answer record by record."""


def everywhere(play: Play, beside: bool = False) -> Play:
    """A recipe for whatever the model gives: one number per record, several without a target, or some for all records together.

    Several numbers of a record follow each other on the first axis, or with ``beside`` have axes of their own.
    """

    def recipe(asked: Asked) -> Any:
        try:  # an axis of one number is an axis, too
            return several(asked, play, True) if beside and asked["target"] is None and asked.of.on == OUTPUT else play(asked)
        except AscribeError as error:
            if asked.of.on != OUTPUT or error.code not in ("E-TARGET-NONE", *AT_ONCE):
                raise
            if error.code in AT_ONCE and not asked.within:
                return play_together(asked, play)
            return several(asked, play, beside)

    return recipe


def several(asked: Asked, play: Play, beside: bool) -> Any:
    """Every number of the output for every record: ``[records x numbers, ...]``, or ``[records, *numbers, ...]``."""
    y = scores(activation(asked.model, asked.call, at=OUTPUT).values, asked.of)
    if len(y) != asked.inputs.records:
        return play_together(asked, play)
    found = [play(replace(asked, of=At(*map(int, spot)))) for spot in np.ndindex(*y.shape[1:])]
    return stacked(found, tuple(y.shape) if beside else (-1,))


def stacked(found: list[Any], lead: tuple[int, ...]) -> Any:
    """Results for several numbers as one, a record's beside each other."""
    first = found[0]
    if isinstance(first, tuple):
        return tuple(stacked(list(parts), lead) for parts in zip(*found, strict=True))
    if isinstance(first, dict):
        return {key: stacked([f[key] for f in found], lead) for key in first}
    return torch.stack(found, 1).reshape(*lead, *first.shape[1:])


@dataclass(frozen=True, eq=False)
class Together:
    """A model that answers for all its records at once, as one that is given batches as records: it is called once for each."""

    run: Callable[..., Any]
    more: tuple[Any, ...]
    named: Mapping[str, Any]

    def __call__(self, *batches: Tensor) -> Tensor:
        found = [self.run(*(b[i] for b in batches), *self.more, **self.named) for i in range(len(batches[0]))]
        return torch.stack([y.reshape(-1) if isinstance(y, Tensor) else torch.tensor([y], dtype=torch.float64) for y in found])


def play_together(asked: Asked, play: Play) -> Any:
    """A game in which a feature is removed from all records at once, for each number that the model gives about them all.

    A target says which of the numbers: ``[numbers or 1, ...]``. Raises QuantityError for one that is none of them.
    """
    x = asked.inputs.tensors
    lifted = Given(tuple(t[None] for t in x), tuple(range(len(x))), asked.inputs.single)
    model = Together(asked.model, asked.more, asked.named)
    options: dict[str, Any] = dict(asked.options)
    if all(options.get(name) is None for name in ("feature_mask",)):
        options["feature_mask"] = own_columns(x)
    if options.get("baselines") is not None:
        begin = starts(asked, options["baselines"])
        options["baselines"] = tuple(b.expand_as(t)[None] for b, t in zip(begin, x, strict=True))
    masks = options["feature_mask"] if isinstance(options["feature_mask"], tuple) else (options["feature_mask"],)
    options["feature_mask"] = tuple(fitted(m, t).expand(t.shape)[None] for m, t in zip(masks, x, strict=True))
    whole = replace(asked, model=model, inputs=lifted, more=(), named={}, options=options)
    every = [At(k) for k in range(int(model(*lifted.tensors).shape[1]))] if asked["target"] is None else [asked.of]
    found = [play(replace(whole, of=of)) for of in every]
    return first_rows(stacked(found, (-1,)), asked)


def own_columns(x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Masks in which every number of a record is a feature, counted on over the inputs."""
    found, count = [], 0
    for t in x:
        found.append(torch.arange(count, count + t[0].numel()).reshape(1, *t.shape[1:]))
        count += t[0].numel()
    return tuple(found)


def first_rows(values: Any, asked: Asked) -> Any:
    """Of values for whole batches those of one row: a feature has the same in all. Feature by feature they are left alone."""
    if isinstance(values, tuple):
        return tuple(first_rows(v, asked) for v in values)
    if isinstance(values, dict):
        return {key: first_rows(v, asked) for key, v in values.items()}
    return values[:, 0] if asked["return_input_shape"] is not False else values


# Methods


def ablated(asked: Asked) -> Any:
    """What the quantity loses when a feature takes its baseline."""
    return played(asked, LeaveOneOut(), stand_in(asked))


def permuted(asked: Asked) -> Any:
    """What the quantity loses when a feature takes the value of another record."""
    mix = asked["perm_func"]
    by: Any = Permute(1) if mix in (None, permute_feature) else PermutedBy(mix)
    if isinstance(asked.model, Together):
        by = PermutedBy(partial(within_batch, mix or permute_feature))
    return played(asked, LeaveOneOut(), by, drawn_seed())


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
    found = asked.removed(ShapleyKernel(max(asked["n_samples"], least)), stand_in(asked), features_of(asked), seed=drawn_seed())
    return coefficients(asked, asked.result(found.values), found.features.values if found.features is not None else None)


def coefficients(asked: Asked, values: Any, by_feature: Any) -> Any:
    """Values at their coordinates, or with ``return_input_shape=False`` one for each feature."""
    if asked["return_input_shape"]:
        return values
    first = asked.inputs.tensors[0]
    kind = first.dtype if first.is_floating_point() else torch.get_default_dtype()
    return torch.as_tensor(np.asarray(by_feature), dtype=kind, device=first.device)


def features_count(asked: Asked) -> int:
    """How many features there are."""
    mask = asked["feature_mask"]
    if mask is None:
        return sum(int(t[0].numel()) for t in asked.inputs.tensors)
    masks = mask.values() if isinstance(mask, Mapping) else mask if isinstance(mask, (tuple, list)) else (mask,)
    return len(torch.unique(torch.cat([torch.as_tensor(m).reshape(-1) for m in masks])))


def occluded(asked: Asked) -> Any:
    """What the quantity loses when a window takes its baseline; the mean over the windows that a coordinate lies in.

    Raises FeatureError for shapes that are none, or more or fewer than the inputs.
    """
    shapes, begin = asked["sliding_window_shapes"], starts(asked, asked["baselines"])
    if not isinstance(shapes, (tuple, list)) or not shapes:
        raise FeatureError(f"sliding_window_shapes={shapes!r}", try_="a tuple with a size for each axis behind the records")
    each = shapes if isinstance(shapes[0], (tuple, list)) else (shapes,)
    if len(each) != len(asked.inputs.tensors):
        raise FeatureError(f"{len(each)} window shapes", there=f"{len(asked.inputs.tensors)} inputs", try_="one for each input")
    strides = steps(asked["strides"], len(each))
    found = []
    for name, shape, stride, start in zip(asked.inputs.names, each, strides, begin, strict=True):
        windows = Windows(tuple(shape), 1 if stride is None else stride)
        at = INPUT if len(each) == 1 else INPUT.at(name)
        found.append(asked.removed(LeaveOneOut(), Replace(start), windows, at=at).values)
    return asked.inputs.like(found)


def steps(strides: Any, inputs: int) -> list[Any]:
    """``strides`` for each input: a number, a tuple, or None for every place. Raises FeatureError where they are more or fewer."""
    alone = inputs == 1 and not (isinstance(strides, tuple) and len(strides) == 1 and isinstance(strides[0], tuple))
    each = [strides] if alone else [strides] * inputs if strides is None or isinstance(strides, int) else list(strides)
    if len(each) != inputs:
        raise FeatureError(f"{len(each)} strides", there=f"{inputs} inputs", try_="one for each input")
    return each


ablate, permute, occlude, regress_shapley = map(everywhere, (ablated, permuted, occluded, kernel_shap))
sample_shapley, all_shapley = everywhere(sampled_shapley, True), everywhere(exact_shapley, True)
