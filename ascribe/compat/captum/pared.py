"""Inputs that take no part in a game: empty ones, and those with too few rows to exchange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...backends.torch.adapters import EVALUATE, Parts, modules_behind
from ...errors import QuantityError
from .asked import Asked, start_for
from .cells import cells_of
from .conventions import Given

PER_INPUT = ("feature_mask", "baselines", "sliding_window_shapes", "strides")
"""Options that have an entry for each input."""


@dataclass(frozen=True, eq=False)
class Sorted:
    """A model that is given some of its first arguments before the others."""

    run: Callable[..., Any]
    places: tuple[int, ...]

    def __call__(self, *args: Any, **named: Any) -> Any:
        first: list[Any] = [None] * len(self.places)
        for place, value in zip(self.places, args, strict=False):
            first[place] = value
        return self.run(*first, *args[len(self.places) :], **named)


def output(asked: Asked) -> Any:
    """What the model gives for the call as it is: a run without a gradient, in evaluation mode."""
    call = asked.call
    with EVALUATE.off(Parts(modules_behind(asked.model)).modules), torch.no_grad():
        return asked.model(*call.args, **call.kwargs)


def answer(asked: Asked) -> Any:
    """What the model gives. Raises QuantityError for anything but a tensor or a number."""
    return numeric(output(asked))


def numeric(found: Any) -> Any:
    """A model's answer. Raises QuantityError for anything but a tensor or a number."""
    if isinstance(found, torch.futures.Future):
        raise QuantityError("the model gives a future", there="attribute()", try_="attribute_future(), or a model that waits")
    if not isinstance(found, (Tensor, int, float)):
        raise QuantityError(f"the model gives {type(found).__name__}", there="a method that runs it", try_="a tensor or a number")
    return found


def promoted(asked: Asked) -> Asked:
    """Whole numbers as floating ones where their baseline is no whole number."""
    begin = asked["baselines"]
    if begin is None or asked.within or isinstance(begin, dict):
        return asked
    each = begin if isinstance(begin, (tuple, list)) else (begin,) * len(asked.inputs.tensors)
    tensors = [between(x, b) for x, b in zip(asked.inputs.tensors, each, strict=False)]
    return asked.on(tensors) if len(tensors) == len(asked.inputs.tensors) else asked


def between(x: Tensor, baseline: Any) -> Tensor:
    """An input, in a floating type where its own cannot hold the baseline."""
    if x.is_floating_point() or x.is_complex() or baseline is None:
        return x
    kind = baseline.dtype if isinstance(baseline, Tensor) else torch.get_default_dtype()
    if not kind.is_floating_point or torch.equal(start_for(x, baseline).double(), start_for(x.double(), baseline)):
        return x
    return x.to(kind)


def skipped(asked: Asked) -> tuple[list[Tensor], list[int]]:
    """Masks in which features of inputs with too few rows have no number, and the inputs that have some left."""
    x, least = asked.inputs.tensors, asked["least_rows"] or 0
    cells = cells_of(asked)
    few = [c.reshape(-1) for c, t in zip(cells, x, strict=True) if len(t) < least]
    if few:
        gone = torch.unique(torch.cat(few))
        cells = [c.masked_fill(torch.isin(c, gone), -1) for c in cells]
    return cells, [i for i, (c, t) in enumerate(zip(cells, x, strict=True)) if t.numel() and len(t) >= least and bool((c >= 0).any())]


def without(asked: Asked) -> tuple[Asked | None, Callable[[Any], Any]]:
    """What is asked of the inputs that take part, and how their values become those of all; None where no input takes part."""
    x = asked.inputs.tensors
    if asked.within or (all(t.numel() for t in x) and min(map(len, x)) >= (asked["least_rows"] or 0)):
        return asked, lambda values: values
    cells, kept = skipped(asked)
    if not kept:
        return None, lambda values: values
    aside = [i for i in range(len(x)) if i not in kept]
    names = asked.inputs.names
    options = dict(asked.options)
    if asked["sliding_window_shapes"] is None:
        options["feature_mask"] = tuple(cells)
    for name in PER_INPUT:
        value = options.get(name)
        if isinstance(value, (tuple, list)) and len(value) == len(x):
            options[name] = tuple(value[i] for i in kept)
    tensors = tuple(x[i] for i in kept)
    if isinstance(names[0], str):
        inputs, model, more = Given(tensors, tuple(names[i] for i in kept), False), asked.model, asked.more
        named = {**asked.named, **{str(names[i]): x[i] for i in aside}}
    else:
        inputs, named = Given(tensors, tuple(range(len(kept))), False), dict(asked.named)
        model, more = Sorted(asked.model, (*kept, *aside)), (*(x[i] for i in aside), *asked.more)
    part = replace(asked, model=model, inputs=inputs, more=more, named=named, options=options)
    return part, lambda values: completed(asked, kept, values)


def completed(asked: Asked, kept: list[int], values: Any) -> Any:
    """Values of all inputs: zeros for those that took no part. Values by feature stay as they are."""
    if not isinstance(values, (tuple, list, dict)):
        return values
    found = dict(zip(kept, values.values() if isinstance(values, dict) else values, strict=True))
    one, x = found[kept[0]], asked.inputs.tensors
    lead = one.shape[: one.ndim - (x[kept[0]].ndim - 1)]
    zero = {i: one.new_zeros(*lead, *t.shape[1:]) for i, t in enumerate(x) if i not in found}
    return asked.inputs.like([found[i] if i in found else zero[i] for i in range(len(x))])


def nothing(asked: Asked) -> Any:
    """Zeros, where no input takes part: as many as the model gives numbers, for each number of a record."""
    y = torch.as_tensor(answer(asked))
    lead = y.numel() if asked["target"] is None else len(y) if y.ndim else 1
    zeros = [torch.zeros(lead, *x.shape[1:], dtype=y.dtype, device=x.device) for x in asked.inputs.tensors]
    return asked.inputs.like(zeros)
