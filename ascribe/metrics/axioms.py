"""Axioms: properties that hold or do not hold, as numbers that are 0 where they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..arrays import is_array, namespace
from ..features.coordinates import FeaturesLike
from ..removal.base import RemovalLike
from ..tree import replace_leaves, walk
from .base import Evaluation, Metric, check_settings, flatten_records
from .correlation import one_removed
from .scores import Direction


@dataclass(frozen=True, repr=False, eq=False)
class Completeness(Metric):
    """How far the values are from adding up to the change of the quantity from a baseline, as a share of the change: 0 is best.

    *Use it when* a method promises such a sum, and you want the check for a baseline of your own. ``baseline`` is what replaces all
    features, as ``by=`` of perturbation methods. The share is of the change, or of the sum of absolute values if that is larger.
    """

    baseline: RemovalLike = 0.0

    family = "axioms"
    direction: ClassVar[Direction] = "lower"
    formula = "|sum_i a_i - (f(x) - f(b))| / max(|f(x) - f(b)|, sum_i |a_i|)"
    cost = "2 forward passes"
    weakness = "Says nothing about which feature gets what; the baseline must be that of the method."
    source = 'Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365'

    def score(self, evaluation: Evaluation) -> np.ndarray:
        with evaluation.open_features(self.baseline) as removed:
            values = removed.per_feature(evaluation.values)
            none = removed.quantity(1, lambda index, points: np.zeros((len(points), len(index), removed.count), bool))[0]
            change = removed.explained - none
        size = np.maximum(np.abs(change), np.abs(values).sum(1))
        return np.asarray(np.abs(values.sum(1) - change) / np.where(size > 0, size, 1.0))


@dataclass(frozen=True, repr=False, eq=False)
class NonSensitivity(Metric):
    """The share of features for which having no value and having no effect disagree: 0 is best.

    *Use it when* a model ignores some features and you ask whether the explanation knows which. A feature has no effect if the quantity
    does not change with any value of ``by``: give data, ``asc.Resample(rows)``. ``tolerance`` is the share of the largest value, and of
    the largest change, up to which a number is nothing.
    """

    by: RemovalLike = None
    features: FeaturesLike = None
    tolerance: float = 1e-5

    family = "axioms"
    direction: ClassVar[Direction] = "lower"
    formula = "|{i: a_i = 0} xor {i: f does not depend on i}| / n"
    cost = "features x replacements + 2 forward passes"
    weakness = "A single replacement can miss an effect; values that are small but not 0 count as values."
    source = 'Nguyen and Martinez 2020, "On quantitative aspects of model interpretability", arXiv:2007.07584'

    def __post_init__(self) -> None:
        check_settings(self, tolerance=0)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        with evaluation.open_features(self.by, self.features) as removed:
            values = np.abs(removed.per_feature(evaluation.values))
            each = removed.quantity_of_draws(removed.count, one_removed(removed.count))
            effects = np.abs(removed.explained - each).max(1).T
        nothing = values <= self.tolerance * values.max(1, keepdims=True)
        no_effect = effects <= self.tolerance * np.maximum(effects.max(1, keepdims=True), np.finfo(np.float64).tiny)
        return np.asarray((nothing != no_effect).mean(1))


@dataclass(frozen=True, eq=False)
class ShiftedModel:
    """A model of inputs that were shifted by a constant: it takes the shift away first, and so computes the same."""

    model: Callable[..., Any]
    shift: float

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        floats = [(path, leaf) for path, leaf in walk((args, kwargs)) if is_array(leaf) and namespace(leaf).is_floating(leaf)]
        args, kwargs = replace_leaves((args, kwargs), {path: leaf - self.shift for path, leaf in floats})
        return self.model(*args, **kwargs)


@dataclass(frozen=True, repr=False)
class InputInvariance(Metric):
    """The relative change of an explanation when a constant is added to the inputs, and a model that takes it away is explained: 0 is best.

    *Use it when* you ask whether a method explains the model or the encoding of its inputs. The two models compute the same from the same
    records. Methods with a baseline, and those that multiply by the input, need not be invariant unless their baseline is shifted too.
    All floating-point inputs are shifted by ``shift``.
    """

    shift: float = 1.0

    family = "axioms"
    direction: ClassVar[Direction] = "lower"
    formula = "|a(f_c, x + c) - a(f, x)| / |a(f, x)|, f_c(x) = f(x - c)"
    cost = "the explanation, twice"
    needs = ("method",)
    weakness = "Gradients alone are always invariant. In the paper the first bias absorbs the constant; here a model takes it away."
    source = 'Kindermans et al. 2017, "The (Un)reliability of saliency methods", arXiv:1711.00867'

    def score(self, evaluation: Evaluation) -> np.ndarray:
        before = evaluation.flat_values()
        with evaluation.open_records() as records:
            call = records.call([x + self.shift for x in records.x])
        a = evaluation.explain_again(call, model=ShiftedModel(evaluation.model, self.shift))
        after = flatten_records([leaf for _, leaf in a.arrays()])
        size = np.linalg.norm(before, axis=1)
        return np.asarray(np.linalg.norm(after - before, axis=1) / np.where(size > 0, size, 1.0))
