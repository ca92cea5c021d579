"""Models that answer for all their records at once: a number, or some, for the whole batch (captum's aggregation mode)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...errors import FeatureError, MethodError
from .asked import Asked, starts
from .cells import cells_of, changed
from .conventions import At, Given
from .pared import answer, numeric

Play = Callable[[Asked], Any]


@dataclass(frozen=True, eq=False)
class Together:
    """A model that answers for all its records at once, as one that is given batches as records: it is called once for each."""

    run: Callable[..., Any]
    more: tuple[Any, ...]
    named: Mapping[str, Any]

    def __call__(self, *batches: Tensor) -> Tensor:
        found = [numeric(self.run(*(b[i] for b in batches), *self.more, **self.named)) for i in range(len(batches[0]))]
        return torch.stack([y.reshape(-1).double() if isinstance(y, Tensor) else torch.tensor([y], dtype=torch.float64) for y in found])


@dataclass(frozen=True, eq=False)
class Floated:
    """A model that gives whole numbers for each record, as floating ones."""

    run: Callable[..., Any]

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.run(*args, **named).double()


def play_together(asked: Asked, play: Play, y: Any = None, own_masks: bool = False) -> Any:
    """A game in which a feature is removed from all records at once, for each number that the model gives about them all.

    ``y`` is the model's answer where it is known. A target says which of the numbers: ``[numbers or 1, ...]``. With ``own_masks`` one
    number's values are those under the first record's mask. Raises QuantityError for a target that is none of the numbers, MethodError
    for several perturbations at once, and FeatureError for masks that records do not share.
    """
    y = as_tensor(answer(asked) if y is None else y)
    x = asked.inputs.tensors
    several = asked["perturbations_per_eval"] or 1
    if several > 1:
        there = f"an output of shape {tuple(y.shape)} for {asked.inputs.records} records, whatever their number"
        raise MethodError(f"perturbations_per_eval={several}", there=there, try_="perturbations_per_eval=1")
    cells = cells_of(asked) if asked["sliding_window_shapes"] is None else None
    own = cells is not None and any(len(c) > 1 for c in cells)
    if own and y.numel() != asked.inputs.records and not own_masks:
        there = f"{y.numel()} number(s) about all {asked.inputs.records} records"
        raise FeatureError("masks of each record's own", there=there, try_="masks whose first axis is 1")
    options: dict[str, Any] = dict(asked.options)
    options["feature_mask"] = cells and tuple(c.expand(t.shape)[None] for c, t in zip(cells, x, strict=True))
    if options.get("baselines") is not None:
        begin = starts(asked, options["baselines"])
        options["baselines"] = tuple(b.expand_as(t)[None] for b, t in zip(begin, x, strict=True))
    inputs = Given(tuple(t[None] for t in x), tuple(range(len(x))), asked.inputs.single)
    every = [At(k) for k in range(y.numel())]
    of = asked.of if asked["target"] is not None else every[0] if len(every) == 1 else every
    whole = Asked(Together(asked.model, asked.more, asked.named), inputs, (), {}, of, asked.at, asked.multiply, options, y.dtype)
    by_feature = asked["return_input_shape"] is False

    def rows(values: Tensor) -> Tensor:
        """Of ``[numbers, 1, records, ...]`` a record's, the same for all where masks are; features' values have no records."""
        numbers = values[:, 0] if isinstance(of, list) else values
        return numbers if by_feature else torch.stack([n[k if own else 0] for k, n in enumerate(numbers)])

    return changed(play(whole), rows)


def as_tensor(y: Any) -> Tensor:
    """An answer as a tensor; Python's numbers in its own precision."""
    return y if isinstance(y, Tensor) else torch.tensor(y, dtype=torch.float64 if isinstance(y, float) else torch.int64)


def floated(asked: Asked, y: Any) -> Asked | None:
    """What is asked of a model that gives whole numbers for each record; None for models that give something else."""
    whole = isinstance(y, Tensor) and not y.is_floating_point() and not y.is_complex() and y.ndim > 0
    if not whole or len(y) != asked.inputs.records or not grows(asked, y):
        return None
    return replace(asked, model=Floated(asked.model), kind=y.dtype)


def grows(asked: Asked, y: Tensor) -> bool:
    """Whether the answer has twice as many rows for twice as many records: a run to find out."""
    try:
        twice = answer(asked.spread(2))
    except Exception:  # a model of so many records and no others
        return False
    return isinstance(twice, Tensor) and twice.shape == (2 * len(y), *y.shape[1:])
