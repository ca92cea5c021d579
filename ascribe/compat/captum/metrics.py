"""captum.metrics: how badly values foretell what perturbations do, and how much they change where the input hardly does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...metrics import Infidelity
from ...metrics.sensitivity import flattened, relative_change
from .conventions import given, more_args, quantity
from .errors import also_theirs
from .noise_tunnel import copies, flat

__all__ = ["default_perturb_func", "infidelity", "infidelity_perturb_func_decorator", "sensitivity_max"]


def infidelity(
    forward_func: Callable[..., Any],
    perturb_func: Callable[..., Any],
    inputs: Any,
    attributions: Any,
    baselines: Any = None,
    additional_forward_args: Any = None,
    target: Any = None,
    n_perturb_samples: int = 10,
    max_examples_per_batch: int | None = None,
    normalize: bool = False,
) -> Tensor:
    """:class:`ascribe.metrics.Infidelity` under a perturbation of the user's: one number for each record, 0 is best.

    ``perturb_func`` is given the inputs, every record's copies in a row, and the baselines where there are some; it returns the
    perturbations and the perturbed inputs. The model is run at the records once.
    """
    with also_theirs():
        known = given(inputs)
        values = [a.detach() for a in flat(attributions)]

        def perturb(arrays: Sequence[Tensor], random: np.random.Generator) -> tuple[list[Tensor], list[Tensor]]:
            times = len(arrays[0]) // known.records
            more = () if baselines is None else (copies(baselines, times, known.records),)
            found = perturb_func(known.of(arrays), *more)
            if not isinstance(found, (tuple, list)) or len(found) != 2:
                raise InputError("what perturb_func gives", try_="perturbations and perturbed inputs, or infidelity_perturb_func_decorator")
            return flat(found[0]), flat(found[1])

        call = known.call(more_args(additional_forward_args), {})
        metric = Infidelity(perturb, n_perturb_samples, normalize)
        found = metric(values, forward_func, call, of=quantity(target), most=max_examples_per_batch)
        return torch.as_tensor(found, dtype=values[0].dtype, device=values[0].device)


def infidelity_perturb_func_decorator(multiply_by_inputs: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function that returns perturbed inputs as one that returns the perturbations too.

    Those are the differences, as shares of the distance from the baselines where the attributions hold that distance.
    """

    def decorate(perturb_func: Callable[..., Any]) -> Callable[..., Any]:
        def perturb(inputs: Any, baselines: Any = None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            there = flat(perturb_func(inputs) if baselines is None else perturb_func(inputs, baselines))
            here = flat(inputs)
            moved = [x - p for x, p in zip(here, there, strict=True)]
            if multiply_by_inputs:
                begin = [baselines] * len(here) if not isinstance(baselines, tuple) else list(baselines)
                moved = [share(m, x - (0 if b is None else b)) for m, x, b in zip(moved, here, begin, strict=True)]
            return tuple(moved), tuple(there)

        return perturb

    return decorate


def share(part: Tensor, whole: Tensor) -> Tensor:
    """A part of a whole; of nothing, the part itself."""
    return part / torch.where(whole == 0, torch.ones_like(whole), whole)


def default_perturb_func(inputs: Any, perturb_radius: float = 0.02) -> tuple[Tensor, ...]:
    """Inputs with uniform noise of at most this size added."""
    return tuple(x + torch.empty_like(x).uniform_(-perturb_radius, perturb_radius) for x in flat(inputs))


def sensitivity_max(
    explanation_func: Callable[..., Any],
    inputs: Any,
    perturb_func: Callable[..., Any] = default_perturb_func,
    perturb_radius: float = 0.02,
    n_perturb_samples: int = 10,
    norm_ord: Any = "fro",
    max_examples_per_batch: int | None = None,
    **kwargs: Any,
) -> Tensor:
    """The largest relative change of an explanation over perturbed inputs, one number for each record.

    ``kwargs`` are the explanation's; what belongs to records among them is repeated with them. The explanation at the records
    is run once.
    """
    with also_theirs():
        known = given(inputs)
        if n_perturb_samples < 1:
            raise InputError(f"n_perturb_samples={n_perturb_samples}", try_="a number from 1 up")
        norm = 2.0 if norm_ord == "fro" else norm_ord
        if isinstance(norm, str):
            raise InputError(f"norm_ord={norm_ord!r}", there="a row of numbers for each record", try_='"fro" or a number')
    first = explanation_func(inputs, **kwargs)
    before = flattened(flat(first))
    size = max(1, (max_examples_per_batch or known.records * n_perturb_samples) // known.records)
    largest = np.zeros(known.records)
    for start in range(0, n_perturb_samples, size):
        times = min(size, n_perturb_samples - start)
        many = known.of([torch.repeat_interleave(x, times, 0) for x in known.tensors])
        try:
            there = perturb_func(many, perturb_radius)
        except TypeError:  # a function of the inputs alone
            there = perturb_func(many)
        there = flat(there)
        after = explanation_func(known.of(there), **{name: copies(v, times, known.records) for name, v in kwargs.items()})
        changes = relative_change(np.repeat(before, times, 0), flattened(flat(after)), norm)
        largest = np.maximum(largest, changes.reshape(-1, times).max(1))
    leaf = flat(first)[0]
    return torch.as_tensor(largest, dtype=leaf.dtype, device=leaf.device)
