"""Backgrounds of shuffled sequences in which every k-mer occurs as often as in the original, as used in genomics."""

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
    """The number of shuffles if ``Background(samples=...)`` is not given."""

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise DistributionError(
                "`k=` must be an integer >= 1, the length of the k-mers that are kept", found=f"k={self.k!r}", advice="Shuffled(k=2)"
            )
        if self.axis not in (1, 2, -1, -2):
            raise DistributionError(
                "`axis=` must be the axis of the letters, 1 or 2", found=f"axis={self.axis!r}", advice="Shuffled(axis=1)"
            )
        keep = tuple(self.keep) if isinstance(self.keep, Iterable) else (self.keep,)
        if not all(isinstance(i, (int, np.integer)) for i in keep):
            problem = "`keep=` must be token ids, such as those of padding and separators"
            raise DistributionError(problem, found=f"keep={self.keep!r}", advice="Shuffled(keep=(0, 101, 102))")
        object.__setattr__(self, "keep", tuple(map(int, keep)))

    def rows(self, values: Array, leaf: int, seed: int, sample: int) -> Array:
        """Returns one shuffle of each record, ``[records, letters, length]`` or ``[records, length]``.

        The random numbers depend on the seed and the index of the sample only, so that records do not influence each other.
        """
        xp = namespace(values)
        result = [self._row(row, np.random.default_rng((seed, 4, sample, leaf))) for row in xp.numpy(values)]
        return xp.cast(xp.asarray(np.stack(result), values), values)

    def call(self, call: Call, seed: int, sample: int) -> Call:
        """Returns the model call with its token ids shuffled."""
        return replace_token_ids(call, lambda ids: self.rows(ids, 0, seed, sample), "Shuffled")

    def _row(self, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if row.ndim == 1:
            free = ~np.isin(row, self.keep)
            row = row.copy()
            row[free] = row[free][shuffle(np.unique(row[free], return_inverse=True)[1], self.k, rng)]
            return row
        if row.ndim != 2:
            there = f"records of shape {row.shape}"
            problem = "Shuffled() needs one-hot sequences [records, letters, length] or token ids [records, length]"
            raise DistributionError(problem, found=there, advice="asc.Background(rows) for other data")
        lines = row.T if self.axis in (1, -2) else row
        if is_one_hot(lines.T) and not is_one_hot(lines):
            other = 2 if self.axis in (1, -2) else 1
            raise DistributionError(
                f"The letters are not on axis {self.axis}",
                found=f"one-hot letters on axis {other}",
                advice=f"Shuffled(axis={other})",
                code="E-BASELINE-AXIS",
            )
        order = shuffle(np.unique(lines, axis=0, return_inverse=True)[1].ravel(), self.k, rng)
        return row[:, order] if self.axis in (1, -2) else row[order]


def is_one_hot(lines: np.ndarray) -> bool:
    """True if every line has a single 1 or zeros only (an unknown letter), and at least one line has a 1."""
    return bool(((lines == 0) | (lines == 1)).all() and (lines.sum(1) <= 1).all() and lines.any())


def shuffle(letters: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a permutation of the positions that keeps the count of every k-mer, uniform over all such permutations.

    The sequence is an Eulerian path over its (k-1)-mers. A new path over the same edges is drawn: the last edge that leaves each node is
    that of a random spanning tree towards the end (Wilson 1996), so that every edge is used; the other edges are in random order.
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
    """Returns a uniform spanning tree towards the last node: the edge that leaves each node, -1 for the last node."""
    last = [-1] * len(steps)
    done = {int(nodes[-1])}
    for start in range(len(steps)):
        node = start
        while node not in done:  # a loop-erased random walk: a later visit overwrites the edge
            last[node] = int(rng.choice(steps[node]))
            node = int(nodes[last[node] + 1])
        node = start
        while node not in done:
            done.add(node)
            node = int(nodes[last[node] + 1])
    return last


def makes_own_rows(given: Any) -> bool:
    """True if a background creates the rows of a record from the record itself."""
    return isinstance(given, Shuffled)
