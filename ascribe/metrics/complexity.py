"""Complexity: on how few features an explanation rests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Evaluation, Metric, check_settings
from .scores import Direction


@dataclass(frozen=True, repr=False)
class Sparseness(Metric):
    """The Gini index of the absolute values: 0 if all are equal, towards 1 if a few hold everything.

    *Use it when* you compare how concentrated explanations are. It says nothing about the model: random values have a Gini index too.
    NaN for a record whose values are all 0.
    """

    family = "complexity"
    direction: ClassVar[Direction] = "higher"
    formula = "1 - 2 sum_k (|a|_(k) / sum |a|) (n - k + 1/2) / n, |a|_(k) in increasing order"
    cost = "none"
    weakness = "Rewards a single pixel, right or wrong."
    source = 'Chalasani et al. 2020, "Concise Explanations of Neural Networks using Adversarial Training", arXiv:1810.06583'

    def score(self, evaluation: Evaluation) -> np.ndarray:
        sizes = np.sort(np.abs(evaluation.flat_values()), 1)
        total, n = sizes.sum(1), sizes.shape[1]
        evaluation.note_undefined(total == 0, "all values are 0")
        weights = n - np.arange(1, n + 1) + 0.5
        found = 1 - 2 * (sizes @ weights) / (np.where(total > 0, total, 1.0) * n)
        return np.where(total > 0, found, np.nan)


@dataclass(frozen=True, repr=False)
class Entropy(Metric):
    """The entropy of the shares of the absolute values, in nats: 0 if one feature holds everything, log n if all are equal.

    *Use it when* you want the complexity that Quantus and captum's successors report. NaN for a record whose values are all 0.
    """

    family = "complexity"
    direction: ClassVar[Direction] = "lower"
    formula = "- sum_i p_i log p_i, p_i = |a_i| / sum |a|"
    cost = "none"
    weakness = "Depends on the number of features; rewards a single pixel, right or wrong."
    source = 'Bhatt et al. 2020, "Evaluating and Aggregating Feature-based Model Explanations", arXiv:2005.00631'

    def score(self, evaluation: Evaluation) -> np.ndarray:
        sizes = np.abs(evaluation.flat_values())
        evaluation.note_undefined(sizes.sum(1) == 0, "all values are 0")
        return entropy_of(sizes)


def entropy_of(sizes: np.ndarray) -> np.ndarray:
    """Returns the entropy of the shares of non-negative numbers, ``[..., n] -> [...]``; NaN where all are 0."""
    total = sizes.sum(-1, keepdims=True)
    share = sizes / np.where(total > 0, total, 1.0)
    found = -(share * np.log(np.where(share > 0, share, 1.0))).sum(-1)
    return np.where(total[..., 0] > 0, found, np.nan)


@dataclass(frozen=True, repr=False)
class EffectiveComplexity(Metric):
    """The number of features whose absolute value is above ``threshold``, a share of the largest.

    *Use it when* you ask how many features somebody has to look at.
    """

    threshold: float = 0.01

    family = "complexity"
    direction: ClassVar[Direction] = "lower"
    formula = "#{i: |a_i| > threshold max |a|}"
    cost = "none"
    weakness = "Depends on the threshold; rewards a single pixel, right or wrong. The paper's number of features is found by removal."
    source = 'Nguyen and Martinez 2020, "On quantitative aspects of model interpretability", arXiv:2007.07584'

    def __post_init__(self) -> None:
        check_settings(self, threshold=0)

    def score(self, evaluation: Evaluation) -> np.ndarray:
        sizes = np.abs(evaluation.flat_values())
        return np.asarray((sizes > self.threshold * sizes.max(1, keepdims=True)).sum(1), np.float64)
