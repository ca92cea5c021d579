"""The result of a metric: one number for each record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..result.attribution import Check
from ..utils.intervals import interval_of_mean

Direction = Literal["lower", "higher"]


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """The quantity while features are removed: ``values`` ``[points, records]`` with the share of removed features at each point."""

    removed: np.ndarray
    values: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The mean over the records, ``[points]``."""
        return np.asarray(self.values.mean(1))

    @property
    def area(self) -> np.ndarray:
        """The area under the curve of each record, ``[records]``, by the trapezoidal rule over the share of removed features."""
        middles = (self.values[1:] + self.values[:-1]) / 2
        return np.asarray((middles * np.diff(self.removed)[:, None]).sum(0))

    def __repr__(self) -> str:
        return f"<Curve: {len(self.removed)} points, {self.values.shape[1]} records, mean {self.mean[0]:.4g} to {self.mean[-1]:.4g}>"


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """The numbers of a metric, ``values`` [records], with what it takes to read them. ``np.asarray`` returns the numbers.

    ``direction`` says whether lower or higher numbers are better. ``metric`` is the metric as code. ``evaluations`` is the number of rows
    that the model was run on. ``checks`` say where the numbers are not to be trusted. A record for which the metric is not defined has
    NaN, and a check that says why. ``curves`` has the curves that the numbers are areas of, and ``parts`` the scores for each of several
    replacements; ``values`` are their means.
    """

    values: np.ndarray
    direction: Direction
    metric: str = ""
    evaluations: int = 0
    checks: tuple[Check, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    parts: Mapping[str, Scores] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over the records that have a number; NaN if none has."""
        known = self.values[~np.isnan(self.values)]
        return float(known.mean()) if len(known) else float("nan")

    def interval(self, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """Returns the limits of the bootstrap interval of the mean over the records: how far it depends on the choice of records."""
        return interval_of_mean(self.values, level, seed=seed)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values.tolist())

    def __getitem__(self, record: int) -> float:
        return float(self.values[record])

    def __repr__(self) -> str:
        said = "".join(f", {check.name}: {check.status}" for check in self.checks if check.bad)
        low, high = self.interval()
        limits = f" [{low:.4g}, {high:.4g}]" if np.isfinite(low) else ""
        return f"<Scores {self.metric}: mean {self.mean:.4g}{limits} of {len(self)} records, {self.direction} is better{said}>"
