"""Measures a network under the rules: completeness, lost relevance, operations without a formula, time."""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

import ascribe as asc
from benchmarks.zoo.models import Subject, unbiased

SINGLE, DOUBLE = torch.float32, torch.float64
ALIVE = 1e-3
"""The least share of its score by which every record has to differ from the reference: of a network that answers the same to all, sums say
nothing."""


class Doubled(TorchFunctionMode):
    """Replaces float32 by float64, for models that cast to float32 inside."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.float:
            return args[0].double()
        args = tuple(DOUBLE if a is SINGLE else a for a in args)
        return func(*args, **{k: DOUBLE if a is SINGLE else a for k, a in kwargs.items()})


@dataclass(frozen=True)
class Row:
    """One network with one kind of attention.

    ``moves`` is the least change of the quantity as a share of it; ``single`` and ``double`` are DeepLIFT's largest relative gaps,
    ``through`` that in double precision with the model's own casts made double too; ``conserved`` is CP-LRP's largest relative loss
    without biases, ``sum`` AttnLRP's sum as a share of the quantity, ``times`` what DeepLIFT, AttnLRP and CP-LRP take in gradients.
    """

    name: str
    kind: str
    moves: float
    single: float
    double: float
    through: float
    conserved: float
    sum: float
    named: str
    times: tuple[float, float, float] = (0.0, 0.0, 0.0)


def explained(subject: Subject, kind: str, dtype: torch.dtype, by: Any, bare: bool = False) -> asc.Attribution:
    """Explains a network under a rule; ``bare`` without biases."""
    model = subject.model(kind, dtype)
    return explain_subject(subject, unbiased(model) if bare else model, dtype, by)


def explain_subject(subject: Subject, model: torch.nn.Module, dtype: torch.dtype, by: Any) -> asc.Attribution:
    over = asc.Reference(subject.reference, at=subject.at) if by.compares else asc.Point()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asc.attribute(model, of=subject.of, at=subject.at, over=over, by=by, **subject.call(dtype))


def totals(found: asc.Attribution) -> np.ndarray:
    """Returns the sum of each record's values over all arrays."""
    total: np.ndarray = np.sum([p.double().flatten(1).sum(1).numpy() for _, p in found.arrays()], axis=0)
    return total


def gap(found: asc.Attribution) -> float:
    assert found.gap is not None
    return float(found.gap.relative.max())


def moved(found: asc.Attribution) -> float:
    """The least change of the quantity from the reference to a record, as a share of the quantity."""
    assert found.gap is not None
    assert found.explained is not None
    return float((np.abs(totals(found) - found.gap.absolute) / np.abs(found.explained)).min())


def lost(found: asc.Attribution) -> float:
    """The largest share of the quantity that is missing or too much; of the largest quantity where a record's own is near nothing."""
    assert found.explained is not None
    scale = np.maximum(np.abs(found.explained), 0.1 * np.abs(found.explained).max())
    return float((np.abs(totals(found) - found.explained) / scale).max())


def without_formula(*found: asc.Attribution) -> str:
    """Returns the operations without a rule by name."""
    texts = {part.strip() for f in found for c in f.checks if c.name == "rule" and c.status != "ok" for part in c.detail.split(";")}
    return "; ".join(sorted({part.split(":")[0] for part in texts if not part[:1].isdigit()}))  # those with a rule come by number


def measured(subject: Subject, kind: str, repeats: int = 0) -> Row:
    """Returns all figures of one network. Raises ValueError for a network with a constant output."""
    single = explained(subject, kind, SINGLE, asc.rules.Rescale())
    double = explained(subject, kind, DOUBLE, asc.rules.Rescale())
    if moved(double) < ALIVE:
        raise ValueError(f"{subject.name} is dead: a record changes its score by {moved(double):.1e} of it")
    with Doubled():
        through = explained(subject, kind, DOUBLE, asc.rules.Rescale())
    fixed = explained(subject, kind, SINGLE, asc.rules.CPLRP(), bare=True)
    half = explained(subject, kind, SINGLE, asc.rules.AttnLRP(), bare=True)
    assert half.explained is not None
    share = float(np.median(totals(half) / half.explained))
    times = timed(subject, kind, repeats) if repeats else (0.0, 0.0, 0.0)
    gaps = gap(single), gap(double), gap(through)
    return Row(subject.name, kind, moved(double), *gaps, lost(fixed), share, without_formula(single, fixed), times)


def timed(subject: Subject, kind: str, repeats: int) -> tuple[float, float, float]:
    """How many times the processor's time of gradient times input DeepLIFT, AttnLRP and CP-LRP take; the middle of some runs, by turns."""
    model = subject.model(kind, SINGLE)
    rules = (asc.rules.Gradient(), asc.rules.Rescale(), asc.rules.AttnLRP(), asc.rules.CPLRP())
    taken: list[list[float]] = [[] for _ in rules]
    for i in range(repeats + 1):
        for rule, seconds in zip(rules, taken, strict=True):
            start = time.process_time()  # what else runs on the machine does not count
            explain_subject(subject, model, SINGLE, rule)
            if i:
                seconds.append(time.process_time() - start)
    base, *others = (statistics.median(seconds) for seconds in taken)
    first, second, third = (t / base for t in others)
    return first, second, third
