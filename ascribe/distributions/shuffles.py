"""Sequences shuffled so that every run of ``k`` letters occurs as often as before: the background of genomics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, namespace
from ..calls.call import Call
from ..errors import DistributionError
from ..values import Value
from .baselines import replace_token_ids


@dataclass(frozen=True, repr=False)
class Shuffled(Value):
    """Shuffles of each record that keep how often every run of ``k`` letters occurs; ``k=2`` is the dinucleotide shuffle.

    *Use it when* the input is a sequence (DNA, protein, tokens) and no neutral sequence exists to compare it with.

    >>> background = asc.Background(asc.distributions.Shuffled(k=2), samples=20)

    For one-hot sequences (or any with a few distinct columns) the letters are on ``axis``: 1 for ``[records, letters, length]``, 2 for
    ``[records, length, letters]``. For sequences of token ids the ids of the call are shuffled, except those in ``keep`` (padding,
    separators). The first and last ``k - 1`` letters keep their positions. Every arrangement is equally likely (a random Eulerian
    path: Altschul and Erickson 1985, Kandel et al. 1996). The draws depend on the ``seed`` of the call only.

    Raises DistributionError if the input is not a sequence, or if ``k``, ``axis`` or ``keep`` are not valid.
    """

    k: int = 2
    axis: int = 1
    keep: tuple[int, ...] = ()

    samples = 20
    """How many, where nobody says."""

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise DistributionError(f"k={self.k!r}", try_="how many letters stay together: 1, 2, 3 ...")
        if self.axis not in (1, 2, -1, -2):
            raise DistributionError(f"axis={self.axis!r}", try_="the axis of the letters: 1 or 2")
        keep = tuple(self.keep) if isinstance(self.keep, Iterable) else (self.keep,)
        if not all(isinstance(i, (int, np.integer)) for i in keep):
            raise DistributionError(f"keep={self.keep!r}", try_="token ids, such as those of padding and separators")
        object.__setattr__(self, "keep", tuple(map(int, keep)))

    def rows(self, values: Array, leaf: int, seed: int, sample: int) -> Array:
        """A shuffle of each record, ``[records, letters, length]`` or ``[records, length]``.

        Each has its draws from the seed and the sample's number alone, so that records know nothing of each other.
        """
        xp = namespace(values)
        found = [self._row(row, np.random.default_rng((seed, 4, sample, leaf))) for row in xp.numpy(values)]
        return xp.cast(xp.asarray(np.stack(found), values), values)

    def call(self, call: Call, seed: int, sample: int) -> Call:
        """A model call with its token ids shuffled."""
        return replace_token_ids(call, lambda ids: self.rows(ids, 0, seed, sample), "Shuffled")

    def _row(self, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if row.ndim == 1:
            free = ~np.isin(row, self.keep)
            row = row.copy()
            row[free] = row[free][shuffle(np.unique(row[free], return_inverse=True)[1], self.k, rng)]
            return row
        if row.ndim != 2:
            there = f"records of shape {row.shape}"
            raise DistributionError("Shuffled() is for sequences", there=there, try_="[records, letters, length], or ids [records, length]")
        lines = row.T if self.axis in (1, -2) else row
        if is_one_hot(lines.T) and not is_one_hot(lines):
            other = 2 if self.axis in (1, -2) else 1
            raise DistributionError(
                f"Shuffled(axis={self.axis})", there=f"letters on axis {other}", try_=f"axis={other}", code="E-BASELINE-AXIS"
            )
        order = shuffle(np.unique(lines, axis=0, return_inverse=True)[1].ravel(), self.k, rng)
        return row[:, order] if self.axis in (1, -2) else row[order]


def is_one_hot(lines: np.ndarray) -> bool:
    """Whether every line is a single 1 among zeros, or zeros alone (an unknown letter), and some letter is there."""
    return bool(((lines == 0) | (lines == 1)).all() and (lines.sum(1) <= 1).all() and lines.any())


def shuffle(letters: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Positions in a new order, in which every run of ``k`` letters is as frequent as it was; uniform over such arrangements.

    The sequence is a walk over its runs of ``k - 1`` letters. Another walk over the same steps: the last way out of each run is that of
    a random tree towards the end (Wilson 1996), which makes sure that no step is left over; the ways before are in random order.
    """
    count = len(letters)
    if k == 1:
        return rng.permutation(count)
    if count <= k:
        return np.arange(count)
    runs = np.lib.stride_tricks.sliding_window_view(letters, k - 1)
    nodes = np.unique(runs, axis=0, return_inverse=True)[1].ravel()
    steps = [np.flatnonzero(nodes[:-1] == node) for node in range(nodes.max() + 1)]  # step i leads from run i to run i + 1
    last = tree(nodes, steps, rng)
    ways = []
    for node, out in enumerate(steps):
        order = rng.permutation(out[out != last[node]])
        ways.append([*order.tolist(), *([last[node]] if last[node] >= 0 else [])][::-1])
    places = list(range(k - 1))
    at = nodes[0]
    while ways[at]:
        step = ways[at].pop()
        places.append(step + k - 1)
        at = nodes[step + 1]
    return np.asarray(places)


def tree(nodes: np.ndarray, steps: list[np.ndarray], rng: np.random.Generator) -> list[int]:
    """One way out of each node that all together lead to the last; each such choice equally likely. -1 for the last node itself."""
    last = [-1] * len(steps)
    done = {int(nodes[-1])}
    for start in range(len(steps)):
        node = start
        while node not in done:  # a random walk; where it comes back, the way that it left by before is forgotten
            last[node] = int(rng.choice(steps[node]))
            node = int(nodes[last[node] + 1])
        node = start
        while node not in done:
            done.add(node)
            node = int(nodes[last[node] + 1])
    return last


def makes_own_rows(given: Any) -> bool:
    """Whether a background makes rows for each record out of the record."""
    return isinstance(given, Shuffled)
