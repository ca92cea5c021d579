"""Sensitivity: how much an explanation changes when the input hardly changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..arrays import namespace
from ..errors import InputError
from ..tree import walk
from .base import Evaluation, Metric, check_settings, flatten_records

REDUCE: dict[str, Callable[..., Any]] = {"max": np.max, "mean": np.mean}


@dataclass(frozen=True, repr=False)
class Sensitivity(Metric):
    """The largest (or mean) relative change of an explanation over inputs within ``radius`` of each element: 0 is best.

    *Use it when* you ask whether an explanation is stable. A score of 1 says that the explanation changes by its own norm. It needs a
    method, such as ``asc.Saliency()``; predicted classes are those of the original records.

    ``norm`` is the order of the norm, ``reduce`` "max" or "mean". Cost: the explanation, once more for each of ``samples`` uniform draws.
    Raises InputError for fewer than one sample, and for an Attribution in place of a method.

    Source: Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", definition 3.1, arXiv:1901.09392.
    """

    radius: float = 0.02
    samples: int = 10
    reduce: Literal["max", "mean"] = "max"
    norm: float = 2.0

    def __post_init__(self) -> None:
        check_settings(self, radius=0, samples=1, norm=0)
        if self.reduce not in REDUCE:
            choices = " or ".join(map(repr, REDUCE))
            raise InputError(f"`reduce=` must be {choices}", found=f"reduce={self.reduce!r}", advice="reduce='max'")

    def score(self, evaluation: Evaluation) -> np.ndarray:
        before = evaluation.flat_values()
        with evaluation.open_records() as records:
            shapes, uniform = [tuple(x.shape) for x in records.x], evaluation.random.uniform
            noise = [[uniform(-self.radius, self.radius, shape) for shape in shapes] for _ in range(self.samples)]
            calls = [records.call([x + namespace(x).asarray(e, x) for x, e in zip(records.x, draw, strict=True)]) for draw in noise]
        after = [flatten_records([a for _, a in walk(evaluation.explain_again(call).values)]) for call in calls]
        return np.asarray(REDUCE[self.reduce](np.stack([relative_change(before, a, self.norm) for a in after]), axis=0))


def relative_change(before: np.ndarray, after: np.ndarray, norm: float) -> np.ndarray:
    """Returns the norm of each row's change over the norm of the row; the norm of the change where the row is zero."""
    size = np.linalg.norm(before, ord=norm, axis=1)
    change: np.ndarray = np.linalg.norm(after - before, ord=norm, axis=1) / np.where(size > 0, size, 1.0)
    return change
