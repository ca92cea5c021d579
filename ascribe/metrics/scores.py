"""The result of a metric: one number for each record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..result.attribution import Check

Direction = Literal["lower", "higher"]


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """The numbers of a metric, ``values`` [records], with what it takes to read them. ``np.asarray`` returns the numbers.

    ``direction`` says whether lower or higher numbers are better. ``metric`` is the metric as code. ``evaluations`` is the number of rows
    that the model was run on. ``checks`` say where the numbers are not to be trusted.
    """

    values: np.ndarray
    direction: Direction
    metric: str = ""
    evaluations: int = 0
    checks: tuple[Check, ...] = ()

    @property
    def mean(self) -> float:
        """The mean over the records."""
        return float(np.mean(self.values))

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
        return f"<Scores {self.metric}: mean {self.mean:.4g} of {len(self)} records, {self.direction} is better{said}>"
