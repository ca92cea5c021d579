"""Sensitivity: how much an explanation changes where the input hardly does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..arrays import Array, as_numpy, namespace
from ..engine.request import as_call
from ..errors import InputError
from ..quantities import Labels
from ..result.attribution import Attribution
from ..tree import walk
from ..utils.entry import entry
from ..utils.recipe import Recipe
from .perturbed import at_least, open_records

REDUCE: dict[str, Callable[..., Any]] = {"max": np.max, "mean": np.mean}


@dataclass(frozen=True, repr=False)
class Sensitivity(Recipe):
    """The largest (or mean) relative change of an explanation over inputs within ``radius`` of each number: one number per record.

    0 is best; 1 says that it changes by as much as there is of it. ``norm`` is the order of the norm. The explanation is run
    once more for each of ``samples`` uniform draws. Raises InputError for fewer than one. Yeh et al. 2019, definition 3.1.
    """

    radius: float = 0.02
    samples: int = 10
    reduce: Literal["max", "mean"] = "max"
    norm: float = 2.0

    def __post_init__(self) -> None:
        at_least(self, radius=0, samples=1, norm=0)
        if self.reduce not in REDUCE:
            raise InputError(f"reduce={self.reduce!r}", there=", ".join(REDUCE), try_="one of these")

    @entry
    def __call__(
        self, method: Callable[..., Attribution], model: Any, *args: Any, of: Any = None, seed: int = 0, **kwargs: Any
    ) -> np.ndarray:
        """Judge a method (a value such as ``asc.Saliency()``) at the records of a call. Their classes are those of the records."""
        call = as_call(args, kwargs)
        first = method(model, call, of=of)
        kept = Labels(tuple(map(int, first.target))) if of is None and first.target is not None else of
        random = np.random.default_rng(seed)
        with open_records(model, call, of) as records:
            noise = [[random.uniform(-self.radius, self.radius, tuple(x.shape)) for x in records.x] for _ in range(self.samples)]
            calls = [records.call([x + namespace(x).asarray(e, x) for x, e in zip(records.x, drawn, strict=True)]) for drawn in noise]
        changes = [relative_change(flat(first), flat(method(model, moved, of=kept)), self.norm) for moved in calls]
        return np.asarray(REDUCE[self.reduce](np.stack(changes), axis=0))


def flat(found: Attribution) -> np.ndarray:
    """All values of a record in a row."""
    return flattened([a for _, a in walk(found.values)])


def flattened(arrays: Sequence[Array]) -> np.ndarray:
    """Arrays ``[records, ...]`` next to each other as ``[records, numbers]``."""
    return np.concatenate([as_numpy(a).astype(np.float64).reshape(len(a), -1) for a in arrays], 1)


def relative_change(before: np.ndarray, after: np.ndarray, norm: float) -> np.ndarray:
    """The norm of each row's change over that of what was there; where nothing was, the change itself."""
    size = np.linalg.norm(before, ord=norm, axis=1)
    found: np.ndarray = np.linalg.norm(after - before, ord=norm, axis=1) / np.where(size > 0, size, 1.0)
    return found
