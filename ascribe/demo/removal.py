"""The drop of a score when the highest-ranked features are removed, compared with random features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DRAWS = 20
"""The number of random draws."""

Score = Callable[[np.ndarray], np.ndarray]
"""A function from records to one score per record, of a fixed class for each record."""


@dataclass(frozen=True)
class Drop:
    """The mean drop of the score over the records, in units of the score.

    ``top`` is the drop for the highest-ranked features, ``chance`` the mean and ``spread`` the standard deviation over several draws of as
    many random features.
    """

    top: float
    chance: float
    spread: float
    removed: int

    @property
    def beats_chance(self) -> bool:
        """True if the ranking exceeds the random mean by more than two standard deviations."""
        return self.top > self.chance + 2 * self.spread


def remove_features(records: np.ndarray, instead: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns the records with the features at ``places`` ``[records, k]`` (flat indices) replaced by ``instead``."""
    flat = records.reshape(len(records), -1).copy()
    other = np.broadcast_to(instead, records.shape).reshape(flat.shape)
    np.put_along_axis(flat, places, np.take_along_axis(other, places, 1), 1)
    return flat.reshape(records.shape)


def rank_places(values: np.ndarray, count: int) -> np.ndarray:
    """Returns the flat indices of the ``count`` largest values of each record; ties in order of index."""
    return np.argsort(-values.reshape(len(values), -1), axis=1, kind="stable")[:, :count]


def random_places(rng: np.random.Generator, records: int, features: int, count: int) -> np.ndarray:
    """Returns ``count`` distinct random indices for each record."""
    return rng.random((records, features)).argsort(1)[:, :count]


def measure_removal(
    score: Score, records: np.ndarray, instead: np.ndarray, values: np.ndarray, rng: np.random.Generator, draws: int = DRAWS
) -> Drop:
    """Returns the drop when a tenth of the features of each record is removed: ranked by ``values``, and at random ``draws`` times."""
    features = records[0].size
    count = max(1, round(features / 10))
    before = score(records)

    def mean_drop(places: np.ndarray) -> float:
        return float((before - score(remove_features(records, instead, places))).mean())

    chance = [mean_drop(random_places(rng, len(records), features, count)) for _ in range(draws)]
    return Drop(mean_drop(rank_places(values, count)), float(np.mean(chance)), float(np.std(chance, ddof=1)), count)


def upsample_map(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns attributions of a layer ``[records, channels, h, w]`` as a map over pixels: the sum over channels, repeated.

    ``shape`` is that of the records; its height and width are multiples of those of the layer.
    """
    summed = values.sum(1, keepdims=True)
    for axis in (2, 3):
        summed = summed.repeat(shape[axis] // summed.shape[axis], axis)
    return summed
