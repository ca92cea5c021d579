"""ROAD: whether a class is still predicted when pixels are filled in from their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array, namespace
from ..cuts import OUTPUT, Cut
from ..errors import InputError, QuantityError
from ..features.coordinates import FeaturesLike
from ..quantities import Bound, Part
from ..quantities.base import BoundClasses, all_records
from ..removal import Inpaint
from ..values import Value
from .base import Evaluation, Measured, Metric
from .curves import LERF, MORF, Replacements, over_replacements
from .rankings import first_removed, rank_features
from .removed import RemovedFeatures
from .scores import Curve, Direction


@dataclass(frozen=True, repr=False)
class StillPredicted(Value):
    """1 where a class is the predicted one, else 0: the quantity whose mean over records is an accuracy.

    *Use it when* you count decisions rather than scores. ``labels`` has the class of each record. The output is ``[records, classes]``.
    """

    labels: tuple[int, ...]
    on: Cut = OUTPUT
    scored = True

    def bind(self, y: Array, names: Sequence[str] | None = None, part: Part | None = None) -> Bound:
        if y.ndim != 2 or y.shape[1] < 2:
            raise QuantityError(
                "The predicted class needs one score for each of several classes",
                found=f"an output of shape {tuple(y.shape)}",
                advice="metrics.RelevanceGain(), which judges the score itself",
            )
        return BoundClasses(np.asarray(all_records(y, part).of(self.labels, "labels")), is_largest)


def is_largest(y: Array) -> Array:
    """Returns 1 for the largest score of each row and 0 for the others, ``[rows, classes]``."""
    xp = namespace(y)
    largest = xp.reshape(xp.amax(y, (1,)), (-1, 1))
    return xp.where(y >= largest, xp.ones_like(y), xp.zeros_like(y))


@dataclass(frozen=True, repr=False, eq=False)
class Road(Metric):
    """The share of steps at which the class is still predicted: least relevant pixels removed first, less most relevant first (ROAD).

    *Use it when* you judge maps of images by decisions and want removed pixels to say nothing by their shape: they are filled in from
    their neighbours. The mean over records is the area between the two curves of accuracy.

    ``shares`` are the shares of pixels that are removed. ``by`` is the replacement (None: noisy linear imputation, which needs SciPy),
    ``features`` the grouping (None: pixels). The class is that of ``of=``, by default the predicted one. ``curves`` has both curves.
    Raises InputError for quantities that are no class.
    """

    by: Replacements = None
    features: FeaturesLike = None
    shares: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

    direction: ClassVar[Direction] = "higher"
    formula = "mean over p of [class kept, least relevant p removed] - [class kept, most relevant p removed]"
    cost = "2 x shares + 2 forward passes, and a sparse linear system for each step of each record"
    weakness = "Counts decisions, so that it needs many records; a class that is predicted for filled-in images is kept for any values."
    source = 'Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods", arXiv:2202.00449'

    def __post_init__(self) -> None:
        if not self.shares or not all(isinstance(p, (int, float)) and 0 < p <= 1 for p in self.shares):
            raise InputError("`shares=` of `Road` must be numbers above 0, and at most 1", found=f"{self.shares!r}", advice="(0.1, 0.5)")

    def score(self, evaluation: Evaluation) -> Measured:
        with evaluation.open_records() as records:
            classes = records.bound.classes()
        if classes is None:
            raise InputError(
                "`Road` counts decisions for a class", found=f"of={evaluation.of!r}", advice="of=labels, or metrics.RelevanceGain()"
            )
        counted = replace_quantity(evaluation, StillPredicted(tuple(map(int, classes[0]))))

        def measure(removed: RemovedFeatures) -> Measured:
            ranks = rank_features(removed.per_feature(evaluation.values), evaluation.random)
            counts = np.maximum(np.round(np.array(self.shares) * removed.count), 1).astype(int)
            each = {MORF: ranks, LERF: removed.count - 1 - ranks}
            curves = {
                order: Curve(counts / removed.count, removed.quantity(len(counts), first_removed(ranked, counts)))
                for order, ranked in each.items()
            }
            return Measured(curves[LERF].values.mean(0) - curves[MORF].values.mean(0), curves)

        try:
            return over_replacements(counted, Inpaint() if self.by is None else self.by, self.features, measure)
        finally:
            evaluation.evaluations += counted.evaluations


def replace_quantity(evaluation: Evaluation, of: StillPredicted) -> Evaluation:
    """Returns an evaluation of the same call and explanation that reads another quantity."""
    return Evaluation(evaluation.values, evaluation.model, evaluation.call, of, evaluation.seed, evaluation.chunk)
