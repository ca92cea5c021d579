"""The bend of the quantity between the points of a line: whether more points would make a completeness gap smaller, without a run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...arrays import Array, as_numpy

FEW = 8
"""Points on a path, or every other one of them, below which its bend is not known."""
SHRINKS = 0.9
"""A bend at all points that is at most this share of that at every other one: more points go on making it smaller."""


@dataclass
class Course:
    """The quantity's values ``[quantities, points, records]`` at points of a line, chunk by chunk; ``each`` of them make one path."""

    position: np.ndarray
    each: int
    chunks: dict[int, Array] = field(default_factory=dict)

    def bend(self) -> np.ndarray:
        """Returns how far a quadrature rule may miss the change by what happens between the points, ``[2, quantities, records]``.

        First at all points, then at every other one; infinite where there are too few points. A mean over the paths.
        """
        values = np.concatenate([as_numpy(self.chunks[k]).astype(np.float64) for k in sorted(self.chunks)], 1)
        if self.each < FEW:
            return np.full((2, values.shape[0], values.shape[2]), np.inf)
        bends = []
        for k in range(0, len(self.position), self.each):
            order = k + np.argsort(self.position[k : k + self.each], kind="stable")
            t, v = self.position[order], values[:, order]
            fine = roughness(t, v)
            bends.append([fine, roughness(t[::2], v[:, ::2]) if self.each >= 2 * FEW else np.full_like(fine, np.inf)])
        mean: np.ndarray = np.mean(bends, axis=0)
        return mean


def roughness(position: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the changes of slope from point to point, each over the stretch that its point accounts for, ``[quantities, records]``.

    For a line of straight pieces that bounds the error of the sum of slopes. Twice as many points halve it where slopes are bounded; a
    jump stays as large as it is, and what the points do not resolve grows. At the ends, nothing is known beyond the first and last point.
    """
    with np.errstate(all="ignore"):
        width = np.diff(position)
        slope = np.diff(values, axis=1) / np.maximum(width, 1e-12)[:, None]
        reach = (position[2:] - position[:-2]) / 2
        total = (np.abs(np.diff(slope, axis=1)) * reach[:, None]).sum(1)
        first, last = max(position[0], width[0] / 2), max(1 - position[-1], width[-1] / 2)
        bound: np.ndarray = total + first * np.abs(slope[:, 0]) + last * np.abs(slope[:, -1])
    return bound


def advise_on_curvature(gap: np.ndarray, bend: np.ndarray) -> str:
    """Returns what helps against ``[gaps]``, by ``[2, gaps]`` bends: "steps", or nothing for a "jump" or a "missing" gradient."""
    if np.isinf(bend[0]).any():
        return "steps"
    fine, coarse = bend.sum(1)
    if fine > SHRINKS * coarse and fine >= np.abs(gap).sum() / 2:
        return "jump"
    return "steps" if (np.abs(gap) <= bend[0]).any() else "missing"
