"""Faithfulness by correlation: do the values of removed features go with the drop of the quantity?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..features import Grid
from ..features.coordinates import FeaturesLike
from ..removal.base import RemovalLike
from .base import Evaluation, Measured, Metric, check_choice, check_settings
from .removed import Present, RemovedFeatures
from .scores import Curve, Direction
from .similarity import CORRELATIONS, Correlation, is_constant, pearson, spearman


@dataclass(frozen=True, repr=False, eq=False)
class FaithfulnessCorrelation(Metric):
    """The correlation of the summed values of random feature subsets with the drop of the quantity when these are removed.

    *Use it when* values should add up, and you want to know whether their sums predict what removal does. A ranking alone is judged by
    ``RelevanceGain``.

    ``share`` is the part of the features in each of the ``samples`` subsets; all records share the subsets. ``by`` is the replacement,
    ``features`` the grouping. ``how`` is "pearson", or "spearman" for ranks. NaN for records whose values or drops are constant.
    """

    by: RemovalLike = None
    features: FeaturesLike = None
    share: float = 0.2
    samples: int = 100
    how: Correlation = "pearson"

    direction: ClassVar[Direction] = "higher"
    formula = "corr over subsets S of (sum of a_i over S, f(x) - f(x without S))"
    cost = "samples + 2 forward passes"
    weakness = "Noisy with few subsets; one size of subsets; features that can replace each other hide each other."
    source = 'Bhatt et al. 2020, "Evaluating and Aggregating Feature-based Model Explanations", arXiv:2005.00631'

    def __post_init__(self) -> None:
        check_settings(self, samples=2, share=0)
        check_choice(self, "how", CORRELATIONS)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        with evaluation.open_features(self.by, self.features) as removed:
            size = min(removed.count, max(1, round(self.share * removed.count)))
            sums, drops = subset_effects(evaluation, removed, random_subsets(removed.count, size, self.samples, evaluation.random))
        found = CORRELATIONS[self.how](sums, drops)
        note_constant(evaluation, sums, drops)
        return found


NINE = Grid(9)
"""The cells of an image that are removed together."""


@dataclass(frozen=True, repr=False, eq=False)
class MuFidelity(FaithfulnessCorrelation):
    """The rank correlation of the summed values of random subsets of image cells with the drop of the quantity when these are removed.

    *Use it when* you compare with results of Xplique or PnPXAI, whose default this is: a grid of 9 x 9 cells, 20 % of them removed,
    Spearman's correlation. For other records than images give ``features``. Fields as in :class:`FaithfulnessCorrelation`.
    """

    features: FeaturesLike = NINE
    samples: int = 200
    how: Correlation = "spearman"

    weakness = "As FaithfulnessCorrelation."


@dataclass(frozen=True, repr=False, eq=False)
class SensitivityN(Metric):
    """The correlation of summed values with drops for random subsets of n features, averaged over n.

    *Use it when* you want to see at which sizes of subsets values predict the effect of removal: values of a linear model have 1 for all n.

    ``sizes`` is the number of subset sizes, evenly spaced between one feature and ``most``, a share of all; ``samples`` subsets are drawn
    for each. ``curves`` has the correlation of each size. NaN for a record whose values are constant.
    """

    by: RemovalLike = None
    features: FeaturesLike = None
    sizes: int = 8
    most: float = 0.8
    samples: int = 100

    direction: ClassVar[Direction] = "higher"
    formula = "mean over n of corr over subsets S with |S| = n of (sum of a_i over S, f(x) - f(x without S))"
    cost = "sizes x samples + 2 forward passes"
    weakness = "As FaithfulnessCorrelation; large subsets leave inputs that the model never saw."
    source = (
        'Ancona et al. 2018, "Towards better understanding of gradient-based attribution methods for Deep Neural Networks", '
        "arXiv:1711.06104"
    )

    def __post_init__(self) -> None:
        check_settings(self, sizes=1, samples=2, most=0)

    def score(self, evaluation: Evaluation) -> Measured:
        with evaluation.open_features(self.by, self.features) as removed:
            largest = min(removed.count, max(1, round(self.most * removed.count)))
            sizes = np.unique(np.round(np.linspace(1, largest, self.sizes)).astype(int))
            draws = [random_subsets(removed.count, int(n), self.samples, evaluation.random) for n in sizes]
            sums, drops = subset_effects(evaluation, removed, np.concatenate(draws))
            each = np.stack([pearson(s, d) for s, d in zip(np.split(sums, len(sizes), 1), np.split(drops, len(sizes), 1), strict=True)])
            shares = sizes / removed.count
        known = ~np.isnan(each)
        evaluation.note_undefined(~known.any(0), "all values are equal, or removal changes the quantity equally everywhere")
        mean = np.where(known.any(0), np.where(known, each, 0.0).sum(0) / np.maximum(known.sum(0), 1), np.nan)
        return Measured(mean, {"correlation": Curve(shares, each)})


@dataclass(frozen=True, repr=False, eq=False)
class FaithfulnessEstimate(Metric):
    """The correlation of the values with the drop of the quantity when each feature is removed alone.

    *Use it when* features are few. For many, group them: ``features=asc.Grid(8)``. NaN for records whose values or drops are constant.
    """

    by: RemovalLike = None
    features: FeaturesLike = None
    how: Correlation = "pearson"

    direction: ClassVar[Direction] = "higher"
    formula = "corr over i of (a_i, f(x) - f(x without i))"
    cost = "features + 2 forward passes"
    weakness = "Sees no joint effects: features that can replace each other have no effect alone."
    source = 'Alvarez-Melis and Jaakkola 2018b, "Towards Robust Interpretability with Self-Explaining Neural Networks", arXiv:1806.07538'

    def __post_init__(self) -> None:
        check_choice(self, "how", CORRELATIONS)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        with evaluation.open_features(self.by, self.features) as removed:
            values = removed.per_feature(evaluation.values)
            drops = (removed.explained - removed.quantity(removed.count, one_removed(removed.count))).T
        note_constant(evaluation, values, drops)
        return CORRELATIONS[self.how](values, drops)


@dataclass(frozen=True, repr=False, eq=False)
class MonotonicityCorrelation(Metric):
    """Spearman's correlation of the sizes of the values with the mean squared change of the quantity when a feature is resampled.

    *Use it when* you ask whether the sizes of values are in the order of the features' importance, whatever the sign. Give ``by`` data to
    resample from, ``asc.Resample(rows)``: with a single replacement the expectation is one squared change.

    Quantus divides the changes by f(x), which changes no rank. NaN for records whose values or changes are constant.
    """

    by: RemovalLike = None
    features: FeaturesLike = None

    direction: ClassVar[Direction] = "higher"
    formula = "spearman over i of (|a_i|, E[(f(x) - f(x with i resampled))^2])"
    cost = "features x replacements + 2 forward passes"
    weakness = "Sees one feature at a time, and no sign."
    source = 'Nguyen and Martinez 2020, "On quantitative aspects of model interpretability", arXiv:2007.07584'

    def score(self, evaluation: Evaluation) -> np.ndarray:
        with evaluation.open_features(self.by, self.features) as removed:
            values = np.abs(removed.per_feature(evaluation.values))
            each = removed.quantity_of_draws(removed.count, one_removed(removed.count))
            changes = ((removed.explained - each) ** 2).mean(1).T
        note_constant(evaluation, values, changes)
        return spearman(values, changes)


def random_subsets(features: int, size: int, samples: int, random: np.random.Generator) -> np.ndarray:
    """Returns random subsets of ``size`` features, bool ``[samples, features]``."""
    ranks = random.random((samples, features)).argsort(1).argsort(1)
    return np.asarray(ranks < size)


def subset_effects(evaluation: Evaluation, removed: RemovedFeatures, subsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the summed values of subsets, and the drop of the quantity when they are removed, ``[records, subsets]`` each."""
    sums = removed.per_feature(evaluation.values) @ subsets.T.astype(np.float64)
    present: Present = lambda index, points: np.broadcast_to(~subsets[points][:, None], (len(points), len(index), subsets.shape[1]))  # noqa: E731
    return sums, (removed.explained - removed.quantity(len(subsets), present)).T


def one_removed(features: int) -> Present:
    """Returns the function that removes feature k at point k."""
    present = ~np.eye(features, dtype=bool)
    return lambda index, points: np.broadcast_to(present[points][:, None], (len(points), len(index), features))


def note_constant(evaluation: Evaluation, values: np.ndarray, changes: np.ndarray) -> None:
    """Adds checks for records ``[records, ...]`` whose values, or whose changes of the quantity, are all equal."""
    flat = is_constant(values)
    evaluation.note_undefined(flat, "all values are equal")
    evaluation.note_undefined(~flat & is_constant(changes), "removal changes the quantity equally everywhere")
