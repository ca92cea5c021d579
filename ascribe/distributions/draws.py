"""The points of a distribution as NumPy arrays, and the protocol of distributions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ..cuts import Cut


@dataclass(frozen=True)
class Noise:
    """Random noise added to the record: ``"normal"`` or ``"uniform"``, multiplied by ``scale``.

    ``each`` consecutive points share one draw: the points of a line that ends at the same noisy record.
    """

    kind: str
    scale: float | tuple[float, ...]
    relative: bool
    seed: int
    each: int = 1

    def draw(self, point: int, leaf: int, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the noise of one array of a record at one point, before relative scaling; independent of the chunk size."""
        rng = np.random.default_rng((self.seed, 0, point // self.each, leaf))  # 0: the stream of noise
        scale = np.float32(self.scale[leaf] if isinstance(self.scale, tuple) else self.scale)
        if self.kind == "normal":
            return rng.standard_normal(shape, dtype=np.float32) * scale
        return (rng.random(shape, dtype=np.float32) * 2 - 1) * scale


@dataclass(frozen=True)
class Draws:
    """The points to evaluate: arrays ``[points]``.

    A point is ``start + position * (end - start)``. The end is the record plus ``noise``; the start is the baseline, or row ``row`` of
    the background. Without ``position`` the point is the end. ``given`` is True for points that the user provides.
    """

    weight: np.ndarray
    position: np.ndarray | None = None
    row: np.ndarray | None = None
    noise: Noise | None = None
    stepwise: bool = False
    given: bool = False

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def moves(self) -> bool:
        """True if start or end differ between points, so that the difference is computed at each point."""
        return self.row is not None or self.noise is not None or self.given


class Distribution(Protocol):
    """A distribution of points, accepted by ``over=``: a frozen value with a cut and a method that draws points.

    A field ``baseline`` says where paths start; it accepts everything that the baseline of a :class:`~ascribe.distributions.Line` accepts.
    Points with a ``position`` need one.
    """

    @property
    def at(self) -> Cut: ...

    def draw(self, seed: int, rows: int = 0) -> Draws:
        """Returns the points for a seed; ``rows`` is the number of background rows, 0 without a background."""
