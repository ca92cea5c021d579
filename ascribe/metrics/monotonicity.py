"""Monotonicity: does the quantity rise with every feature that is added in the order of the values?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..features.coordinates import FeaturesLike
from ..removal.base import RemovalLike
from .base import Evaluation, Measured, Metric, check_settings
from .rankings import first_removed, rank_features, step_counts
from .scores import Curve, Direction


@dataclass(frozen=True, repr=False, eq=False)
class Monotonicity(Metric):
    """The share of steps in which the quantity does not fall while features are added, the smallest value first.

    *Use it when* values have a sign and you ask whether each feature with a larger value helps at least as much. A record whose share is 1
    is monotone in the sense of the paper, whose number is 1 for such a record and 0 for others: ``scores.values == 1``.

    Fields as in ``Deletion``. ``tolerance`` is the fall, as a share of the quantity's range over the curve, that is taken for rounding.
    """

    by: RemovalLike = None
    features: FeaturesLike = None
    steps: int | None = 32
    tolerance: float = 1e-6

    direction: ClassVar[Direction] = "higher"
    formula = "mean over k of [f(k + 1 features) >= f(k features)], the smallest values first"
    cost = "steps + 2 forward passes"
    weakness = "Starts from inputs without features, which the model never saw; sees the signs of changes, not their sizes."
    source = (
        'Arya et al. 2019, "One Explanation Does Not Fit All: A Toolkit and Taxonomy of AI Explainability Techniques", arXiv:1909.03012'
    )

    def __post_init__(self) -> None:
        check_settings(self, tolerance=0, **({} if self.steps is None else {"steps": 1}))

    def score(self, evaluation: Evaluation) -> Measured:
        with evaluation.open_features(self.by, self.features) as removed:
            ranks = rank_features(removed.per_feature(evaluation.values), evaluation.random)
            counts = step_counts(removed.count, self.steps)
            curve = Curve(counts / removed.count, removed.quantity(len(counts), first_removed(ranks, counts)))
        rises = -np.diff(curve.values, axis=0)  # the curve removes the largest first; read backwards it adds the smallest first
        rounding = self.tolerance * np.ptp(curve.values, 0)
        return Measured((rises >= -rounding).mean(0), {"most relevant first": curve})
