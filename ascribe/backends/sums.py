"""Weighted sums of gradients over the points of paths: the points, and the sums without a temporary of all points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Namespace, namespace
from ..cuts import Cut

Totals = dict[Cut, list[list[Array]]]
"""For each cut and each array there, the sum ``[records, ...]`` of each quantity."""


@dataclass(frozen=True)
class PathPoints:
    """The points of some paths: point k is ``start + position[k] * (end - start)``, and its gradient counts ``weights[k]`` times.

    ``starts`` and ``ends`` are one array ``[points or 1, records or 1, ...]`` for each array at the cut. Without ``position`` the points
    are the ends.
    """

    starts: tuple[Array, ...]
    ends: tuple[Array, ...]
    position: np.ndarray | None
    weights: np.ndarray
    squares: bool = False
    """True if squares of gradients are summed."""
    by_distance: bool = False
    """True if each gradient is multiplied by the distance of its path, end less start (the end where paths have no start)."""

    def values(self, xp: Namespace, records: int) -> tuple[Array, ...]:
        """Returns the points ``[points, records, ...]``."""
        full = len(self.weights), records
        made = self.ends if self.position is None else self._between(xp, self.position)
        return tuple([z if z.shape[:2] == full else xp.broadcast_to(z, (*full, *z.shape[2:])) for z in made])

    def _between(self, xp: Namespace, position: np.ndarray) -> list[Array]:
        shares = [xp.asarray(position.reshape(-1, *[1] * (e.ndim - 1)), e) for e in self.ends]
        return [xp.mix(s, e, share) for s, e, share in zip(self.starts, self.ends, shares, strict=True)]

    def distances(self) -> list[Array]:
        """Returns the distances of the paths, ``[points or 1, records or 1, ...]``."""
        return [e - s for e, s in zip(self.ends, self.starts, strict=True)] if self.starts else list(self.ends)

    def scaled(self, leaves: list[Array]) -> list[Array]:
        """Returns gradients ``[quantities, points, records, ...]`` as they are summed: times the distance, and squared, if asked for."""
        if self.by_distance:
            leaves = [g * d[None] for g, d in zip(leaves, self.distances(), strict=True)]
        return [g * g for g in leaves] if self.squares else leaves

    def add(self, grads: Mapping[Cut, list[Array]], totals: Totals) -> None:
        """Adds the weighted gradients ``[quantities, points, records, ...]`` to ``totals``."""
        for cut, leaves in grads.items():
            add_weighted(totals.setdefault(cut, []), self.scaled(leaves), self.weights)


def add_weighted(totals: list[list[Array]], parts: list[Array], weights: np.ndarray) -> None:
    """Adds the weighted points of ``[quantities, points, records, ...]`` to one sum for each quantity."""
    for i, g in enumerate(parts):
        xp = namespace(g)
        if len(totals) == i:
            totals.append([xp.accumulator(tuple(g.shape[2:]), g) for _ in range(g.shape[0])])
        totals[i] = [xp.accumulate(t, g[k], weights) for k, t in enumerate(totals[i])]
