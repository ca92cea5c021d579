"""Results feature by feature: what :attr:`Attribution.features` holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One value for each feature: float64 ``[records, features]``, or ``[quantities, records, features]``.

    Interactions have ``[..., features, features]``. ``error`` are standard errors, None where values are exact; ``names`` are the
    features' if they have any, and ``told`` says what they are.
    """

    values: np.ndarray
    error: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    told: str = ""

    def _each(self, change: Any) -> FeatureTable:
        return replace(self, values=change(self.values), error=None if self.error is None else change(self.error))

    def records(self, place: np.ndarray, axis: int) -> FeatureTable:
        """Those of some records."""
        return self._each(lambda a: np.take(a, place, axis))

    def quantity_at(self, k: int) -> FeatureTable:
        """Those of one of several quantities."""
        return self._each(lambda a: a[k])

    def scaled(self, factor: float) -> FeatureTable:
        """Times a number."""
        error = None if self.error is None else self.error * abs(factor)
        return replace(self, values=self.values * factor, error=error)
