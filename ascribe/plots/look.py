"""How values become colours, for figures of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Sign = Literal["all", "positive", "negative", "absolute"]


@dataclass(frozen=True)
class Look:
    """How values become colours: a colormap, the values that are shown, the percentile of full colour, the opacity."""

    cmap: Any = None
    sign: Sign = "all"
    percentile: float = 100.0
    alpha: float = 1.0

    def select(self, values: np.ndarray) -> np.ndarray:
        """Returns the values that are shown; others are 0."""
        known = {"all": values, "absolute": np.abs(values), "positive": np.maximum(values, 0), "negative": np.minimum(values, 0)}
        return known[self.sign]

    def limit(self, values: np.ndarray) -> float:
        """Returns the magnitude of full colour."""
        sizes = np.abs(self.select(values))
        sizes = sizes[np.isfinite(sizes)]
        return float(np.percentile(sizes, self.percentile)) or float(sizes.max()) if sizes.size else 0.0

    def range(self, top: float) -> tuple[float, float]:
        """Returns the ends of the scale."""
        top = top or 1.0
        return (0.0 if self.sign in ("positive", "absolute") else -top), (0.0 if self.sign == "negative" else top)
