"""Models with one output for the whole batch, such as a loss: captum's aggregation mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ....errors import FeatureError, MethodError
from ..translate.call import CaptumCall, make_baselines
from ..translate.inputs import CaptumInputs
from ..translate.masks import map_tensors, parse_masks
from ..translate.targets import TargetUnit
from .skipped_inputs import check_output, read_output

Recipe = Callable[[CaptumCall], Any]


@dataclass(frozen=True, eq=False)
class BatchModel:
    """A model with one output for a batch, as a model whose records are batches: it is called once for each."""

    run: Callable[..., Any]
    more: tuple[Any, ...]
    named: Mapping[str, Any]

    def __call__(self, *batches: Tensor) -> Tensor:
        found = [check_output(self.run(*(b[i] for b in batches), *self.more, **self.named)) for i in range(len(batches[0]))]
        return torch.stack([y.reshape(-1).double() if isinstance(y, Tensor) else torch.tensor([y], dtype=torch.float64) for y in found])


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A model with integer outputs, which are converted to float64."""

    run: Callable[..., Any]

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.run(*args, **named).double()


def run_on_batch(call: CaptumCall, play: Recipe, y: Any = None, own_masks: bool = False) -> Any:
    """Returns the values of features removed from all records at once, ``[outputs or 1, ...]``, for each output of the batch.

    ``y`` is the model's output if it is known. A target selects one output. With ``own_masks`` the values of an output are those under the
    mask of its own record. Raises QuantityError for a target that is out of range, MethodError for ``perturbations_per_eval`` above 1,
    FeatureError for masks that differ between records.
    """
    y = to_tensor(read_output(call) if y is None else y)
    x = call.inputs.tensors
    several = call["perturbations_per_eval"] or 1
    if several > 1:
        there = f"an output of shape {tuple(y.shape)} for {call.inputs.records} records"
        what = f"`perturbations_per_eval={several}` needs a model with an output for each record"
        raise MethodError(what, found=there, advice="perturbations_per_eval=1")
    cells = parse_masks(call) if call["sliding_window_shapes"] is None else None
    own = cells is not None and any(len(c) > 1 for c in cells)
    if own and y.numel() != call.inputs.records and not own_masks:
        there = f"an output of {y.numel()} element(s) for all {call.inputs.records} records"
        raise FeatureError(
            "The masks must be the same for all records, because the model has one output for the whole batch",
            found=there,
            advice="feature_mask[:1]",
        )
    options: dict[str, Any] = dict(call.options)
    options["feature_mask"] = cells and tuple(c.expand(t.shape)[None] for c, t in zip(cells, x, strict=True))
    if options.get("baselines") is not None:
        begin = make_baselines(call, options["baselines"])
        options["baselines"] = tuple(b.expand_as(t)[None] for b, t in zip(begin, x, strict=True))
    inputs = CaptumInputs(tuple(t[None] for t in x), tuple(range(len(x))), call.inputs.single)
    every = [TargetUnit(k) for k in range(y.numel())]
    of = call.of if call["target"] is not None else every[0] if len(every) == 1 else every
    whole = CaptumCall(
        BatchModel(call.model, call.extra_args, call.extra_kwargs), inputs, (), {}, of, call.at, call.multiply, options, y.dtype
    )
    by_feature = call["return_input_shape"] is False

    def rows(values: Tensor) -> Tensor:
        """Returns the values of one record from ``[outputs, 1, records, ...]``; values by feature have no axis of records."""
        numbers = values[:, 0] if isinstance(of, list) else values
        return numbers if by_feature else torch.stack([n[k if own else 0] for k, n in enumerate(numbers)])

    return map_tensors(play(whole), rows)


def to_tensor(y: Any) -> Tensor:
    """Returns an output as a tensor; Python numbers in their own precision."""
    return y if isinstance(y, Tensor) else torch.tensor(y, dtype=torch.float64 if isinstance(y, float) else torch.int64)


def convert_integer_model(call: CaptumCall, y: Any) -> CaptumCall | None:
    """Returns the call with a model that returns floats instead of integers; None if the output is not integer per record."""
    whole = isinstance(y, Tensor) and not y.is_floating_point() and not y.is_complex() and y.ndim > 0
    if not whole or len(y) != call.inputs.records or not output_grows(call, y):
        return None
    return replace(call, model=FloatModel(call.model), output_dtype=y.dtype)


def output_grows(call: CaptumCall, y: Tensor) -> bool:
    """Returns True if twice as many records give twice as many output rows. One forward pass."""
    try:
        twice = read_output(call.repeat_records(2))
    except Exception:  # a model of so many records and no others
        return False
    return isinstance(twice, Tensor) and twice.shape == (2 * len(y), *y.shape[1:])
