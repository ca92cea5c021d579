"""Perturbation methods on inputs that are empty or have too few rows to permute: these are left out and get zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ....backends.torch.adapters import EVALUATE, Parts, modules_behind
from ....errors import QuantityError
from ..translate.call import CaptumCall, make_baseline
from ..translate.inputs import CaptumInputs
from ..translate.masks import parse_masks

PER_INPUT = ("feature_mask", "baselines", "sliding_window_shapes", "strides")
"""Options with one entry for each input."""


@dataclass(frozen=True, eq=False)
class ReorderedModel:
    """A model whose first arguments come in another order: argument ``i`` is passed at position ``places[i]``."""

    run: Callable[..., Any]
    places: tuple[int, ...]

    def __call__(self, *args: Any, **named: Any) -> Any:
        first: list[Any] = [None] * len(self.places)
        for place, value in zip(self.places, args, strict=False):
            first[place] = value
        return self.run(*first, *args[len(self.places) :], **named)


def run_model(call: CaptumCall) -> Any:
    """Returns the output of the model. One forward pass without gradients, in evaluation mode."""
    arguments = call.model_call
    with EVALUATE.off(Parts(modules_behind(call.model)).modules), torch.no_grad():
        return call.model(*arguments.args, **arguments.kwargs)


def read_output(call: CaptumCall) -> Any:
    """Returns the output of the model. Raises QuantityError for anything but a tensor or a number."""
    return check_output(run_model(call))


def check_output(found: Any) -> Any:
    """Returns an output. Raises QuantityError for anything but a tensor or a number."""
    if isinstance(found, torch.futures.Future):
        raise QuantityError(
            "`attribute()` needs a model that returns a tensor, not a future",
            found="a torch.futures.Future",
            advice="attribute_future(inputs, ...), or a model that returns future.wait()",
        )
    if not isinstance(found, (Tensor, int, float)):
        there = f"a {type(found).__name__}"
        raise QuantityError("The output of the model must be a tensor or a number", found=there, advice="a model that returns a tensor")
    return found


def promote_inputs(call: CaptumCall) -> CaptumCall:
    """Returns the call with integer inputs in a floating-point dtype if their baseline is no integer."""
    begin = call["baselines"]
    if begin is None or call.at_layer or isinstance(begin, dict):
        return call
    each = begin if isinstance(begin, (tuple, list)) else (begin,) * len(call.inputs.tensors)
    tensors = [promote_input(x, b) for x, b in zip(call.inputs.tensors, each, strict=False)]
    return call.with_inputs(tensors) if len(tensors) == len(call.inputs.tensors) else call


def promote_input(x: Tensor, baseline: Any) -> Tensor:
    """Returns an input, in a floating-point dtype if its own cannot represent the baseline."""
    if x.is_floating_point() or x.is_complex() or baseline is None:
        return x
    kind = baseline.dtype if isinstance(baseline, Tensor) else torch.get_default_dtype()
    if not kind.is_floating_point or torch.equal(make_baseline(x, baseline).double(), make_baseline(x.double(), baseline)):
        return x
    return x.to(kind)


def find_kept_inputs(call: CaptumCall) -> tuple[list[Tensor], list[int]]:
    """Returns masks without the features of inputs that have too few rows, and the indices of the inputs that keep some feature."""
    x, least = call.inputs.tensors, call["least_rows"] or 0
    cells = parse_masks(call)
    few = [c.reshape(-1) for c, t in zip(cells, x, strict=True) if len(t) < least]
    if few:
        gone = torch.unique(torch.cat(few))
        cells = [c.masked_fill(torch.isin(c, gone), -1) for c in cells]
    return cells, [i for i, (c, t) in enumerate(zip(cells, x, strict=True)) if t.numel() and len(t) >= least and bool((c >= 0).any())]


def drop_inputs(call: CaptumCall) -> tuple[CaptumCall | None, Callable[[Any], Any]]:
    """Returns the call without the inputs left out (None if none is left), and a function that adds their zeros to the values."""
    x = call.inputs.tensors
    if call.at_layer or (all(t.numel() for t in x) and min(map(len, x)) >= (call["least_rows"] or 0)):
        return call, lambda values: values
    cells, kept = find_kept_inputs(call)
    if not kept:
        return None, lambda values: values
    aside = [i for i in range(len(x)) if i not in kept]
    names = call.inputs.names
    options = dict(call.options)
    if call["sliding_window_shapes"] is None:
        options["feature_mask"] = tuple(cells)
    for name in PER_INPUT:
        value = options.get(name)
        if isinstance(value, (tuple, list)) and len(value) == len(x):
            options[name] = tuple(value[i] for i in kept)
    tensors = tuple(x[i] for i in kept)
    if isinstance(names[0], str):
        inputs, model, more = CaptumInputs(tensors, tuple(names[i] for i in kept), False), call.model, call.extra_args
        named = {**call.extra_kwargs, **{str(names[i]): x[i] for i in aside}}
    else:
        inputs, named = CaptumInputs(tensors, tuple(range(len(kept))), False), dict(call.extra_kwargs)
        model, more = ReorderedModel(call.model, (*kept, *aside)), (*(x[i] for i in aside), *call.extra_args)
    part = replace(call, model=model, inputs=inputs, extra_args=more, extra_kwargs=named, options=options)
    return part, lambda values: fill_dropped_inputs(call, kept, values)


def fill_dropped_inputs(call: CaptumCall, kept: list[int], values: Any) -> Any:
    """Returns the values of all inputs, zeros for those left out. Values by feature are unchanged."""
    if not isinstance(values, (tuple, list, dict)):
        return values
    found = dict(zip(kept, values.values() if isinstance(values, dict) else values, strict=True))
    one, x = found[kept[0]], call.inputs.tensors
    lead = one.shape[: one.ndim - (x[kept[0]].ndim - 1)]
    zero = {i: one.new_zeros(*lead, *t.shape[1:]) for i, t in enumerate(x) if i not in found}
    return call.inputs.pack([found[i] if i in found else zero[i] for i in range(len(x))])


def make_zeros(call: CaptumCall) -> Any:
    """Returns the zeros of a call in which no input takes part: a row for each element of the output."""
    y = torch.as_tensor(read_output(call))
    lead = y.numel() if call["target"] is None else len(y) if y.ndim else 1
    zeros = [torch.zeros(lead, *x.shape[1:], dtype=y.dtype, device=x.device) for x in call.inputs.tensors]
    return call.inputs.pack(zeros)
