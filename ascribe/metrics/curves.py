"""Faithfulness by removal: the quantity while the features are removed in the order of their values, and the areas of such curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..arrays import as_numpy
from ..features import Superpixels
from ..features.coordinates import FeaturesLike
from ..removal import Mean
from ..removal.base import RemovalLike
from .base import Evaluation, Measured, Metric, check_settings
from .rankings import first_removed, rank_features, step_counts
from .removed import RemovedFeatures
from .scores import Curve, Direction

Replacements = RemovalLike | list[Any]
"""One replacement, as in ``by=`` of perturbation methods, or a list of them, whose scores are averaged."""
Measure = Callable[[RemovedFeatures], Measured]


def over_replacements(evaluation: Evaluation, by: Replacements, features: FeaturesLike, measure: Measure) -> Measured:
    """Returns what ``measure`` finds with one replacement, or the mean over a list of them, with each as a part."""
    if not isinstance(by, list):
        with evaluation.open_features(by, features) as removed:
            return measure(removed)
    parts: dict[str, Measured] = {}
    for one in by:
        with evaluation.open_features(one, features) as removed:
            parts[repr(one)] = measure(removed)
    return Measured(np.mean([part.values for part in parts.values()], 0), {}, parts)


def removal_curve(removed: RemovedFeatures, ranks: np.ndarray, counts: np.ndarray) -> Curve:
    """Returns the quantity while the features of the smallest ranks are removed."""
    return Curve(counts / removed.count, removed.quantity(len(counts), first_removed(ranks, counts)))


@dataclass(frozen=True, repr=False, eq=False)
class RemovalOrder(Metric):
    """The base of metrics from curves of the quantity while features are removed in the order of their values.

    ``by`` is the replacement, ``features`` the grouping (None: positions of images, elements of other records), ``steps`` the number of
    steps in which all features are removed, None for one by one. Equal values are removed in random order.
    """

    by: Replacements = None
    features: FeaturesLike = None
    steps: int | None = 32

    def __post_init__(self) -> None:
        if self.steps is not None:
            check_settings(self, steps=1)

    def curves(self, evaluation: Evaluation, removed: RemovedFeatures, *orders: str) -> dict[str, Curve]:
        """Returns the curves of some orders: ``MORF``, the most relevant first, and ``LERF``, the least relevant first."""
        ranks = rank_features(removed.per_feature(evaluation.values), evaluation.random)
        counts = step_counts(removed.count, self.steps)
        each = {MORF: ranks, LERF: removed.count - 1 - ranks}
        return {order: removal_curve(removed, each[order], counts) for order in orders}


SUPERPIXELS, MEAN = Superpixels(), Mean()
"""The defaults of IROF."""
MORF, LERF = "most relevant first", "least relevant first"


@dataclass(frozen=True, repr=False, eq=False)
class Deletion(RemovalOrder):
    """The area under the quantity while features are removed, the most relevant first (MoRF, pixel flipping).

    *Use it when* you ask whether the features that an explanation ranks first are those that the output needs. It depends on the
    replacement, so use several: ``by=[asc.Replace(0.0), asc.Blur()]``. Fields as in :class:`RemovalOrder`.
    """

    direction: ClassVar[Direction] = "lower"
    formula = "area under f(x without the k features of the largest values), over k"
    cost = "steps + 2 forward passes"
    weakness = "Removed features leave inputs that the model never saw; the order of methods can change with the replacement."
    source = 'Samek et al. 2017, "Evaluating the Visualization of What a Deep Neural Network Has Learned", arXiv:1509.06321'

    def score(self, evaluation: Evaluation) -> Measured:
        def measure(removed: RemovedFeatures) -> Measured:
            curves = self.curves(evaluation, removed, MORF)
            return Measured(curves[MORF].area, curves)

        return over_replacements(evaluation, self.by, self.features, measure)


@dataclass(frozen=True, repr=False, eq=False)
class Insertion(RemovalOrder):
    """The area under the quantity while features are inserted into the replacement, the most relevant first.

    *Use it when* you ask whether the features that an explanation ranks first are enough for the output. To insert the most relevant
    features first is to remove the least relevant first (LeRF), so the curve is also that. Fields as in :class:`RemovalOrder`.
    """

    direction: ClassVar[Direction] = "higher"
    formula = "area under f(replacement with the k features of the largest values), over k"
    cost = "steps + 2 forward passes"
    weakness = "As Deletion; an output that the replacement alone gives is counted for every explanation."
    source = 'Petsiuk et al. 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models", arXiv:1806.07421'

    def score(self, evaluation: Evaluation) -> Measured:
        def measure(removed: RemovedFeatures) -> Measured:
            curves = self.curves(evaluation, removed, LERF)
            return Measured(curves[LERF].area, curves)

        return over_replacements(evaluation, self.by, self.features, measure)


@dataclass(frozen=True, repr=False, eq=False)
class RelevanceGain(RemovalOrder):
    """The area between the curves of both orders: least relevant first less most relevant first (SRG; ABPC).

    *Use it when* you need one faithfulness number to rank methods by: over 40 replacements, its order of methods changes least. Random
    values have 0 on average. Fields as in :class:`RemovalOrder`.
    """

    direction: ClassVar[Direction] = "higher"
    formula = "area of the curve LeRF less area of the curve MoRF"
    cost = "2 x steps + 3 forward passes"
    weakness = "As Deletion, though errors of the replacement that both orders share cancel."
    source = 'Bluecher et al. 2024, "Decoupling Pixel Flipping and Occlusion Strategy for Consistent XAI Benchmarks", arXiv:2401.06654'

    def score(self, evaluation: Evaluation) -> Measured:
        def measure(removed: RemovedFeatures) -> Measured:
            curves = self.curves(evaluation, removed, MORF, LERF)
            return Measured(curves[LERF].area - curves[MORF].area, curves)

        return over_replacements(evaluation, self.by, self.features, measure)


@dataclass(frozen=True, repr=False, eq=False)
class Irof(RemovalOrder):
    """The area above the curve of the quantity, as a share of its start, while superpixels are removed, the most relevant first (IROF).

    *Use it when* you judge maps of images by regions that belong together. Values of a superpixel are its mean. ``features`` are the
    superpixels, ``by`` the replacement (None: the mean of each channel). Other fields as in :class:`RemovalOrder`. NaN for records whose
    quantity is 0; use a probability.
    """

    by: Replacements = MEAN
    features: FeaturesLike = SUPERPIXELS
    steps: int | None = None

    direction: ClassVar[Direction] = "higher"
    formula = "1 - area under f(x without the k superpixels of the largest means) / f(x), over k"
    cost = "superpixels + 2 forward passes"
    weakness = "Depends on the segmentation; a quantity of both signs has no meaningful share."
    source = 'Rieger and Hansen 2020, "IROF: a low resource evaluation metric for explanation methods", arXiv:2003.08747'

    def score(self, evaluation: Evaluation) -> Measured:
        def measure(removed: RemovedFeatures) -> Measured:
            values, ones = (
                removed.per_feature(evaluation.values),
                removed.per_feature([np.ones_like(as_numpy(v)) for v in evaluation.values]),
            )
            ranks = rank_features(values / np.maximum(ones, 1e-30), evaluation.random)
            curve = removal_curve(removed, ranks, step_counts(removed.count, self.steps))
            start = removed.explained
            evaluation.note_undefined(start == 0, "the quantity is 0")
            return Measured(np.where(start == 0, np.nan, 1 - curve.area / np.where(start == 0, 1.0, start)), {MORF: curve})

        return over_replacements(evaluation, self.by, self.features, measure)
