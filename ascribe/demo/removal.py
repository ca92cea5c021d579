"""How much a score falls when the features that an attribution puts first are taken away, against taking away any others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DRAWS = 20
"""How often features are removed at random."""

Score = Callable[[np.ndarray], np.ndarray]
"""Records -> one number each: the explained score, always of the same class for the same record."""


@dataclass(frozen=True)
class Drop:
    """The mean fall of the score over the records, in the score's own units.

    ``top`` is for the features that the attribution puts first; ``chance`` the mean, and ``spread`` the standard deviation,
    over several draws of as many features at random.
    """

    top: float
    chance: float
    spread: float
    removed: int

    @property
    def beats_chance(self) -> bool:
        """Whether the ranking is better than the draws by more than twice their spread."""
        return self.top > self.chance + 2 * self.spread


def remove_features(records: np.ndarray, instead: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The records with the features at ``places`` [records, k], counted over all axes but the first, replaced."""
    flat = records.reshape(len(records), -1).copy()
    other = np.broadcast_to(instead, records.shape).reshape(flat.shape)
    np.put_along_axis(flat, places, np.take_along_axis(other, places, 1), 1)
    return flat.reshape(records.shape)


def top_places(values: np.ndarray, count: int) -> np.ndarray:
    """The places of the ``count`` largest values of each record: those that speak most for the score; ties in reading order."""
    return np.argsort(-values.reshape(len(values), -1), axis=1, kind="stable")[:, :count]


def random_places(rng: np.random.Generator, records: int, features: int, count: int) -> np.ndarray:
    """``count`` different places of each record, all equally likely."""
    return rng.random((records, features)).argsort(1)[:, :count]


def measure_removal(
    score: Score, records: np.ndarray, instead: np.ndarray, values: np.ndarray, rng: np.random.Generator, draws: int = DRAWS
) -> Drop:
    """Remove a tenth of the features of each record: once as ``values`` rank them, ``draws`` times at random."""
    features = records[0].size
    count = max(1, round(features / 10))
    before = score(records)

    def fall(places: np.ndarray) -> float:
        return float((before - score(remove_features(records, instead, places))).mean())

    chance = [fall(random_places(rng, len(records), features, count)) for _ in range(draws)]
    return Drop(fall(top_places(values, count)), float(np.mean(chance)), float(np.std(chance, ddof=1)), count)


def spread_out(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Attributions [records, channels, h, w] of a layer as a map over pixels: channels added, each place repeated.

    ``shape`` is that of the records; its height and width are multiples of the layer's.
    """
    summed = values.sum(1, keepdims=True)
    for axis in (2, 3):
        summed = summed.repeat(shape[axis] // summed.shape[axis], axis)
    return summed
