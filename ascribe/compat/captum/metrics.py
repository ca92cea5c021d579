"""captum.metrics: infidelity and maximum sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...metrics import Infidelity
from ...metrics.base import flatten_records
from ...metrics.sensitivity import change_of_norm
from .noise_tunnel import flatten_tensors, repeat_per_record
from .translate.errors import raise_as_captum
from .translate.inputs import parse_extra_args, parse_inputs
from .translate.targets import parse_target

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
    """Infidelity (:class:`ascribe.metrics.Infidelity`) under a perturbation of the user's, ``[records]``; 0 is best.

    ``perturb_func`` takes the inputs, each record's copies in a row, and the baselines if there are any. It returns the perturbations and
    the perturbed inputs. The unperturbed records are evaluated once.
    """
    with raise_as_captum():
        known = parse_inputs(inputs)
        values = [a.detach() for a in flatten_tensors(attributions)]

        def perturb(arrays: Sequence[Tensor], random: np.random.Generator) -> tuple[list[Tensor], list[Tensor]]:
            times = len(arrays[0]) // known.records
            more = () if baselines is None else (repeat_per_record(baselines, times, known.records),)
            found = perturb_func(known.pack(arrays), *more)
            if not isinstance(found, (tuple, list)) or len(found) != 2:
                what = "`perturb_func` must return perturbations and perturbed inputs"
                raise InputError(
                    what,
                    found=f"a {type(found).__name__}",
                    advice="return perturbations, inputs - perturbations; or infidelity_perturb_func_decorator()(perturb_func)",
                )
            return flatten_tensors(found[0]), flatten_tensors(found[1])

        call = known.make_call(parse_extra_args(additional_forward_args), {})
        metric = Infidelity(perturb, n_perturb_samples, normalize)
        found = metric(values, forward_func, call, of=parse_target(target), chunk=max_examples_per_batch).values
        return torch.as_tensor(found, dtype=values[0].dtype, device=values[0].device)


def infidelity_perturb_func_decorator(multiply_by_inputs: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function that returns perturbed inputs also return the perturbations.

    Those are differences, divided by the distance from the baselines if the attributions contain that distance.
    """

    def decorate(perturb_func: Callable[..., Any]) -> Callable[..., Any]:
        def perturb(inputs: Any, baselines: Any = None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            there = flatten_tensors(perturb_func(inputs) if baselines is None else perturb_func(inputs, baselines))
            here = flatten_tensors(inputs)
            moved = [x - p for x, p in zip(here, there, strict=True)]
            if multiply_by_inputs:
                begin = [baselines] * len(here) if not isinstance(baselines, tuple) else list(baselines)
                moved = [divide_nonzero(m, x - (0 if b is None else b)) for m, x, b in zip(moved, here, begin, strict=True)]
            return tuple(moved), tuple(there)

        return perturb

    return decorate


def divide_nonzero(part: Tensor, whole: Tensor) -> Tensor:
    """Returns ``part / whole``; ``part`` where ``whole`` is 0."""
    return part / torch.where(whole == 0, torch.ones_like(whole), whole)


def default_perturb_func(inputs: Any, perturb_radius: float = 0.02) -> tuple[Tensor, ...]:
    """Returns the inputs with uniform noise in ``[-perturb_radius, perturb_radius]``."""
    return tuple(x + torch.empty_like(x).uniform_(-perturb_radius, perturb_radius) for x in flatten_tensors(inputs))


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
    """Returns the largest relative change of an explanation over perturbed inputs, ``[records]``.

    ``kwargs`` are passed to the explanation; per-record values among them are repeated with the records. The explanation of the
    unperturbed records is computed once.
    """
    with raise_as_captum():
        known = parse_inputs(inputs)
        if n_perturb_samples < 1:
            found = f"n_perturb_samples={n_perturb_samples}"
            raise InputError("`n_perturb_samples` must be >= 1", found=found, advice="n_perturb_samples=10")
        norm = 2.0 if norm_ord == "fro" else norm_ord
        if isinstance(norm, str):
            raise InputError("`norm_ord` must be a vector norm", found=f"norm_ord={norm_ord!r}", advice='norm_ord="fro", or a number')
    first = explanation_func(inputs, **kwargs)
    before = flatten_records(flatten_tensors(first))
    size = max(1, (max_examples_per_batch or known.records * n_perturb_samples) // known.records)
    largest = np.zeros(known.records)
    for start in range(0, n_perturb_samples, size):
        times = min(size, n_perturb_samples - start)
        many = known.pack([torch.repeat_interleave(x, times, 0) for x in known.tensors])
        try:
            there = perturb_func(many, perturb_radius)
        except TypeError:  # a function of the inputs alone
            there = perturb_func(many)
        there = flatten_tensors(there)
        after = explanation_func(known.pack(there), **{name: repeat_per_record(v, times, known.records) for name, v in kwargs.items()})
        changes = change_of_norm(np.repeat(before, times, 0), flatten_records(flatten_tensors(after)), norm)
        largest = np.maximum(largest, changes.reshape(-1, times).max(1))
    leaf = flatten_tensors(first)[0]
    return torch.as_tensor(largest, dtype=leaf.dtype, device=leaf.device)
